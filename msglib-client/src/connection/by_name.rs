//! From the name of a channel to what belongs to it, without a copy of the name for each look-up.

use msglib_proto::{ChannelKind, ChannelName};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct ByName<T> {
    kinds: BTreeMap<ChannelKind, Names<T>>,
}

#[derive(Debug)]
struct Names<T> {
    ids: BTreeMap<u64, T>,
    texts: BTreeMap<Box<[u8]>, T>,
}

impl<T: Copy> ByName<T> {
    pub(super) fn get(&self, kind: ChannelKind, name: ChannelName<'_>) -> Option<T> {
        let names = self.kinds.get(&kind)?;
        let found = match name.as_id() {
            Some(id) => names.ids.get(&id),
            None => names.texts.get(name.as_bytes()?),
        };
        found.copied()
    }

    pub(super) fn insert(&mut self, kind: ChannelKind, name: ChannelName<'_>, value: T) {
        let names = self.kinds.entry(kind).or_default();
        if let Some(id) = name.as_id() {
            names.ids.insert(id, value);
        } else if let Some(text) = name.as_bytes() {
            names.texts.insert(text.into(), value);
        }
    }

    pub(super) fn remove(&mut self, kind: ChannelKind, name: ChannelName<'_>) {
        let Some(names) = self.kinds.get_mut(&kind) else { return };
        if let Some(id) = name.as_id() {
            names.ids.remove(&id);
        } else if let Some(text) = name.as_bytes() {
            names.texts.remove(text);
        }
    }
}

impl<T> Default for ByName<T> {
    fn default() -> ByName<T> {
        ByName { kinds: BTreeMap::new() }
    }
}

impl<T> Default for Names<T> {
    fn default() -> Names<T> {
        Names { ids: BTreeMap::new(), texts: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_ids_and_texts_are_apart() {
        let names = [
            (ChannelKind::QUEUE, ChannelName::id(1)),
            (ChannelKind::USER, ChannelName::id(1)),
            (ChannelKind::QUEUE, ChannelName::from("1")),
            (ChannelKind::USER, ChannelName::from("1")),
        ];
        let mut by_name = ByName::default();
        for (value, &(kind, name)) in names.iter().enumerate() {
            assert_eq!(by_name.get(kind, name), None);
            by_name.insert(kind, name, value);
        }
        for (value, &(kind, name)) in names.iter().enumerate() {
            assert_eq!(by_name.get(kind, name), Some(value));
            by_name.remove(kind, name);
            assert_eq!(by_name.get(kind, name), None);
        }
    }
}
