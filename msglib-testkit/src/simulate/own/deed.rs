//! What a client of channels of one's own does.

use super::link::Asking;
use super::{CELLS, GATE};
use crate::simulate::streams::Random;
use core::fmt;

/// One thing that it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum OwnDeed {
    /// Watches a cell, on a link of its own.
    Watch {
        /// Which.
        cell: usize,
        /// How it asks for the link.
        asking: Asking,
        /// Deliveries that it allows at first.
        credit: u64,
    },
    /// Sets a cell.
    Set {
        /// Which.
        cell: usize,
        /// How often.
        times: usize,
        /// How it asks for a link, if it has none.
        asking: Asking,
        /// To something that the cell refuses.
        badly: bool,
        /// Asks for confirms.
        confirm: bool,
    },
    /// Sets a cell to something that it panics of.
    Break {
        /// Which.
        cell: usize,
    },
    /// Comes to the barrier, on a link that it has there or on a new one.
    Arrive {
        /// On which of its links, counted round.
        pick: usize,
        /// How it asks for a new link.
        asking: Option<Asking>,
    },
    /// Allows a watcher more deliveries.
    Allow {
        /// On which of its links, counted round.
        pick: usize,
        /// How many more than have come.
        more: u64,
    },
    /// Closes a link.
    Close {
        /// Which, counted round.
        pick: usize,
    },
    /// Drops its connection, after so many bytes of what it has to say.
    Leave {
        /// How many.
        after: usize,
    },
    /// Neither writes nor reads any more, and does not close either.
    Vanish,
    /// Reads nothing until it resumes.
    Stall,
    /// Reads again.
    Resume,
}

/// What the host program says to somebody who waits for a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is opened.
    Yes,
    /// It is not.
    No,
    /// Nothing: it forgets that it owes an answer.
    Nothing,
}

pub(in crate::simulate) fn draw_answer(random: &mut Random) -> (usize, Answer) {
    (random.below(8), random.pick(&[Answer::Yes, Answer::Yes, Answer::Yes, Answer::No, Answer::Nothing]))
}

fn asking(random: &mut Random) -> Asking {
    match random.below(20) {
        0..=11 => Asking::AtOnce,
        12..=17 => Asking::Later,
        18 => Asking::Refused,
        _ => Asking::RefusedByChannel,
    }
}

/// `breaks`: handlers of this run panic.
pub(in crate::simulate) fn draw(random: &mut Random, breaks: bool) -> OwnDeed {
    let (pick, cell) = (random.below(16), random.below(CELLS.len()));
    match random.below(400) {
        0..=119 => OwnDeed::Set {
            cell,
            times: random.pick(&[1, 1, 2, 5]),
            asking: asking(random),
            badly: random.chance(100),
            confirm: random.chance(700),
        },
        120..=159 => OwnDeed::Watch { cell, asking: asking(random), credit: random.pick(&[0, 1, 5, 1_000]) },
        160..=239 => OwnDeed::Arrive { pick, asking: random.chance(400).then(|| asking(random)) },
        240..=299 => OwnDeed::Allow { pick, more: random.pick(&[1, 1, 2, 10]) },
        300..=334 => OwnDeed::Close { pick },
        335..=344 => OwnDeed::Leave { after: random.pick(&[0, 1, 30, 1_000]) },
        345..=346 => OwnDeed::Vanish,
        347..=352 => OwnDeed::Stall,
        353 if breaks => OwnDeed::Break { cell },
        _ => OwnDeed::Resume,
    }
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Asking::AtOnce => "which everybody may",
            Asking::Later => "if the host program lets it",
            Asking::Refused => "which nobody may",
            Asking::RefusedByChannel => "which the channel refuses",
        })
    }
}

impl fmt::Display for OwnDeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            OwnDeed::Watch { cell, asking, credit } => {
                write!(f, "watches {}, {asking}, and allows {credit}", CELLS[cell])
            }
            OwnDeed::Set { cell, times, asking, badly, .. } => {
                let what = if badly { ", to what it refuses" } else { "" };
                write!(f, "sets {}, {asking}, {times} times{what}", CELLS[cell])
            }
            OwnDeed::Break { cell } => write!(f, "sets {} to what it panics of", CELLS[cell]),
            OwnDeed::Arrive { pick, asking: None } => write!(f, "comes to the {GATE} ({pick})"),
            OwnDeed::Arrive { asking: Some(asking), .. } => write!(f, "comes to the {GATE} on a new link, {asking}"),
            OwnDeed::Allow { pick, more } => write!(f, "allows {more} more ({pick})"),
            OwnDeed::Close { pick } => write!(f, "closes a link ({pick})"),
            OwnDeed::Leave { after } => write!(f, "drops its connection, {after} bytes from here"),
            OwnDeed::Vanish => f.write_str("neither reads nor writes any more"),
            OwnDeed::Stall => f.write_str("reads nothing"),
            OwnDeed::Resume => f.write_str("reads again"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answer::Yes => "lets somebody have a link",
            Answer::No => "refuses somebody a link",
            Answer::Nothing => "forgets somebody who waits for a link",
        })
    }
}
