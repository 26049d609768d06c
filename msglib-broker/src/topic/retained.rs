//! The last values of topics, and how far a subscription has come in them.

use super::name::{TopicFilter, TopicName};
use super::runs::{RunIndex, Runs};
use crate::owners::OwnerKey;
use crate::queue::Store;
use core::ops::Bound;
use std::collections::BTreeMap;

/// The last value of each topic that has one. Each holds its run.
#[derive(Debug, Default)]
pub(super) struct Retained {
    values: BTreeMap<Box<str>, Value>,
    bytes: usize,
    /// How often a value was kept.
    sequence: u64,
}

#[derive(Debug)]
struct Value {
    /// A run of one.
    run: RunIndex,
    /// When it was kept.
    sequence: u64,
    /// Who has kept the first one.
    owner: Option<OwnerKey>,
}

/// How far a subscription has come in the values that were there when it was opened. They are found one by one, in the order of their
/// names, as they can be delivered; so a subscription takes no memory for them, however many there are.
#[derive(Debug)]
pub(super) struct Cursor {
    at: Box<str>,
    /// Whether the one at `at` is still to come.
    includes: bool,
    /// What was kept later than this was delivered as it came.
    until: u64,
}

/// What a look at the next few values has found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Value(RunIndex),
    /// None yet.
    NotYet,
    /// There is none left.
    End,
}

/// Values that one look may examine.
pub(super) const LOOK: usize = 128;

impl Retained {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, name: TopicName<'_>) -> Option<RunIndex> {
        self.values.get(name.as_str()).map(|value| value.run)
    }

    /// Keeps the message of a run of one, which is held for it, instead of the one before, whose owner stays.
    pub(super) fn set(&mut self, runs: &mut Runs, store: &mut Store, run: RunIndex, owner: Option<OwnerKey>) {
        runs.hold(run);
        let new = runs.get(run);
        self.bytes += new.bytes;
        self.sequence += 1;
        let name = runs.topics.name(new.topic).as_str();
        let (sequence, name) = (self.sequence, Box::<str>::from(name));
        match self.values.get_mut(&name) {
            Some(there) => {
                let old = core::mem::replace(there, Value { run, sequence, owner: there.owner });
                self.let_go(runs, store, &old);
            }
            None => drop(self.values.insert(name, Value { run, sequence, owner })),
        }
    }

    /// Takes a value away; who has kept it.
    pub(super) fn remove(&mut self, runs: &mut Runs, store: &mut Store, name: TopicName<'_>) -> Option<OwnerKey> {
        let old = self.values.remove(name.as_str())?;
        self.let_go(runs, store, &old);
        old.owner
    }

    /// For a subscription that is opened now; `None` if there is nothing to deliver.
    pub(super) fn cursor(&self, filter: TopicFilter<'_>) -> Option<Cursor> {
        let at = filter.literal_start().into();
        (!self.values.is_empty()).then_some(Cursor { at, includes: true, until: self.sequence })
    }

    /// The next value for a subscription.
    pub(super) fn look(&self, cursor: &mut Cursor, filter: TopicFilter<'_>) -> Found {
        if let Some(name) = filter.as_name() {
            let value =
                self.values.get(name.as_str()).filter(|value| cursor.includes && value.sequence <= cursor.until);
            return value.map_or(Found::End, |value| Found::Value(value.run));
        }
        let start = if cursor.includes { Bound::Included(&*cursor.at) } else { Bound::Excluded(&*cursor.at) };
        for (examined, (name, value)) in self.values.range::<str, _>((start, Bound::Unbounded)).enumerate() {
            if !name.starts_with(filter.literal_start()) {
                return Found::End;
            }
            let is_meant = value.sequence <= cursor.until && filter.matches(TopicName::trusted(name));
            if is_meant {
                (cursor.at, cursor.includes) = (name.clone(), true);
                return Found::Value(value.run);
            }
            if examined + 1 == LOOK {
                (cursor.at, cursor.includes) = (name.clone(), false);
                return Found::NotYet;
            }
        }
        Found::End
    }

    pub(super) fn clear(&mut self, runs: &mut Runs, store: &mut Store) {
        for (_, old) in core::mem::take(&mut self.values) {
            self.let_go(runs, store, &old);
        }
    }

    fn let_go(&mut self, runs: &mut Runs, store: &mut Store, old: &Value) {
        self.bytes -= runs.get(old.run).bytes;
        runs.release(store, old.run);
    }
}

impl Cursor {
    /// The value that was found is delivered.
    pub(super) fn step(&mut self) {
        self.includes = false;
    }
}
