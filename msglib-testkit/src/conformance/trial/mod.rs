//! One run of one case: the manager as its most literal user drives it, and the peers, every call of both on record.
//!
//! The user relies on what the contract promises and on nothing else: it reads only what was reported, stops at a short
//! count, and writes again only after `Writable`. What must hold in every case (T1, T2, T4, T6, T8, T10, T12) is
//! checked with each call, so that no case has to.

mod peers;
mod user;

use super::log::{Counted, Entry, Log};
use super::{Fixture, RawPeer, Rule};
use core::fmt::Display;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{ConnectionId, ConnectionManager, Readiness};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};

/// How long one poll of a trial may wait.
const ROUND: Duration = Duration::from_millis(1);
/// What must happen has this many polls to do so, from the last byte that arrived anywhere …
const MAX_ROUNDS: usize = 10_000;
/// … and, on a clock that goes by itself, this much time.
const PATIENCE: Duration = Duration::from_secs(10);
/// However much arrives, a case does not wait for more polls than this.
const MAX_ROUNDS_IN_ALL: usize = 100 * MAX_ROUNDS;

/// A peer of the trial, by the order in which they connected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerKey(usize);

/// A connection with both of its ends.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerKey,
}

/// What the user remembers of a connection.
#[derive(Default)]
struct Known {
    /// Reported readable, and not read to `WouldBlock` or a short count since.
    readable: bool,
    /// Reported writable since the last `WouldBlock` or partial write.
    writable: bool,
    closed: bool,
}

pub(crate) struct Trial<'f, F: Fixture> {
    fixture: &'f mut F,
    rule: Rule,
    log: Log,
    peers: Vec<Option<F::Peer>>,
    known: BTreeMap<ConnectionId, Known>,
    /// Opened, and not yet asked for.
    opened: VecDeque<ConnectionId>,
    latest: Instant,
    /// Whether a byte has arrived at either end since somebody asked.
    arrived: bool,
}

/// Set-up and verdicts.
impl<'f, F: Fixture> Trial<'f, F> {
    pub(crate) fn new(fixture: &'f mut F, rule: Rule) -> Trial<'f, F> {
        let latest = fixture.manager().now();
        Trial {
            fixture,
            rule,
            log: Log::default(),
            peers: Vec::new(),
            known: BTreeMap::new(),
            opened: VecDeque::new(),
            latest,
            arrived: false,
        }
    }

    /// Fails the case by the rule that it is about.
    #[track_caller]
    pub(crate) fn fail(&self, expected: impl Display, seen: impl Display) -> ! {
        self.fail_by(self.rule, expected, seen)
    }

    #[track_caller]
    pub(crate) fn fail_by(&self, rule: Rule, expected: impl Display, seen: impl Display) -> ! {
        panic!(
            "{rule} is broken: {}\n  expected: {expected}\n  seen:     {seen}\n  the last calls:\n{}",
            rule.text(),
            self.log
        )
    }

    /// Fails the case unless `holds`.
    #[track_caller]
    pub(crate) fn check(&self, holds: bool, expected: impl Display, seen: impl Display) {
        if !holds {
            self.fail(expected, seen);
        }
    }

    pub(crate) fn manager(&mut self) -> &mut F::Manager {
        self.fixture.manager()
    }

    /// A peer that the manager has not been polled for yet.
    pub(crate) fn connect(&mut self) -> PeerKey {
        let peer = PeerKey(self.peers.len());
        self.peers.push(Some(self.fixture.connect()));
        self.log.push(Entry::PeerConnected { peer: peer.0 });
        peer
    }

    /// A peer that may be refused, after the manager has said that it takes nobody new (T17).
    pub(crate) fn try_connect(&mut self) -> Option<PeerKey> {
        let Some(peer) = self.fixture.try_connect() else {
            self.log.push(Entry::PeerRefused);
            return None;
        };
        let key = PeerKey(self.peers.len());
        self.peers.push(Some(peer));
        self.log.push(Entry::PeerConnected { peer: key.0 });
        Some(key)
    }

    /// A connection that has opened and was not asked for yet.
    pub(crate) fn opened(&mut self) -> Option<ConnectionId> {
        self.opened.pop_front()
    }

    /// Polls until a connection has opened that was not asked for yet.
    #[track_caller]
    pub(crate) fn accept(&mut self) -> ConnectionId {
        self.until_by(Rule::T1, "a connection opens", |trial| trial.opened.pop_front())
    }

    /// A connection and its peer. Only while no other peer waits to be accepted.
    #[track_caller]
    pub(crate) fn open(&mut self) -> Link {
        let peer = self.connect();
        let id = self.accept();
        Link { id, peer }
    }
}

/// Time and reports.
impl<F: Fixture> Trial<'_, F> {
    /// The manager's time (T12).
    #[track_caller]
    pub(crate) fn now(&mut self) -> Instant {
        let now = self.fixture.manager().now();
        if now < self.latest {
            self.fail_by(Rule::T12, format_args!("now() at or after {:?}", self.latest), format_args!("{now:?}"));
        }
        self.latest = now;
        now
    }

