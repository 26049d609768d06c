//! The books of a queue.

/// What became of every message of a queue.
///
/// Each message that was accepted is counted in exactly one of `ready`, `in_flight`, `acked` and `refused`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// Messages that the queue took.
    pub accepted: u64,
    /// Those that wait.
    pub ready: u64,
    /// Those that are delivered and not settled.
    pub in_flight: u64,
    /// Those that were done with.
    pub acked: u64,
    /// Those that a consumer refused for good, and that were dropped for it.
    pub refused: u64,
    /// Deliveries that came back: refused for another attempt, or their consumer went away.
    pub given_back: u64,
    /// Deliveries that were not the first of their message.
    pub redelivered: u64,
    /// Messages that were not accepted, for the queue was full.
    pub turned_away: u64,
}

impl Ledger {
    pub(super) const fn new() -> Ledger {
        Ledger {
            accepted: 0,
            ready: 0,
            in_flight: 0,
            acked: 0,
            refused: 0,
            given_back: 0,
            redelivered: 0,
            turned_away: 0,
        }
    }

    /// Whether the books add up. They always do, else the queue has a bug.
    pub const fn is_balanced(&self) -> bool {
        self.accepted == self.ready + self.in_flight + self.acked + self.refused
    }
}
