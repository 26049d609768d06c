//! A message, on its way in and as it is looked at.

use super::cause::Cause;
use super::{ConsumerId, OVERHEAD};
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use msglib_proto::{Instant, Payload};

/// Names one message of one queue: the 1st, 2nd, 3rd … that it took. Never used again in that queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageId(u64);

impl MessageId {
    /// The message with this number.
    pub const fn new(number: u64) -> MessageId {
        MessageId(number)
    }

    /// The number, from 1.
    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {}", self.0)
    }
}

/// A message on its way into a queue. A payload alone is one, too.
///
/// ```
/// use core::time::Duration;
/// use msglib_broker::NewMessage;
///
/// let plain = NewMessage::from("Hello, world!");
/// let urgent = plain.with_priority(9).with_key(b"tenant 7").with_ttl(Duration::from_secs(60));
/// # let _ = urgent;
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NewMessage<'a> {
    /// The message itself.
    pub payload: Payload<'a>,
    /// Higher is sooner, where the queue's order looks at it. Default 0.
    pub priority: u32,
    /// What the message belongs to, where the queue's order looks at it: 1 to 255 bytes.
    pub key: Option<&'a [u8]>,
    /// How long it may wait for its delivery; `None` for as long as the queue says.
    pub ttl: Option<Duration>,
    /// How long it waits before it is ready; `None` for as long as the queue says.
    pub delay: Option<Duration>,
}

impl<'a> NewMessage<'a> {
    /// The longest key, in bytes.
    pub const MAX_KEY: usize = 255;

    /// A message with this payload.
    #[inline]
    pub fn new(payload: impl Into<Payload<'a>>) -> NewMessage<'a> {
        NewMessage { payload: payload.into(), priority: 0, key: None, ttl: None, delay: None }
    }

    /// With another [`priority`](NewMessage::priority).
    pub fn with_priority(mut self, priority: u32) -> NewMessage<'a> {
        self.priority = priority;
        self
    }

    /// With a [`key`](NewMessage::key).
    ///
    /// # Panics
    ///
    /// When the key is empty or above 255 bytes.
    #[track_caller]
    pub fn with_key(mut self, key: &'a [u8]) -> NewMessage<'a> {
        assert!((1..=Self::MAX_KEY).contains(&key.len()), "a key has 1 to 255 bytes, not {}", key.len());
        self.key = Some(key);
        self
    }

    /// With a [time to live](NewMessage::ttl) of its own.
    pub fn with_ttl(mut self, ttl: Duration) -> NewMessage<'a> {
        self.ttl = Some(ttl);
        self
    }

    /// With a [`delay`](NewMessage::delay) of its own; zero is none.
    pub fn with_delay(mut self, delay: Duration) -> NewMessage<'a> {
        self.delay = Some(delay);
        self
    }

    /// Whether there is nothing but the payload.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.priority == 0 && self.key.is_none() && self.ttl.is_none() && self.delay.is_none()
    }

    /// What it counts for, in bytes.
    #[inline]
    pub(super) fn size(&self) -> usize {
        self.payload.len() + self.key.map_or(0, <[u8]>::len) + OVERHEAD
    }
}

macro_rules! from_payload {
    ($([$($generics:tt)*] $type:ty;)*) => {
        $(impl<'a, $($generics)*> From<$type> for NewMessage<'a> {
            #[inline]
            fn from(payload: $type) -> NewMessage<'a> {
                NewMessage::new(payload)
            }
        })*
    };
}
from_payload! {
    [] Payload<'a>;
    [] &'a [u8];
    [const N: usize] &'a [u8; N];
    [] &'a str;
    [] &'a String;
    [] &'a Vec<u8>;
    [] &'a Bytes;
}

/// A message in a queue, to be looked at.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MessageInfo<'a> {
    /// Its name in the queue.
    pub id: MessageId,
    /// The message itself.
    pub payload: Payload<'a>,
    /// Higher is sooner, where the queue's order looks at it.
    pub priority: u32,
    /// What it belongs to, if it came with a key.
    pub key: Option<&'a [u8]>,
    /// How often it was delivered so far.
    pub deliveries: u32,
    /// When it is too late to deliver it; [`Instant::MAX`] for never.
    pub expires: Instant,
    /// Where it is.
    pub place: Place,
    /// Why it is a dead letter, if it is one.
    pub cause: Option<&'a Cause>,
}

/// Where a message of a queue is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It waits for a consumer.
    Ready,
    /// It is not ready before this time.
    Delayed(Instant),
    /// It is delivered and not settled.
    InFlight {
        /// To whom.
        consumer: ConsumerId,
        /// With which tag.
        tag: u64,
    },
}
