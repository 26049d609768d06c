//! Several managers side by side, as one.

mod drains;
mod members;
mod places;

pub use members::Members;

use super::{Close, ConnectionId, ConnectionManager, ListenerId, Readiness, Waker};
use crate::time::Instant;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use drains::Drains;
use places::Places;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Several managers as one: memory beside sockets, so that the host program of a broker is an ordinary client of it; a
/// TCP manager beside a Unix one.
///
/// Keeps the rules T1 to T15 where its members do, and T17 if all of them keep it.
///
/// - **Who waits.** The first member with a [`waker`](ConnectionManager::waker) *leads*: a poll waits in it, and `now` and
///   `seed` are its own. Without one a poll never waits, and the first member leads.
/// - **The others** wake the lead out of its wait if they can ([`announce`](ConnectionManager::announce)). As soon as one
///   of them cannot, no wait can see everything: those members that can wait do it in turns, a [slice](Self::with_slice)
///   each, and in between all are asked.
/// - **Nobody starves.** Each poll asks every member. What a member repeats though nobody has touched it since (an end that nobody
///   reads is reported for ever, T5) keeps no poll from waiting.
/// - **Deadlines** are on the lead's clock. The members' own clocks may stand still, or count from another start.
/// - **Listeners** are numbered anew ([`listener`](Self::listener)), so that a dialect can be chosen by them.
///
/// ```
/// # use msglib_proto::transport::{Close, ConnectionId, ConnectionManager, Readiness, Waker};
/// # use msglib_proto::Instant;
/// # use std::{io, time::Duration};
/// # #[derive(Default)]
/// # struct Manager;
/// # impl ConnectionManager for Manager {
/// #     fn now(&self) -> Instant { Instant::ZERO }
/// #     fn poll(&mut self, _: &mut Vec<Readiness>, _: Option<Duration>) -> io::Result<()> { Ok(()) }
/// #     fn read(&mut self, _: ConnectionId, _: &mut [u8]) -> io::Result<usize> { unimplemented!() }
/// #     fn write(&mut self, _: ConnectionId, _: &[io::IoSlice<'_>]) -> io::Result<usize> { unimplemented!() }
/// #     fn close(&mut self, _: ConnectionId, _: Close) {}
/// #     fn waker(&self) -> Option<Waker> { None }
/// #     fn seed(&mut self) -> u128 { 1 }
/// # }
/// # let (memory, sockets) = (Manager, Manager);
/// use msglib_proto::transport::{CompositeConnectionManager, ListenerId};
///
/// let both = CompositeConnectionManager::new((memory, sockets));
/// let (_memory, _sockets) = both.members(); // still what they are
/// assert_eq!(both.listener(1, ListenerId(0)), ListenerId(1));
/// ```
pub struct CompositeConnectionManager<M> {
    members: M,
    states: Vec<Member>,
    places: Places,
    drains: Drains,
    /// The position of the member that leads.
    lead: usize,
    /// Ends a wait; `None` if no member waits.
    waker: Option<Waker>,
    /// The waker was used. Only waits in turns look at it, for the lead sees the others by itself.
    woken: Arc<AtomicBool>,
    longest_wait: Duration,
    slice: Duration,
    /// Who had the last slice.
    turn: usize,
    /// Reports of one member, on their way.
    reports: Vec<Readiness>,
}

/// What is kept of one member.
#[derive(Debug, Default)]
struct Member {
    /// Its polls wait.
    waits: bool,
    /// It says when it has news.
    announces: bool,
    /// It has said so since it was asked.
    has_news: Arc<AtomicBool>,
    /// Something was asked of one of its connections since its last poll.
    is_touched: bool,
    /// What it reported then.
    latest: Vec<Readiness>,
}

/// Waits are bounded by it, unless set.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long one member waits while the others cannot be seen, unless set: what epoll rounds up to.
const SLICE: Duration = Duration::from_millis(1);

impl<M: Members> CompositeConnectionManager<M> {
    /// Puts `members` side by side, in this order.
    ///
    /// # Panics
    ///
    /// When there are none.
    pub fn new(members: M) -> CompositeConnectionManager<M> {
        let count = members.count();
        assert!(count > 0, "a composite needs at least one member");
        let wakers: Vec<Option<Waker>> = (0..count).map(|position| members.member(position).waker()).collect();
        let states = wakers.iter().map(|waker| Member { waits: waker.is_some(), ..Member::default() }).collect();
        let lead = wakers.iter().position(Option::is_some).unwrap_or(0);
        let woken = Arc::<AtomicBool>::default();
        let lead_waker = wakers.into_iter().nth(lead).flatten();
        let waker = lead_waker.clone().map(|lead| {
            let woken = Arc::clone(&woken);
            Waker::new(move || {
                woken.store(true, Ordering::Release);
                lead.wake();
            })
        });
        let mut composite = CompositeConnectionManager {
            members,
            states,
            places: Places::new(count),
            drains: Drains::default(),
            lead,
            waker,
            woken,
            longest_wait: LONGEST_WAIT,
            slice: SLICE,
            turn: lead,
            reports: Vec::new(),
        };
        if let Some(waker) = lead_waker {
            composite.announce_to(&waker, |position| position != lead);
        }
        composite
    }

