//! The connections of a core, by the index of their id.

use super::connection::Connection;
use crate::dialect::Dialect;
use msglib_proto::transport::ConnectionId;

/// A table whose slots are the transport's: an id finds its connection by an index, and a stale one finds nothing.
pub(crate) struct Connections<D: Dialect> {
    slots: Vec<Option<Connection<D>>>,
    len: usize,
}

impl<D: Dialect> Connections<D> {
    pub(crate) const fn new() -> Self {
        Connections { slots: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whoever has the slot, by that id or by an earlier one.
    pub(crate) fn in_slot(&self, id: ConnectionId) -> Option<&Connection<D>> {
        self.slots.get(id.index())?.as_ref()
    }

    #[inline]
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Connection<D>> {
        self.slots.get(id.index())?.as_ref().filter(|connection| connection.id == id)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection<D>> {
        self.slots.get_mut(id.index())?.as_mut().filter(|connection| connection.id == id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Connection<D>> {
        self.slots.iter().flatten()
    }

    pub(crate) fn insert(&mut self, connection: Connection<D>) {
        let index = connection.id.index();
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        if self.slots[index].replace(connection).is_none() {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) {
        if self.get(id).is_some() {
            self.slots[id.index()] = None;
            self.len -= 1;
        }
    }
}
