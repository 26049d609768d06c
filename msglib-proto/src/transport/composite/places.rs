//! Which connection of which member an id stands for, and back.

use super::super::ConnectionId;

/// Each slot of each member has one slot of the composite for good, taken when the member first names it. So the
/// composite's indexes are dense, and its ids, which have the members' generations, are as unique as theirs (T2).
#[derive(Debug)]
pub(super) struct Places {
    /// By the composite's index.
    places: Vec<Place>,
    /// By the member, and the index there: the composite's index.
    indexes: Vec<Vec<Option<u32>>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    member: usize,
    index: u32,
}

impl Places {
    pub(super) fn new(members: usize) -> Places {
        Places { places: Vec::new(), indexes: vec![Vec::new(); members] }
    }

    /// The composite's id for a member's.
    pub(super) fn outer(&mut self, member: usize, inner: ConnectionId) -> ConnectionId {
        let indexes = &mut self.indexes[member];
        if indexes.len() <= inner.index() {
            indexes.resize(inner.index() + 1, None);
        }
        let index = *indexes[inner.index()].get_or_insert_with(|| {
            self.places.push(Place { member, index: inner.index });
            // Members together have no more connections than fit into memory, and so into a u32.
            (self.places.len() - 1) as u32
        });
        ConnectionId::new(index, inner.generation())
    }

    /// The member and its id for one of the composite's; `None` if no member has named the slot yet.
    pub(super) fn inner(&self, outer: ConnectionId) -> Option<(usize, ConnectionId)> {
        let Place { member, index } = *self.places.get(outer.index())?;
        Some((member, ConnectionId::new(index, outer.generation())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_there_and_back_dense_and_with_their_generations() {
        let mut places = Places::new(2);
        let inner = [(1, (7, 0)), (0, (0, 0)), (1, (7, 1)), (1, (0, 3)), (0, (0, 9))];
        let outer = inner.map(|(member, (index, generation))| {
            let id = ConnectionId::new(index, generation);
            let outer = places.outer(member, id);
            assert_eq!(places.inner(outer), Some((member, id)));
            (outer.index(), outer.generation())
        });
        assert_eq!(outer, [(0, 0), (1, 0), (0, 1), (2, 3), (1, 9)]);
        assert_eq!(places.inner(ConnectionId::new(3, 0)), None);
    }
}
