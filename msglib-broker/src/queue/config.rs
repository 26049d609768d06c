//! What can be set on a queue: values only, so that two configurations can be compared, and read from anywhere.

use core::time::Duration;
use msglib_proto::{ChannelName, OwnedName};

/// How a queue behaves, and how large it may grow.
///
/// ```
/// use core::time::Duration;
/// use msglib_broker::QueueConfig;
/// use msglib_broker::queue::{OrderKind, Overflow, Redelivery};
///
/// let jobs = QueueConfig::default()
///     .with_order(OrderKind::FairByKey)
///     .with_redelivery(Redelivery::default().with_lease(Duration::from_secs(30)).with_max_deliveries(5))
///     .with_max_messages(100_000)
///     .with_overflow(Overflow::DropOldest);
/// # let _ = jobs;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct QueueConfig {
    /// Messages that may be in the queue at once: ready, delayed or in flight. Default 10 million.
    pub max_messages: usize,
    /// Bytes that they may take, each message counted with its payload, its key and [`OVERHEAD`](super::OVERHEAD). Default
    /// 1 GiB.
    pub max_bytes: usize,
    /// How far the tags of one consumer's deliveries in flight may spread, from the oldest that is not settled to the newest;
    /// so it also bounds their number. Default 65,536: credit can be granted without end, memory cannot.
    pub max_in_flight: usize,
    /// Which message is next. Default: the one that has waited longest.
    pub order: OrderKind,
    /// Who gets it. Default: whoever's turn it is.
    pub dispatch: DispatchKind,
    /// What becomes of a delivery that does not succeed. Default: it comes back at once, as often as it takes.
    pub redelivery: Redelivery,
    /// What happens to a message for which there is no room. Default: it is refused.
    pub overflow: Overflow,
    /// How long a message may wait for its delivery, from when it was accepted; one that was accepted with a time of its own
    /// has the shorter of the two. Default: for ever.
    pub ttl: Option<Duration>,
    /// How long a message waits before it is ready, if it was not accepted with a delay of its own. Default: not at all.
    pub delay: Duration,
    /// How many events of messages' histories are kept for [`explain`](super::Queue::explain), the oldest forgotten first.
    /// Default 0: none.
    pub history: usize,
    /// Whether messages can be named by their ids: [`peek`](super::Queue::peek), [`deliver`](super::Queue::deliver),
    /// [`make_ready`](super::Queue::make_ready), [`remove`](super::Queue::remove). Then each message has a record of 56 bytes and an entry
    /// in an index, whatever the queue is. Default: no.
    pub is_indexed: bool,
}

/// Which message is next.
///
/// A message that comes back is ahead of those that were never delivered, in all of these orders: of its priority, or its
/// key, where there are such. Messages that come back are in the order in which they were accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[non_exhaustive]
pub enum OrderKind {
    /// The one that has waited longest.
    #[default]
    Fifo,
    /// The one with the highest priority; among these the one that has waited longest. Strictly: one with a low priority waits
    /// for as long as there are others.
    Priority,
    /// Keys take turns, each with the same number of bytes (deficit round robin); within a key, the one that has waited
    /// longest. Messages without a key share one.
    FairByKey,
    /// Keys take turns, and as long as a message of a key is in flight, its others go to the same consumer only. Other keys, and
    /// messages without one, are not held up by that. A message that is delayed, or given back with a delay or a backoff, is passed by
    /// later ones of its key: who needs each after the other gives back without one.
    StickyByKey,
    /// As `Fifo`, but a new message takes the place of the one with the same key that waits, which is dropped. Messages
    /// without a key are left alone.
    LastValue,
}

/// Who gets the next message, of those who have allowed one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[non_exhaustive]
pub enum DispatchKind {
    /// Consumers take turns: up to 16 messages each, fewer when there are few for many.
    #[default]
    RoundRobin,
    /// Who has the fewest deliveries in flight; among these who was served longest ago.
    LeastLoaded,
    /// Who came first gets all. When it goes, the next in line does.
    Exclusive,
}

/// What becomes of a delivery that does not succeed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Redelivery {
    /// How long a consumer may hold a delivery before it comes back. Default: as long as it likes.
    pub lease: Option<Duration>,
    /// How often a message is delivered before it is a dead letter. Default: as often as it takes.
    pub max_deliveries: Option<u32>,
    /// How long a message waits that was refused, or not settled in time; what a consumer gives back that goes away comes at
    /// once. Default: not at all.
    pub backoff: Option<Backoff>,
    /// Where messages go that cannot be delivered: the name of another queue. Without one they are dropped. For a queue of the
    /// stock handler; for one by itself any name means that they wait for [`take_departed`](super::Queue::take_departed).
    pub dead_letter: Option<OwnedName>,
    /// How often a message may become a dead letter before it is dropped instead. Default 8: enough for a chain of queues, and
    /// an end to a circle.
    pub max_hops: u8,
}

/// How long a message waits after its deliveries failed: `first` after the first, twice as long after each further one, and
/// never longer than `most`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// After the first delivery.
    pub first: Duration,
    /// At the longest.
    pub most: Duration,
}

