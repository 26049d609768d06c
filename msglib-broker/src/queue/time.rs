//! What happens by itself, when its time has come.

use super::ConsumerId;
use super::Queue;
use super::agenda::Agenda;
use super::consumer::Consumers;
use super::departed::Fate;
use super::history::What;
use super::messages::{Messages, State, Ticket};
use super::special::{Lease, Return, Special, Wake};
use super::store::Store;
use msglib_proto::Instant;

impl<C> Queue<C> {
    /// When [`advance`](Queue::advance) has something to do; `None` when nothing waits for a time. Exact: not before, and not without.
    pub fn next_due(&mut self) -> Option<Instant> {
        let special = self.special.as_mut()?;
        let wake = special.next_wake();
        let lease = special.next_lease(&self.consumers);
        let extended = special.extensions.first().map(|(at, ..)| at);
        // What is never due is nothing to wait for.
        [wake, lease, extended].into_iter().flatten().min().filter(|at| *at < Instant::MAX)
    }

    /// Does what is due by now, at most so much of it: leases end, delays are over, times to live are over. Returns how much it did; as
    /// long as [`next_due`](Queue::next_due) is not behind `now` there is more.
    ///
    /// To be called before anything else that happens at `now`. However long ago the last call was, all happens in the order of time; at the
    /// same time first leases end, then messages expire, then delays are over, in the order in which they began.
    pub fn advance(&mut self, store: &mut Store, now: Instant, most: usize) -> usize {
        let mut done = 0;
        while done < most {
            let Some(special) = &mut self.special else { return done };
            let due = |at: Option<Instant>| at.filter(|at| *at <= now);
            let lease = due(special.first_lease().map(|(at, ..)| at));
            let wake = due(special.wakes.first().map(|(at, _)| at));
            done += match (lease, wake) {
                (None, None) => break,
                (Some(lease), wake) if wake.is_none_or(|wake| lease <= wake) => self.end_lease(store, now, most - done),
                _ => {
                    self.wake(store, now);
                    1
                }
            };
        }
        if done > 0 {
            self.update_plain();
        }
        done
    }

    /// The first lease is over: what is still held under it comes back. Looks at `most` deliveries at most, and says at how many.
    fn end_lease(&mut self, store: &mut Store, now: Instant, most: usize) -> usize {
        let Some((_, Lease { consumer: id, mut first, last }, extension)) = self.special().first_lease() else {
            return 1;
        };
        let Queue { consumers, special: Some(special), .. } = self else { return 1 };
        let (mut tags, mut looked, mut rest) = (Vec::new(), 0, None);
        if let Some(consumer) = consumers.get_mut(id) {
            while let Some(tag) = consumer.in_flight.first_of(first..=last) {
                if looked == most {
                    rest = Some(tag);
                    break;
                }
                (looked, first) = (looked + 1, tag + 1);
                if has_lease(&special.messages, consumer.in_flight.get(tag), extension) {
                    tags.push(tag);
                }
            }
        }
        match (extension, rest) {
            (0, Some(first)) => special.leases.replace_first(Lease { consumer: id, first, last }),
            (0, None) => {
                special.leases.pop();
            }
            (number, Some(first)) => special.extensions.go_on(number, first),
            // It is over with the last of its deliveries.
            (_, None) => {}
        }
        for tag in tags {
            self.give_up(store, now, id, tag..=tag, |special, env, (_, ticket)| {
                special.give_back(env, ticket, Return::Lapsed, None);
            });
        }
        self.changed(id);
        looked.max(1)
    }

