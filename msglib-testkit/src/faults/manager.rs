//! The decorator: what the caller asks goes through here, and meets the faults of the plan.

use super::book::Book;
use super::clock::FaultyClock;
use super::dice::{Dice, Whom};
use super::link::{Link, Pace, Phase};
use super::reports::Reports;
use super::{Fault, FaultPlan, Tally, reading, writing};
use crate::TranscriptLog;
use core::time::Duration;
use msglib_proto::Instant;
use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind, IoSlice};

/// While something is held back for some polls, none waits longer than this.
const TICK: Duration = Duration::from_millis(1);
/// How many bytes, each way, a trickling connection trickles for each poll of the longest hold.
const SLOW_BYTES: u32 = 8;
/// The coarsest clock there is, in nanoseconds: with longer ticks a deadline would be missed, which somebody may notice.
const LONGEST_CLOCK_TICK: u64 = 100_000_000;
/// How many closed connections are remembered for stale reports.
const REMEMBERED: usize = 8;

/// Any connection manager, with the faults of a [`FaultPlan`].
///
/// Keeps the rules T1 to T15 and T17, and announces nothing (T16), where the manager below does, but for faults of [`Severity::Breach`](super::Severity::Breach).
/// Deterministic: the same plan over the same calls and the same answers from below gives the same faults.
///
/// ```
/// use msglib_broker::{Broker, ConnectionHandler};
/// use msglib_client::{Connection, publish_to_q};
/// use msglib_io_memory::{InMemoryConnectionManager, Transport};
/// use msglib_testkit::faults::{FaultPlan, Faulty, Severity};
///
/// let transport = Transport::new();
/// let manager = InMemoryConnectionManager::new(&transport, "broker")?;
/// let plan = FaultPlan::new(42).with_all(Severity::Passing, 0.2);
/// let mut broker = Broker::new(ConnectionHandler::new(), Faulty::new(manager, plan));
/// let client = Connection::builder().non_blocking(true).build(transport.connect("broker")?)?;
///
/// publish_to_q(&client, "jobs", b"through thick and thin")?;
/// for _ in 0..100 {
///     broker.process_connections()?;
/// }
/// assert_eq!(broker.handler().queue("jobs").unwrap().ledger.accepted, 1);
/// assert!(broker.connection_manager().tally().fired() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Faulty<M> {
    pub(super) inner: M,
    pub(super) book: Book,
    pub(super) links: BTreeMap<ConnectionId, Link>,
    clock: FaultyClock,
    reports: Reports,
    /// The links that have something to do in the next poll.
    pub(super) busy: BTreeSet<ConnectionId>,
    /// Something is owed with the next poll, which must not wait for it.
    pub(super) urgent: bool,
    opened: usize,
    closed: VecDeque<ConnectionId>,
    /// Drains with their deadlines, which a jump of the clock can bring near.
    drains: Vec<(Instant, ConnectionId)>,
    has_failed: bool,
    scratch: Vec<u8>,
}

impl<M: ConnectionManager> Faulty<M> {
    /// `inner` with the faults of `plan`.
    pub fn new(inner: M, plan: FaultPlan) -> Faulty<M> {
        Faulty {
            inner,
            book: Book::new(Dice::new(&plan)),
            links: BTreeMap::new(),
            clock: FaultyClock::default(),
            reports: Reports::default(),
            busy: BTreeSet::new(),
            urgent: false,
            opened: 0,
            closed: VecDeque::new(),
            drains: Vec::new(),
            has_failed: false,
            scratch: Vec::new(),
        }
    }

    /// From here on a note goes to `log` for each fault that is fired.
    pub fn tell(&mut self, log: TranscriptLog) {
        self.book.log = Some(log);
    }

    /// Ends the faults: from here on nothing new happens, what was held back comes with the next polls, and connections that were
    /// in a black hole are reset. What ended stays so, and so does the time to which the clock was moved.
    pub fn heal(&mut self) {
        self.book.dice.healed = true;
        self.clock.heal();
        self.reports.heal();
        for (id, link) in &mut self.links {
            link.heal();
            if link.phase == Phase::BlackHole {
                self.inner.close(*id, Close::Abort);
                link.phase = Phase::Dead { how: ErrorKind::ConnectionReset, by: Some(Fault::BlackHole) };
            }
            self.busy.insert(*id);
        }
        self.urgent = true;
    }

    /// Lets the plan go on after a [`heal`](Faulty::heal).
    pub fn resume(&mut self) {
        self.book.dice.healed = false;
    }

    /// Whether the faults are [healed](Faulty::heal).
    pub fn is_healed(&self) -> bool {
        self.book.dice.healed
    }

