//! One connection as its faults see it.

use super::Fault;
use super::book::Book;
use super::fault::FaultSet;
use msglib_proto::transport::Peer;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};

/// The most that is taken from below before the caller has asked for it.
pub(super) const STASH: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Link {
    /// In the order of opening, for scripts.
    pub(super) nth: usize,
    pub(super) phase: Phase,
    /// Reported as opened in so many polls.
    pub(super) opening: Option<(Peer, u32)>,
    pub(super) input: Input,
    pub(super) output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// What is written is lost, and nothing is read.
    BlackHole,
    /// Something was accepted and not passed on: a reset follows with the next poll.
    Lost,
    /// Over below; the caller is told with the next read or write (T14).
    Dead {
        how: ErrorKind,
        by: Option<Fault>,
    },
}

/// From the peer.
#[derive(Debug, Default)]
pub(super) struct Input {
    pub(super) gate: Gate,
    /// Taken from below, and not read yet.
    pub(super) stash: VecDeque<u8>,
    pub(super) end: End,
    /// The end is ours, not the peer's: what it still sends is thrown away.
    pub(super) deaf: bool,
    /// There may be something to throw away of which no report will tell.
    pub(super) noisy: bool,
    /// A report is due that none from below will bring (T5).
    pub(super) owed: bool,
    pub(super) cut: Option<(Fault, u64)>,
    pub(super) pace: Pace,
    /// Reports are withheld while the caller has not read to the end of what it was told of.
    pub(super) strict: bool,
    /// Told of something, and not seen a short count or `WouldBlock` since.
    pub(super) undrained: bool,
    pub(super) interrupted: bool,
    /// To be counted as observed with the next bytes, or the end.
    pub(super) seen_with_bytes: FaultSet,
    /// To be counted as observed when there turns out to be nothing.
    pub(super) seen_with_nothing: FaultSet,
}

/// To the peer.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) gate: Gate,
    pub(super) owed: bool,
    /// How many bytes go before the connection is reset.
    pub(super) cut: Option<u64>,
    pub(super) pace: Pace,
    pub(super) interrupted: bool,
    /// To be counted as observed with the next bytes that are taken.
    pub(super) seen_with_bytes: FaultSet,
}

/// How far the end of the input has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum End {
    #[default]
    Unknown,
    /// Behind what is in the stash.
    Known,
    /// `read` has returned it, which sticks (T4).
    Returned,
}

impl Link {
    pub(super) fn new(nth: usize) -> Link {
        Link { nth, phase: Phase::Open, opening: None, input: Input::default(), output: Output::default() }
    }

    /// Whether the next polls have something to do for it.
    pub(super) fn is_busy(&self) -> bool {
        match self.phase {
            Phase::Open => {
                self.opening.is_some()
                    || self.input.owed
                    || self.output.owed
                    || self.input.noisy
                    || self.input.end == End::Known
                    || self.input.gate.is_counting()
                    || self.output.gate.is_counting()
            }
            Phase::BlackHole => self.opening.is_some(),
            Phase::Lost => true,
            // Until the caller was told, which forgets it.
            Phase::Dead { .. } => true,
        }
    }

    /// Whether the next poll must not wait.
    pub(super) fn is_urgent(&self) -> bool {
        let owed = |owed, gate: &Gate| owed && !gate.is_shut();
        owed(self.input.owed, &self.input.gate)
            || owed(self.output.owed, &self.output.gate)
            || self.phase == Phase::Lost
    }

    /// One poll more: what is due in it.
    pub(super) fn tick(&mut self) -> Due {
        let Link { input, output, .. } = self;
        let opened = (input.gate.tick(), output.gate.tick());
        match self.phase {
            Phase::Open => {
                let readable = opened.0 || input.end == End::Known || input.owed;
                let writable = opened.1 || output.owed;
                let due = Due {
                    readable: readable && !input.gate.is_shut() && input.end != End::Returned,
                    writable: writable && !output.gate.is_shut(),
                };
                input.owed &= !due.readable && input.end != End::Returned;
                output.owed &= !due.writable;
                due
            }
            // Until it was told (T5); who does not read, or has read the end, is told by a write (T13).
            Phase::Dead { .. } => Due { readable: input.end != End::Returned, writable: true },
            Phase::BlackHole | Phase::Lost => Due { readable: false, writable: false },
        }
    }

    /// What a read or a write says of a connection that is dead.
    pub(super) fn last_words(&self, book: &mut Book) -> io::Error {
        let Phase::Dead { how, by } = self.phase else { return ErrorKind::NotConnected.into() };
        match by {
            Some(fault) => {
                book.observe(fault);
                io::Error::new(how, format!("the fault plan has ended the connection: {fault}"))
            }
            None => how.into(),
        }
    }

    /// Nothing new happens from here on, and what is held back comes with the next poll.
    pub(super) fn heal(&mut self) {
        self.opening = self.opening.take().map(|(peer, _)| (peer, 1));
        self.input.gate.heal();
        self.output.gate.heal();
        (self.input.cut, self.output.cut) = (None, None);
        (self.input.pace, self.output.pace) = (Pace::default(), Pace::default());
        self.input.strict = false;
    }
}

/// What is to be reported of a link.
pub(super) struct Due {
    pub(super) readable: bool,
    pub(super) writable: bool,
}

/// One direction, shut for some polls.
#[derive(Debug, Default)]
pub(super) struct Gate {
    shut_for: u32,
    /// By which fault.
    pub(super) by: Option<Fault>,
    /// A call or a report was turned away, so one is owed when it opens.
    pub(super) turned_away: bool,
}

impl Gate {
    const UNTIL_HEALED: u32 = u32::MAX;

    /// Shuts it for so many polls.
    pub(super) fn shut(&mut self, by: Fault, polls: u32) {
        if !self.is_shut() {
            self.by = Some(by);
            self.shut_for = polls;
        }
    }

    pub(super) fn shut_until_healed(&mut self, by: Fault) {
        self.by = Some(by);
        self.shut_for = Gate::UNTIL_HEALED;
    }

    pub(super) fn is_shut(&self) -> bool {
        self.shut_for > 0
    }

    fn is_counting(&self) -> bool {
        (1..Gate::UNTIL_HEALED).contains(&self.shut_for)
    }

    /// One poll less. True when it opens and somebody was turned away.
    pub(super) fn tick(&mut self) -> bool {
        if !self.is_counting() {
            return false;
        }
        self.shut_for -= 1;
        self.shut_for == 0 && core::mem::take(&mut self.turned_away)
    }

    /// Opens with the next poll, however long it was to be shut.
    pub(super) fn heal(&mut self) {
        self.shut_for = self.shut_for.min(1);
    }
}

/// One byte for each poll.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many bytes are still to go so slowly.
    slow: u32,
    /// The poll in which the last one went.
    last: u64,
}

impl Pace {
    pub(super) fn new(slow: u32) -> Pace {
        Pace { slow, last: 0 }
    }

    /// How many bytes may go in this poll.
    pub(super) fn limit(&self, poll: u64) -> usize {
        match self.slow {
            0 => usize::MAX,
            _ => usize::from(self.last != poll),
        }
    }

    /// So many went.
    pub(super) fn went(&mut self, count: usize, poll: u64) {
        if self.slow > 0 && count > 0 {
            self.slow -= 1;
            self.last = poll;
        }
    }
}
