//! What all parts of the decorator write to: the dice with their tally, and the log.

use super::Fault;
use super::dice::Dice;
use super::link::Gate;
use crate::TranscriptLog;
use msglib_proto::Instant;
use msglib_proto::transport::ConnectionId;

#[derive(Debug)]
pub(super) struct Book {
    pub(super) dice: Dice,
    pub(super) log: Option<TranscriptLog>,
    /// As of the last poll.
    pub(super) now: Instant,
    pub(super) polls: u64,
}

impl Book {
    pub(super) fn new(dice: Dice) -> Book {
        Book { dice, log: None, now: Instant::ZERO, polls: 0 }
    }

    pub(super) fn fire(&mut self, fault: Fault, id: Option<ConnectionId>) {
        self.dice.tally.fire(fault);
        if let Some(log) = &self.log {
            log.fault(self.now, id, fault);
        }
    }

    pub(super) fn observe(&mut self, fault: Fault) {
        self.dice.tally.observe(fault);
    }

    /// Somebody was turned away at a gate. What is only late is counted when it comes.
    pub(super) fn observe_gate(&mut self, gate: &Gate) {
        if let Some(by @ (Fault::ClogRead | Fault::ClogWrite | Fault::ZeroWindow)) = gate.by {
            self.observe(by);
        }
    }
}
