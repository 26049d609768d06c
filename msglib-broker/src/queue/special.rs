//! What a queue has beyond the plain case: a ring of payloads, and consumers that settle what they get.

use super::agenda::Agenda;
use super::cause::Cause;
use super::config::{Overflow, QueueConfig};
use super::departed::{Departed, Fate};
use super::extensions::Extensions;
use super::history::{History, What};
use super::ledger::Dropped;
use super::line::Line;
use super::message::{MessageId, NewMessage};
use super::messages::{Messages, Record, State, Ticket, WAKE_BITS};
use super::order::{self, Order};
use super::store::{Store, Stored};
use super::{Books, ConsumerId};
use core::fmt;
use core::time::Duration;
use msglib_proto::Instant;
use std::collections::VecDeque;

/// Made when it is first needed, and then there as long as the queue.
#[derive(Debug)]
pub(super) struct Special {
    /// All messages that are not in the queue's ring, nor plain and in flight.
    pub(super) messages: Messages,
    pub(super) waits: Waits,
    /// Numbers that were given to messages elsewhere since the last one in the ring.
    pub(super) gap: u64,
    /// Messages in `waits`.
    pub(super) ready: usize,
    pub(super) delayed: usize,
    /// When delays and times to live are over.
    pub(super) wakes: Agenda<Wake>,
    /// When leases are over that were not extended.
    pub(super) leases: Agenda<Lease>,
    /// And those that were.
    pub(super) extensions: Extensions,
    /// The number of the last wake.
    wake_numbers: u32,
    pub(super) tallies: Tallies,
    pub(super) departed: VecDeque<Departed>,
    /// Whether somebody wants to know of every message that leaves.
    pub(super) is_watched: bool,
    pub(super) history: Option<Box<History>>,
}

/// Where messages wait that are not in the queue's ring.
pub(super) enum Waits {
    /// Those that came back are before the ring, and the others behind it.
    Fifo(Line),
    /// There is nothing in the ring.
    Ordered(Box<dyn Order>),
}

/// A message that waits has to be looked at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Wake {
    /// So at the same time messages expire first; then delays are over, in the order in which they began.
    pub(super) number: u32,
    pub(super) ticket: Ticket,
}

/// This bit is set in the numbers of wakes for the end of a delay.
const DELAY: u32 = 1 << (WAKE_BITS - 1);

/// The deliveries of one turn, or of one extension: they are among these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Lease {
    pub(super) consumer: ConsumerId,
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What the ledger counts, but for what the plain path does.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) refused: u64,
    pub(super) dead_lettered: u64,
    pub(super) expired: u64,
    pub(super) dropped: Dropped,
    pub(super) purged: u64,
    pub(super) redriven: u64,
    pub(super) given_back: u64,
    pub(super) lapsed: u64,
    pub(super) redelivered: u64,
    pub(super) turned_away: u64,
}

/// What an operation on a queue has at hand.
pub(super) struct Env<'a> {
    pub(super) config: &'a QueueConfig,
    pub(super) books: &'a mut Books,
    pub(super) store: &'a mut Store,
    pub(super) now: Instant,
}

/// Why a delivery comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Return {
    Refused,
    Lapsed,
    ConsumerGone,
}

impl Special {
    pub(super) fn new(config: &QueueConfig) -> Special {
        Special {
            messages: if config.is_indexed { Messages::new().with_index() } else { Messages::new() },
            waits: order::of_kind(config.order).map_or_else(|| Waits::Fifo(Line::new()), Waits::Ordered),
            gap: 0,
            ready: 0,
            delayed: 0,
            wakes: Agenda::new(),
            leases: Agenda::new(),
            extensions: Extensions::default(),
            wake_numbers: 0,
            tallies: Tallies::default(),
            departed: VecDeque::new(),
            is_watched: false,
            history: (config.history > 0).then(|| Box::new(History::new(config.history))),
        }
    }

    /// Whether everything that waits is in the queue's ring, and the next message can go there too.
    pub(super) fn is_out_of_the_way(&self) -> bool {
        let is_empty = matches!(&self.waits, Waits::Fifo(line) if line.is_empty());
        is_empty && self.gap == 0 && self.history.is_none()
    }

    pub(super) fn has_next(&self) -> bool {
        match &self.waits {
            Waits::Fifo(line) => !line.is_empty(),
            Waits::Ordered(order) => order.has_next(),
        }
    }

