//! One run of one case: a broker over the fixture's manager, two witnesses, and as many attackers as the case wants.
//!
//! All are on one thread. Each step is one of the broker's and one turn of everybody else, so that a case can say what
//! must happen within so many steps, and the witnesses are watched in every one of them.

mod attacker;
mod counter;
mod lent;
mod setup;
mod verdict;
mod witnesses;

pub(super) use attacker::{Ended, Heard};
pub(super) use counter::Counter;
pub use setup::Setup;

use crate::conformance::{Fixture, RawPeer, Skipped};
use attacker::Attacker;
use core::cell::{Cell, RefCell};
use core::fmt::Debug;
use core::time::Duration;
use lent::Lent;
use msglib_broker::{Broker, ConnectionHandler, ConnectionManager, Counters, Ledger};
use msglib_proto::{ErrorCode, FrameType, Instant};
use std::io::ErrorKind;
use std::rc::Rc;
use witnesses::Witnesses;

pub(super) use setup::{HANDSHAKE, MAX_CONNECTIONS, MOST_HELD};

/// What must happen has this many steps to do so on a clock that stands still, from the last byte that an attacker sent or
/// received …
const MAX_STEPS: usize = 3_000;
/// … and, on a clock that goes by itself, this much time.
const PATIENCE: Duration = Duration::from_secs(10);
/// However much passes, a case does not wait for more steps than this.
const MAX_STEPS_IN_ALL: usize = 100 * MAX_STEPS;

/// An attacker of the stage, by the order in which they connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AttackerKey(usize);

pub(super) struct Stage<'f, F: Fixture> {
    fixture: Rc<RefCell<&'f mut F>>,
    broker: Broker<ConnectionHandler, Lent<'f, F>>,
    /// How often it has asked to read from attackers.
    reads: Rc<Cell<u64>>,
    witnesses: Witnesses<F::Peer>,
    attackers: Vec<Option<Attacker<F::Peer>>>,
    /// Since the witnesses last got a message.
    gap: Patience,
    /// Bytes that attackers have sent or received since somebody asked.
    moved: usize,
}

