//! One link to a channel of one's own, from its client's end.

use super::deed::Answer;
use crate::simulate::facts::ConnectionNumber;
use msglib_proto::{Instant, LinkState};

/// A link of the run, in the order in which they were asked for.
pub type OwnLinkNumber = usize;

/// What a link leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnChannel {
    /// A cell, by its place in [`CELLS`](super::CELLS).
    Cell(usize),
    /// The barrier.
    Barrier,
}

/// How a link is asked for: what becomes of its `OPEN`. The arguments say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asking {
    /// It is opened at once.
    AtOnce,
    /// The host program decides later, if ever.
    Later,
    /// Nobody may.
    Refused,
    /// Everybody may, and the channel does not want it.
    RefusedByChannel,
}

impl Asking {
    const LETTERS: [(u8, Asking); 4] =
        [(b'!', Asking::AtOnce), (b'?', Asking::Later), (b'-', Asking::Refused), (b'x', Asking::RefusedByChannel)];

    /// What the arguments of an `OPEN` say, and who says so.
    pub fn of(arguments: &[u8]) -> Option<(Asking, OwnLinkNumber)> {
        let (letter, who) = arguments.split_first()?;
        let (_, asking) = Asking::LETTERS.iter().find(|(of, _)| of == letter)?;
        Some((*asking, usize::try_from(u64::from_be_bytes(who.try_into().ok()?)).ok()?))
    }

    pub(super) fn arguments(self, who: OwnLinkNumber) -> [u8; 9] {
        let mut arguments = [0; 9];
        arguments[0] = Asking::LETTERS.iter().find(|(_, of)| *of == self).map_or(0, |(letter, _)| *letter);
        arguments[1..].copy_from_slice(&(who as u64).to_be_bytes());
        arguments
    }
}

/// One link.
#[derive(Clone, Debug)]
pub struct OwnLink {
    /// On which connection.
    pub connection: ConnectionNumber,
    /// Its number on the wire.
    pub number: u32,
    /// What it leads to.
    pub channel: OwnChannel,
    /// Opened to publish; else to consume.
    pub publishes: bool,
    /// How it was asked for.
    pub asking: Asking,
    /// In which life of the handler.
    pub life: u32,
    /// When it was asked for.
    pub asked_at: Instant,
    /// A time at which the broker was sure to have its `OPEN`.
    pub known_at: Option<Instant>,
    /// What the host program has decided.
    pub decided: Option<Answer>,
    /// As the client sees it.
    pub state: LinkState,
    /// It was open, as the client saw it.
    pub was_opened: bool,
    /// Its client had an answer to its `OPEN`.
    pub was_answered: bool,
    /// The last number that was published.
    pub published: u64,
    /// All up to this are confirmed.
    pub confirmed: u64,
    /// The last number that the broker allows.
    pub credit: u64,
    /// The last tag that the client allows.
    pub granted: u64,
    /// The last tag that came.
    pub delivered: u64,
    /// The place of the last version that came, or the last round.
    pub seen: Option<usize>,
    /// It was over when everything was at rest the last time, and the broker knew it.
    pub is_past: bool,
    /// All that was sent to it before everything was at rest the last time was read.
    pub was_read: bool,
    /// What was published on it: the writes.
    pub(super) writes: Vec<usize>,
}

impl OwnLink {
    /// The write with this number on the link.
    pub fn write(&self, number: u64) -> Option<usize> {
        self.writes.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }

    /// Whether it waits for a decision, as its client sees it.
    pub fn waits(&self) -> bool {
        self.state != LinkState::Free && self.may_wait()
    }

    /// Whether it may wait for a decision, perhaps on a connection that its client has left: the broker reads nothing more from a
    /// connection while it owes it an answer, not even its end.
    pub fn may_wait(&self) -> bool {
        !self.was_answered && self.asking == Asking::Later
    }
}
