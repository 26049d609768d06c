//! A service as a value: requests in, to one responder each, and exactly one outcome back to whoever asked. It knows neither frames
//! nor connections, so that the broker of any dialect, and a test, can use it.

mod caller;
mod config;
mod deadlines;
mod ending;
mod ledger;
mod responder;
#[cfg(test)]
mod tests;

pub use caller::Outcome;
pub use config::RequestsConfig;
pub use ledger::RequestLedger;

use crate::queue::{Store, Stored, Undeliverable};
use crate::table::{Key, Table};
use caller::{Caller, KeptOutcome};
use core::time::Duration;
use deadlines::Deadlines;
use msglib_proto::{Instant, Payload};
use responder::Responder;
use std::collections::VecDeque;
use thiserror::Error;

/// Names one caller of one service; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallerId(Key);

/// Names one responder of one service; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ResponderId(Key);

/// The service is at its limit and did not take the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the service is full: {requests} requests are under way, and {bytes} bytes wait")]
pub struct RequestsFull {
    /// Requests that are under way.
    pub requests: usize,
    /// Bytes of those that wait.
    pub bytes: usize,
}

/// An answer that had no effect: the request has an outcome already, its caller is gone, or the tag was never used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no request with this tag waits for an answer any more")]
pub struct Late;

/// A request on offer to a responder.
#[derive(Clone, Copy, Debug)]
pub struct RequestOffer<'a, K> {
    /// Whose it is: what was given to [`Requests::add_responder`].
    pub responder: &'a K,
    /// The responder's tags are 1, 2, 3 ….
    pub tag: u64,
    /// How long it has for an answer.
    pub left: Duration,
    /// The request.
    pub payload: Payload<'a>,
}

/// An outcome on offer to the caller.
#[derive(Clone, Copy, Debug)]
pub struct OutcomeOffer<'a, K> {
    /// Whose it is: what was given to [`Requests::add_caller`].
    pub caller: &'a K,
    /// The caller's own number of the request.
    pub number: u64,
    /// How it has ended.
    pub outcome: Outcome<'a>,
}

/// Why a request was not handed over to the responder whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotHandedOver {
    /// There is no room on the way to this responder; it gets nothing until [`Requests::unblock_responder`].
    Full,
    /// The responder is gone. It is removed, and what it had in hand has an outcome.
    Gone,
    /// The request is larger than this responder takes: it is over, refused as [`MESSAGE_TOO_LARGE`](crate::ErrorCode::MESSAGE_TOO_LARGE), and the
    /// responder stays.
    TooLarge,
}

/// What a request counts for beyond its payload, in bytes.
const OVERHEAD: usize = 128;

/// A request without an outcome.
#[derive(Debug)]
struct Pending {
    asked: Asked,
    deadline: Instant,
    place: Place,
}

/// Who has asked, and by which number they know it.
#[derive(Clone, Copy, Debug)]
struct Asked {
    caller: Key,
    number: u64,
}

#[derive(Debug)]
enum Place {
    Waiting(Stored),
    InHand { responder: Key, tag: u64 },
}

/// A service: each request goes to one of its responders, round robin, as far as their credit goes, and has exactly one [`Outcome`].
///
/// Callers and responders are known by a key of the caller's (`K`), say a connection and a link. A request has a deadline, and does not wait
/// where there is no responder at all. It is never given to a second responder: whether the first has done what was asked is not known. A
/// caller that goes away ends its requests silently, and an answer to one that is over has no effect.
///
/// The payloads lie in a [`Store`], which many services, queues and topics can share.
///
/// ```
/// use msglib_broker::{Instant, Outcome, Requests, RequestsConfig, Store};
///
/// let (mut store, now) = (Store::new(), Instant::ZERO);
/// let mut time = Requests::new(RequestsConfig::default());
/// let (alice, clock) = (time.add_caller("alice"), time.add_responder("clock"));
/// time.allow(clock, 1);
/// time.request(&mut store, now, alice, 1, None, "What time is it?")?;
///
/// let mut asked = None;
/// time.dispatch(&mut store, now, 100, |offer| {
///     asked = Some(offer.tag);
///     Ok(())
/// });
/// time.reply(&mut store, clock, asked.unwrap(), "Late.")?;
/// time.dispatch_outcomes(&mut store, 100, |offer| {
///     assert_eq!((*offer.caller, offer.number), ("alice", 1));
///     assert_eq!(offer.outcome, Outcome::Reply("Late.".into()));
///     Ok(())
/// });
/// assert_eq!(time.ledger().replied, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Requests<K> {
    config: RequestsConfig,
    callers: Table<Caller<K>>,
    responders: Table<Responder<K>>,
    pending: Table<Pending>,
    /// Those that wait, in their order. May name some that are over.
    waiting: VecDeque<Key>,
    /// Responders that can take a request, in the order of their turns. May name some that cannot any more, or are gone.
    eligible: VecDeque<Key>,
    /// Callers with an outcome, in the order of their turns. May name some that are gone.
    to_tell: VecDeque<Key>,
    deadlines: Deadlines,
    /// Of the payloads that wait.
    bytes: usize,
    /// Of the replies that wait.
    reply_bytes: usize,
    /// Each caller may have one reply waiting, and no more.
    is_tight: bool,
    ledger: RequestLedger,
}

