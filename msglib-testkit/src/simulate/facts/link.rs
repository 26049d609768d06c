//! What is known of one link.

use super::{ConnectionNumber, MessageNumber};
use msglib_proto::LinkState;
use std::collections::VecDeque;

/// One link, from its client's end.
#[derive(Debug)]
pub struct LinkFacts {
    /// On which connection.
    pub connection: ConnectionNumber,
    /// Its number on the wire.
    pub number: u32,
    /// To which queue.
    pub queue: usize,
    /// Opened to publish.
    pub publishes: bool,
    /// Opened to consume.
    pub consumes: bool,
    /// As the client sees it; `Free` when it is over.
    pub state: LinkState,
    /// The last number that was published.
    pub published: u64,
    /// The last number that asked for a confirm.
    pub wanted: u64,
    /// All up to this have their outcome.
    pub confirmed: u64,
    /// The last number that the broker allows.
    pub credit: u64,
    /// The last tag that the client allows.
    pub granted: u64,
    /// The last tag that came.
    pub delivered: u64,
    /// The greatest number of this publisher that was seen as a first delivery.
    pub first_seen: u64,
    /// As it was when everything was at rest the last time.
    pub first_floor: u64,
    /// All that was sent to it before everything was at rest the last time was read.
    pub was_read: bool,
    pub(in crate::simulate) messages: Vec<MessageNumber>,
    /// From the oldest delivery that is not settled to the newest; tag `before + 1` is the first.
    pub(in crate::simulate) held: VecDeque<Option<MessageNumber>>,
    pub(in crate::simulate) before: u64,
    /// Settled, and the broker may not know it yet.
    pub(in crate::simulate) settling: Vec<MessageNumber>,
    /// Holds nothing any more.
    pub(in crate::simulate) gave_up: bool,
}

impl LinkFacts {
    /// From the oldest delivery that is not settled to the newest.
    pub fn span(&self) -> usize {
        self.held.len()
    }

    /// The tags that it holds.
    pub fn held(&self) -> impl Iterator<Item = (u64, MessageNumber)> + '_ {
        let tags = self.before + 1..;
        tags.zip(&self.held).filter_map(|(tag, held)| Some((tag, (*held)?)))
    }

    /// The messages that were published on it, with their numbers.
    pub fn messages(&self) -> impl Iterator<Item = (u64, MessageNumber)> + '_ {
        (1..).zip(self.messages.iter().copied())
    }

    /// The message with this number.
    pub fn message(&self, number: u64) -> Option<MessageNumber> {
        self.messages.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }
}
