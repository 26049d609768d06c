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
        [wake, lease].into_iter().flatten().min()
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
            let lease = due(special.leases.first().map(|(at, _)| at));
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

    /// The first lease is over: what is still held under it comes back. Looks at `most` tags at most, and says at how many.
    fn end_lease(&mut self, store: &mut Store, now: Instant, most: usize) -> usize {
        let Some((at, Lease { consumer: id, first, last })) = self.special().leases.first() else { return 1 };
        let Queue { consumers, special: Some(special), .. } = self else { return 1 };
        let Some(consumer) = consumers.get(id) else {
            special.leases.pop();
            return 1;
        };
        // Those that are settled, up to the first that is not, are nothing to look at.
        let first = first.max(consumer.in_flight.first_tag());
        let upto = last.min(first.saturating_add(most as u64 - 1));
        let tags: Vec<u64> =
            (first..=upto).filter(|tag| is_leased(&special.messages, consumer.in_flight.get(*tag), at)).collect();
        match upto < last {
            true => special.leases.replace_first(Lease { consumer: id, first: upto + 1, last }),
            false => {
                special.leases.pop();
            }
        }
        for tag in tags {
            self.give_up(store, now, id, tag..=tag, |special, env, (_, ticket)| {
                special.give_back(env, ticket, Return::Lapsed, None);
            });
        }
        self.changed(id);
        (upto + 1).saturating_sub(first).max(1) as usize
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

    /// Each turn's leases are one entry, so there are no more that mean something than deliveries in flight.
    pub(super) fn tidy_leases<C>(&mut self, consumers: &Consumers<C>, in_flight: u64) {
        let messages = &self.messages;
        let is_meant = |at, lease: &Lease| first_leased(messages, consumers, at, lease).is_some();
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
            match first_leased(&self.messages, consumers, at, &lease) {
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
fn first_leased<C>(messages: &Messages, consumers: &Consumers<C>, at: Instant, lease: &Lease) -> Option<u64> {
    let in_flight = &consumers.get(lease.consumer)?.in_flight;
    let first = lease.first.max(in_flight.first_tag());
    (first..=lease.last).find(|tag| is_leased(messages, in_flight.get(*tag), at))
}

/// Whether a delivery is in flight, and under the lease that ends at this time.
fn is_leased(messages: &Messages, held: Option<Option<Ticket>>, at: Instant) -> bool {
    match held {
        None => false,
        Some(None) => true,
        Some(Some(ticket)) => {
            let until = messages.record(ticket).until();
            until == Instant::ZERO || until == at
        }
    }
}

impl Messages {
    /// Whether an entry of the agenda still means the message that it was made for.
    pub(super) fn is_woken_by(&self, wake: Wake) -> bool {
        self.find(wake.ticket).is_some_and(|record| record.wake() == wake.number)
    }
}
