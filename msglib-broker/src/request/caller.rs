//! Somebody who makes requests, and the outcomes that wait for them.

use crate::queue::{Store, Stored};
use crate::table::Key;
use msglib_proto::{ErrorCode, Payload};
use std::collections::{BTreeSet, VecDeque};

/// How a request has ended. There is exactly one for each request whose caller stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A responder's reply.
    Reply(Payload<'a>),
    /// A responder's refusal.
    Refused {
        /// Its code.
        code: ErrorCode,
        /// Its words.
        text: &'a str,
    },
    /// There was no responder.
    NoResponder,
    /// The deadline came first.
    TimedOut,
    /// The responder went away before it answered. Whether it has done what was asked is not known.
    ResponderGone,
    /// There was a reply, and too many others waited for this caller.
    CallerTooSlow,
}

#[derive(Debug)]
pub(super) struct Caller<K> {
    pub(super) key: K,
    /// Its requests that have no outcome.
    pub(super) pending: BTreeSet<Key>,
    outbox: VecDeque<Kept>,
    /// Bytes that the replies in it take.
    bytes: usize,
    /// There is no room on the way to it.
    pub(super) is_blocked: bool,
    /// It is in the list of those with an outcome.
    pub(super) is_listed: bool,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    outcome: KeptOutcome,
}

/// An outcome whose bytes are in the store.
#[derive(Debug)]
pub(super) enum KeptOutcome {
    Reply(Stored),
    Refused(ErrorCode, Stored),
    NoResponder,
    TimedOut,
    ResponderGone,
    CallerTooSlow,
}

impl<K> Caller<K> {
    pub(super) fn new(key: K) -> Caller<K> {
        let (pending, outbox) = (BTreeSet::new(), VecDeque::new());
        Caller { key, pending, outbox, bytes: 0, is_blocked: false, is_listed: false }
    }

    pub(super) fn can_be_told(&self) -> bool {
        !self.is_blocked && !self.outbox.is_empty()
    }

    /// Whether a reply may wait here.
    pub(super) fn has_room(&self, size: usize, max: usize) -> bool {
        self.bytes == 0 || self.bytes + size <= max
    }

    /// Returns what it counts for.
    pub(super) fn put(&mut self, number: u64, outcome: KeptOutcome) -> usize {
        let size = outcome.size();
        self.bytes += size;
        self.outbox.push_back(Kept { number, outcome });
        size
    }

    pub(super) fn front<'s>(&self, store: &'s Store) -> Option<(u64, Outcome<'s>)> {
        self.outbox.front().map(|kept| (kept.number, kept.outcome.get(store)))
    }

    /// The front is told. Returns what it counted for.
    pub(super) fn pop(&mut self, store: &mut Store) -> usize {
        let Some(kept) = self.outbox.pop_front() else { return 0 };
        let size = kept.outcome.size();
        self.bytes -= size;
        kept.outcome.remove(store);
        size
    }

    /// Lets go of all that waits, and returns how many that were, and what they counted for.
    pub(super) fn clear(self, store: &mut Store) -> (usize, usize) {
        let count = self.outbox.len();
        self.outbox.into_iter().for_each(|kept| kept.outcome.remove(store));
        (count, self.bytes)
    }
}

impl KeptOutcome {
    fn size(&self) -> usize {
        match self {
            KeptOutcome::Reply(stored) | KeptOutcome::Refused(_, stored) => stored.len() + super::OVERHEAD,
            _ => 0,
        }
    }

    fn get<'s>(&self, store: &'s Store) -> Outcome<'s> {
        match self {
            KeptOutcome::Reply(stored) => Outcome::Reply(store.get(stored)),
            KeptOutcome::Refused(code, stored) => {
                // It was text when it was put there.
                let text = core::str::from_utf8(store.get(stored).as_slice()).unwrap_or("");
                Outcome::Refused { code: *code, text }
            }
            KeptOutcome::NoResponder => Outcome::NoResponder,
            KeptOutcome::TimedOut => Outcome::TimedOut,
            KeptOutcome::ResponderGone => Outcome::ResponderGone,
            KeptOutcome::CallerTooSlow => Outcome::CallerTooSlow,
        }
    }

    pub(super) fn remove(self, store: &mut Store) {
        if let KeptOutcome::Reply(stored) | KeptOutcome::Refused(_, stored) = self {
            store.remove(stored);
        }
    }
}