    /// One poll; what it reports is remembered, and checked (T1, T2, T8, T10).
    #[track_caller]
    pub(crate) fn poll(&mut self, timeout: Option<Duration>) {
        for peer in self.peers.iter_mut().flatten() {
            peer.drive();
        }
        // `poll` appends: what was there before must stay.
        let marker = Readiness::Readable(ConnectionId::new(u32::MAX, u32::MAX));
        let mut ready = vec![marker.clone()];
        let outcome = self.fixture.manager().poll(&mut ready, timeout);
        if ready.first() != Some(&marker) {
            self.fail_by(Rule::T3, "poll to append to `ready`", "what was in `ready` before is gone");
        }
        ready.remove(0);
        let recorded = outcome.as_ref().map(|()| ready.clone()).map_err(io::Error::kind);
        self.log.push(Entry::Poll { timeout, outcome: recorded });
        if let Err(error) = outcome {
            self.fail_by(Rule::T10, "poll to succeed", format_args!("poll failed: {error}"));
        }
        for report in ready {
            self.observe(&report);
        }
        self.now();
    }

    #[track_caller]
    fn observe(&mut self, report: &Readiness) {
        let id = report.id();
        let known = self.known.get_mut(&id);
        match (report, known) {
            (Readiness::Opened(..), None) => {
                self.known.insert(id, Known { writable: true, ..Known::default() });
                self.opened.push_back(id);
            }
            (Readiness::Opened(..), Some(known)) if known.closed => {
                self.fail_by(Rule::T2, "an id of its own for each connection", format_args!("{id} once more"))
            }
            (Readiness::Opened(..), Some(_)) => {
                self.fail_by(Rule::T1, "one Opened for each connection", format_args!("a second one for {id}"))
            }
            (_, None) => self.fail_by(Rule::T1, "Opened first", format_args!("{report:?}, and {id} was never opened")),
            (_, Some(known)) if known.closed => {
                self.fail_by(Rule::T8, format_args!("nothing about {id}, which is closed"), format_args!("{report:?}"))
            }
            (Readiness::Readable(_), Some(known)) => known.readable = true,
            (Readiness::Writable(_), Some(known)) => known.writable = true,
        }
    }

    /// One poll that waits a little.
    #[track_caller]
    pub(crate) fn round(&mut self) {
        self.poll(Some(ROUND));
    }

    /// So many of them; for what must not happen.
    #[track_caller]
    pub(crate) fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            self.round();
        }
    }

    /// Polls until `done` has an answer, which must come in bounded time.
    #[track_caller]
    pub(crate) fn until<T>(&mut self, expected: &str, done: impl FnMut(&mut Self) -> Option<T>) -> T {
        self.until_by(self.rule, expected, done)
    }

    #[track_caller]
    fn until_by<T>(&mut self, rule: Rule, expected: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let mut since = self.now();
        let mut rounds = 0;
        for _ in 0..MAX_ROUNDS_IN_ALL {
            if let Some(answer) = done(self) {
                return answer;
            }
            let now = self.now();
            if core::mem::take(&mut self.arrived) {
                (since, rounds) = (now, 0);
            }
            if rounds == MAX_ROUNDS || now - since >= PATIENCE {
                break;
            }
            rounds += 1;
            self.round();
        }
        let waited = self.now() - since;
        self.fail_by(rule, expected, format_args!("nothing of it, or no more, in {rounds} polls and {waited:?}"))
    }

    /// Lets `time` go by on the manager's clock, polling.
    #[track_caller]
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now() + time;
        // So many that a poll that returns early for each spurious report is no trouble.
        for _ in 0..MAX_ROUNDS_IN_ALL {
            let left = end - self.now();
            if left.is_zero() {
                return;
            }
            self.fixture.advance(left);
            self.log.push(Entry::Advance(left));
            self.round();
        }
        self.fail_by(
            Rule::T12,
            format_args!("{time:?} to go by, moved by Fixture::advance or by itself"),
            "a clock that stands still",
        )
    }

    /// Forgets that `id` was reported readable, as a user does who has stopped reading for reasons of their own.
    pub(crate) fn forget_readable(&mut self, id: ConnectionId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.readable = false;
        }
    }

    /// Whether `read` is worth a try, as far as the user was told.
    pub(crate) fn is_readable(&self, id: ConnectionId) -> bool {
        self.known.get(&id).is_some_and(|known| known.readable)
    }

    /// Whether `write` is worth a try, as far as the user was told.
    pub(crate) fn is_writable(&self, id: ConnectionId) -> bool {
        self.known.get(&id).is_some_and(|known| known.writable)
    }

    /// Polls until `id` is reported readable.
    #[track_caller]
    pub(crate) fn await_readable(&mut self, id: ConnectionId) {
        self.until(&format!("a report that {id} is readable"), |trial| trial.is_readable(id).then_some(()));
    }
}

/// Tries an interrupted call again, as everybody must (T14), but not for ever.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> Result<usize, ErrorKind> {
    for _ in 0..100 {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.map_err(|error| error.kind()),
        }
    }
    Err(ErrorKind::Interrupted)
}

/// For messages: what came of a call.
pub(crate) fn shown(outcome: &Result<usize, ErrorKind>) -> impl Display + '_ {
    Counted(outcome)
}

/// `len` bytes that differ for each `seed`, and in which no part repeats.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 8);
    let mut state = seed;
    while bytes.len() < len {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
