//! Connections that were closed and are not gone yet: whose turn it is, and when patience ends.

use msglib_proto::Instant;
use msglib_proto::transport::ConnectionId;
use std::collections::{BTreeSet, VecDeque};

/// The most reads of draining connections in one poll, all of them together.
pub(crate) const READS_PER_POLL: usize = 64;
/// The bytes that one read throws away at most.
const WASTE: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Drains {
    /// The first to give up comes first.
    deadlines: BTreeSet<(Instant, ConnectionId)>,
    /// Those that may have input. May hold ids that are gone.
    unread: VecDeque<ConnectionId>,
    /// Empty until the first drain.
    waste: Vec<u8>,
}

impl Drains {
    pub(crate) fn add(&mut self, id: ConnectionId, deadline: Instant) {
        self.deadlines.insert((deadline, id));
        self.unread.push_back(id);
    }

    pub(crate) fn remove(&mut self, id: ConnectionId, deadline: Instant) {
        self.deadlines.remove(&(deadline, id));
    }

    pub(crate) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// When there is something to do; [`Instant::ZERO`] is now.
    pub(crate) fn due(&self) -> Option<Instant> {
        if !self.unread.is_empty() {
            return Some(Instant::ZERO);
        }
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// `id` has input: it gets its turn after those who wait already.
    pub(crate) fn push_unread(&mut self, id: ConnectionId) {
        self.unread.push_back(id);
    }

    /// The next to read from, and where to.
    pub(crate) fn next_unread(&mut self) -> Option<(ConnectionId, &mut [u8])> {
        let id = self.unread.pop_front()?;
        Some((id, self.waste()))
    }

    /// Where input goes to be forgotten.
    pub(crate) fn waste(&mut self) -> &mut [u8] {
        self.waste.resize(WASTE, 0);
        &mut self.waste
    }

    /// One whose deadline has come; the caller must [`remove`](Self::remove) it.
    pub(crate) fn first_expired(&self, now: Instant) -> Option<ConnectionId> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|(_, id)| *id)
    }
}
