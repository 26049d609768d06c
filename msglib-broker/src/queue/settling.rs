//! What becomes of deliveries: they are done with, come back, or live on.

use super::consumer::Consumer;
use super::departed::Fate;
use super::in_flight::Held;
use super::message::{MessageId, MessageInfo, Place};
use super::messages::Ticket;
use super::special::{Env, Lease, Return, Special};
use super::store::Store;
use super::{ConsumerId, OVERHEAD, Queue};
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_proto::Instant;

/// What becomes of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Settling {
    /// It is done with.
    Ack,
    /// Its message shall be delivered again.
    Again(Again),
    /// Its message shall never be delivered again: it is a dead letter, or dropped.
    ForGood,
}

/// How a message comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Again {
    /// After how long, zero for at once; `None` for as long as the queue's [`backoff`](super::Redelivery::backoff) says.
    pub delay: Option<Duration>,
    /// With another priority; `None` for the one that it has.
    pub priority: Option<u32>,
}

impl Again {
    /// After this time, whatever the queue's backoff is.
    pub fn after(delay: Duration) -> Again {
        Again { delay: Some(delay), priority: None }
    }

    /// With another priority.
    pub fn with_priority(mut self, priority: u32) -> Again {
        self.priority = Some(priority);
        self
    }
}

/// Deliveries are named by the consumer and a range of its tags. Those of the range that are not in flight to it (settled before, lost
/// with their lease, another's, never used) are passed over, and change nothing; each call says how many it has changed.
impl<C> Queue<C> {
    /// The deliveries with these tags are done with. Returns how many were in flight.
    pub fn ack(&mut self, store: &mut Store, now: Instant, id: ConsumerId, tags: RangeInclusive<u64>) -> usize {
        let Queue { consumers, special, books, config, .. } = self;
        let Some(Consumer { in_flight, .. }) = consumers.get_mut(id) else { return 0 };
        let env = Env { config, books, store, now };
        let mut acks = Acks { special: special.as_deref_mut(), env, plain: 0, bytes: 0 };
        // A closure for each, so that the one that matters is part of its loop.
        let settled = match in_flight.begins_with(&tags) {
            true => in_flight.take_first(&tags, |held| acks.settle(held)),
            false => in_flight.take(&tags, |held| acks.settle(held)),
        };
        let Acks { plain, bytes, .. } = acks;
        books.less(plain, bytes);
        books.acked += settled as u64;
        books.in_flight -= settled as u64;
        self.audit();
        self.changed(id);
        settled
    }

    /// The same becomes of all deliveries with these tags. Returns how many were in flight.
    pub fn settle(
        &mut self,
        store: &mut Store,
        now: Instant,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        settling: Settling,
    ) -> usize {
        match settling {
            Settling::Ack => self.ack(store, now, id, tags),
            _ => self.settle_each(store, now, id, tags, |_| settling),
        }
    }