/// What happens to a message for which there is no room in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// It is refused, with the reason.
    #[default]
    RefuseNew,
    /// Older ones make room for it and are dropped: those that the order would miss least (see
    /// [`Order::victim`](super::Order::victim)). If none of them is ready, it is refused.
    DropOldest,
    /// It is accepted, and dropped.
    DropNewest,
    /// As `DropOldest`, but what makes room becomes a dead letter.
    DeadLetterOldest,
}

impl Default for QueueConfig {
    fn default() -> QueueConfig {
        QueueConfig {
            max_messages: 10_000_000,
            max_bytes: 1 << 30,
            max_in_flight: 65_536,
            order: OrderKind::Fifo,
            dispatch: DispatchKind::RoundRobin,
            redelivery: Redelivery::default(),
            overflow: Overflow::RefuseNew,
            ttl: None,
            delay: Duration::ZERO,
            history: 0,
            is_indexed: false,
        }
    }
}

impl Default for Redelivery {
    fn default() -> Redelivery {
        Redelivery { lease: None, max_deliveries: None, backoff: None, dead_letter: None, max_hops: 8 }
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

    /// With another [`order`](QueueConfig::order).
    pub fn with_order(mut self, order: OrderKind) -> QueueConfig {
        self.order = order;
        self
    }

    /// With another [`dispatch`](QueueConfig::dispatch).
    pub fn with_dispatch(mut self, dispatch: DispatchKind) -> QueueConfig {
        self.dispatch = dispatch;
        self
    }

    /// With another [`redelivery`](QueueConfig::redelivery).
    pub fn with_redelivery(mut self, redelivery: Redelivery) -> QueueConfig {
        self.redelivery = redelivery;
        self
    }

    /// With another [`overflow`](QueueConfig::overflow).
    pub fn with_overflow(mut self, overflow: Overflow) -> QueueConfig {
        self.overflow = overflow;
        self
    }

    /// With a [`ttl`](QueueConfig::ttl).
    pub fn with_ttl(mut self, ttl: Duration) -> QueueConfig {
        self.ttl = Some(ttl);
        self
    }

    /// With another [`delay`](QueueConfig::delay).
    pub fn with_delay(mut self, delay: Duration) -> QueueConfig {
        self.delay = delay;
        self
    }

    /// With messages that can be named by their ids; see [`is_indexed`](QueueConfig::is_indexed).
    pub fn with_index(mut self) -> QueueConfig {
        self.is_indexed = true;
        self
    }

    /// With another [`history`](QueueConfig::history).
    pub fn with_history(mut self, events: usize) -> QueueConfig {
        self.history = events;
        self
    }
}

impl QueueConfig {
    /// Whether a message that has nothing but its payload is nothing but its payload in this queue.
    pub(super) fn is_plain(&self) -> bool {
        self.order == OrderKind::Fifo
            && self.ttl.is_none()
            && self.delay.is_zero()
            && self.history == 0
            && !self.is_indexed
    }
}

impl Redelivery {
    /// With a [`lease`](Redelivery::lease).
    pub fn with_lease(mut self, lease: Duration) -> Redelivery {
        self.lease = Some(lease);
        self
    }

    /// With a limit on deliveries; 0 counts as 1. See [`max_deliveries`](Redelivery::max_deliveries).
    pub fn with_max_deliveries(mut self, deliveries: u32) -> Redelivery {
        self.max_deliveries = Some(deliveries.max(1));
        self
    }

    /// With a [`backoff`](Redelivery::backoff).
    pub fn with_backoff(mut self, first: Duration, most: Duration) -> Redelivery {
        self.backoff = Some(Backoff { first, most });
        self
    }

    /// With a queue for [dead letters](Redelivery::dead_letter).
    pub fn with_dead_letter<'n>(mut self, queue: impl Into<ChannelName<'n>>) -> Redelivery {
        self.dead_letter = Some(queue.into().to_owned());
        self
    }

    /// With another [`max_hops`](Redelivery::max_hops).
    pub fn with_max_hops(mut self, hops: u8) -> Redelivery {
        self.max_hops = hops;
        self
    }
}

impl Backoff {
    /// How long a message waits that was delivered so often.
    pub fn after(&self, deliveries: u32) -> Duration {
        let doublings = deliveries.saturating_sub(1).min(63);
        let first = u64::try_from(self.first.as_nanos()).unwrap_or(u64::MAX);
        // 64 bits, shifted by fewer than 64.
        let nanos = u128::from(first) << doublings;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_up_to_its_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(1) };
        let waits: Vec<u128> = (0..7).map(|deliveries| backoff.after(deliveries).as_millis()).collect();
        assert_eq!(waits, [100, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.after(u32::MAX), backoff.most);
        let endless = Backoff { first: Duration::from_nanos(1), most: Duration::MAX };
        assert_eq!(endless.after(33), Duration::from_nanos(1 << 32));
        assert_eq!(endless.after(u32::MAX), Duration::from_nanos(1 << 63));
    }
}
