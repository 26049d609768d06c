//! Somebody who answers requests, and what they have in hand.

use crate::table::Key;
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) struct Responder<K> {
    pub(super) key: K,
    /// The last tag that it has allowed.
    pub(super) allowed: u64,
    pub(super) in_hand: InHand,
    /// There is no room on the way to it.
    pub(super) is_blocked: bool,
    /// It is in the order of turns.
    pub(super) is_listed: bool,
}

impl<K> Responder<K> {
    pub(super) fn new(key: K) -> Responder<K> {
        Responder { key, allowed: 0, in_hand: InHand::default(), is_blocked: false, is_listed: false }
    }

    /// Whether it can take a request now.
    pub(super) fn has_room(&self, max_in_hand: usize) -> bool {
        !self.is_blocked && self.allowed > self.in_hand.last_tag() && self.in_hand.slots.len() < max_in_hand
    }
}

/// Requests by their tags, which are dense, so that a look-up is an index.
#[derive(Debug, Default)]
pub(super) struct InHand {
    /// The tags before the first slot.
    before: u64,
    slots: VecDeque<Option<Key>>,
}

impl InHand {
    pub(super) fn last_tag(&self) -> u64 {
        self.before + self.slots.len() as u64
    }

    /// Hands over a request with the next tag, and returns that.
    pub(super) fn push(&mut self, request: Key) -> u64 {
        self.slots.push_back(Some(request));
        self.last_tag()
    }

    /// Takes a request out.
    pub(super) fn take(&mut self, tag: u64) -> Option<Key> {
        let index = usize::try_from(tag.checked_sub(self.before + 1)?).ok()?;
        let request = self.slots.get_mut(index)?.take();
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.before += 1;
        }
        request
    }

    pub(super) fn into_requests(self) -> impl Iterator<Item = Key> {
        self.slots.into_iter().flatten()
    }
}
