//! A work queue as a value: messages in, deliveries out, settlings back. It knows neither frames nor connections, so that
//! the broker of any dialect, and a test, can use it.
//!
//! A [`Queue`] is put together from parts: an **order** (which message is next) × a **dispatch** (who gets it) × a **redelivery**
//! (what becomes of a delivery that does not succeed) × an **overflow** (what happens when there is no room). Most of it is
//! configuration: a [`QueueConfig`]. Where that is not enough, one part can be a value of your own: an [`Order`], a
//! [`Dispatch`].
//!
//! Time is an argument of whatever depends on it; see [`Queue::advance`].
#![allow(clippy::module_inception, reason = "a file for what the module is named after")]

mod accepting;
mod agenda;
mod by_id;
mod cause;
mod config;
mod consumer;
mod departed;
mod dispatching;
mod extensions;
mod history;
mod in_flight;
mod index;
mod inspecting;
mod keys;
mod leaving;
mod ledger;
mod line;
mod message;
mod messages;
mod order;
mod producers;
mod settling;
mod special;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod turn;
mod turns;

pub use accepting::PushError;
pub use cause::{Cause, DeathReason};
pub use config::{Backoff, DispatchKind, OrderKind, Overflow, QueueConfig, Redelivery};
pub use departed::{Departed, Fate};
pub use dispatching::{Candidate, Candidates, Dispatch, Pick, Undeliverable};
pub use history::{HistoryEvent, What};
pub use keys::KeyId;
pub(crate) use leaving::Purge;
pub use ledger::{Dropped, Ledger};
pub use line::{Line, List};
pub use message::{MessageId, MessageInfo, NewMessage, Place};
pub use messages::{Messages, Ticket, Waiting};
pub use order::{Next, Order};
pub use producers::{Judgement, Producer, Producers, TooManyProducers};
pub use settling::{Again, Settling};
pub use store::Store;
pub(crate) use store::Stored;
pub use turn::{Offer, Turn};

use consumer::Consumers;
use msglib_proto::Instant;
use special::{Env, Special, Waits};
use std::collections::VecDeque;
use std::sync::Arc;
use turns::Turns;

/// Names one consumer of one queue; never used again for another consumer of that queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConsumerId {
    slot: u32,
    generation: u32,
}

/// What each message counts for beyond its payload and its key, in bytes, wherever bytes are limited: about what it takes, with a
/// record of its own.
pub const OVERHEAD: usize = 64;

