//! The books of a queue.

use core::ops::AddAssign;

/// What became of every message of a queue.
///
/// Each message that was accepted is counted in exactly one of the fields up to [`redriven`](Ledger::redriven); the others count what
/// happened on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Ledger {
    /// Messages that the queue took.
    pub accepted: u64,
    /// Those that wait for a consumer.
    pub ready: u64,
    /// Those that are not ready before a time.
    pub delayed: u64,
    /// Those that are delivered and not settled.
    pub in_flight: u64,
    /// Those that were done with.
    pub acked: u64,
    /// Those that a consumer refused for good, and that were dropped for it.
    pub refused: u64,
    /// Those that went to the queue of dead letters.
    pub dead_lettered: u64,
    /// Those whose time was over, and that were dropped for it.
    pub expired: u64,
    /// Those that were dropped for another reason.
    pub dropped: Dropped,
    /// Those that were purged, or deleted with their queue.
    pub purged: u64,
    /// Dead letters that were sent back to where they came from.
    pub redriven: u64,
    /// Deliveries that came back: refused for another attempt, not settled in time, or their consumer went away.
    pub given_back: u64,
    /// Those of them that were not settled in time.
    pub lapsed: u64,
    /// Deliveries that were not the first of their message.
    pub redelivered: u64,
    /// Messages that were not accepted, for there was no room.
    pub turned_away: u64,
}

/// Messages that were dropped, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Dropped {
    /// To make room for others.
    pub oldest: u64,
    /// For there was no room for them.
    pub newest: u64,
    /// For a message with the same key, which came behind.
    pub replaced: u64,
    /// For they were delivered as often as the queue allows.
    pub exhausted: u64,
    /// Dead letters for which there was no room, or that had come round too often.
    pub undeliverable: u64,
}

impl Dropped {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.oldest + self.newest + self.replaced + self.exhausted + self.undeliverable
    }
}

impl Ledger {
    /// The messages that are in the queue: ready, delayed or in flight.
    pub const fn here(&self) -> u64 {
        self.ready + self.delayed + self.in_flight
    }

    /// The books of a queue that is deleted: what is there counts as purged.
    pub(crate) const fn closed(self) -> Ledger {
        Ledger { ready: 0, delayed: 0, in_flight: 0, purged: self.purged + self.here(), ..self }
    }

    /// Whether the books add up. They always do, else the queue has a bug.
    pub const fn is_balanced(&self) -> bool {
        let here = self.here();
        let done = self.acked + self.refused + self.dead_lettered + self.expired;
        self.accepted == here + done + self.dropped.total() + self.purged + self.redriven
    }
}

/// The books of several queues as one.
impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        // By name, so that none is forgotten that comes later.
        let Ledger {
            accepted,
            ready,
            delayed,
            in_flight,
            acked,
            refused,
            dead_lettered,
            expired,
            purged,
            redriven,
            given_back,
            lapsed,
            redelivered,
            turned_away,
            dropped,
        } = other;
        self.accepted += accepted;
        self.ready += ready;
        self.delayed += delayed;
        self.in_flight += in_flight;
        self.acked += acked;
        self.refused += refused;
        self.dead_lettered += dead_lettered;
        self.expired += expired;
        self.purged += purged;
        self.redriven += redriven;
        self.given_back += given_back;
        self.lapsed += lapsed;
        self.redelivered += redelivered;
        self.turned_away += turned_away;
        let Dropped { oldest, newest, replaced, exhausted, undeliverable } = dropped;
        self.dropped.oldest += oldest;
        self.dropped.newest += newest;
        self.dropped.replaced += replaced;
        self.dropped.exhausted += exhausted;
        self.dropped.undeliverable += undeliverable;
    }
}
