//! What a broker says of a delivery beside its payload, owned (PROTOCOL §14.3).

use bytes::Bytes;
use msglib_proto::{DeliveryOptions, ErrorCode, OwnedName};

/// What a broker says of a delivery, if it says more than the message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Details {
    /// The message's number in its channel, the same for each attempt.
    pub id: Option<u64>,
    /// Its priority.
    pub priority: Option<u8>,
    /// What it belongs to.
    pub key: Option<Bytes>,
    /// The topic that it was published to.
    pub topic: Option<Bytes>,
    /// Why it is here, if it is a dead letter.
    pub cause: Option<DeathCause>,
    /// Whether it is the last value that a topic has kept, and not news.
    pub retained: bool,
}

/// Why a message became a dead letter, the last time that it did (PROTOCOL §15.5).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DeathCause {
    /// Why.
    pub reason: ErrorCode,
    /// How often it had been delivered there.
    pub count: u32,
    /// How often it has become a dead letter by now.
    pub hops: u8,
    /// How many milliseconds before the delivery was sent it became one for the first time.
    pub first_ms: u64,
    /// The channel that it comes from.
    pub source: OwnedName,
}

impl Details {
    pub(super) fn new(retained: bool, options: &DeliveryOptions<'_>) -> Details {
        let cause = options.cause.map(|cause| DeathCause {
            reason: cause.reason,
            count: cause.count,
            hops: cause.hops,
            first_ms: cause.first_ms,
            source: cause.source.to_owned(),
        });
        Details {
            id: options.id,
            priority: options.priority,
            key: options.key.map(Bytes::copy_from_slice),
            topic: options.topic.map(Bytes::copy_from_slice),
            cause,
            retained,
        }
    }
}