/// Set-up and verdicts.
impl<'f, F: Fixture> Stage<'f, F> {
    /// A broker that serves the two witnesses already.
    pub(super) fn new(fixture: &'f mut F) -> Stage<'f, F> {
        Stage::with(fixture, Setup::default())
    }

    /// One that is set up otherwise.
    pub(super) fn with(fixture: &'f mut F, mut setup: Setup) -> Stage<'f, F> {
        F::weaken(&mut setup);
        let fixture = Rc::new(RefCell::new(fixture));
        let reads = Rc::<Cell<u64>>::default();
        let lent = Lent { fixture: Rc::clone(&fixture), witnesses: Vec::new(), reads: Rc::clone(&reads) };
        let broker = setup.broker(lent);
        let publisher = fixture.borrow_mut().connect();
        let consumer = fixture.borrow_mut().connect();
        let witnesses = Witnesses::new(publisher, consumer);
        let gap = Patience::new(fixture.borrow_mut().manager().now());
        let mut stage = Stage { fixture, broker, reads, witnesses, attackers: Vec::new(), gap, moved: 0 };
        stage.until("the witnesses at work", |stage| (stage.witnesses.received >= 4).then_some(()));
        stage
    }

    #[track_caller]
    pub(super) fn fail(&self, expected: &str, seen: impl Debug) -> ! {
        panic!("expected: {expected}\n  seen:     {seen:?}\n  {:?}", self.counters())
    }

    #[track_caller]
    pub(super) fn check(&self, holds: bool, expected: &str, seen: impl Debug) {
        if !holds {
            self.fail(expected, seen);
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        self.broker.counters()
    }

    pub(super) fn now(&self) -> Instant {
        self.fixture.borrow_mut().manager().now()
    }

    /// How often the broker has asked to read from attackers.
    pub(super) fn reads_asked(&self) -> u64 {
        self.reads.get()
    }

    /// The books of the attackers' queue with this name; all zero if there is none.
    pub(super) fn ledger(&self, queue: &str) -> Ledger {
        self.broker.handler().queue(queue).map(|info| info.ledger).unwrap_or_default()
    }

    pub(super) fn handler(&self) -> &ConnectionHandler {
        self.broker.handler()
    }
}

/// Steps.
impl<F: Fixture> Stage<'_, F> {
    /// One step of the broker, and a turn of everybody else.
    #[track_caller]
    pub(super) fn step(&mut self) {
        if let Err(error) = self.broker.process_connections() {
            self.fail("a broker that goes on", error);
        }
        self.bears_the_load();
        for attacker in self.attackers.iter_mut().flatten() {
            self.moved += attacker.turn();
        }
        let before = self.witnesses.received;
        if let Err(wrong) = self.witnesses.turn() {
            self.fail("witnesses who notice nothing", wrong);
        }
        let now = self.now();
        if self.witnesses.received > before || !self.witnesses.publishes {
            self.gap = Patience::new(now);
        } else if self.gap.is_over_at(now) {
            self.fail("witnesses who are served", "no message for too long");
        }
    }

    #[track_caller]
    pub(super) fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Steps until `done` has an answer, which must come in bounded time.
    #[track_caller]
    pub(super) fn until<T>(&mut self, expected: &str, mut done: impl FnMut(&mut Self) -> Option<T>) -> T {
        let mut patience = Patience::new(self.now());
        for _ in 0..MAX_STEPS_IN_ALL {
            if let Some(answer) = done(self) {
                return answer;
            }
            self.step();
            let now = self.now();
            if core::mem::take(&mut self.moved) > 0 {
                patience = Patience::new(now);
            } else if patience.is_over_at(now) {
                break;
            }
        }
        let heard: Vec<_> =
            self.attackers.iter().flatten().map(|attacker| (last(&attacker.heard), attacker.end)).collect();
        self.fail(expected, format_args!("nothing of it, or no more; of the attackers' connections {heard:?}"))
    }

    /// Lets `time` go by on the manager's clock.
    #[track_caller]
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now() + time;
        for _ in 0..MAX_STEPS_IN_ALL {
            let left = end - self.now();
            if left.is_zero() {
                return;
            }
            self.fixture.borrow_mut().advance(left);
            self.step();
        }
        self.fail("a clock that goes, or is moved by Fixture::advance", self.now());
    }
}

/// Attackers.
impl<F: Fixture> Stage<'_, F> {
    pub(super) fn connect(&mut self) -> AttackerKey {
        let peer = self.fixture.borrow_mut().connect();
        self.attackers.push(Some(Attacker::new(peer)));
        AttackerKey(self.attackers.len() - 1)
    }

    /// One that the broker knows of: from here on its deadlines run.
    #[track_caller]
    pub(super) fn meet(&mut self) -> AttackerKey {
        let known = self.counters().connected;
        let key = self.connect();
        self.until("the attacker's connection", |stage| (stage.counters().connected > known).then_some(()));
        key
    }

    fn attacker(&mut self, key: AttackerKey) -> &mut Attacker<F::Peer> {
        self.attackers[key.0].as_mut().expect("an attacker that has not left")
    }

    /// Sends in whatever pieces the transport takes, from the next step on.
    pub(super) fn send(&mut self, key: AttackerKey, bytes: &[u8]) {
        self.attacker(key).send(bytes);
    }

    pub(super) fn has_sent_all(&mut self, key: AttackerKey) -> bool {
        self.attacker(key).has_sent_all()
    }

    #[track_caller]
    pub(super) fn sent_all(&mut self, key: AttackerKey) {
        self.until("all bytes of the attacker taken", |stage| stage.attacker(key).has_sent_all().then_some(()));
    }

    /// Whether the attacker reads what it is sent.
    pub(super) fn reads(&mut self, key: AttackerKey, reads: bool) {
        self.attacker(key).reads = reads;
    }

    /// Bytes that attackers have moved since this, or [`until`](Self::until), was last called.
    pub(super) fn take_moved(&mut self) -> usize {
        core::mem::take(&mut self.moved)
    }

    /// What the broker has taken from attackers and not answered with as many bytes.
    pub(super) fn held(&self) -> u64 {
        let (written, read) = self.witnesses.traffic();
        let Counters { bytes_received, bytes_sent, .. } = *self.counters();
        (bytes_received.saturating_sub(written)).saturating_sub(bytes_sent.saturating_sub(read))
    }