    /// What came of the faults so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.book.dice.tally.clone();
        // Who reads the clock cannot count it at once.
        self.clock.peek_observed().for_each(|fault| tally.observe(fault));
        tally
    }

    /// The manager below.
    pub fn inner(&self) -> &M {
        &self.inner
    }

    /// The manager below, for what is its own; moving bytes past the decorator confuses both.
    pub fn inner_mut(&mut self) -> &mut M {
        &mut self.inner
    }

    /// The manager below, without the faults. What is held here is lost.
    pub fn into_inner(self) -> M {
        self.inner
    }
}

/// The parts of a poll.
impl<M: ConnectionManager> Faulty<M> {
    fn wait(&self, timeout: Option<Duration>) -> Option<Duration> {
        if self.urgent || self.reports.is_due() {
            return Some(Duration::ZERO);
        }
        if self.busy.is_empty() && !self.reports.is_holding() {
            return timeout;
        }
        Some(timeout.map_or(TICK, |timeout| timeout.min(TICK)))
    }

    fn strike_the_clock(&mut self) {
        self.clock.tick();
        let Faulty { book, clock, .. } = self;
        clock.take_observed().for_each(|fault| book.observe(fault));
        if book.dice.draw_for_poll(Fault::ClockJump).is_some() {
            clock.jump(book.dice.jump(Fault::ClockJump));
            book.fire(Fault::ClockJump, None);
            self.end_late_drains();
        }
        let Faulty { book, clock, inner, .. } = self;
        if book.dice.draw_for_poll(Fault::CoarseClock).is_some() {
            let tick = book.dice.jump(Fault::CoarseClock).min(LONGEST_CLOCK_TICK);
            clock.coarsen(tick, book.dice.hold(Fault::CoarseClock));
            book.fire(Fault::CoarseClock, None);
        }
        if book.dice.draw_for_poll(Fault::ClockBack).is_some()
            && clock.go_back(book.dice.jump(Fault::ClockBack), inner.now())
        {
            book.fire(Fault::ClockBack, None);
        }
        book.now = clock.exact(inner.now());
    }

    /// The manager below knows nothing of the jump, and would go on until its own clock says so (T8).
    fn end_late_drains(&mut self) {
        let now = self.clock.exact(self.inner.now());
        let inner = &mut self.inner;
        self.drains.retain(|(deadline, id)| {
            if *deadline <= now {
                inner.close(*id, Close::Abort);
            }
            *deadline > now
        });
    }

    fn take_report(&mut self, report: Readiness) {
        let id = report.id();
        if let Readiness::Opened(_, peer) = report {
            return self.open(id, peer);
        }
        // Refused, closed or ended.
        let Some(link) = self.links.get_mut(&id) else { return };
        let readable = matches!(report, Readiness::Readable(_));
        if readable && link.input.deaf {
            link.input.noisy = true;
            self.busy.insert(id);
            return;
        }
        if link.phase != Phase::Open {
            if link.phase == Phase::BlackHole {
                self.book.observe(Fault::BlackHole);
            }
            return;
        }
        let gate = if readable { &mut link.input.gate } else { &mut link.output.gate };
        if gate.is_shut() {
            gate.turned_away = true;
            return self.book.observe_gate(gate);
        }
        if link.opening.is_some() {
            if readable {
                link.input.owed = true;
            } else {
                link.output.owed = true;
            }
            return;
        }
        if readable && reading::withholds(link, &mut self.inner, id, &mut self.scratch, &mut self.book) {
            return;
        }
        if self.book.dice.draw(Fault::LateReport, link.nth) {
            self.book.fire(Fault::LateReport, Some(id));
            return self.reports.hold(report, self.book.dice.hold(Fault::LateReport));
        }
        self.report(report);
    }

    fn open(&mut self, id: ConnectionId, peer: msglib_proto::transport::Peer) {
        let nth = self.opened;
        self.opened += 1;
        let dice = &mut self.book.dice;
        if dice.draw(Fault::RefusedOpen, nth) {
            self.inner.close(id, Close::Abort);
            self.book.fire(Fault::RefusedOpen, Some(id));
            // By the peer, whose connection is reset.
            return self.book.observe(Fault::RefusedOpen);
        }
        let mut link = Link::new(nth);
        link.input.cut = dice.take_cut(nth, true);
        link.output.cut = dice.take_cut(nth, false).map(|(_, after)| after);
        if dice.draw(Fault::Trickle, nth) {
            let slow = dice.hold(Fault::Trickle) * SLOW_BYTES;
            (link.input.pace, link.output.pace) = (Pace::new(slow), Pace::new(slow));
            self.book.fire(Fault::Trickle, Some(id));
        }
        let dice = &mut self.book.dice;
        link.input.strict = dice.draw(Fault::StrictEdges, nth);
        if dice.draw(Fault::LateOpen, nth) {
            link.opening = Some((peer, dice.hold(Fault::LateOpen)));
            self.book.fire(Fault::LateOpen, Some(id));
            self.busy.insert(id);
        } else if self.shares_slot(id) {
            link.opening = Some((peer, 1));
            self.busy.insert(id);
        } else {
            self.reports.push(Readiness::Opened(id, peer));
        }
        self.links.insert(id, link);
    }

