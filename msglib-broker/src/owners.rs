//! Who has how many of something, where one identity may have only so many of it.

use crate::table::{Key, Table};
use std::collections::BTreeMap;

/// Names one who has something, for as long as that is so.
pub(crate) type OwnerKey = Key;

/// For whom something is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who<'a> {
    /// The program itself, which has no limit but those for all.
    Host,
    /// A client, by the name of its identity. Those without one count as one, whose name is empty: to have no identity is no way around
    /// the limit.
    Client(&'a str),
    /// Whoever has that from which it comes. It counts for them, and is not refused.
    Heir(Option<OwnerKey>),
}

/// Counts, unless there is no limit.
#[derive(Debug)]
pub(crate) struct Owners {
    /// How many one may have.
    most: usize,
    table: Table<Owner>,
    /// Ordered, not hashed: nobody can choose names that make it slow.
    keys: BTreeMap<Box<str>, OwnerKey>,
}

#[derive(Debug)]
struct Owner {
    name: Box<str>,
    has: usize,
}

impl Owners {
    pub(crate) fn new(most: usize) -> Owners {
        Owners { most, table: Table::new(), keys: BTreeMap::new() }
    }

    /// Those among them who have something already.
    pub(crate) fn find(&self, who: Who<'_>) -> Option<OwnerKey> {
        match who {
            Who::Client(name) => self.keys.get(name).copied(),
            Who::Heir(owner) => owner,
            Who::Host => None,
        }
    }

    /// Whether they have as many as they may.
    pub(crate) fn is_full(&self, who: Who<'_>) -> bool {
        let has = || self.find(who).and_then(|owner| self.table.get(owner)).map_or(0, |owner| owner.has);
        matches!(who, Who::Client(_)) && self.most < usize::MAX && has() >= self.most
    }

    /// One more; whose it is, to be given back with [`leave`](Owners::leave).
    pub(crate) fn enter(&mut self, who: Who<'_>) -> Option<OwnerKey> {
        if self.most == usize::MAX {
            return None;
        }
        let key = match (self.find(who), who) {
            (None, Who::Client(name)) => {
                let key = self.table.insert(Owner { name: name.into(), has: 0 });
                self.keys.insert(name.into(), key);
                key
            }
            (found, _) => found?,
        };
        self.table.get_mut(key)?.has += 1;
        Some(key)
    }

    /// One less.
    pub(crate) fn leave(&mut self, key: OwnerKey) {
        let Some(owner) = self.table.get_mut(key) else { return };
        owner.has -= 1;
        if owner.has == 0
            && let Some(owner) = self.table.remove(key)
        {
            self.keys.remove(&owner.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_as_many_as_they_may_and_who_has_nothing_is_forgotten() {
        let mut owners = Owners::new(2);
        let (alice, bob) = (Who::Client("alice"), Who::Client("bob"));
        let first = owners.enter(alice).unwrap();
        assert!(!owners.is_full(alice));
        assert_eq!(owners.enter(alice), Some(first));
        assert!(owners.is_full(alice) && !owners.is_full(bob) && !owners.is_full(Who::Host));
        assert!(!owners.is_full(Who::Heir(Some(first))), "what comes from theirs is not refused");
        assert_eq!(owners.enter(Who::Heir(Some(first))), Some(first));
        owners.leave(first);
        assert!(owners.is_full(alice), "and counts");
        owners.leave(first);
        assert!(!owners.is_full(alice));
        owners.leave(first);
        assert_eq!((owners.table.len(), owners.keys.len()), (0, 0));
        assert_eq!((owners.enter(Who::Host), owners.enter(Who::Heir(None))), (None, None));
    }

    #[test]
    fn without_a_limit_nobody_is_remembered_and_with_none_at_all_nobody_has_room() {
        let mut owners = Owners::new(usize::MAX);
        assert_eq!(owners.enter(Who::Client("alice")), None);
        assert_eq!(owners.keys.len(), 0);
        assert!(Owners::new(0).is_full(Who::Client("alice")));
    }
}
