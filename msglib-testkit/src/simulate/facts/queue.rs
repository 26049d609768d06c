//! What is known of one queue: how many of its messages are where.

use super::{MessageFacts, Outcome, Place};
use crate::simulate::schedule::Settling;

/// What is known of one queue in this life of the handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueFacts {
    /// Ends of consumers that may not have seen all that was delivered to them.
    pub unseen_ends: u32,
    /// Settlings that were sent: acks.
    pub acks: u64,
    /// Settlings that were sent: refusals for good.
    pub refusals: u64,
    /// Messages that were published.
    pub attempted: u64,
    /// Deliveries that were received.
    pub deliveries: u64,
    /// Of the messages that are over.
    pub(in crate::simulate) over: QueueTally,
}

/// How many messages of a queue are where, by what the clients know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueTally {
    /// Known to be accepted.
    pub accepted: u64,
    /// Accepted or not.
    pub unknown: u64,
    /// Refused.
    pub refused: u64,
    /// Acked, and the broker knows it.
    pub acked: u64,
    /// Refused for good by a consumer, and the broker knows it.
    pub dropped: u64,
    /// Held by a consumer.
    pub in_flight: u64,
    /// Perhaps acked.
    pub perhaps_acked: u64,
    /// Perhaps refused for good.
    pub perhaps_dropped: u64,
    /// Bytes of payload of those that are accepted and not settled.
    pub bytes: u64,
    /// How many those are.
    pub live: u64,
    /// Bytes of payload of those that may be there or not.
    pub unknown_bytes: u64,
    /// How many those are.
    pub unknown_live: u64,
}

impl QueueTally {
    pub(super) fn count(&mut self, message: &MessageFacts) {
        match message.outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Refused => {
                self.refused += 1;
                return;
            }
            Outcome::Pending | Outcome::Unknown => {
                self.unknown += 1;
                self.unknown_live += 1;
                self.unknown_bytes += message.size as u64;
                return;
            }
        }
        let perhaps = match message.place {
            Place::Waiting => false,
            Place::InFlight(..) => {
                self.in_flight += 1;
                false
            }
            Place::Settled(how) => {
                match how {
                    Settling::Ack => self.acked += 1,
                    Settling::Refuse(_) => self.dropped += 1,
                }
                return;
            }
            Place::Settling(_, Settling::Ack) | Place::Perhaps(Settling::Ack) => {
                self.perhaps_acked += 1;
                true
            }
            Place::Settling(..) | Place::Perhaps(_) => {
                self.perhaps_dropped += 1;
                true
            }
        };
        let (count, bytes) = match perhaps {
            true => (&mut self.unknown_live, &mut self.unknown_bytes),
            false => (&mut self.live, &mut self.bytes),
        };
        *count += 1;
        *bytes += message.size as u64;
    }
}