    /// Whether the caller still has an earlier user of the slot: one that is over below, of which it was not told yet. The slot is
    /// not free before.
    fn shares_slot(&self, id: ConnectionId) -> bool {
        let slot = ConnectionId::new(id.index() as u32, 0)..id;
        self.links.range(slot).next().is_some()
    }

    fn report(&mut self, report: Readiness) {
        if let (Readiness::Readable(id), false) = (&report, self.links.is_empty())
            && let Some(link) = self.links.get_mut(id)
        {
            link.input.undrained = true;
        }
        self.reports.push(report);
    }

    /// What each link has to do in this poll: gates open, ends are told, what is owed is reported.
    fn serve_links(&mut self) {
        self.urgent = false;
        for id in core::mem::take(&mut self.busy) {
            let shares_slot = self.shares_slot(id);
            let Some(link) = self.links.get_mut(&id) else { continue };
            if let Some((peer, polls)) = link.opening.take() {
                if polls > 1 || shares_slot {
                    link.opening = Some((peer, polls.saturating_sub(1).max(1)));
                    self.busy.insert(id);
                    continue;
                }
                self.reports.push(Readiness::Opened(id, peer));
                self.book.observe(Fault::LateOpen);
            }
            if link.phase == Phase::Lost {
                self.inner.close(id, Close::Abort);
                link.phase = Phase::Dead { how: ErrorKind::ConnectionReset, by: Some(Fault::AcceptedThenLost) };
            }
            if link.input.noisy {
                reading::discard(link, &mut self.inner, id, &mut self.scratch);
            }
            let due = link.tick();
            if link.is_busy() {
                self.busy.insert(id);
            }
            if due.readable {
                self.report(Readiness::Readable(id));
            }
            if due.writable {
                self.report(Readiness::Writable(id));
            }
        }
    }

    /// The faults that strike a connection out of the blue.
    fn strike_connections(&mut self) {
        if let Some(id) = self.victim(Fault::Reset) {
            self.inner.close(id, Close::Abort);
            self.kill(id, Fault::Reset);
        }
        if let Some(id) = self.victim(Fault::BlackHole) {
            self.book.fire(Fault::BlackHole, Some(id));
            if let Some(link) = self.links.get_mut(&id) {
                link.phase = Phase::BlackHole;
            }
        }
        for fault in [Fault::ClogRead, Fault::ClogWrite] {
            let Some(id) = self.victim(fault) else { continue };
            let polls = self.book.dice.hold(fault) + 1;
            let Some(link) = self.links.get_mut(&id) else { continue };
            let gate = if fault == Fault::ClogRead { &mut link.input.gate } else { &mut link.output.gate };
            if !gate.is_shut() {
                gate.shut(fault, polls);
                self.book.fire(fault, Some(id));
                self.busy.insert(id);
            }
        }
        if let Some(id) = self.victim(Fault::SpuriousReport) {
            self.report_nothing(id);
        }
    }

    fn report_nothing(&mut self, id: ConnectionId) {
        self.book.fire(Fault::SpuriousReport, Some(id));
        if self.book.dice.below(Fault::SpuriousReport, 2) == 0 {
            // Nobody can tell it from one that came too late to be of use.
            self.book.observe(Fault::SpuriousReport);
            return self.reports.push(Readiness::Writable(id));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.input.seen_with_nothing.insert(Fault::SpuriousReport);
        }
        self.reports.push(Readiness::Readable(id));
    }

    fn kill(&mut self, id: ConnectionId, by: Fault) {
        self.book.fire(by, Some(id));
        if let Some(link) = self.links.get_mut(&id) {
            link.phase = Phase::Dead { how: ErrorKind::ConnectionReset, by: Some(by) };
            link.input.stash.clear();
            self.busy.insert(id);
            self.urgent = true;
        }
    }

