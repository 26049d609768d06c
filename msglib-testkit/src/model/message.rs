//! Messages as the model knows them.

use bytes::Bytes;
use core::time::Duration;
use msglib_broker::queue::{Fate, NewMessage};
use msglib_proto::Instant;

/// A message on its way in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Publish {
    /// The message itself.
    pub payload: Bytes,
    /// Higher is sooner, where the order looks at it.
    pub priority: u32,
    /// What it belongs to.
    pub key: Option<Bytes>,
    /// How long it may wait; `None` for as long as the queue says.
    pub ttl: Option<Duration>,
    /// How long it waits before it is ready; `None` for as long as the queue says.
    pub delay: Option<Duration>,
}

impl Publish {
    /// As the library's queue takes it.
    pub fn to_new(&self) -> NewMessage<'_> {
        let mut message = NewMessage::new(&self.payload).with_priority(self.priority);
        if let Some(key) = &self.key {
            message = message.with_key(key);
        }
        (message.ttl, message.delay) = (self.ttl, self.delay);
        message
    }
}

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum At {
    /// It waits for a consumer.
    Ready,
    /// It is not ready before this time.
    Delayed(Instant),
    /// It is delivered and not settled.
    InFlight {
        /// To whom: the number of the consumer.
        consumer: u32,
        /// With which tag.
        tag: u64,
    },
}

/// A message in the model.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: u64,
    pub(super) payload: Bytes,
    pub(super) key: Option<Bytes>,
    pub(super) priority: u32,
    pub(super) expires: Instant,
    pub(super) deliveries: u32,
    pub(super) death: Option<Death>,
    pub(super) at: At,
    /// When its lease is over, if it is in flight.
    pub(super) lease: Instant,
    /// When it began to wait, or to be ready, in the model's own count.
    pub(super) turn: i64,
}

/// What a dead letter remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Death {
    pub(super) hops: u8,
    pub(super) first: Instant,
}

/// A message that has left the queue, and not by an ack nor by a purge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departure {
    /// Its number in the queue.
    pub id: u64,
    /// How it left.
    pub fate: Fate,
    /// How often it was delivered.
    pub deliveries: u32,
    /// If it is a dead letter now: how often it has become one, and when it did so for the first time.
    pub dead_letter: Option<(u8, Instant)>,
}

/// One delivery, as it is on offer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    /// To whom: the number of the consumer.
    pub consumer: u32,
    /// The consumer's tags are 1, 2, 3 ….
    pub tag: u64,
    /// 1 for the first delivery of the message to anyone, and one more for each further one.
    pub count: u32,
    /// The number of the message.
    pub id: u64,
    /// The message itself.
    pub payload: Bytes,
    /// Its priority.
    pub priority: u32,
    /// Its key.
    pub key: Option<Bytes>,
}
