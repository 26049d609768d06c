//! The abuse suite catches what it is there for: under each broken manager every case fails but the few that have nothing to
//! do with what is broken, and under the honest one none.

use core::time::Duration;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use msglib_testkit::abuse::cases;
use msglib_testkit::conformance::{Fixture, RawPeer};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Nothing is wrong.
const HONEST: u8 = 0;
/// What attackers send gets lost, as if the broker ignored it.
const DEAF: u8 = 1;
/// What the broker says to attackers gets lost.
const MUTE: u8 = 2;
/// The connections of attackers do not end.
const CLINGING: u8 = 3;
/// They end at once, and their last words are lost.
const ABRUPT: u8 = 4;
/// Once there is an attacker, the witnesses are not listened to.
const STARVING: u8 = 5;
/// Once there is an attacker, the consumer loses something that it was sent.
const LEAKING: u8 = 6;

struct Meddler<const HOW: u8> {
    inner: InMemoryConnectionManager,
    /// There is, or was, an attacker.
    is_attacked: bool,
    has_leaked: bool,
}

/// The witnesses come first, and stay.
fn is_attacker(id: ConnectionId) -> bool {
    id.index() >= 2
}

impl<const HOW: u8> ConnectionManager for Meddler<HOW> {
    fn now(&self) -> Instant {
        self.inner.now()
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.poll(ready, timeout)?;
        self.is_attacked |= ready.iter().any(|report| is_attacker(report.id()));
        Ok(())
    }
    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        if HOW == STARVING && self.is_attacked && !is_attacker(id) {
            return Err(ErrorKind::WouldBlock.into());
        }
        match self.inner.read(id, buf) {
            Ok(1..) if HOW == DEAF && is_attacker(id) => Err(ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let leaks = HOW == LEAKING && self.is_attacked && !self.has_leaked && id.index() == 1;
        self.has_leaked |= leaks;
        if leaks || HOW == MUTE && is_attacker(id) {
            return Ok(bufs.iter().map(|buf| buf.len()).sum());
        }
        self.inner.write(id, bufs)
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        match HOW {
            CLINGING => {}
            ABRUPT => self.inner.close(id, Close::Abort),
            _ => self.inner.close(id, how),
        }
    }
    fn draining(&self) -> usize {
        self.inner.draining()
    }
    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }
    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

struct Meddled<const HOW: u8> {
    transport: Transport,
    manager: Meddler<HOW>,
}

impl<const HOW: u8> Fixture for Meddled<HOW> {
    type Manager = Meddler<HOW>;
    type Peer = Peer;

    fn new() -> Meddled<HOW> {
        let transport = Transport::new();
        let inner = InMemoryConnectionManager::new(&transport, "broker").expect("nobody else is bound");
        Meddled { transport, manager: Meddler { inner, is_attacked: false, has_leaked: false } }
    }
    fn manager(&mut self) -> &mut Meddler<HOW> {
        &mut self.manager
    }
    fn connect(&mut self) -> Peer {
        Peer(self.transport.connect("broker").expect("the manager listens"))
    }
    fn advance(&mut self, by: Duration) {
        self.transport.clock().advance(by);
    }
}

struct Peer(MemoryStream);

impl RawPeer for Peer {
    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown_write();
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.0.reset();
        Ok(())
    }
}

/// Calls each case with a fixture that meddles so; the names of those that pass.
fn passing<const HOW: u8>() -> BTreeSet<&'static str> {
    macro_rules! run {
        ([] $($case:ident)+) => {
            [$((stringify!($case), catch_unwind(AssertUnwindSafe(|| cases::$case(&mut Meddled::<HOW>::new()))))),+]
        };
    }
    let outcomes = msglib_testkit::__abuse_cases! { [run] [] };
    outcomes.into_iter().filter(|(_, outcome)| matches!(outcome, Ok(Ok(())))).map(|(name, _)| name).collect()
}

/// Its attackers break off without a word, and expect none: what becomes of last words is not their affair.
const WORDLESS: [&str; 1] = ["lifecycle_a_reset_inside_a_frame"];

#[track_caller]
fn assert_passing<const HOW: u8>(expected: &[&'static str]) {
    assert_eq!(passing::<HOW>(), expected.iter().copied().collect());
}

#[test]
fn every_case_passes_with_the_honest_manager() {
    assert_passing::<HONEST>(cases::NAMES);
}

/// Who says no whole HELLO is told the same by a broker that does not listen.
#[test]
fn a_broker_that_ignores_attackers_is_caught() {
    let unheard = [
        "handshake_silence_ends_at_the_deadline",
        "handshake_a_byte_at_a_time_ends_at_the_deadline",
        "handshake_all_but_one_byte_ends_at_the_deadline",
    ];
    assert_passing::<DEAF>(&[&unheard[..], &WORDLESS].concat());
}

#[test]
fn a_broker_that_says_nothing_to_attackers_is_caught() {
    assert_passing::<MUTE>(&[&["handshake_with_an_error"][..], &WORDLESS].concat());
}

#[test]
fn connections_that_do_not_end_are_caught() {
    assert_passing::<CLINGING>(&WORDLESS);
}

#[test]
fn last_words_that_are_lost_are_caught() {
    assert_passing::<ABRUPT>(&WORDLESS);
}

#[test]
fn witnesses_who_starve_are_noticed() {
    assert_passing::<STARVING>(&[]);
}

#[test]
fn a_witness_who_loses_something_is_noticed() {
    assert_passing::<LEAKING>(&[]);
}
