//! What a message can carry beside its payload (PROTOCOL §14.3), and the ways to settle a delivery (PROTOCOL §15.4).

use super::channel::ChannelName;
use super::code::ErrorCode;
use core::time::Duration;

/// What a publisher says of a message (PROTOCOL §14.3). What means nothing to the channel is ignored there.
///
/// ```
/// use msglib_proto::PublishOptions;
/// use std::time::Duration;
///
/// let options = PublishOptions::default().with_delay(Duration::from_secs(60)).with_priority(3);
/// assert_eq!((options.delay_ms, options.priority), (Some(60_000), Some(3)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PublishOptions<'a> {
    /// Not to be delivered before so many milliseconds are over.
    pub delay_ms: Option<u64>,
    /// Not to be delivered when so many milliseconds are over; 0 is over at once.
    pub ttl_ms: Option<u64>,
    /// The higher the sooner.
    pub priority: Option<u8>,
    /// What it belongs to, for an order by key: 1 to 255 bytes.
    pub key: Option<&'a [u8]>,
    /// Where it goes, on a link to more than one topic: 1 to 255 bytes.
    pub topic: Option<&'a [u8]>,
}

impl<'a> PublishOptions<'a> {
    /// With a delay, rounded up to whole milliseconds.
    pub fn with_delay(mut self, delay: Duration) -> PublishOptions<'a> {
        self.delay_ms = Some(millis(delay));
        self
    }

    /// With a time to live, rounded up to whole milliseconds.
    pub fn with_ttl(mut self, ttl: Duration) -> PublishOptions<'a> {
        self.ttl_ms = Some(millis(ttl));
        self
    }

    /// With a priority; the higher the sooner.
    pub fn with_priority(mut self, priority: u8) -> PublishOptions<'a> {
        self.priority = Some(priority);
        self
    }

    /// With a key of 1 to 255 bytes.
    pub fn with_key(mut self, key: &'a [u8]) -> PublishOptions<'a> {
        self.key = Some(key);
        self
    }

    /// With a topic of 1 to 255 bytes, on a link to more than one.
    pub fn with_topic(mut self, topic: &'a [u8]) -> PublishOptions<'a> {
        self.topic = Some(topic);
        self
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == PublishOptions::default()
    }
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// What a broker says of a delivery (PROTOCOL §14.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DeliveryOptions<'a> {
    /// The message's number in its channel, the same for each attempt.
    pub id: Option<u64>,
    /// Its priority.
    pub priority: Option<u8>,
    /// What it belongs to: 1 to 255 bytes.
    pub key: Option<&'a [u8]>,
    /// The topic that it was published to: 1 to 255 bytes.
    pub topic: Option<&'a [u8]>,
    /// Why it is here, if it is a dead letter.
    pub cause: Option<Cause<'a>>,
}

impl DeliveryOptions<'_> {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == DeliveryOptions::default()
    }
}

/// Why a message became a dead letter, the last time that it did (PROTOCOL §15.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cause<'a> {
    /// Why.
    pub reason: ErrorCode,
    /// How often it had been delivered there.
    pub count: u32,
    /// How often it has become a dead letter by now.
    pub hops: u8,
    /// How many milliseconds ago it became one for the first time.
    pub first_ms: u64,
    /// The channel that it comes from.
    pub source: ChannelName<'a>,
}

/// What is to become of deliveries (PROTOCOL §15.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settling {
    /// They are done with.
    Ack,
    /// They go back, to be delivered again.
    Again {
        /// Not before so many milliseconds are over; at once if it is not said.
        delay_ms: Option<u64>,
        /// With another priority than before.
        priority: Option<u8>,
    },
    /// They are never to be delivered again; the channel decides what becomes of them.
    ForGood,
    /// They stay, and their lease begins anew.
    Extend {
        /// For so many milliseconds; 0 for as long as the channel's own.
        lease_ms: u64,
    },
}

impl Settling {
    /// The number on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Settling::Ack => 0,
            Settling::Again { .. } => 1,
            Settling::ForGood => 2,
            Settling::Extend { .. } => 3,
        }
    }
}
