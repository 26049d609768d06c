//! What can be done with a queue, and strategies for any of it in any order.

use super::message::Publish;
use bytes::Bytes;
use core::time::Duration;
use msglib_broker::queue::{Again, DispatchKind, OrderKind, Overflow, QueueConfig, Redelivery, Settling};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// One operation. Consumers and messages are picked from those that are there, by a number of any size: nothing is picked from nothing.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Messages come, all the same but for their payloads, which are of this size.
    Publish {
        /// How many.
        count: usize,
        /// Bytes of each payload, at least 8.
        size: usize,
        /// All but the payload.
        message: Publish,
    },
    /// A consumer comes, and allows so many deliveries.
    Join {
        /// How many.
        credit: u64,
    },
    /// A consumer goes: it has said so, or its connection is lost.
    Leave {
        /// Which.
        consumer: usize,
    },
    /// A consumer allows more.
    Allow {
        /// Which.
        consumer: usize,
        /// How many more.
        more: u64,
    },
    /// From now on a consumer takes what it is offered, or does not.
    Answer {
        /// Which.
        consumer: usize,
        /// How.
        with: Answer,
    },
    /// What waits is delivered.
    Dispatch {
        /// How many messages at most.
        budget: usize,
    },
    /// Deliveries are settled.
    Settle {
        /// Whose.
        consumer: usize,
        /// How far before its last tag the range begins. It may begin before the first, and end behind the last.
        back: u64,
        /// How long the range is.
        count: u64,
        /// How.
        settling: Settling,
    },
    /// Deliveries are held for longer.
    Extend {
        /// Whose.
        consumer: usize,
        /// As for `Settle`.
        back: u64,
        /// As for `Settle`.
        count: u64,
        /// For how long; `None` for the queue's own lease.
        lease: Option<Duration>,
    },
    /// Time passes, and what is due happens.
    Advance {
        /// How much.
        by: Duration,
    },
    /// Nothing is delivered.
    Pause,
    /// Deliveries go on.
    Resume,
    /// All that waits is dropped.
    Purge,
    /// A dead letter comes into the queue that it has left.
    Admit,
    /// Dead letters that wait come back as new.
    Redrive {
        /// How many at most.
        most: usize,
        /// There is no room where they should go: they stay after all.
        stay: bool,
    },
    /// The queue goes with all that it has, and there is an empty one in its place, of the same configuration.
    Delete,
    /// A message is delivered by its number.
    DeliverById {
        /// Which.
        message: usize,
        /// To whom.
        consumer: usize,
    },
    /// A message that is delayed is ready at once.
    MakeReady {
        /// Which.
        message: usize,
    },
    /// A message that waits is dropped.
    Remove {
        /// Which.
        message: usize,
    },
}

/// What a consumer says to an offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Answer {
    /// It takes it.
    #[default]
    Takes,
    /// There is no room on the way to it.
    Full,
    /// It is gone.
    Gone,
}

/// Any configuration, with limits that are reached.
pub fn configs() -> impl Strategy<Value = QueueConfig> {
    let orders = prop_oneof![
        Just(OrderKind::Fifo),
        Just(OrderKind::Priority),
        Just(OrderKind::FairByKey),
        Just(OrderKind::StickyByKey),
        Just(OrderKind::LastValue),
    ];
    let dispatches =
        prop_oneof![Just(DispatchKind::RoundRobin), Just(DispatchKind::LeastLoaded), Just(DispatchKind::Exclusive)];
    let overflows = prop_oneof![
        Just(Overflow::RefuseNew),
        Just(Overflow::DropOldest),
        Just(Overflow::DropNewest),
        Just(Overflow::DeadLetterOldest),
    ];
    let limits = option::of((overflows, 1..40_usize, 200..20_000_usize));
    let times = (option::weighted(0.3, 1..20_u64), prop_oneof![4 => Just(0), 1 => 1..5_u64]);
    let rest = (prop_oneof![Just(3), Just(100)], any::<bool>(), prop_oneof![Just(0), Just(50)]);
    (orders, dispatches, redeliveries(), limits, times, rest).prop_map(
        |(order, dispatch, redelivery, limits, (ttl, delay), (in_flight, is_indexed, history))| {
            let mut config = QueueConfig::default()
                .with_order(order)
                .with_dispatch(dispatch)
                .with_redelivery(redelivery)
                .with_delay(Duration::from_secs(delay))
                .with_max_in_flight(in_flight)
                .with_history(history);
            if let Some((overflow, messages, bytes)) = limits {
                config = config.with_overflow(overflow).with_max_messages(messages).with_max_bytes(bytes);
            }
            if let Some(ttl) = ttl {
                config = config.with_ttl(Duration::from_secs(ttl));
            }
            if is_indexed { config.with_index() } else { config }
        },
    )
}

