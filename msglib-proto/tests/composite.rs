//! Several managers as one: who is asked, who waits, and for how long. That it keeps the rules of the contract is the
//! business of the conformance kit.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{
    Address, Close, CompositeConnectionManager, ConnectionId, ConnectionManager, ListenerId, Peer, Readiness, Waker,
};
use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A manager that does what a test has told it, and writes down what it was asked.
#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<Script>>);

#[derive(Default)]
struct Script {
    now: u64,
    /// What each of the next polls reports; the last one for ever.
    reports: Vec<Vec<Readiness>>,
    /// The time-out of each poll.
    polls: Vec<Duration>,
    closes: Vec<(ConnectionId, Close)>,
    waits: bool,
    announces: bool,
    announced_to: Option<Waker>,
    wakes: Arc<AtomicUsize>,
    /// Called within a poll that waits.
    meanwhile: Option<Box<dyn FnMut()>>,
    fails: bool,
    /// How often it was asked to take no new connections, and whether it can.
    stops: usize,
    can_stop: bool,
}

impl Scripted {
    fn waiting() -> Scripted {
        let this = Scripted::default();
        this.0.borrow_mut().waits = true;
        this
    }

    fn announcing() -> Scripted {
        let this = Scripted::default();
        this.0.borrow_mut().announces = true;
        this
    }

    fn reports(&self, polls: impl IntoIterator<Item = Vec<Readiness>>) {
        self.0.borrow_mut().reports = polls.into_iter().collect();
    }

    /// The time-outs of the polls since the last call, in milliseconds.
    fn polls(&self) -> Vec<u128> {
        self.0.borrow_mut().polls.drain(..).map(|wait| wait.as_millis()).collect()
    }

    fn announce_news(&self) {
        let waker = self.0.borrow().announced_to.clone();
        waker.unwrap().wake();
    }

    fn wakes(&self) -> usize {
        self.0.borrow().wakes.load(Ordering::Relaxed)
    }
}

impl ConnectionManager for Scripted {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.borrow().now)
    }
    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let mut script = self.0.borrow_mut();
        script.polls.push(timeout.unwrap());
        if script.fails {
            return Err(io::Error::new(ErrorKind::OutOfMemory, "no more descriptors"));
        }
        let reports = if script.reports.len() > 1 { script.reports.remove(0) } else { script.reports.concat() };
        ready.extend(reports);
        let meanwhile = script.meanwhile.take();
        drop(script);
        if let Some(mut meanwhile) = meanwhile {
            if timeout > Some(Duration::ZERO) {
                meanwhile();
            } else {
                self.0.borrow_mut().meanwhile = Some(meanwhile);
            }
        }
        Ok(())
    }
    fn read(&mut self, _: ConnectionId, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn write(&mut self, _: ConnectionId, _: &[IoSlice<'_>]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
    fn close(&mut self, id: ConnectionId, how: Close) {
        self.0.borrow_mut().closes.push((id, how));
    }
    fn draining(&self) -> usize {
        7
    }
    fn stop_accepting(&mut self) -> bool {
        let mut script = self.0.borrow_mut();
        script.stops += 1;
        script.can_stop
    }
    fn waker(&self) -> Option<Waker> {
        let wakes = Arc::clone(&self.0.borrow().wakes);
        let waker = Waker::new(move || {
            wakes.fetch_add(1, Ordering::Relaxed);
        });
        self.0.borrow().waits.then_some(waker)
    }
    fn announce(&mut self, waker: Waker) -> bool {
        let mut script = self.0.borrow_mut();
        script.announced_to = script.announces.then_some(waker);
        script.announces
    }
    fn seed(&mut self) -> u128 {
        u128::from(self.0.borrow().now)
    }
}

fn id(index: u32) -> ConnectionId {
    ConnectionId::new(index, 0)
}

fn readable(index: u32) -> Vec<Readiness> {
    vec![Readiness::Readable(id(index))]
}

fn opened(index: u32, listener: u32) -> Readiness {
    Readiness::Opened(id(index), Peer::new(Address::Memory(0)).with_listener(ListenerId(listener)))
}

/// A second is long enough not to be mistaken for a slice, or for the longest wait.
const SECOND: Duration = Duration::from_secs(1);

fn poll(composite: &mut impl ConnectionManager) -> Vec<Readiness> {
    let mut ready = Vec::new();
    composite.poll(&mut ready, Some(SECOND)).unwrap();
    ready
}

fn memory_beside_sockets() -> (Scripted, Scripted, CompositeConnectionManager<(Scripted, Scripted)>) {
    let (memory, sockets) = (Scripted::announcing(), Scripted::waiting());
    let composite = CompositeConnectionManager::new((memory.clone(), sockets.clone()));
    (memory, sockets, composite.with_longest_wait(Duration::from_secs(60)))
}

#[test]
fn everyone_is_asked_in_each_poll_and_only_the_lead_waits() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    assert_eq!(poll(&mut composite), []);
    assert_eq!((memory.polls(), sockets.polls()), (vec![0], vec![1000]));
    // However busy one is, the other's news come with the same poll.
    memory.reports([readable(0)]);
    sockets.reports([vec![opened(0, 0)]]);
    for _ in 0..3 {
        assert!(composite.read(id(0), &mut [0]).is_err(), "nobody waits for what was told before");
        let ready = poll(&mut composite);
        assert_eq!(ready.iter().map(Readiness::id).collect::<Vec<_>>(), [id(0), id(1)]);
    }
    assert_eq!(sockets.polls().len(), 3);
}

#[test]
fn news_that_come_during_the_wait_end_it_and_come_with_it() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    memory.reports([vec![], readable(0)]);
    sockets.0.borrow_mut().meanwhile = Some(Box::new({
        let memory = memory.clone();
        move || (0..5).for_each(|_| memory.announce_news())
    }));
    assert_eq!(poll(&mut composite), readable(0));
    assert_eq!(memory.polls(), [0, 0], "asked before the wait, and after it");
    assert_eq!(sockets.wakes(), 1, "many news, one wake");
    memory.announce_news();
    assert_eq!(sockets.wakes(), 2, "the next one after it was asked");
}

