//! The abuse suite catches what it is there for: under each broken manager every case fails but the few that have nothing to
//! do with what is broken, and under the honest one none.

use core::time::Duration;
use msglib_io_memory::{InMemoryConnectionManager, MemoryStream, Transport};
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use msglib_testkit::abuse::{Setup, cases};
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

/// What was closed is said to drain for ever.
const KEEPING: u8 = 7;
/// There is nothing wrong with the manager, but the broker over it lacks a limit.
const WITHOUT_A_DEADLINE: u8 = 8;
const WITHOUT_AN_IDLE_TIME: u8 = 9;
const WITHOUT_A_RESERVE: u8 = 10;
const WITHOUT_A_MARK: u8 = 11;
const WITH_ANY_PAYLOAD: u8 = 12;
const WITH_ANY_LINK: u8 = 13;
const WITH_ANYBODY: u8 = 14;
const WITH_ANY_QUEUE: u8 = 15;
const WITHOUT_A_LAST_HOP: u8 = 16;

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
        self.inner.draining() + usize::from(HOW == KEEPING && self.is_attacked)
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
    fn weaken(broker: &mut Setup) {
        match HOW {
            WITHOUT_A_DEADLINE => broker.core.handshake_timeout = Duration::MAX,
            WITHOUT_AN_IDLE_TIME => broker.idle = Duration::ZERO,
            WITHOUT_A_RESERVE => broker.core.reserve = usize::MAX / 2,
            WITHOUT_A_MARK => (broker.core.high_water, broker.core.max_outbound) = (usize::MAX / 2, usize::MAX / 2),
            WITH_ANY_PAYLOAD => broker.limits.max_payload = 16 << 20,
            WITH_ANY_LINK => broker.limits.max_links = 65_536,
            WITH_ANYBODY => broker.core.max_connections = usize::MAX,
            WITH_ANY_QUEUE => broker.stock.max_queues = usize::MAX,
            WITHOUT_A_LAST_HOP => broker.stock.queue.redelivery.max_hops = u8::MAX,
            _ => {}
        }
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

/// Those of these cases that pass.
fn passing_of<const HOW: u8>(names: &[&str]) -> Vec<&'static str> {
    let all = cases::all::<Meddled<HOW>>();
    let wanted: Vec<_> = all.into_iter().filter(|(name, _)| names.contains(name)).collect();
    assert_eq!(wanted.len(), names.len(), "each is a case");
    let is_borne = |case: cases::Case<Meddled<HOW>>| {
        let outcome = catch_unwind(AssertUnwindSafe(|| case(&mut Meddled::new())));
        matches!(outcome, Ok(Ok(())))
    };
    wanted.into_iter().filter(|(_, case)| is_borne(*case)).map(|(name, _)| name).collect()
}

/// Each of these cases fails where this is wrong.
#[track_caller]
fn assert_caught<const HOW: u8>(names: &[&str]) {
    assert_eq!(passing_of::<HOW>(names), [""; 0], "nothing seen by these");
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

#[test]
fn what_drains_for_ever_is_noticed() {
    assert_passing::<KEEPING>(&[]);
}

#[test]
fn a_broker_that_waits_for_ever_is_caught() {
    assert_caught::<WITHOUT_A_DEADLINE>(&[
        "handshake_silence_ends_at_the_deadline",
        "handshake_a_byte_at_a_time_ends_at_the_deadline",
        "handshake_all_but_one_byte_ends_at_the_deadline",
    ]);
    assert_caught::<WITHOUT_AN_IDLE_TIME>(&["lifecycle_silence_ends_at_the_idle_time"]);
}

#[test]
fn a_broker_that_holds_all_that_nobody_reads_is_caught() {
    assert_caught::<WITHOUT_A_RESERVE>(&["flow_pings_with_the_pongs_unread", "flow_pings_before_the_welcome_is_read"]);
    assert_caught::<WITHOUT_A_MARK>(&["flow_deliveries_unread"]);
}

#[test]
fn a_broker_that_takes_anything_is_caught() {
    assert_caught::<WITH_ANY_PAYLOAD>(&[
        "framing_lengths_that_cannot_be",
        "frames_of_publishers_with_every_bit_flipped",
        "frames_of_services_with_every_bit_flipped",
    ]);
    assert_caught::<WITH_ANY_LINK>(&["flow_links_that_are_not_open"]);
    assert_caught::<WITH_ANY_QUEUE>(&["names_without_end"]);
    assert_caught::<WITHOUT_A_LAST_HOP>(&["delivery_dead_letters_in_a_circle"]);
}

#[test]
fn a_broker_that_takes_anybody_is_caught() {
    assert_caught::<WITH_ANYBODY>(&["lifecycle_more_connections_than_there_may_be"]);
}