    pub(super) fn heard(&mut self, key: AttackerKey) -> &[Heard] {
        &self.attacker(key).heard
    }

    /// What the attacker has heard so far is not looked at again.
    pub(super) fn forget_heard(&mut self, key: AttackerKey) {
        // That it was greeted stays.
        self.attacker(key).heard.truncate(1);
    }

    pub(super) fn end(&mut self, key: AttackerKey) -> Option<Ended> {
        self.attacker(key).end
    }

    /// Steps until the attacker hears `what`.
    #[track_caller]
    pub(super) fn hear(&mut self, key: AttackerKey, what: Heard) {
        self.until(&format!("{what:?}"), |stage| stage.heard(key).contains(&what).then_some(()));
    }

    /// Everything sent, then no more: the attacker's sending side ends, as far as the transport has such a thing.
    #[track_caller]
    pub(super) fn shutdown(&mut self, key: AttackerKey) -> Result<(), Skipped> {
        self.sent_all(key);
        match self.attacker(key).peer.shutdown_write() {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                Err(Skipped::new("no half-close in this transport"))
            }
            Err(error) => self.fail("a sending side that can be closed", error),
            Ok(()) => Ok(()),
        }
    }

    /// Breaks the connection off.
    #[track_caller]
    pub(super) fn reset(&mut self, key: AttackerKey) -> Result<(), Skipped> {
        match self.attacker(key).peer.reset() {
            Err(error) if error.kind() == ErrorKind::Unsupported => Err(Skipped::new("no reset in this transport")),
            Err(error) => self.fail("a connection that can be reset", error),
            Ok(()) => {
                self.leave(key);
                Ok(())
            }
        }
    }

    pub(super) fn leave(&mut self, key: AttackerKey) {
        self.attackers[key.0] = None;
    }

    /// Steps until the attacker finds the end, in good order; what the broker said last.
    #[track_caller]
    pub(super) fn last_words(&mut self, key: AttackerKey) -> Option<Heard> {
        match self.until("the end of the attacker's connection", |stage| stage.end(key)) {
            Ended::InOrder => last(self.heard(key)),
            other => self.fail("an end in good order", other),
        }
    }

    /// The attacker is told what it did wrong, with `code` and `offset`, as the last thing; then it leaves.
    #[track_caller]
    pub(super) fn is_told(&mut self, key: AttackerKey, code: ErrorCode, offset: usize) {
        let expected = Heard::Error { code, offset: offset as u64 };
        let seen = self.last_words(key);
        self.check(seen == Some(expected), &format!("{expected:?}, and then the end"), seen);
        self.leave(key);
    }

    /// A client that has said `bytes` and is then told that they break the protocol.
    #[track_caller]
    pub(super) fn offends(&mut self, bytes: &[u8], code: ErrorCode, offset: usize) {
        let key = self.connect();
        self.send(key, bytes);
        self.is_told(key, code, offset);
    }

    /// The attacker is served as anybody else, and says goodbye.
    #[track_caller]
    pub(super) fn is_served(&mut self, key: AttackerKey) {
        const TOKEN: u64 = 0x6162_7573_6500;
        self.send(key, &[super::raw::ping(TOKEN), super::raw::goodbye()].concat());
        let seen = self.last_words(key);
        let goodbye = Heard::Goodbye(ErrorCode::NONE);
        self.check(seen == Some(goodbye), "a goodbye, and then the end", seen);
        let answered = self.heard(key).contains(&Heard::Pong { token: TOKEN });
        self.check(answered, "an answer to the ping", "none");
        let welcomed = self.heard(key).first() == Some(&Heard::Other(FrameType::Welcome));
        self.check(welcomed, "a WELCOME first", "none");
        self.leave(key);
    }
}

fn last(heard: &[Heard]) -> Option<Heard> {
    heard.last().copied()
}

/// How long something may take: in steps while the clock stands still, and in time when it goes.
struct Patience {
    since: Instant,
    latest: Instant,
    steps: usize,
}

impl Patience {
    fn new(now: Instant) -> Patience {
        Patience { since: now, latest: now, steps: 0 }
    }

    fn is_over_at(&mut self, now: Instant) -> bool {
        self.steps += usize::from(now == self.latest);
        self.latest = now;
        self.steps >= MAX_STEPS || now - self.since >= PATIENCE
    }
}
