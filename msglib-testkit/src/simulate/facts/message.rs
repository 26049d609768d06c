//! What is known of one message, and the bytes that it is known by.

use super::{LinkIndex, MessageNumber};
use crate::simulate::schedule::Settling;

/// One message, as those know it who published and received it.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts {
    /// In which queue.
    pub queue: usize,
    /// On which link it was published.
    pub link: LinkIndex,
    /// Its number there.
    pub number: u64,
    /// Bytes of its payload.
    pub size: usize,
    /// A confirm was asked for.
    pub confirm: bool,
    /// In which life of the handler: each restart with a new one begins another.
    pub life: u32,
    /// What its publisher knows.
    pub outcome: Outcome,
    /// What its consumers know.
    pub place: Place,
    /// How many deliveries of it were received.
    pub seen: u32,
    /// The greatest count that came with one of them.
    pub highest: u32,
    /// Which counts came, up to 64: bit 0 is the first delivery.
    pub counts: u64,
}

/// What became of a publish, as its publisher knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was sent.
    Pending,
    /// The broker is responsible for it: confirmed, delivered, or not refused when everything was at rest.
    Accepted,
    /// It had no effect.
    Refused,
    /// The connection went first.
    Unknown,
}

/// Where a message is, as its consumers know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the queue, for all that is known.
    Waiting,
    /// Delivered on the link with the tag, and not settled.
    InFlight(LinkIndex, u64),
    /// Settled on the link, and the broker may not know it yet.
    Settling(LinkIndex, Settling),
    /// Settled for good.
    Settled(Settling),
    /// Settled on a connection that ended before the broker was seen to know it.
    Perhaps(Settling),
}

impl MessageFacts {
    /// Whether nothing more can become of it.
    pub fn is_over(&self) -> bool {
        self.outcome == Outcome::Refused || matches!(self.place, Place::Settled(_))
    }
}

/// Writes the payload of a message: its number, then bytes that follow from it.
pub(in crate::simulate) fn write_payload(MessageNumber(number): MessageNumber, size: usize, payload: &mut Vec<u8>) {
    payload.clear();
    payload.extend((number as u64).to_be_bytes());
    payload.extend((0..size - 8).map(|at| filler(number, at)));
}

/// The byte of a message's payload behind its number.
pub(super) fn filler(number: usize, at: usize) -> u8 {
    (number.wrapping_mul(31).wrapping_add(at)) as u8
}