/// A work queue: each message goes to one consumer, as far as their credit goes; by default first-in-first-out, round robin.
///
/// A consumer is known by a key of the caller's (`C`), say a connection and a link. Its deliveries have dense tags, and it
/// gets no more than it has [`allow`](Queue::allow)ed. What comes back goes to the front, its count raised.
///
/// The payloads lie in a [`Store`], which many queues can share.
///
/// ```
/// use msglib_broker::{Instant, Queue, QueueConfig, Store};
///
/// let now = Instant::ZERO;
/// let mut store = Store::new();
/// let mut queue = Queue::new(QueueConfig::default());
/// queue.push(&mut store, now, "Hello, world!")?;
/// let alice = queue.add_consumer("alice");
/// queue.allow(alice, 1);
///
/// let mut got = Vec::new();
/// queue.dispatch(&mut store, now, 100, |offer| {
///     got.push(format!("{} {} {:?}", offer.consumer, offer.tag, offer.payload));
///     Ok(())
/// });
/// assert_eq!(got, ["alice 1 \"Hello, world!\""]);
/// assert_eq!(queue.ack(&mut store, now, alice, 1..=1), 1);
/// assert_eq!(queue.ledger().acked, 1);
/// # Ok::<(), msglib_broker::queue::PushError>(())
/// ```
///
/// Configured, so that a failing message is delivered three times, each time after a longer while, and then kept aside:
///
/// ```
/// use core::time::Duration;
/// use msglib_broker::queue::{Again, Redelivery, Settling};
/// use msglib_broker::{Instant, Queue, QueueConfig, Store};
///
/// let second = Duration::from_secs(1);
/// let redelivery = Redelivery::default()
///     .with_lease(30 * second)
///     .with_backoff(second, 60 * second)
///     .with_max_deliveries(3)
///     .with_dead_letter("failed");
/// let (mut store, mut now) = (Store::new(), Instant::ZERO);
/// let mut queue = Queue::new(QueueConfig::default().with_redelivery(redelivery));
/// let mut failed = Queue::<&str>::new(QueueConfig::default());
///
/// queue.push(&mut store, now, "poison")?;
/// let alice = queue.add_consumer("alice");
/// queue.allow(alice, 9);
/// for tag in 1..=3 {
///     queue.dispatch(&mut store, now, 9, |_| Ok(()));
///     queue.settle(&mut store, now, alice, tag..=tag, Settling::Again(Again::default()));
///     now += 60 * second;
///     queue.advance(&mut store, now, 9);
/// }
/// let dead = queue.take_departed().expect("it was delivered three times");
/// failed.admit(&mut store, now, dead).expect("there is room");
/// assert_eq!((queue.ledger().dead_lettered, failed.ledger().ready), (1, 1));
/// # Ok::<(), msglib_broker::queue::PushError>(())
/// ```
#[derive(Debug)]
pub struct Queue<C> {
    config: Arc<QueueConfig>,
    /// The payloads of messages that are nothing more: never delivered, without a time. Their numbers follow each other.
    fresh: VecDeque<Stored>,
    books: Books,
    /// Whether a message without anything special goes into `fresh`, and comes out of it next.
    is_plain: bool,
    is_paused: bool,
    consumers: Consumers<C>,
    turns: Turns,
    special: Option<Box<Special>>,
}

/// What changes with each message.
#[derive(Debug, Default)]
struct Books {
    /// How many more messages there may be in the queue. (What there is left, not what there is: to look at that is all that it takes to
    /// accept a message.) Below none when a message was put back that has lost its place.
    room: isize,
    /// How many more bytes.
    room_bytes: isize,
    /// Messages that were accepted; so the number of the last one.
    accepted: u64,
    in_flight: u64,
    acked: u64,
}

impl Books {
    /// A message has left the queue.
    fn one_less(&mut self, bytes: usize) {
        self.less(1, bytes);
    }

    #[inline]
    fn less(&mut self, messages: usize, bytes: usize) {
        self.room += messages as isize;
        self.room_bytes += bytes as isize;
    }

    /// A message more. Between one that comes and the one that gives way to it there may be less than no room.
    #[inline]
    fn one_more(&mut self, bytes: usize) {
        self.room -= 1;
        self.room_bytes -= bytes as isize;
    }
}

/// A limit, so that there can be less than no room; what is above memory is no limit.
fn signed(limit: usize) -> isize {
    isize::try_from(limit).unwrap_or(isize::MAX)
}

impl<C> Queue<C> {
    /// An empty queue. Many queues can share one configuration.
    pub fn new(config: impl Into<Arc<QueueConfig>>) -> Queue<C> {
        let config = config.into();
        let books =
            Books { room: signed(config.max_messages), room_bytes: signed(config.max_bytes), ..Books::default() };
        let mut queue = Queue {
            turns: Turns::new(config.dispatch),
            config,
            fresh: VecDeque::new(),
            books,
            is_plain: true,
            is_paused: false,
            consumers: Consumers::new(),
            special: None,
        };
        queue.update_plain();
        queue
    }

    /// With an order of your own, instead of the configuration's. For an empty queue.
    ///
    /// # Panics
    ///
    /// When there is a message in the queue.
    #[must_use]
    pub fn with_order(mut self, order: impl Into<Box<dyn Order>>) -> Queue<C> {
        assert!(self.is_empty(), "an order begins with an empty queue");
        self.special().waits = Waits::Ordered(order.into());
        self.update_plain();
        self
    }