    /// With another longest wait of a poll, 100 ms unless set. The lead's own maximum holds as well.
    pub fn with_longest_wait(mut self, longest: Duration) -> CompositeConnectionManager<M> {
        self.longest_wait = longest;
        self
    }

    /// With another length of the slices in which members wait in turns, 1 ms unless set; less counts as that. Only where one
    /// besides the lead cannot [`announce`](ConnectionManager::announce). Longer ones take less CPU while nothing happens, and add
    /// as much to the latency of what comes then.
    pub fn with_slice(mut self, slice: Duration) -> CompositeConnectionManager<M> {
        self.slice = slice.max(SLICE);
        self
    }

    /// The members.
    pub fn members(&self) -> &M {
        &self.members
    }

    /// The members; their number must stay what it is.
    pub fn members_mut(&mut self) -> &mut M {
        &mut self.members
    }

    /// The number that a listener of the member at `position` has here.
    ///
    /// # Panics
    ///
    /// When there is no such member.
    pub fn listener(&self, position: usize, listener: ListenerId) -> ListenerId {
        let count = self.states.len();
        assert!(position < count, "there is no member {position}: there are {count}, the first is 0");
        // No two are the same, whatever a member does, and it takes no table. No number gets near the end of the range.
        ListenerId(listener.0.saturating_mul(count as u32).saturating_add(position as u32))
    }
}

/// The parts of a poll.
impl<M: Members> CompositeConnectionManager<M> {
    /// Asks those members to announce their news, and returns whether all will.
    fn announce_to(&mut self, waker: &Waker, whom: impl Fn(usize) -> bool) -> bool {
        for position in (0..self.states.len()).filter(|position| whom(*position)) {
            let state = &mut self.states[position];
            let (has_news, waker) = (Arc::clone(&state.has_news), waker.clone());
            // One call for all the news until the member is asked.
            let first_wakes = Waker::new(move || {
                if !has_news.swap(true, Ordering::AcqRel) {
                    waker.wake();
                }
            });
            state.announces = self.members.member_mut(position).announce(first_wakes);
        }
        (0..self.states.len()).filter(|position| whom(*position)).all(|position| self.states[position].announces)
    }

    /// Whether a wait in the lead would miss something.
    fn waits_in_turns(&self) -> bool {
        self.waker.is_some()
            && self.states.iter().enumerate().any(|(position, member)| position != self.lead && !member.announces)
    }

    /// Polls one member. True if it has reported something new.
    fn ask(&mut self, position: usize, wait: Duration, ready: &mut Vec<Readiness>) -> io::Result<bool> {
        // Before the poll: what it announces from here on counts for the next one.
        self.states[position].has_news.store(false, Ordering::Release);
        let mut reports = core::mem::take(&mut self.reports);
        self.members.member_mut(position).poll(&mut reports, Some(wait)).map_err(|error| failed(position, &error))?;
        for report in &reports {
            ready.push(self.translate(position, report));
        }
        let state = &mut self.states[position];
        let is_new = !reports.is_empty() && (core::mem::take(&mut state.is_touched) || reports != state.latest);
        self.reports = core::mem::replace(&mut state.latest, reports);
        self.reports.clear();
        Ok(is_new)
    }

    /// Polls some members without waiting. True if one has reported something new.
    fn ask_those(&mut self, ready: &mut Vec<Readiness>, whom: impl Fn(usize, &Member) -> bool) -> io::Result<bool> {
        let mut is_new = false;
        for position in 0..self.states.len() {
            if whom(position, &self.states[position]) {
                is_new |= self.ask(position, Duration::ZERO, ready)?;
            }
        }
        Ok(is_new)
    }

    /// Those who can wait do so in turns, a slice each, until somebody has news.
    fn wait_in_turns(&mut self, wait: Duration, ready: &mut Vec<Readiness>) -> io::Result<()> {
        let mut left = wait;
        while !left.is_zero() && !self.woken.swap(false, Ordering::AcqRel) {
            let position = self.next_turn();
            let slice = left.min(self.slice);
            left -= slice;
            let waited_for = self.ask(position, slice, ready)?;
            if self.ask_those(ready, |other, _| other != position)? || waited_for {
                return Ok(());
            }
        }
        Ok(())
    }

