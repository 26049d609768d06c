//! A work queue as a value: messages in, deliveries out, settlings back. It knows neither frames nor connections, so that
//! the broker of any dialect, and a test, can use it.

mod consumer;
mod in_flight;
mod ledger;
mod store;
#[cfg(test)]
mod tests;
mod turn;

pub use ledger::Ledger;
pub use store::Store;
pub(crate) use store::Stored;
pub use turn::Turn;

use consumer::{Consumer, Consumers};
use core::ops::RangeInclusive;
use msglib_proto::{Payload, Verdict};
use std::collections::VecDeque;
use thiserror::Error;

/// Names one consumer of one queue; never used again for another consumer of that queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerId {
    slot: u32,
    generation: u32,
}

/// How large a queue may grow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Messages that may be in the queue at once, waiting or in flight. Default 10 million.
    pub max_messages: usize,
    /// Bytes that they may take, each message counted with its payload and [`Queue::OVERHEAD`]. Default 1 GiB.
    pub max_bytes: usize,
    /// How far the tags of one consumer's deliveries in flight may spread, from the oldest that is not settled to the newest;
    /// so it also bounds their number. Default 65,536: credit can be granted without end, memory cannot.
    pub max_in_flight: usize,
}

impl Default for QueueConfig {
    fn default() -> QueueConfig {
        QueueConfig { max_messages: 10_000_000, max_bytes: 1 << 30, max_in_flight: 65_536 }
    }
}

impl QueueConfig {
    /// With another [`max_messages`](QueueConfig::max_messages).
    pub fn with_max_messages(mut self, messages: usize) -> QueueConfig {
        self.max_messages = messages;
        self
    }

    /// With another [`max_bytes`](QueueConfig::max_bytes).
    pub fn with_max_bytes(mut self, bytes: usize) -> QueueConfig {
        self.max_bytes = bytes;
        self
    }

    /// With another [`max_in_flight`](QueueConfig::max_in_flight); 0 counts as 1.
    pub fn with_max_in_flight(mut self, deliveries: usize) -> QueueConfig {
        self.max_in_flight = deliveries.max(1);
        self
    }
}

/// The queue is at its limit and did not take the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the queue is full: {messages} messages, {bytes} bytes with their overhead")]
pub struct QueueFull {
    /// Messages in it.
    pub messages: usize,
    /// Bytes that they take.
    pub bytes: usize,
}

/// Why a delivery was not taken off the queue's hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undeliverable {
    /// There is no room on the way to this consumer; it gets nothing until [`Queue::unblock`].
    Full,
    /// The consumer is gone, or cannot take this message. It is removed, and what it held is given back.
    Gone,
}

/// One delivery on offer.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a, C> {
    /// Whose it is: what was given to [`Queue::add_consumer`].
    pub consumer: &'a C,
    /// The consumer's tags are 1, 2, 3 ….
    pub tag: u64,
    /// 1 for the first attempt to deliver the message to anyone, and one more for each further one.
    pub count: u32,
    /// The message.
    pub payload: Payload<'a>,
}

#[derive(Debug)]
struct Message {
    payload: Stored,
    /// Deliveries so far.
    deliveries: u32,
}

/// A first-in-first-out work queue: each message goes to one consumer, round robin, as far as their credit goes.
///
/// A consumer is known by a key of the caller's (`C`), say a connection and a link. Its deliveries have dense tags, and it
/// gets no more than it has [`allow`](Queue::allow)ed. What is given back goes to the front, its count raised.
///
/// The payloads lie in a [`Store`], which many queues can share.
///
/// ```
/// use msglib_broker::{Queue, QueueConfig, Store};
///
/// let mut store = Store::new();
/// let mut queue = Queue::new(QueueConfig::default());
/// queue.push(&mut store, "Hello, world!")?;
/// let alice = queue.add_consumer("alice");
/// queue.allow(alice, 1);
///
/// let mut got = Vec::new();
/// queue.dispatch(&store, 100, |offer| {
///     got.push(format!("{} {} {:?}", offer.consumer, offer.tag, offer.payload));
///     Ok(())
/// });
/// assert_eq!(got, ["alice 1 \"Hello, world!\""]);
/// assert_eq!(queue.ack(&mut store, alice, 1..=1), 1);
/// assert_eq!(queue.ledger().acked, 1);
/// # Ok::<(), msglib_broker::QueueFull>(())
/// ```
#[derive(Debug)]
pub struct Queue<C> {
    config: QueueConfig,
    ready: VecDeque<Message>,
    consumers: Consumers<C>,
    /// Who can take a delivery, in the order of their turns. May name consumers that cannot any more, or are gone.
    eligible: VecDeque<ConsumerId>,
    /// How many of them are gone.
    stale: usize,
    bytes: usize,
    ledger: Ledger,
}