    /// Takes a message that does not go into the ring; there is room for it.
    pub(super) fn accept(&mut self, env: &mut Env<'_>, id: MessageId, message: &NewMessage<'_>) {
        let ttl = [message.ttl, env.config.ttl].into_iter().flatten().min();
        let mut record = Record::new(env.store.put(message.payload), id);
        record.expires = ttl.map_or(Instant::MAX, |ttl| env.now + ttl);
        record.priority = message.priority;
        let ticket = self.messages.insert(record, message.key);
        self.note(env, ticket, What::Accepted);
        self.wait(env, ticket, message.delay.unwrap_or(env.config.delay));
    }

    /// The message waits from now on, after a delay.
    pub(super) fn wait(&mut self, env: &mut Env<'_>, ticket: Ticket, delay: Duration) {
        if delay.is_zero() {
            return self.make_ready(env, ticket);
        }
        let until = env.now + delay;
        self.delayed += 1;
        self.messages.record_mut(ticket).set_state(State::Delayed, until);
        self.note(env, ticket, What::Delayed { until });
        self.wake_for(ticket);
    }

    /// The message can be delivered from now on.
    pub(super) fn make_ready(&mut self, env: &mut Env<'_>, ticket: Ticket) {
        let record = self.messages.record_mut(ticket);
        record.set_state(State::Ready, Instant::ZERO);
        // One that was in flight may still have the entry that it had before.
        if record.expires != Instant::MAX && record.wake() == 0 {
            self.wake_for(ticket);
        }
        self.ready += 1;
        let given_way = match &mut self.waits {
            Waits::Fifo(line) => {
                line.insert(&mut self.messages, ticket);
                None
            }
            Waits::Ordered(order) => order.insert(&mut self.messages, ticket),
        };
        if let Some(given_way) = given_way {
            self.ready -= 1;
            self.leave(env, given_way, Fate::Replaced);
        }
    }

    /// A message that is ready waits no longer.
    pub(super) fn take_out(&mut self, ticket: Ticket) {
        self.ready -= 1;
        match &mut self.waits {
            Waits::Fifo(line) => line.remove(&mut self.messages, ticket),
            Waits::Ordered(order) => order.remove(&mut self.messages, ticket),
        }
    }

    /// The message that is next is delivered.
    pub(super) fn deliver(&mut self, env: &mut Env<'_>, ticket: Ticket, consumer: ConsumerId, tag: u64) {
        self.ready -= 1;
        match &mut self.waits {
            Waits::Fifo(line) => line.remove(&mut self.messages, ticket),
            Waits::Ordered(order) => order.deliver(&mut self.messages, ticket, consumer),
        }
        let record = self.messages.record_mut(ticket);
        self.tallies.redelivered += u64::from(record.deliveries > 0);
        record.deliveries = record.deliveries.saturating_add(1);
        record.set_state(State::InFlight, Instant::ZERO);
        self.note(env, ticket, What::Delivered { consumer, tag });
    }

    /// A plain message that was delivered for the first time, from now on with a record.
    pub(super) fn record(messages: &mut Messages, payload: Stored, id: u64) -> Ticket {
        let mut record = Record::new(payload, MessageId::new(id));
        record.deliveries = 1;
        messages.insert(record, None)
    }

    /// A delivery is over.
    pub(super) fn settle(&mut self, ticket: Ticket) {
        self.extensions.leave(self.messages.record(ticket).extension());
        if let Waits::Ordered(order) = &mut self.waits {
            order.settle(&mut self.messages, ticket);
        }
    }

    /// A delivery was done with.
    pub(super) fn acked(&mut self, env: &mut Env<'_>, ticket: Ticket) {
        self.settle(ticket);
        self.note(env, ticket, What::Acked);
        env.books.one_less(self.messages.size(ticket));
        if let Some(payload) = self.messages.remove(ticket) {
            env.store.remove(payload);
        }
    }

    /// A delivery comes back, and is over.
    pub(super) fn give_back(&mut self, env: &mut Env<'_>, ticket: Ticket, why: Return, delay: Option<Duration>) {
        self.settle(ticket);
        self.tallies.given_back += 1;
        self.tallies.lapsed += u64::from(why == Return::Lapsed);
        let what = match why {
            Return::Refused => What::RefusedAgain,
            Return::Lapsed => What::Lapsed,
            Return::ConsumerGone => What::ConsumerGone,
        };
        self.note(env, ticket, what);
        let (deliveries, expires) = (self.messages.record(ticket).deliveries, self.messages.record(ticket).expires);
        let redelivery = &env.config.redelivery;
        if redelivery.max_deliveries.is_some_and(|most| deliveries >= most) {
            return self.leave(env, ticket, Fate::TooManyDeliveries);
        }
        if expires <= env.now {
            return self.leave(env, ticket, Fate::Expired);
        }
        let backoff = match why {
            Return::ConsumerGone => None,
            Return::Refused | Return::Lapsed => redelivery.backoff,
        };
        let delay = delay.or(backoff.map(|backoff| backoff.after(deliveries))).unwrap_or_default();
        self.wait(env, ticket, delay);
    }

