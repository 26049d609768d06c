//! When requests are over, at the latest.

use crate::table::{Key, Table};
use core::cmp::Reverse;
use msglib_proto::Instant;
use std::collections::BinaryHeap;

/// A heap from which nothing is taken before its time: most requests are over long before, and to leave their entries costs nothing but
/// the room. To add one takes constant time where all wait about as long.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    /// In the order in which they were added where the time is the same.
    heap: BinaryHeap<Reverse<(Instant, u64, Key)>>,
    added: u64,
}

impl Deadlines {
    pub(super) fn add<T>(&mut self, at: Instant, request: Key, pending: &Table<T>) {
        const FEW: usize = 64;
        if self.heap.len() >= FEW + 2 * pending.len() {
            self.heap.retain(|Reverse((_, _, key))| pending.get(*key).is_some());
        }
        self.added += 1;
        self.heap.push(Reverse((at, self.added, request)));
    }

    /// The next one, of those that are still pending.
    pub(super) fn next<T>(&mut self, pending: &Table<T>) -> Option<Instant> {
        while let Some(Reverse((at, _, key))) = self.heap.peek() {
            if pending.get(*key).is_some() {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the next one that is due, of those that are still pending.
    pub(super) fn pop<T>(&mut self, now: Instant, pending: &Table<T>) -> Option<Key> {
        let at = self.next(pending)?;
        if at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, key))| key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}