/// An end that nobody reads is reported for ever (T5), which must not keep the processor busy.
#[test]
fn what_is_repeated_though_nobody_has_touched_it_does_not_keep_anyone_awake() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    memory.reports([readable(0)]);
    poll(&mut composite);
    assert_eq!(sockets.polls(), [0], "it was news");
    assert_eq!(poll(&mut composite), readable(0), "it is still told");
    assert_eq!(sockets.polls(), [1000]);
    assert!(composite.read(id(0), &mut [0]).is_err());
    poll(&mut composite);
    assert_eq!(sockets.polls(), [0], "somebody looked, so it is news again");
    memory.reports([[readable(0), readable(1)].concat()]);
    poll(&mut composite);
    assert_eq!(sockets.polls(), [0], "another connection is news");
}

#[test]
fn those_who_cannot_see_each_other_wait_in_turns() {
    let (one, two) = (Scripted::waiting(), Scripted::waiting());
    let composite = CompositeConnectionManager::new([one.clone(), two.clone()]);
    let mut composite = composite.with_longest_wait(Duration::from_millis(60)).with_slice(Duration::from_millis(20));
    poll(&mut composite);
    // Asked before; then their own turns, and the other's.
    assert_eq!((one.polls(), two.polls()), (vec![0, 20, 0], vec![0, 20, 0, 20]));
    two.reports([vec![], readable(0)]);
    assert_eq!(poll(&mut composite), readable(0));
    assert_eq!((one.polls(), two.polls()), (vec![20], vec![0, 0]), "news end it");
    one.reports([vec![], vec![opened(0, 0)], vec![]]);
    two.reports([]);
    assert_eq!(poll(&mut composite).len(), 1);
    assert_eq!((one.polls(), two.polls()), (vec![0, 20], vec![0, 20, 0]), "also those of whose turn it is");

    let waker = composite.waker().unwrap();
    two.reports([]);
    waker.wake();
    assert_eq!(one.wakes(), 1, "the lead's wait ends at once");
    poll(&mut composite);
    assert_eq!((one.polls(), two.polls()), (vec![], vec![0]), "and the turns too");
    poll(&mut composite);
    assert_eq!(two.polls().len() + one.polls().len(), 7, "once");
}

/// Longer than the shortest, for what is below it becomes a spin.
#[test]
fn a_slice_has_at_least_a_millisecond() {
    let (one, two) = (Scripted::waiting(), Scripted::default());
    let composite = CompositeConnectionManager::new((one.clone(), two)).with_slice(Duration::ZERO);
    let mut composite = composite.with_longest_wait(Duration::from_millis(3));
    poll(&mut composite);
    assert_eq!(one.polls(), [1, 1, 1]);
}