    /// The first message that waits for a time is looked at.
    fn wake(&mut self, store: &mut Store, now: Instant) {
        let (special, mut env) = self.parts(store, now);
        let Some((at, wake)) = special.wakes.pop() else { return };
        if !special.messages.is_woken_by(wake) {
            return;
        }
        let ticket = wake.ticket;
        let record = special.messages.record_mut(ticket);
        record.set_wake(0);
        let is_over = record.expires <= at;
        match record.state() {
            State::InFlight => {}
            State::Ready => special.expire(&mut env, ticket),
            State::Delayed => {
                special.delayed -= 1;
                match is_over {
                    true => special.leave(&mut env, ticket, Fate::Expired),
                    false => {
                        special.note(&env, ticket, What::Ready);
                        special.make_ready(&mut env, ticket);
                    }
                }
            }
        }
    }

    /// What was delivered in one turn is to be settled in time.
    pub(super) fn lease(&mut self, now: Instant, consumer: ConsumerId, first: u64, last: u64) {
        let Some(lease) = self.config.redelivery.lease else { return };
        let special = self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)));
        special.tidy_leases(&self.consumers, self.books.in_flight);
        special.leases.push(now + lease, Lease { consumer, first, last });
    }
}

impl Special {
    /// The time of a message that is ready is over.
    pub(super) fn expire(&mut self, env: &mut super::special::Env<'_>, ticket: Ticket) {
        self.take_out(ticket);
        self.leave(env, ticket, Fate::Expired);
    }

    /// The leases that end first, and their extension, or 0.
    fn first_lease(&self) -> Option<(Instant, Lease, u32)> {
        let leases = self.leases.first().map(|(at, lease)| (at, lease, 0));
        [leases, self.extensions.first()].into_iter().flatten().min()
    }

    /// Each turn's leases are one entry, so there are no more that mean something than deliveries in flight, and none is for more than a
    /// turn's.
    fn tidy_leases<C>(&mut self, consumers: &Consumers<C>, in_flight: u64) {
        let messages = &self.messages;
        let is_meant = |_, lease: &Lease| first_leased(messages, consumers, lease).is_some();
        self.leases.tidy(2 * in_flight as usize + 64, is_meant);
    }

    fn next_wake(&mut self) -> Option<Instant> {
        loop {
            let (at, wake) = self.wakes.first()?;
            if self.messages.is_woken_by(wake) {
                let record = self.messages.record_mut(wake.ticket);
                if record.state() != State::InFlight {
                    return Some(at);
                }
                // It can be settled all the same; if it comes back, that is the time to see that it is too late.
                record.set_wake(0);
            }
            self.wakes.pop();
            forget_if_empty(&mut self.wakes);
        }
    }

    fn next_lease<C>(&mut self, consumers: &Consumers<C>) -> Option<Instant> {
        loop {
            let (at, lease) = self.leases.first()?;
            match first_leased(&self.messages, consumers, &lease) {
                Some(first) if first == lease.first => return Some(at),
                Some(first) => self.leases.replace_first(Lease { first, ..lease }),
                None => {
                    self.leases.pop();
                    forget_if_empty(&mut self.leases);
                }
            }
        }
    }
}

fn forget_if_empty<T: Ord + Copy>(agenda: &mut Agenda<T>) {
    if agenda.is_empty() {
        agenda.clear();
    }
}

/// The first delivery of a lease that is still in flight under it.
fn first_leased<C>(messages: &Messages, consumers: &Consumers<C>, lease: &Lease) -> Option<u64> {
    let in_flight = &consumers.get(lease.consumer)?.in_flight;
    let first = lease.first.max(in_flight.first_tag());
    (first..=lease.last).find(|tag| has_lease(messages, in_flight.get(*tag), 0))
}

/// Whether a delivery is in flight, and its lease has this extension; 0 for none.
fn has_lease(messages: &Messages, held: Option<Option<Ticket>>, extension: u32) -> bool {
    held.is_some_and(|ticket| ticket.map_or(0, |ticket| messages.record(ticket).extension()) == extension)
}

impl Messages {
    /// Whether an entry of the agenda still means the message that it was made for.
    pub(super) fn is_woken_by(&self, wake: Wake) -> bool {
        self.find(wake.ticket).is_some_and(|record| record.wake() == wake.number)
    }
}
