//! Who has something to read, in the order of their turns.

use msglib_proto::transport::ConnectionId;
use std::collections::VecDeque;

/// Connections with input that was not taken yet, each once: under edge triggering nobody else remembers them (T5).
#[derive(Debug, Default)]
pub(super) struct Reading {
    turns: VecDeque<ConnectionId>,
    /// By slot: who of the slot's users is in `turns`.
    listed: Vec<Option<ConnectionId>>,
}

impl Reading {
    pub(super) fn len(&self) -> usize {
        self.turns.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Puts a connection at the end, unless it is there already.
    pub(super) fn push(&mut self, id: ConnectionId) {
        if self.listed.len() <= id.index() {
            self.listed.resize(id.index() + 1, None);
        }
        let slot = &mut self.listed[id.index()];
        if *slot != Some(id) {
            *slot = Some(id);
            self.turns.push_back(id);
        }
    }

    /// Takes the connection whose turn it is.
    pub(super) fn pop(&mut self) -> Option<ConnectionId> {
        let id = self.turns.pop_front()?;
        let slot = &mut self.listed[id.index()];
        if *slot == Some(id) {
            *slot = None;
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_listed_once_and_a_new_user_of_its_slot_beside_it() {
        let (old, new) = (ConnectionId::new(3, 0), ConnectionId::new(3, 1));
        let mut reading = Reading::default();
        reading.push(old);
        reading.push(old);
        reading.push(new);
        assert_eq!(reading.pop(), Some(old));
        reading.push(new);
        assert_eq!(reading.pop(), Some(new));
        assert_eq!(reading.pop(), None);
        assert!(reading.is_empty());
    }
}
