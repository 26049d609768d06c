//! Queues that nobody uses: they make room when there are too many, and are forgotten after a while.

use super::queues::QueueIndex;
use crate::owners::OwnerKey;
use msglib_proto::Instant;
use std::collections::BTreeSet;

/// In the order in which they came out of use.
#[derive(Debug, Default)]
pub(super) struct Unused {
    all: BTreeSet<(Instant, QueueIndex)>,
    /// The same, of each owner apart.
    of_owners: BTreeSet<(OwnerKey, Instant, QueueIndex)>,
}

impl Unused {
    pub(super) fn insert(&mut self, since: Instant, index: QueueIndex, owner: Option<OwnerKey>) {
        self.all.insert((since, index));
        self.of_owners.extend(owner.map(|owner| (owner, since, index)));
    }

    pub(super) fn remove(&mut self, since: Instant, index: QueueIndex, owner: Option<OwnerKey>) {
        self.all.remove(&(since, index));
        if let Some(owner) = owner {
            self.of_owners.remove(&(owner, since, index));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The one that nobody has used for longest, and since when.
    pub(super) fn first(&self) -> Option<(Instant, QueueIndex)> {
        self.all.first().copied()
    }

    /// The same, of those that somebody has.
    pub(super) fn first_of(&self, owner: OwnerKey) -> Option<QueueIndex> {
        let from = (owner, Instant::ZERO, QueueIndex::FIRST);
        self.of_owners.range(from..).next().filter(|(of, ..)| *of == owner).map(|(.., index)| *index)
    }
}