    /// Whom a fault of this poll strikes, if it does: a connection that is open and was told of.
    fn victim(&mut self, fault: Fault) -> Option<ConnectionId> {
        let whom = self.book.dice.draw_for_poll(fault)?;
        let open = |link: &&Link| link.phase == Phase::Open && link.opening.is_none();
        let mut all = self.links.iter().filter(|(_, link)| open(link));
        match whom {
            Whom::Connection(nth) => all.find(|(_, link)| link.nth == nth).map(|(id, _)| *id),
            Whom::Any => {
                let count = all.clone().count() as u64;
                let chosen = if count == 0 { None } else { Some(self.book.dice.below(fault, count)) };
                all.nth(chosen? as usize).map(|(id, _)| *id)
            }
        }
    }

    /// About a connection that is closed, and whose slot has another user.
    fn report_stale(&mut self, ready: &mut Vec<Readiness>) {
        if self.book.dice.draw_for_poll(Fault::StaleReport).is_none() {
            return;
        }
        let reused = |id: &&ConnectionId| {
            self.links.keys().any(|open| open.index() == id.index() && open.generation() != id.generation())
        };
        let Some(id) = self.closed.iter().rev().find(reused).copied() else { return };
        self.book.fire(Fault::StaleReport, Some(id));
        self.book.observe(Fault::StaleReport);
        ready.push(match self.book.dice.below(Fault::StaleReport, 2) {
            0 => Readiness::Readable(id),
            _ => Readiness::Writable(id),
        });
    }

    /// Forgets a connection that is over.
    pub(super) fn forget(&mut self, id: ConnectionId) -> Option<Link> {
        let link = self.links.remove(&id)?;
        self.busy.remove(&id);
        if self.closed.len() == REMEMBERED {
            self.closed.pop_front();
        }
        self.closed.push_back(id);
        Some(link)
    }

    /// After an error that ends the connection for good nothing of it is kept (T14).
    fn settle<T>(&mut self, id: ConnectionId, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            self.forget(id);
        } else if self.links.get(&id).is_some_and(Link::is_busy) {
            self.busy.insert(id);
            self.urgent |= self.links.get(&id).is_some_and(Link::is_urgent);
        }
        outcome
    }
}

impl<M: ConnectionManager> ConnectionManager for Faulty<M> {
    fn now(&self) -> Instant {
        self.clock.read(self.inner.now())
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        if !self.has_failed && self.book.dice.draw_for_poll(Fault::PollFails).is_some() {
            self.has_failed = true;
            self.book.fire(Fault::PollFails, None);
        }
        if self.has_failed {
            self.book.observe(Fault::PollFails);
            return Err(io::Error::other("the fault plan lets poll fail, from here on"));
        }
        self.book.polls += 1;
        self.strike_the_clock();
        let mut below = self.reports.take_buffer();
        let outcome = self.inner.poll(&mut below, self.wait(timeout));
        self.book.now = self.clock.exact(self.inner.now());
        self.reports.begin(&mut self.links, &mut self.book);
        for report in below.drain(..) {
            self.take_report(report);
        }
        self.reports.give_buffer(below);
        self.serve_links();
        self.strike_connections();
        self.reports.finish(&self.links, &mut self.book, ready);
        self.report_stale(ready);
        outcome
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let Some(link) = self.links.get_mut(&id) else { return Err(not_found(id)) };
        let outcome = reading::read(link, &mut self.inner, id, buf, &mut self.scratch, &mut self.book);
        self.settle(id, outcome)
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(link) = self.links.get_mut(&id) else { return Err(not_found(id)) };
        let outcome = writing::write(link, &mut self.inner, id, bufs, &mut self.scratch, &mut self.book);
        self.settle(id, outcome)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let link = self.forget(id);
        // What was lost cannot be delivered, and an orderly end would say that it was.
        let lost = link.as_ref().is_some_and(|link| matches!(link.phase, Phase::Lost | Phase::BlackHole));
        if link.is_some_and(|link| link.phase == Phase::Lost) {
            self.book.observe(Fault::AcceptedThenLost);
        }
        match how {
            Close::Drain { deadline } if !lost => {
                let now = self.clock.exact(self.inner.now());
                self.drains.retain(|(deadline, _)| *deadline > now);
                self.drains.push((deadline, id));
                self.inner.close(id, Close::Drain { deadline: self.clock.below(deadline) });
            }
            _ => self.inner.close(id, Close::Abort),
        }
    }

    fn draining(&self) -> usize {
        self.inner.draining()
    }

    fn stop_accepting(&mut self) -> bool {
        self.inner.stop_accepting()
    }

    fn waker(&self) -> Option<Waker> {
        self.inner.waker()
    }

    fn aside(&mut self, told: &mut Vec<Vec<u8>>) {
        self.inner.aside(told);
    }

    fn seed(&mut self) -> u128 {
        self.inner.seed()
    }
}

fn not_found(id: ConnectionId) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{id} is not open: it was closed, has failed, or never was"))
}