/// Deliveries to one consumer before the next has its turn, at most; fewer when there are few for many.
const QUANTUM: usize = 16;

impl<C> Queue<C> {
    /// What each message counts for beyond its payload, in bytes.
    pub const OVERHEAD: usize = 64;

    /// An empty queue; allocates nothing.
    pub const fn new(config: QueueConfig) -> Queue<C> {
        Queue {
            config,
            ready: VecDeque::new(),
            consumers: Consumers::new(),
            eligible: VecDeque::new(),
            stale: 0,
            bytes: 0,
            ledger: Ledger::new(),
        }
    }

    /// Takes a message.
    ///
    /// # Errors
    ///
    /// [`QueueFull`]; the message was not taken.
    #[inline]
    pub fn push<'p>(&mut self, store: &mut Store, payload: impl Into<Payload<'p>>) -> Result<(), QueueFull> {
        let payload = payload.into();
        let size = payload.len() + Self::OVERHEAD;
        let (messages, bytes) = (self.len(), self.bytes);
        if messages >= self.config.max_messages || bytes.saturating_add(size) > self.config.max_bytes {
            self.ledger.turned_away += 1;
            return Err(QueueFull { messages, bytes });
        }
        self.bytes += size;
        self.ledger.accepted += 1;
        self.ready.push_back(Message { payload: store.put(payload), deliveries: 0 });
        Ok(())
    }

    /// A new consumer; it has not allowed anything yet.
    pub fn add_consumer(&mut self, key: C) -> ConsumerId {
        self.consumers.insert(key)
    }

    /// Allows the consumer's deliveries up to the tag `upto`; a lower value than before changes nothing.
    pub fn allow(&mut self, id: ConsumerId, upto: u64) {
        if let Some(consumer) = self.consumers.get_mut(id) {
            consumer.allowed = consumer.allowed.max(upto);
        }
        self.list(id);
    }

    /// There is room again on the way to a consumer that was [`Full`](Undeliverable::Full).
    pub fn unblock(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.get_mut(id) {
            consumer.is_blocked = false;
        }
        self.list(id);
    }

    /// The deliveries with these tags are done with. Those that are not in flight to this consumer are passed over. Returns how
    /// many were settled.
    pub fn ack(&mut self, store: &mut Store, id: ConsumerId, tags: RangeInclusive<u64>) -> usize {
        let Some(consumer) = self.consumers.get_mut(id) else { return 0 };
        let (mut settled, mut bytes) = (0, 0);
        consumer.in_flight.take(tags, |message| {
            settled += 1;
            bytes += message.payload.len() + Self::OVERHEAD;
            store.remove(message.payload);
        });
        self.bytes -= bytes;
        self.ledger.acked += settled as u64;
        self.ledger.in_flight -= settled as u64;
        self.list(id);
        settled
    }

    /// As [`ack`](Queue::ack), but the deliveries were not done with: they are given back at the front in the order of their
    /// tags, or dropped for good.
    pub fn refuse(&mut self, store: &mut Store, id: ConsumerId, tags: RangeInclusive<u64>, verdict: Verdict) -> usize {
        let Some(consumer) = self.consumers.get_mut(id) else { return 0 };
        let mut refused = Vec::new();
        consumer.in_flight.take(tags, |message| refused.push(message));
        let settled = refused.len();
        match verdict {
            Verdict::Again => self.give_back(refused),
            Verdict::ForGood => {
                self.ledger.refused += settled as u64;
                self.ledger.in_flight -= settled as u64;
                for message in refused {
                    self.bytes -= message.payload.len() + Self::OVERHEAD;
                    store.remove(message.payload);
                }
            }
        }
        self.list(id);
        settled
    }

    /// The consumer is gone: what it held is given back at the front, in the order of its tags. Returns how many.
    pub fn remove_consumer(&mut self, id: ConsumerId) -> usize {
        let Some(consumer) = self.consumers.remove(id) else { return 0 };
        if consumer.is_listed {
            self.stale += 1;
            self.forget_stale();
        }
        let held = consumer.in_flight.into_messages();
        let count = held.len();
        self.give_back(held);
        count
    }

    /// The end of the queue: drops every message, waiting or in flight.
    pub fn discard(self, store: &mut Store) {
        let in_flight = self.consumers.into_consumers().flat_map(|consumer| consumer.in_flight.into_messages());
        for message in in_flight.chain(self.ready) {
            store.remove(message.payload);
        }
    }

    /// Whether [`dispatch`](Queue::dispatch) would have something to offer.
    pub fn can_dispatch(&self) -> bool {
        !self.ready.is_empty() && !self.eligible.is_empty()
    }

    /// Offers what waits to those who may have it, round robin, at most `budget` messages, and returns how many were taken.
    /// What `deliver` takes is in flight.
    pub fn dispatch(
        &mut self,
        store: &Store,
        budget: usize,
        mut deliver: impl FnMut(Offer<'_, C>) -> Result<(), Undeliverable>,
    ) -> usize {
        self.dispatch_turns(store, budget, |turn| {
            while let Some(offer) = turn.next() {
                deliver(offer)?;
            }
            Ok(())
        })
    }

    /// As [`dispatch`](Queue::dispatch), one call for each consumer's turn of up to 16 messages, for whoever has something to look up for
    /// each consumer. After an error the last offer counts as not taken. A turn in which nothing is taken blocks the
    /// consumer as [`Full`](Undeliverable::Full) does.
    pub fn dispatch_turns(
        &mut self,
        store: &Store,
        budget: usize,
        mut deliver: impl FnMut(&mut Turn<'_, C>) -> Result<(), Undeliverable>,
    ) -> usize {
        let mut left = budget;
        while left > 0 && self.can_dispatch() {
            // The same share for everyone in this round.
            let share = self.ready.len().div_ceil(self.eligible.len()).min(QUANTUM);
            for _ in 0..self.eligible.len() {
                // Whose turn did not come is first the next time.
                if left == 0 || self.ready.is_empty() {
                    break;
                }
                let Some(id) = self.eligible.pop_front() else { break };
                let (taken, failed) = self.turn(store, id, share.min(left), &mut deliver);
                left -= taken;
                if failed == Some(Undeliverable::Gone) {
                    self.remove_consumer(id);
                }
                self.list(id);
            }
        }
        relax(&mut self.ready);
        budget - left
    }

    /// Messages in the queue, waiting or in flight.
    pub fn len(&self) -> usize {
        self.ready.len() + self.ledger.in_flight as usize
    }

    /// Whether no message is in the queue, waiting or in flight.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the messages in the queue take, each with its [`OVERHEAD`](Queue::OVERHEAD).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// What became of every message so far.
    pub fn ledger(&self) -> Ledger {
        Ledger { ready: self.ready.len() as u64, ..self.ledger }
    }

    /// One consumer's turn.
    fn turn(
        &mut self,
        store: &Store,
        id: ConsumerId,
        quantum: usize,
        deliver: &mut impl FnMut(&mut Turn<'_, C>) -> Result<(), Undeliverable>,
    ) -> (usize, Option<Undeliverable>) {
        let Some(consumer) = self.consumers.get_mut(id) else {
            self.stale -= 1;
            return (0, None);
        };
        consumer.is_listed = false;
        let left = consumer.room(self.config.max_in_flight).min(quantum as u64) as usize;
        let mut turn =
            Turn { store, ready: &mut self.ready, consumer, left, taken: 0, redelivered: 0, is_offered: false };
        let failed = deliver(&mut turn).err();
        if failed.is_none() {
            turn.take_offered();
        }
        let Turn { taken, redelivered, .. } = turn;
        consumer.is_blocked = failed.is_some() || taken == 0;
        self.ledger.redelivered += redelivered;
        self.ledger.in_flight += taken as u64;
        (taken, failed)
    }

    fn give_back(&mut self, messages: Vec<Message>) {
        self.ledger.in_flight -= messages.len() as u64;
        self.ledger.given_back += messages.len() as u64;
        for message in messages.into_iter().rev() {
            self.ready.push_front(message);
        }
    }

    /// Consumers that come and go while nothing waits must not pile up in the order of turns.
    fn forget_stale(&mut self) {
        if self.stale * 2 > self.eligible.len() {
            let consumers = &mut self.consumers;
            self.eligible.retain(|id| consumers.get_mut(*id).is_some());
            self.stale = 0;
        }
    }

    /// Puts a consumer into the order of turns if it can take a delivery and is not there yet.
    fn list(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.get_mut(id)
            && !consumer.is_listed
            && consumer.room(self.config.max_in_flight) > 0
        {
            consumer.is_listed = true;
            self.eligible.push_back(id);
        }
    }
}

/// Gives back most of a ring that is nearly empty: what a burst took must not stay for ever. Far enough from the next growth to
/// cost nothing on average.
fn relax<T>(ring: &mut VecDeque<T>) {
    const SMALL: usize = 1024;
    if ring.capacity() > SMALL && ring.len() < ring.capacity() / 8 {
        ring.shrink_to(ring.capacity() / 4);
    }
}

impl<C> Consumer<C> {
    /// How many more deliveries it can take now.
    fn room(&self, max_in_flight: usize) -> u64 {
        if self.is_blocked {
            return 0;
        }
        let allowed = self.allowed.saturating_sub(self.in_flight.last_tag());
        let span = max_in_flight.saturating_sub(self.in_flight.span());
        allowed.min(span as u64)
    }
}