impl<K> Requests<K> {
    /// What each request and each reply counts for beyond its payload, in bytes.
    pub const OVERHEAD: usize = OVERHEAD;

    /// A service without callers and responders.
    pub fn new(config: RequestsConfig) -> Requests<K> {
        Requests {
            config,
            callers: Table::new(),
            responders: Table::new(),
            pending: Table::new(),
            waiting: VecDeque::new(),
            eligible: VecDeque::new(),
            to_tell: VecDeque::new(),
            deadlines: Deadlines::default(),
            bytes: 0,
            reply_bytes: 0,
            is_tight: false,
            ledger: RequestLedger::default(),
        }
    }

    /// A new caller.
    pub fn add_caller(&mut self, key: K) -> CallerId {
        CallerId(self.callers.insert(Caller::new(key)))
    }

    /// A new responder; it has not allowed anything yet.
    pub fn add_responder(&mut self, key: K) -> ResponderId {
        ResponderId(self.responders.insert(Responder::new(key)))
    }

    /// Takes a request, which has `within` for its outcome, and no longer than [`RequestsConfig::deadline`]. `number` is the caller's own; it
    /// comes back with the outcome. Requests of a caller that is gone are not taken, and have no outcome.
    ///
    /// # Errors
    ///
    /// [`RequestsFull`]; the request was not taken, and has no other outcome than this.
    pub fn request<'p>(
        &mut self,
        store: &mut Store,
        now: Instant,
        CallerId(caller): CallerId,
        number: u64,
        within: Option<Duration>,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), RequestsFull> {
        let Some(asking) = self.callers.get_mut(caller) else { return Ok(()) };
        let payload = payload.into();
        let requests = self.pending.len() + self.ledger.untold as usize;
        let size = payload.len() + OVERHEAD;
        if requests >= self.config.max_pending || self.bytes.saturating_add(size) > self.config.max_bytes {
            self.ledger.turned_away += 1;
            return Err(RequestsFull { requests, bytes: self.bytes });
        }
        self.ledger.requested += 1;
        if self.responders.len() == 0 {
            self.ledger.no_responder += 1;
            self.tell(store, Asked { caller, number }, KeptOutcome::NoResponder);
            return Ok(());
        }
        let deadline = now + within.map_or(self.config.deadline, |within| within.min(self.config.deadline));
        let place = Place::Waiting(store.put(payload));
        let request = self.pending.insert(Pending { asked: Asked { caller, number }, deadline, place });
        asking.pending.insert(request);
        self.deadlines.add(deadline, request, &self.pending);
        self.bytes += size;
        self.ledger.waiting += 1;
        self.waiting.push_back(request);
        Ok(())
    }

    /// Allows the responder requests up to the tag `upto`; a lower value than before changes nothing.
    pub fn allow(&mut self, ResponderId(id): ResponderId, upto: u64) {
        if let Some(responder) = self.responders.get_mut(id) {
            responder.allowed = responder.allowed.max(upto);
        }
        self.list_responder(id);
    }

    /// There is room again on the way to a responder that was [`Full`](Undeliverable::Full).
    pub fn unblock_responder(&mut self, ResponderId(id): ResponderId) {
        if let Some(responder) = self.responders.get_mut(id) {
            responder.is_blocked = false;
        }
        self.list_responder(id);
    }

    /// There is room again on the way to a caller that was [`Full`](Undeliverable::Full).
    pub fn unblock_caller(&mut self, CallerId(id): CallerId) {
        if let Some(caller) = self.callers.get_mut(id) {
            caller.is_blocked = false;
        }
        self.list_caller(id);
    }

    /// Whether [`dispatch`](Requests::dispatch) would have something to offer.
    pub fn can_dispatch(&self) -> bool {
        self.ledger.waiting > 0 && !self.eligible.is_empty()
    }

    /// Whether [`dispatch_outcomes`](Requests::dispatch_outcomes) would have something to offer.
    pub fn has_outcomes(&self) -> bool {
        !self.to_tell.is_empty()
    }

    /// Offers the requests that wait to responders, one to each in turn, at most `budget`, and returns how many were taken. One that is due
    /// by now is not offered, and is over.
    pub fn dispatch(
        &mut self,
        store: &mut Store,
        now: Instant,
        budget: usize,
        mut deliver: impl FnMut(RequestOffer<'_, K>) -> Result<(), NotHandedOver>,
    ) -> usize {
        let (mut left, mut taken) = (budget, 0);
        while left > 0 {
            let Some(request) = next_waiting(&mut self.waiting, &self.pending) else { break };
            let Some(pending) = self.pending.get_mut(request) else { break };
            if pending.deadline <= now {
                self.time_out(store, request);
                left -= 1;
                continue;
            }
            let Some(id) = self.eligible.pop_front() else { break };
            let Some(responder) = self.responders.get_mut(id) else { continue };
            responder.is_listed = false;
            let Place::Waiting(stored) = &pending.place else { unreachable!("{request:?} waits") };
            let (tag, time, payload) =
                (responder.in_hand.last_tag() + 1, pending.deadline.since(now), store.get(stored));
            match deliver(RequestOffer { responder: &responder.key, tag, left: time, payload }) {
                Ok(()) => {
                    let place = Place::InHand { responder: id, tag: responder.in_hand.push(request) };
                    let was = core::mem::replace(&mut pending.place, place);
                    self.waiting.pop_front();
                    self.stop_waiting(store, was);
                    self.ledger.in_hand += 1;
                    (left, taken) = (left - 1, taken + 1);
                }
                Err(NotHandedOver::Full) => responder.is_blocked = true,
                Err(NotHandedOver::Gone) => drop(self.remove_responder(store, ResponderId(id))),
                Err(NotHandedOver::TooLarge) => {
                    self.refuse_too_large(store, request);
                    left -= 1;
                }
            }
            self.list_responder(id);
        }
        taken
    }

    /// Offers the outcomes to their callers, at most `budget`, and returns how many were taken.
    pub fn dispatch_outcomes(
        &mut self,
        store: &mut Store,
        budget: usize,
        mut deliver: impl FnMut(OutcomeOffer<'_, K>) -> Result<(), Undeliverable>,
    ) -> usize {
        /// Outcomes for one caller before the next has its turn.
        const QUANTUM: usize = 16;
        let mut left = budget;
        while left > 0 {
            let Some(id) = self.to_tell.pop_front() else { break };
            let Some(caller) = self.callers.get_mut(id) else { continue };
            caller.is_listed = false;
            let mut is_gone = false;
            for _ in 0..QUANTUM.min(left) {
                let Some((number, outcome)) = caller.front(store) else { break };
                match deliver(OutcomeOffer { caller: &caller.key, number, outcome }) {
                    Ok(()) => {
                        self.reply_bytes -= caller.pop(store);
                        left -= 1;
                        self.ledger.told += 1;
                        self.ledger.untold -= 1;
                    }
                    Err(Undeliverable::Full) => {
                        caller.is_blocked = true;
                        break;
                    }
                    Err(Undeliverable::Gone) => {
                        is_gone = true;
                        break;
                    }
                }
            }
            match is_gone {
                true => drop(self.remove_caller(store, CallerId(id))),
                false => self.list_caller(id),
            }
        }
        budget - left
    }

    /// When the next request is due, if it has no outcome before.
    pub fn next_deadline(&mut self) -> Option<Instant> {
        self.deadlines.next(&self.pending)
    }

    /// Requests under way: waiting, or with a responder.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether no request is under way, and no outcome waits.
    pub fn is_empty(&self) -> bool {
        self.pending.len() == 0 && self.ledger.untold == 0
    }

    /// How many callers there are.
    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    /// How many responders there are.
    pub fn responders(&self) -> usize {
        self.responders.len()
    }

    /// Bytes of the requests that wait, each with its [`OVERHEAD`](Requests::OVERHEAD).
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the replies that wait for their callers, each with its [`OVERHEAD`](Requests::OVERHEAD).
    pub fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Whether memory is short: as long as it is, each caller may have one reply waiting, and no more. Whoever has many services asks each
    /// for its [`reply_bytes`](Requests::reply_bytes), and says so when these are too many together.
    pub fn set_tight(&mut self, is_tight: bool) {
        self.is_tight = is_tight;
    }

    /// What became of every request so far.
    pub fn ledger(&self) -> RequestLedger {
        self.ledger
    }

    /// Puts a responder into the order of turns if it can take a request and is not there yet.
    fn list_responder(&mut self, id: Key) {
        if let Some(responder) = self.responders.get_mut(id)
            && !responder.is_listed
            && responder.has_room(self.config.max_in_hand)
        {
            responder.is_listed = true;
            self.eligible.push_back(id);
        }
    }

    /// Puts a caller into the list of those who can be told something.
    fn list_caller(&mut self, id: Key) {
        if let Some(caller) = self.callers.get_mut(id)
            && !caller.is_listed
            && caller.can_be_told()
        {
            caller.is_listed = true;
            self.to_tell.push_back(id);
        }
    }
}

/// The first that waits; what is over before it is forgotten.
fn next_waiting(waiting: &mut VecDeque<Key>, pending: &Table<Pending>) -> Option<Key> {
    while let Some(request) = waiting.front() {
        if pending.get(*request).is_some() {
            return Some(*request);
        }
        waiting.pop_front();
    }
    None
}
