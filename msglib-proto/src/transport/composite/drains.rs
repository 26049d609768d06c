//! The drains that are under way, by the composite's clock.

use super::super::ConnectionId;
use crate::time::Instant;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// Drains with their deadlines. When one is over before, nobody says so, and it is forgotten at its deadline.
#[derive(Debug, Default)]
pub(super) struct Drains {
    due: BTreeSet<(Instant, ConnectionId)>,
    deadlines: BTreeMap<ConnectionId, Instant>,
}

impl Drains {
    /// The first drain of a connection counts, a second changes nothing (T8).
    pub(super) fn add(&mut self, id: ConnectionId, deadline: Instant) {
        if let Entry::Vacant(none) = self.deadlines.entry(id) {
            none.insert(deadline);
            self.due.insert((deadline, id));
        }
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        if let Some(deadline) = self.deadlines.remove(&id) {
            self.due.remove(&(deadline, id));
        }
    }

    /// The deadline that comes next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out one whose deadline has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<ConnectionId> {
        let &(deadline, id) = self.due.first()?;
        (deadline <= now).then(|| {
            self.remove(id);
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_drain_of_a_connection_counts_and_an_abort_ends_it() {
        let mut drains = Drains::default();
        let [a, b, c] = [0, 1, 2].map(|index| ConnectionId::new(index, 0));
        let at = Instant::from_nanos;
        drains.add(a, at(20));
        drains.add(b, at(10));
        drains.add(a, at(5));
        drains.add(c, at(1));
        drains.remove(c);
        assert_eq!(drains.next(), Some(at(10)));
        assert_eq!(drains.pop(at(9)), None);
        assert_eq!(drains.pop(at(10)), Some(b));
        assert_eq!(drains.pop(at(19)), None);
        assert_eq!(drains.pop(at(20)), Some(a));
        assert_eq!((drains.next(), drains.deadlines.len()), (None, 0));
    }
}