    /// The message leaves the queue, and not by an ack; it is neither waiting nor in flight any more.
    pub(super) fn leave(&mut self, env: &mut Env<'_>, ticket: Ticket, fate: Fate) {
        let size = self.messages.size(ticket);
        if let Some(departed) = self.messages.depart(ticket, fate) {
            self.depart(env, size, departed);
        }
    }

    /// What has left the queue: counted, and kept for whoever it goes to, or dropped.
    pub(super) fn depart(&mut self, env: &mut Env<'_>, size: usize, mut departed: Departed) {
        env.books.one_less(size);
        let redelivery = &env.config.redelivery;
        let may_die = match departed.fate {
            Fate::DroppedOldest => env.config.overflow == Overflow::DeadLetterOldest,
            _ => true,
        };
        if let Some(reason) = departed.fate.as_cause()
            && may_die
            && redelivery.dead_letter.is_some()
        {
            let before = departed.cause.take();
            let hops = before.as_ref().map_or(0, |cause| cause.hops);
            if hops >= redelivery.max_hops {
                departed.fate = Fate::TooManyHops;
                departed.cause = before;
            } else {
                let first = before.map_or(env.now, |cause| cause.first);
                let cause = Cause { reason, deliveries: departed.deliveries, hops: hops + 1, first, source: None };
                (departed.cause, departed.is_dead_letter) = (Some(Box::new(cause)), true);
            }
        }
        self.tallies.count(departed.fate, departed.is_dead_letter, 1);
        let (fate, id) = (departed.fate, departed.id);
        let what = match fate {
            _ if departed.is_dead_letter => What::DeadLettered(fate),
            Fate::Purged => What::Purged,
            _ => What::Left(fate),
        };
        if let Some(history) = &mut self.history {
            history.note(id, env.now, what);
        }
        match departed.is_dead_letter || self.is_watched {
            true => self.departed.push_back(departed),
            false => departed.discard(env.store),
        }
    }

    pub(super) fn note(&mut self, env: &Env<'_>, ticket: Ticket, what: What) {
        if let Some(history) = &mut self.history {
            history.note(self.messages.record(ticket).id, env.now, what);
        }
    }

    /// The message has to be looked at when something happens to it by itself.
    fn wake_for(&mut self, ticket: Ticket) {
        // Each message has one entry at most that means something; the others are from those that have left.
        let (messages, most) = (&self.messages, 2 * self.messages.len() + 64);
        self.wakes.tidy(most, |_, wake| messages.is_woken_by(*wake));
        self.wake_numbers = (self.wake_numbers + 1) % DELAY;
        let record = self.messages.record_mut(ticket);
        let is_delay = record.state() == State::Delayed && record.until() < record.expires;
        record.set_wake(self.wake_numbers.max(1) | if is_delay { DELAY } else { 0 });
        self.wakes.push(record.wakes(), Wake { number: record.wake(), ticket });
    }
}

impl Tallies {
    /// So many messages have left in this way.
    pub(super) fn count(&mut self, fate: Fate, is_dead_letter: bool, number: u64) {
        let count = match fate {
            _ if is_dead_letter => &mut self.dead_lettered,
            Fate::Expired => &mut self.expired,
            Fate::Refused => &mut self.refused,
            Fate::TooManyDeliveries => &mut self.dropped.exhausted,
            Fate::DroppedOldest => &mut self.dropped.oldest,
            Fate::DroppedNewest => &mut self.dropped.newest,
            Fate::Replaced => &mut self.dropped.replaced,
            Fate::TooManyHops | Fate::NoRoomForDeadLetter => &mut self.dropped.undeliverable,
            Fate::Redriven => &mut self.redriven,
            Fate::Purged => &mut self.purged,
        };
        *count += number;
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waits::Fifo(line) => f.debug_tuple("Fifo").field(line).finish(),
            Waits::Ordered(_) => f.write_str("Ordered(..)"),
        }
    }
}
