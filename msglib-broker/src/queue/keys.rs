//! The keys of a queue's messages, each kept once.

use core::num::NonZeroU32;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names one key as long as a message of the queue has it; then the number can come back for another key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId(NonZeroU32);

impl KeyId {
    /// Small numbers, so that a table by key can be a `Vec`: below the number of keys that were there at once.
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// By bytes in an ordered map: nobody can choose keys that collide, and no secret is needed for that.
#[derive(Debug, Default)]
pub(super) struct Keys {
    ids: BTreeMap<Arc<[u8]>, KeyId>,
    keys: Vec<Key>,
    free: Vec<KeyId>,
}

#[derive(Debug)]
struct Key {
    bytes: Arc<[u8]>,
    /// How many messages have it.
    messages: u32,
}

impl Keys {
    pub(super) const fn new() -> Keys {
        Keys { ids: BTreeMap::new(), keys: Vec::new(), free: Vec::new() }
    }

    pub(super) fn get(&self, id: KeyId) -> &[u8] {
        self.keys.get(id.index()).map_or(&[], |key| &key.bytes)
    }

    pub(super) fn share(&self, id: KeyId) -> Arc<[u8]> {
        self.keys.get(id.index()).map(|key| Arc::clone(&key.bytes)).unwrap_or_default()
    }

    /// The key with these bytes, if a message has it.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<KeyId> {
        self.ids.get(bytes).copied()
    }

    /// One message more has this key.
    pub(super) fn take(&mut self, bytes: &[u8]) -> KeyId {
        if let Some(id) = self.ids.get(bytes) {
            self.keys[id.index()].messages += 1;
            return *id;
        }
        let bytes: Arc<[u8]> = Arc::from(bytes);
        let key = Key { bytes: Arc::clone(&bytes), messages: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.keys[id.index()] = key;
                id
            }
            None => {
                self.keys.push(key);
                // As many keys as messages at most, and these are numbered with 32 bits.
                KeyId(NonZeroU32::MIN.saturating_add(self.keys.len() as u32 - 1))
            }
        };
        self.ids.insert(bytes, id);
        id
    }

    /// One message less has it.
    pub(super) fn give(&mut self, id: KeyId) {
        let key = &mut self.keys[id.index()];
        key.messages -= 1;
        if key.messages == 0 {
            self.ids.remove(&core::mem::take(&mut key.bytes));
            self.free.push(id);
        }
        // What a burst took goes back; a few are kept, so that one message after the other does not make all of it anew.
        if self.ids.is_empty() && self.keys.len() > 64 {
            *self = Keys::default();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_kept_once_and_forgotten_with_its_last_message() {
        let mut keys = Keys::default();
        let (a, b) = (keys.take(b"a"), keys.take(b"b"));
        assert_eq!((keys.take(b"a"), a.index(), b.index()), (a, 0, 1));
        keys.give(a);
        assert_eq!(keys.get(a), b"a", "one message still has it");
        keys.give(a);
        assert_eq!(keys.len(), 1);
        let c = keys.take(b"c");
        assert_eq!((c.index(), keys.get(c), keys.get(b)), (0, &b"c"[..], &b"b"[..]));
        keys.give(b);
        keys.give(c);
        assert_eq!(keys.len(), 0);
    }

    #[test]
    fn a_burst_of_keys_leaves_nothing_behind() {
        let mut keys = Keys::default();
        let ids: Vec<KeyId> = (0..1000_u32).map(|number| keys.take(&number.to_be_bytes())).collect();
        ids.into_iter().for_each(|id| keys.give(id));
        assert_eq!((keys.len(), keys.keys.capacity(), keys.free.capacity()), (0, 0, 0));
    }
}
