//! Things that wait for something, each until a deadline of its own.

use msglib_proto::Instant;
use msglib_proto::transport::ConnectionId;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct Waiting<T> {
    entries: BTreeMap<ConnectionId, (Instant, T)>,
    /// The first to give up comes first.
    deadlines: BTreeSet<(Instant, ConnectionId)>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Waiting<T> {
        Waiting { entries: BTreeMap::new(), deadlines: BTreeSet::new() }
    }
}

impl<T> Waiting<T> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, id: ConnectionId) -> bool {
        self.entries.contains_key(&id)
    }

    pub(crate) fn insert(&mut self, id: ConnectionId, until: Instant, value: T) {
        self.remove(id);
        self.entries.insert(id, (until, value));
        self.deadlines.insert((until, id));
    }

    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        self.entries.get_mut(&id).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<(Instant, T)> {
        let (until, value) = self.entries.remove(&id)?;
        self.deadlines.remove(&(until, id));
        Some((until, value))
    }

    /// When the first of them gives up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(until, _)| *until)
    }

    /// Takes out one whose deadline has come.
    pub(crate) fn pop_late(&mut self, now: Instant) -> Option<ConnectionId> {
        let (until, id) = *self.deadlines.first()?;
        if until > now {
            return None;
        }
        self.remove(id);
        Some(id)
    }
}