    fn next_turn(&mut self) -> usize {
        let count = self.states.len();
        let next = (1..=count).map(|step| (self.turn + step) % count).find(|position| self.states[*position].waits);
        self.turn = next.unwrap_or(self.lead);
        self.turn
    }

    /// A wait goes on no longer than until a drain is to be given up.
    fn longest(&self, timeout: Option<Duration>) -> Duration {
        let longest = timeout.map_or(self.longest_wait, |timeout| timeout.min(self.longest_wait));
        self.drains.next().map_or(longest, |deadline| longest.min(deadline.since(self.now())))
    }

    /// Aborts what has drained for too long (T8), for the member's clock may stand still.
    fn give_up_drains(&mut self) {
        if self.drains.next().is_none() {
            return;
        }
        let now = self.now();
        while let Some(id) = self.drains.pop(now) {
            if let Some((position, inner)) = self.places.inner(id) {
                self.members.member_mut(position).close(inner, Close::Abort);
            }
        }
    }

    fn translate(&mut self, position: usize, report: &Readiness) -> Readiness {
        let id = self.places.outer(position, report.id());
        match report {
            Readiness::Opened(_, peer) => {
                let listener = self.listener(position, peer.listener);
                Readiness::Opened(id, peer.clone().with_listener(listener))
            }
            Readiness::Readable(_) => Readiness::Readable(id),
            Readiness::Writable(_) => Readiness::Writable(id),
        }
    }

    /// The member of a connection, which is about to be used, and its id there.
    fn touch(&mut self, id: ConnectionId) -> io::Result<(&mut dyn ConnectionManager, ConnectionId)> {
        let Some((position, inner)) = self.places.inner(id) else { return Err(not_found(id)) };
        self.states[position].is_touched = true;
        Ok((self.members.member_mut(position), inner))
    }
}

impl<M: Members> ConnectionManager for CompositeConnectionManager<M> {
    fn now(&self) -> Instant {
        self.members.member(self.lead).now()
    }

    fn poll(&mut self, ready: &mut Vec<Readiness>, timeout: Option<Duration>) -> io::Result<()> {
        let lead = self.lead;
        let is_new = self.ask_those(ready, |position, _| position != lead)?;
        let wait = if is_new { Duration::ZERO } else { self.longest(timeout) };
        if wait.is_zero() || !self.waits_in_turns() {
            self.ask(lead, wait, ready)?;
            // Whoever has ended the wait.
            self.ask_those(ready, |position, member| position != lead && member.has_news.load(Ordering::Acquire))?;
        } else {
            self.wait_in_turns(wait, ready)?;
        }
        self.give_up_drains();
        Ok(())
    }

    fn read(&mut self, id: ConnectionId, buf: &mut [u8]) -> io::Result<usize> {
        let (member, id) = self.touch(id)?;
        member.read(id, buf)
    }

    fn write(&mut self, id: ConnectionId, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let (member, id) = self.touch(id)?;
        member.write(id, bufs)
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let now = self.now();
        // One that nobody knows is closed already.
        let Ok((member, inner)) = self.touch(id) else { return };
        match how {
            Close::Drain { deadline } => {
                let theirs = member.now() + deadline.since(now);
                member.close(inner, Close::Drain { deadline: theirs });
                self.drains.add(id, deadline);
            }
            Close::Abort => {
                member.close(inner, Close::Abort);
                self.drains.remove(id);
            }
        }
    }

    fn draining(&self) -> usize {
        (0..self.states.len()).map(|position| self.members.member(position).draining()).sum()
    }

    /// Each of the members, also behind one that cannot; true if all have.
    fn stop_accepting(&mut self) -> bool {
        let count = self.states.len();
        (0..count).filter(|position| self.members.member_mut(*position).stop_accepting()).count() == count
    }

    fn waker(&self) -> Option<Waker> {
        self.waker.clone()
    }

    /// Only of members that never wait, and all announce: what ends a wait is not to be had otherwise.
    fn announce(&mut self, waker: Waker) -> bool {
        self.waker.is_none() && self.announce_to(&waker, |_| true)
    }

    fn seed(&mut self) -> u128 {
        self.members.member_mut(self.lead).seed()
    }
}

impl<M: fmt::Debug> fmt::Debug for CompositeConnectionManager<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeConnectionManager")
            .field("members", &self.members)
            .field("lead", &self.lead)
            .finish_non_exhaustive()
    }
}

fn failed(position: usize, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("member {position} of the composite has failed: {error}"))
}

fn not_found(id: ConnectionId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{id} is not open: no member has reported it"))
}