    /// What becomes of the deliveries with these tags is decided one by one. Returns how many were in flight.
    pub fn settle_each(
        &mut self,
        store: &mut Store,
        now: Instant,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        mut decide: impl FnMut(&MessageInfo<'_>) -> Settling,
    ) -> usize {
        let settled = self.give_up(store, now, id, tags, |special, env, (tag, ticket)| {
            let place = Place::InFlight { consumer: id, tag };
            let settling = decide(&special.messages.info(env.store, ticket, place));
            special.settle_as(env, ticket, settling);
        });
        self.changed(id);
        settled
    }

    /// The deliveries with these tags need not be settled before `lease` from now; `None` for the queue's own lease. Returns how many
    /// are in flight; without a lease from anywhere nothing is changed, and that is none.
    pub fn extend(
        &mut self,
        now: Instant,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        lease: Option<Duration>,
    ) -> usize {
        let Some(lease) = lease.or(self.config.redelivery.lease) else { return 0 };
        let until = now + lease;
        let special = self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)));
        let Some(consumer) = self.consumers.get_mut(id) else { return 0 };
        let number = special.extensions.begin();
        let mut lease = Lease { consumer: id, first: u64::MAX, last: 0 };
        consumer.in_flight.for_each(&tags, |tag, held| {
            let ticket = held.ticket(|payload, id| Special::record(&mut special.messages, payload, id));
            special.extend(now, ticket, (number, until));
            (lease.first, lease.last) = (lease.first.min(tag), tag);
        });
        let extended = special.extensions.end(number, until, lease);
        self.audit();
        extended
    }

    /// The consumer is gone: what it held comes back. Returns how many.
    pub fn remove_consumer(&mut self, store: &mut Store, now: Instant, id: ConsumerId) -> usize {
        if self.consumers.get_mut(id).is_none() {
            return 0;
        }
        let count = self.give_up(store, now, id, 0..=u64::MAX, |special, env, (_, ticket)| {
            special.give_back(env, ticket, Return::ConsumerGone, None);
        });
        if let Some(consumer) = self.consumers.remove(id) {
            self.turns.left(id, consumer.listing, &self.consumers);
        }
        if let Some(special) = &mut self.special {
            special.consumer_gone(id);
        }
        self.audit();
        count
    }

    /// Takes deliveries from a consumer, each with a record of its message, and tells their tags and tickets.
    pub(super) fn give_up(
        &mut self,
        store: &mut Store,
        now: Instant,
        id: ConsumerId,
        tags: RangeInclusive<u64>,
        mut act: impl FnMut(&mut Special, &mut Env<'_>, (u64, Ticket)),
    ) -> usize {
        let special = self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)));
        let Some(consumer) = self.consumers.get_mut(id) else { return 0 };
        let mut given_up = Vec::new();
        consumer.in_flight.for_each(&tags, |tag, held| {
            given_up.push((tag, held.ticket(|payload, id| Special::record(&mut special.messages, payload, id))));
        });
        consumer.in_flight.take(&tags, |_| {});
        self.books.in_flight -= given_up.len() as u64;
        let mut env = Env { config: &self.config, books: &mut self.books, store, now };
        let count = given_up.len();
        given_up.into_iter().for_each(|held| act(special, &mut env, held));
        self.update_plain();
        count
    }
}

/// Deliveries that are done with.
struct Acks<'a> {
    special: Option<&'a mut Special>,
    env: Env<'a>,
    /// Those without a record: how many, and their bytes.
    plain: usize,
    bytes: usize,
}

impl Acks<'_> {
    // For each message.
    #[inline(always)]
    fn settle(&mut self, held: Held) {
        match held {
            Held::Plain(payload, _) => {
                self.plain += 1;
                self.bytes += payload.len() + OVERHEAD;
                self.env.store.remove(payload);
            }
            Held::Record(ticket) => {
                if let Some(special) = &mut self.special {
                    special.acked(&mut self.env, ticket);
                }
            }
        }
    }
}

impl Special {
    fn settle_as(&mut self, env: &mut Env<'_>, ticket: Ticket, settling: Settling) {
        match settling {
            Settling::Ack => {
                env.books.acked += 1;
                self.acked(env, ticket);
            }
            Settling::Again(Again { delay, priority }) => {
                // The order must see the delivery end under the priority that it began with; none looks at it then.
                if let Some(priority) = priority {
                    self.messages.record_mut(ticket).priority = priority;
                }
                self.give_back(env, ticket, Return::Refused, delay);
            }
            Settling::ForGood => {
                self.settle(ticket);
                self.leave(env, ticket, Fate::Refused);
            }
        }
    }

    fn extend(&mut self, now: Instant, ticket: Ticket, (number, until): (u32, Instant)) {
        let record = self.messages.record_mut(ticket);
        let (id, before): (MessageId, u32) = (record.id, record.extension());
        record.set_extension(number);
        self.extensions.leave(before);
        self.extensions.join(number);
        if let Some(history) = &mut self.history {
            history.note(id, now, super::history::What::Extended { until });
        }
    }

    fn consumer_gone(&mut self, id: ConsumerId) {
        if let super::special::Waits::Ordered(order) = &mut self.waits {
            order.unpark(id);
        }
    }
}