    /// How it behaves.
    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// A new consumer; it has not allowed anything yet.
    pub fn add_consumer(&mut self, key: C) -> ConsumerId {
        let id = self.consumers.insert(key);
        if let Some(consumer) = self.consumers.get_mut(id) {
            self.turns.came(id, consumer);
        }
        id
    }

    /// Allows the consumer's deliveries up to the tag `upto`; a lower value than before changes nothing.
    pub fn allow(&mut self, id: ConsumerId, upto: u64) {
        if let Some(consumer) = self.consumers.get_mut(id) {
            consumer.allowed = consumer.allowed.max(upto);
        }
        self.changed(id);
    }

    /// There is room again on the way to a consumer that was [`Full`](Undeliverable::Full).
    pub fn unblock(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.consumers.get_mut(id) {
            consumer.is_blocked = false;
        }
        self.changed(id);
    }

    /// From now on nothing is delivered, until [`resume`](Queue::resume). Everything else goes on.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Deliveries go on.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    /// Whether it is [paused](Queue::pause).
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Messages in the queue: ready, delayed or in flight.
    #[inline]
    pub fn len(&self) -> usize {
        (signed(self.config.max_messages) - self.books.room) as usize
    }

    /// Whether no message is in the queue.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the messages in the queue count for: payload, key and [`OVERHEAD`].
    pub fn bytes(&self) -> usize {
        (signed(self.config.max_bytes) - self.books.room_bytes) as usize
    }

    /// How many consumers there are.
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// What became of every message so far.
    pub fn ledger(&self) -> Ledger {
        let Books { accepted, in_flight, acked, .. } = self.books;
        let ready = self.ready() as u64;
        let Some(special) = &self.special else {
            return Ledger { accepted, ready, in_flight, acked, ..Ledger::default() };
        };
        let tallies = &special.tallies;
        Ledger {
            accepted,
            ready,
            delayed: special.delayed as u64,
            in_flight,
            acked,
            refused: tallies.refused,
            dead_lettered: tallies.dead_lettered,
            expired: tallies.expired,
            dropped: tallies.dropped,
            purged: tallies.purged,
            redriven: tallies.redriven,
            given_back: tallies.given_back,
            lapsed: tallies.lapsed,
            redelivered: tallies.redelivered,
            turned_away: tallies.turned_away,
        }
    }

    /// Messages that wait for a consumer.
    #[inline]
    fn ready(&self) -> usize {
        self.fresh.len() + self.special.as_ref().map_or(0, |special| special.ready)
    }

    /// What a consumer can have may have changed.
    #[inline]
    fn changed(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get_mut(id) else { return };
        self.turns.changed(id, consumer, self.config.max_in_flight);
        if let Some(special) = &mut self.special
            && let Waits::Ordered(order) = &mut special.waits
            && consumer.room(self.config.max_in_flight) > 0
        {
            order.unpark(id);
        }
    }

    fn special(&mut self) -> &mut Special {
        self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)))
    }

    /// What does not go the plain way, and what it has at hand.
    fn parts<'a>(&'a mut self, store: &'a mut Store, now: Instant) -> (&'a mut Special, Env<'a>) {
        let special = self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)));
        (special, Env { config: &self.config, books: &mut self.books, store, now })
    }

    /// After everything that can change whether the plain way is open.
    fn update_plain(&mut self) {
        let is_out_of_the_way = self.special.as_ref().is_none_or(|special| special.is_out_of_the_way());
        self.is_plain = self.config.is_plain() && is_out_of_the_way;
        self.audit();
    }

    /// After everything that changes what is there: the books add up (I1), and say how many messages there are. In debug builds only.
    #[inline]
    fn audit(&self) {
        debug_assert!(self.ledger().is_balanced(), "{:?}", self.ledger());
        debug_assert_eq!(self.len() as u64, self.ledger().here(), "{:?}", self.ledger());
    }
}

impl<O: Order + 'static> From<O> for Box<dyn Order> {
    fn from(order: O) -> Box<dyn Order> {
        Box::new(order)
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
