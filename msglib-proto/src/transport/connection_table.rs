//! A table of connections whose ids are never used twice (rule T2).

use super::ConnectionId;
use std::collections::VecDeque;

/// Values by [`ConnectionId`]: a slab whose slots carry a generation.
///
/// Insertion, look-up and removal take constant time. A slot whose generations are used up (after 2³² connections) is
/// never taken again, so that no id comes back. The slot that was freed longest ago is taken first, so that an
/// id that somebody has kept by mistake stays invalid for long.
///
/// ```
/// use msglib_proto::transport::ConnectionTable;
///
/// let mut table = ConnectionTable::new();
/// let a = table.insert("a");
/// assert_eq!(table.remove(a), Some("a"));
/// let b = table.insert("b");
/// assert_ne!(a, b);
/// assert_eq!(table.get(a), None, "an old id finds nothing");
/// assert_eq!(table.get(b), Some(&"b"));
/// ```
#[derive(Debug)]
pub struct ConnectionTable<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> ConnectionTable<T> {
    /// An empty table; allocates nothing.
    pub const fn new() -> ConnectionTable<T> {
        ConnectionTable { slots: Vec::new(), free: VecDeque::new(), len: 0 }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The id that the next [`insert`](Self::insert) will return.
    pub fn next_id(&self) -> ConnectionId {
        match self.free.front() {
            Some(&index) => ConnectionId::new(index, self.slots[index as usize].generation),
            None => ConnectionId::new(self.fresh_index(), 0),
        }
    }

    /// Takes a slot for `value`.
    ///
    /// # Panics
    ///
    /// When 2³² slots are in use, which no machine has the memory for.
    pub fn insert(&mut self, value: T) -> ConnectionId {
        let id = self.next_id();
        self.len += 1;
        match self.free.pop_front() {
            Some(index) => self.slots[index as usize].value = Some(value),
            None => self.slots.push(Slot { generation: 0, value: Some(value) }),
        }
        id
    }

    /// The value of `id`, if it is still there.
    pub fn get(&self, id: ConnectionId) -> Option<&T> {
        let slot = self.slots.get(id.index())?;
        if slot.generation == id.generation() { slot.value.as_ref() } else { None }
    }

    /// The value of `id`, if it is still there.
    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation == id.generation() { slot.value.as_mut() } else { None }
    }

    /// Takes the value of `id` out; the id is invalid from here on.
    pub fn remove(&mut self, id: ConnectionId) -> Option<T> {
        let slot = self.slots.get_mut(id.index())?;
        if slot.generation != id.generation() {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push_back(id.index);
        }
        Some(value)
    }

    /// Every value with its id, in the order of the slots: the same each time.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((ConnectionId::new(index as u32, slot.generation), value))
        })
    }

    /// Every value with its id, in the order of the slots.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            let id = ConnectionId::new(index as u32, slot.generation);
            Some((id, slot.value.as_mut()?))
        })
    }

    fn fresh_index(&self) -> u32 {
        u32::try_from(self.slots.len()).expect("2^32 connections at once")
    }
}

impl<T> Default for ConnectionTable<T> {
    fn default() -> ConnectionTable<T> {
        ConnectionTable::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_never_used_again() {
        let mut table = ConnectionTable::new();
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..100 {
            let a = table.insert(round);
            let b = table.insert(round + 1000);
            assert!(seen.insert(a), "{a} came back");
            assert!(seen.insert(b), "{b} came back");
            assert_eq!(table.remove(a), Some(round));
            assert_eq!(table.remove(a), None);
            assert_eq!(table.get(a), None);
            assert_eq!(table.get_mut(b).copied(), Some(round + 1000));
            assert_eq!(table.remove(b), Some(round + 1000));
        }
        assert!(table.is_empty());
        assert_eq!(table.slots.len(), 2, "slots are taken again");
    }

    #[test]
    fn a_slot_without_generations_left_is_retired() {
        let mut table = ConnectionTable::new();
        let first = table.insert(1);
        table.remove(first);
        table.slots[0].generation = u32::MAX;
        let last = table.insert(2);
        assert_eq!((last.index(), last.generation()), (0, u32::MAX));
        assert_eq!(table.remove(last), Some(2));
        assert_eq!(table.remove(last), None);
        assert_eq!(table.get(last), None);
        let next = table.insert(3);
        assert_eq!((next.index(), next.generation()), (1, 0), "a new slot instead");
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn iteration_follows_the_slots() {
        let mut table = ConnectionTable::new();
        let ids: Vec<ConnectionId> = (0..4).map(|n| table.insert(n)).collect();
        table.remove(ids[1]);
        for (_, value) in table.iter_mut() {
            *value *= 10;
        }
        let seen: Vec<(ConnectionId, i32)> = table.iter().map(|(id, value)| (id, *value)).collect();
        assert_eq!(seen, [(ids[0], 0), (ids[2], 20), (ids[3], 30)]);
    }

    #[test]
    fn next_id_foretells_insert() {
        let mut table = ConnectionTable::default();
        for round in 0..10 {
            let foretold = table.next_id();
            let id = table.insert(round);
            assert_eq!(id, foretold);
            if round % 2 == 0 {
                table.remove(id);
            }
        }
    }
}