fn redeliveries() -> impl Strategy<Value = Redelivery> {
    let lease = option::of(1..10_u64);
    let backoff = option::of((1..4_u64, 1..10_u64));
    (lease, option::of(1..6_u32), backoff, any::<bool>(), 0..4_u8).prop_map(|(lease, most, backoff, dies, hops)| {
        let mut redelivery = Redelivery::default().with_max_hops(hops);
        redelivery.lease = lease.map(Duration::from_secs);
        redelivery.max_deliveries = most;
        if let Some((first, most)) = backoff {
            redelivery = redelivery.with_backoff(Duration::from_secs(first), Duration::from_secs(most));
        }
        if dies { redelivery.with_dead_letter("dead") } else { redelivery }
    })
}

/// Any operations in any order.
pub fn operations(count: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), count)
}

fn operation() -> impl Strategy<Value = Operation> {
    let which = || 0..1000_usize;
    prop_oneof![
        8 => publish(),
        3 => (0..30_u64).prop_map(|credit| Operation::Join { credit }),
        2 => which().prop_map(|consumer| Operation::Leave { consumer }),
        4 => (which(), 1..20_u64).prop_map(|(consumer, more)| Operation::Allow { consumer, more }),
        2 => (which(), answer()).prop_map(|(consumer, with)| Operation::Answer { consumer, with }),
        8 => prop_oneof![1..8_usize, Just(100)].prop_map(|budget| Operation::Dispatch { budget }),
        8 => (which(), range(), settling()).prop_map(|(consumer, (back, count), settling)| {
            Operation::Settle { consumer, back, count, settling }
        }),
        3 => (which(), range(), option::of(seconds(9))).prop_map(|(consumer, (back, count), lease)| {
            Operation::Extend { consumer, back, count, lease }
        }),
        5 => seconds(4).prop_map(|by| Operation::Advance { by }),
        1 => Just(Operation::Pause),
        2 => Just(Operation::Resume),
        1 => Just(Operation::Purge),
        3 => Just(Operation::Admit),
        1 => (0..4_usize, any::<bool>()).prop_map(|(most, stay)| Operation::Redrive { most, stay }),
        1 => Just(Operation::Delete),
        1 => (which(), which()).prop_map(|(message, consumer)| Operation::DeliverById { message, consumer }),
        1 => which().prop_map(|message| Operation::MakeReady { message }),
        1 => which().prop_map(|message| Operation::Remove { message }),
    ]
}

fn publish() -> impl Strategy<Value = Operation> {
    let key = option::of(prop_oneof![Just("x"), Just("y"), Just("z")]);
    let ttl = option::weighted(0.2, prop_oneof![6 => seconds(20), 1 => Just(Duration::MAX)]);
    let delay = option::weighted(0.2, prop_oneof![6 => seconds(10), 1 => Just(Duration::MAX)]);
    let count = prop_oneof![4 => 1..3_usize, 1 => 1..30_usize];
    let size = prop_oneof![4 => Just(8), 1 => 8..100_usize, 1 => 8..4000_usize];
    (key, prop_oneof![2 => Just(0), 1 => 0..3_u32], ttl, delay, count, size).prop_map(
        |(key, priority, ttl, delay, count, size)| {
            let key = key.map(Bytes::from);
            Operation::Publish { count, size, message: Publish { payload: Bytes::new(), priority, key, ttl, delay } }
        },
    )
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![4 => Just(Answer::Takes), 3 => Just(Answer::Full), 1 => Just(Answer::Gone)]
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    (0..12_u64, prop_oneof![2 => Just(1), 2 => 0..6_u64, 1 => Just(u64::MAX)])
}

fn settling() -> impl Strategy<Value = Settling> {
    let again = (option::weighted(0.3, seconds(6)), option::of(0..3_u32)).prop_map(|(delay, priority)| {
        let mut again = Again::default();
        (again.delay, again.priority) = (delay, priority);
        Settling::Again(again)
    });
    prop_oneof![2 => Just(Settling::Ack), 1 => Just(Settling::ForGood), 2 => again]
}

fn seconds(upto: u64) -> impl Strategy<Value = Duration> {
    (0..=upto).prop_map(Duration::from_secs)
}