#[test]
fn drains_end_by_the_leads_clock_and_end_its_wait() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    memory.0.borrow_mut().now = 5;
    sockets.0.borrow_mut().now = 1_000_000_000;
    memory.reports([vec![opened(0, 0), opened(1, 0)], vec![]]);
    poll(&mut composite);
    assert_eq!(composite.now().as_nanos(), 1_000_000_000);
    let drain = |millis| Close::Drain { deadline: Instant::from_nanos(1_000_000_000) + Duration::from_millis(millis) };
    composite.close(id(0), drain(300));
    composite.close(id(0), drain(1));
    composite.close(id(1), drain(200));
    composite.close(id(1), Close::Abort);
    composite.close(id(2), drain(100));
    let theirs = |millis| Close::Drain { deadline: Instant::from_nanos(5) + Duration::from_millis(millis) };
    let closes = core::mem::take(&mut memory.0.borrow_mut().closes);
    assert_eq!(closes, [(id(0), theirs(300)), (id(0), theirs(1)), (id(1), theirs(200)), (id(1), Close::Abort)]);
    sockets.polls();
    poll(&mut composite);
    assert_eq!(sockets.polls(), [300], "the first drain counts, the aborted and the unknown one do not");
    sockets.0.borrow_mut().now += 300_000_000;
    poll(&mut composite);
    assert_eq!(core::mem::take(&mut memory.0.borrow_mut().closes), [(id(0), Close::Abort)]);
    sockets.polls();
    poll(&mut composite);
    assert_eq!(sockets.polls(), [1000]);
    assert_eq!(composite.draining(), 14, "the sum of all");
}

#[test]
fn listeners_are_told_apart() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    memory.reports([vec![opened(0, 0)]]);
    sockets.reports([vec![opened(0, 0), opened(1, 1)]]);
    let mut listeners = Vec::new();
    for report in poll(&mut composite) {
        let Readiness::Opened(_, peer) = report else { panic!("{report:?}") };
        listeners.push(peer.listener);
    }
    let expected = [(0, 0), (1, 0), (1, 1)].map(|(member, number)| composite.listener(member, ListenerId(number)));
    assert_eq!(listeners, expected);
    assert_eq!(listeners, [ListenerId(0), ListenerId(1), ListenerId(3)]);
}

#[test]
fn the_first_who_waits_leads_and_members_stay_what_they_are() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    memory.0.borrow_mut().now = 1;
    sockets.0.borrow_mut().now = 2;
    assert_eq!((composite.now().as_nanos(), composite.seed()), (2, 2));
    composite.members_mut().0.0.borrow_mut().now = 3;
    assert_eq!(composite.members().0.now().as_nanos(), 3);

    let nobody = (Scripted::announcing(), Scripted::announcing(), Scripted::announcing());
    let mut composite = CompositeConnectionManager::new(nobody);
    assert!(composite.waker().is_none());
    composite.members().0.0.borrow_mut().now = 4;
    assert_eq!(composite.now().as_nanos(), 4, "else the first");
    let wakes = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&wakes);
    let waker = Waker::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    assert!(composite.announce(waker.clone()), "all of them do");
    composite.members().2.announce_news();
    assert_eq!(wakes.load(Ordering::Relaxed), 1);
    composite.members_mut().1.0.borrow_mut().announces = false;
    assert!(!composite.announce(waker.clone()), "one cannot");
    let (_, _, mut with_sockets) = memory_beside_sockets();
    assert!(!with_sockets.announce(waker), "sockets cannot");
}

#[test]
fn every_member_is_asked_to_take_no_new_connections_also_behind_one_that_cannot() {
    let (memory, sockets, mut composite) = memory_beside_sockets();
    sockets.0.borrow_mut().can_stop = true;
    assert!(!composite.stop_accepting(), "who connects to the first one is still opened");
    assert_eq!((memory.0.borrow().stops, sockets.0.borrow().stops), (1, 1));
    memory.0.borrow_mut().can_stop = true;
    assert!(composite.stop_accepting());
}

#[test]
fn a_member_that_fails_as_a_whole_is_named() {
    let (_, sockets, mut composite) = memory_beside_sockets();
    sockets.0.borrow_mut().fails = true;
    let error = composite.poll(&mut Vec::new(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    assert_eq!(error.to_string(), "member 1 of the composite has failed: no more descriptors");
    let unknown = composite.read(id(9), &mut [0]).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[test]
#[should_panic(expected = "at least one member")]
fn a_composite_of_nobody_is_a_mistake() {
    let _ = CompositeConnectionManager::new(Vec::<Scripted>::new());
}

#[test]
#[should_panic(expected = "there is no member 2")]
fn a_listener_of_nobody_is_a_mistake() {
    let (_, _, composite) = memory_beside_sockets();
    composite.listener(2, ListenerId(0));
}
