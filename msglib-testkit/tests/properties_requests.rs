//! A service against a naive model: every request has one outcome, the right one, and it goes to whoever asked.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use msglib_broker::{
    CallerId, ErrorCode, Instant, NotHandedOver, Outcome, Requests, RequestsConfig, ResponderId, Store, Undeliverable,
};
use msglib_testkit::strategies::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Operation {
    AddCaller,
    AddResponder,
    RemoveCaller(Index),
    RemoveResponder(Index),
    Request {
        caller: Index,
        within: Option<u64>,
        size: usize,
    },
    Allow {
        responder: Index,
        more: u64,
    },
    /// Answers a tag, perhaps one that was never used.
    Answer {
        responder: Index,
        tag: u64,
        size: usize,
        refuses: bool,
    },
    Dispatch {
        budget: usize,
        room: usize,
        gone: bool,
    },
    Tell {
        budget: usize,
        room: usize,
        gone: bool,
    },
    Advance(u64),
    Unblock,
}

fn operation() -> impl Strategy<Value = Operation> {
    let size = || prop_oneof![8 => 0..50_usize, 1 => Just(500)];
    let index = any::<Index>;
    let room = || prop_oneof![Just(usize::MAX), 0..4_usize];
    prop_oneof![
        2 => Just(Operation::AddCaller),
        2 => Just(Operation::AddResponder),
        1 => index().prop_map(Operation::RemoveCaller),
        1 => index().prop_map(Operation::RemoveResponder),
        12 => (index(), prop::option::of(0..30_u64), size())
            .prop_map(|(caller, within, size)| Operation::Request { caller, within, size }),
        5 => (index(), 1..5_u64).prop_map(|(responder, more)| Operation::Allow { responder, more }),
        8 => (index(), 0..8_u64, size(), any::<bool>())
            .prop_map(|(responder, tag, size, refuses)| Operation::Answer { responder, tag, size, refuses }),
        6 => (1..20_usize, room(), prop::bool::weighted(0.05))
            .prop_map(|(budget, room, gone)| Operation::Dispatch { budget, room, gone }),
        6 => (1..20_usize, room(), prop::bool::weighted(0.05))
            .prop_map(|(budget, room, gone)| Operation::Tell { budget, room, gone }),
        3 => (0..15_u64).prop_map(Operation::Advance),
        2 => Just(Operation::Unblock),
    ]
}

fn config() -> RequestsConfig {
    RequestsConfig::default()
        .with_max_pending(14)
        .with_max_bytes(1_500)
        .with_max_replies(400)
        .with_max_in_hand(3)
        .with_deadline(Duration::from_millis(20))
}

/// What a caller is to be told of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Told {
    Reply(Vec<u8>),
    Refused(ErrorCode, String),
    Other(&'static str),
}

impl Told {
    fn size(&self) -> usize {
        match self {
            Told::Reply(payload) => payload.len() + Requests::<usize>::OVERHEAD,
            Told::Refused(_, text) => text.len() + Requests::<usize>::OVERHEAD,
            Told::Other(_) => 0,
        }
    }
}

fn told(outcome: &Outcome<'_>) -> Told {
    match outcome {
        Outcome::Reply(payload) => Told::Reply(payload.to_vec()),
        Outcome::Refused { code, text } => Told::Refused(*code, (*text).to_owned()),
        Outcome::NoResponder => Told::Other("no responder"),
        Outcome::TimedOut => Told::Other("timed out"),
        Outcome::ResponderGone => Told::Other("responder gone"),
        Outcome::CallerTooSlow => Told::Other("caller too slow"),
        other => panic!("{other:?}"),
    }
}

#[derive(Debug)]
struct Request {
    caller: usize,
    number: u64,
    deadline: Instant,
    payload: Vec<u8>,
    /// The responder and the tag.
    in_hand: Option<(usize, u64)>,
}

#[derive(Debug, Default)]
struct Caller {
    numbers: u64,
    untold: Vec<(u64, Told)>,
    is_blocked: bool,
}

#[derive(Debug, Default)]
struct Responder {
    allowed: u64,
    last_tag: u64,
    is_blocked: bool,
}

#[derive(Default)]
struct Model {
    callers: BTreeMap<usize, Caller>,
    responders: BTreeMap<usize, Responder>,
    /// In the order in which they came.
    requests: Vec<Request>,
}

impl Model {
    fn tell(&mut self, request: &Request, told: Told) {
        let Some(caller) = self.callers.get_mut(&request.caller) else { return };
        let waiting: usize = caller.untold.iter().map(|(_, told)| told.size()).sum();
        let has_room = told.size() == 0 || waiting == 0 || waiting + told.size() <= config().max_replies;
        caller.untold.push((request.number, if has_room { told } else { Told::Other("caller too slow") }));
    }

    fn end(&mut self, which: impl Fn(&Request) -> bool, told: &Told) {
        let (ended, stay) = std::mem::take(&mut self.requests).into_iter().partition(|request| which(request));
        self.requests = stay;
        let ended: Vec<Request> = ended;
        ended.iter().for_each(|request| self.tell(request, told.clone()));
    }

    /// Those that are due and in front are over, one after the other, as long as `more` says so.
    fn time_out_front(&mut self, now: Instant, more: impl Fn(&Model) -> bool) {
        while more(self) {
            let first = self.waiting().next().map(|request| (request.caller, request.number, request.deadline));
            let Some((caller, number, _)) = first.filter(|(_, _, deadline)| *deadline <= now) else { return };
            self.end(|request| (request.caller, request.number) == (caller, number), &Told::Other("timed out"));
        }
    }

    fn remove_responder(&mut self, responder: usize) {
        self.responders.remove(&responder);
        self.end(
            |request| request.in_hand.is_some_and(|(holder, _)| holder == responder),
            &Told::Other("responder gone"),
        );
        if self.responders.is_empty() {
            self.end(|request| request.in_hand.is_none(), &Told::Other("no responder"));
        }
    }

    /// From the oldest tag in hand to the newest.
    fn span(&self, responder: usize) -> u64 {
        let held = self.requests.iter().filter_map(|request| request.in_hand);
        let oldest = held.filter(|(holder, _)| *holder == responder).map(|(_, tag)| tag).min();
        oldest.map_or(0, |oldest| self.responders[&responder].last_tag - oldest + 1)
    }

    fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.in_hand.is_none())
    }

    fn untold(&self) -> usize {
        self.callers.values().map(|caller| caller.untold.len()).sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting().map(|request| request.payload.len() + Requests::<usize>::OVERHEAD).sum()
    }

    fn payloads(&self) -> usize {
        let untold = self.callers.values().flat_map(|caller| &caller.untold);
        self.waiting().count() + untold.filter(|(_, told)| told.size() > 0).count()
    }
}

struct World {
    store: Store,
    requests: Requests<usize>,
    model: Model,
    now: Instant,
    callers: Vec<(CallerId, usize)>,
    responders: Vec<(ResponderId, usize)>,
    serial: usize,
}

impl World {
    fn new() -> World {
        let (store, requests, model) = (Store::new(), Requests::new(config()), Model::default());
        World { store, requests, model, now: Instant::ZERO, callers: Vec::new(), responders: Vec::new(), serial: 0 }
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        self.serial += 1;
        match *operation {
            Operation::AddCaller => {
                self.callers.push((self.requests.add_caller(self.serial), self.serial));
                self.model.callers.insert(self.serial, Caller::default());
            }
            Operation::AddResponder => {
                self.responders.push((self.requests.add_responder(self.serial), self.serial));
                self.model.responders.insert(self.serial, Responder::default());
            }
            Operation::RemoveCaller(which) if !self.callers.is_empty() => {
                let (id, key) = self.callers.swap_remove(which.index(self.callers.len()));
                prop_assert!(self.requests.remove_caller(&mut self.store, id));
                prop_assert!(!self.requests.remove_caller(&mut self.store, id), "once");
                self.model.callers.remove(&key);
                self.model.requests.retain(|request| request.caller != key);
            }
            Operation::RemoveResponder(which) if !self.responders.is_empty() => {
                let (id, key) = self.responders.swap_remove(which.index(self.responders.len()));
                prop_assert!(self.requests.remove_responder(&mut self.store, id));
                self.model.remove_responder(key);
            }
            Operation::Request { caller, within, size } if !self.callers.is_empty() => {
                self.request(caller, within.map(Duration::from_millis), size)?;
            }
            Operation::Allow { responder, more } if !self.responders.is_empty() => {
                let (id, key) = self.responders[responder.index(self.responders.len())];
                let responder = self.model.responders.get_mut(&key).unwrap();
                responder.allowed += more;
                self.requests.allow(id, responder.allowed);
            }
            Operation::Answer { responder, tag, size, refuses } if !self.responders.is_empty() => {
                self.answer(responder, tag, size, refuses)?;
            }
            Operation::Dispatch { budget, room, gone } => self.dispatch(budget, room, gone)?,
            Operation::Tell { budget, room, gone } => self.tell(budget, room, gone)?,
            Operation::Advance(by) => self.advance(by),
            Operation::Unblock => self.unblock(),
            _ => {}
        }
        self.check()
    }

    fn request(&mut self, caller: Index, within: Option<Duration>, size: usize) -> Result<(), TestCaseError> {
        let (id, key) = self.callers[caller.index(self.callers.len())];
        let payload = vec![self.serial as u8; size];
        let model = &mut self.model;
        let asking = model.callers.get_mut(&key).unwrap();
        asking.numbers += 1;
        let number = asking.numbers;
        let has_room = model.requests.len() + model.untold() < config().max_pending
            && model.waiting_bytes() + size + Requests::<usize>::OVERHEAD <= config().max_bytes;
        let taken = self.requests.request(&mut self.store, self.now, id, number, within, &payload);
        prop_assert_eq!(taken.is_ok(), has_room, "{:?}", taken);
        if has_room {
            let deadline = self.now + within.unwrap_or(config().deadline).min(config().deadline);
            let request = Request { caller: key, number, deadline, payload, in_hand: None };
            match model.responders.is_empty() {
                true => model.tell(&request, Told::Other("no responder")),
                false => model.requests.push(request),
            }
        }
        Ok(())
    }

    fn answer(&mut self, responder: Index, tag: u64, size: usize, refuses: bool) -> Result<(), TestCaseError> {
        let (id, key) = self.responders[responder.index(self.responders.len())];
        let is_asked = |request: &Request| request.in_hand == Some((key, tag));
        let (result, told) = if refuses {
            let text = "n".repeat(size);
            let result = self.requests.refuse(&mut self.store, id, tag, ErrorCode::NOT_ALLOWED, &text);
            (result, Told::Refused(ErrorCode::NOT_ALLOWED, text))
        } else {
            let payload = vec![self.serial as u8; size];
            (self.requests.reply(&mut self.store, id, tag, &payload), Told::Reply(payload))
        };
        prop_assert_eq!(result.is_ok(), self.model.requests.iter().any(is_asked), "tag {}", tag);
        self.model.end(is_asked, &told);
        Ok(())
    }

    fn dispatch(&mut self, budget: usize, room: usize, gone: bool) -> Result<(), TestCaseError> {
        let (now, mut failed, mut left, mut sent) = (self.now, None, Vec::new(), 0);
        let model = &mut self.model;
        let taken = self.requests.dispatch(&mut self.store, now, budget, |offer| {
            let who = *offer.responder;
            model.time_out_front(now, |_| true);
            if sent == room {
                model.responders.get_mut(&who).unwrap().is_blocked = true;
                return Err(NotHandedOver::Full);
            }
            if gone {
                model.remove_responder(who);
                left.push(who);
                return Err(NotHandedOver::Gone);
            }
            sent += 1;
            let responder = model.responders.get_mut(&who).unwrap();
            responder.last_tag += 1;
            let tag = responder.last_tag;
            let is_allowed = tag <= responder.allowed && !responder.is_blocked;
            let next = model.requests.iter_mut().find(|request| request.in_hand.is_none()).unwrap();
            next.in_hand = Some((who, tag));
            let expected = (tag, next.deadline.since(now), &next.payload[..]);
            if !is_allowed || expected != (offer.tag, offer.left, offer.payload.as_slice()) {
                failed = Some(TestCaseError::fail(format!("{offer:?} instead of {expected:?}")));
            }
            Ok(())
        });
        failed.map_or(Ok(()), Err)?;
        self.responders.retain(|(_, key)| !left.contains(key));
        prop_assert!(taken <= budget);
        // Those that are due and would have been next are over as well, as far as the budget went.
        let ledger = self.requests.ledger();
        self.model.time_out_front(now, |model| model.waiting().count() > ledger.waiting as usize);
        if budget == 19 && !gone {
            let has_room = |(key, responder): (&usize, &Responder)| {
                !responder.is_blocked
                    && responder.allowed > responder.last_tag
                    && self.model.span(*key) < config().max_in_hand as u64
            };
            let in_vain = ledger.waiting > 0 && self.model.responders.iter().any(has_room);
            prop_assert!(!in_vain, "a request waits, and somebody could take it");
        }
        Ok(())
    }

    fn tell(&mut self, budget: usize, room: usize, gone: bool) -> Result<(), TestCaseError> {
        let model = &mut self.model;
        let (mut failed, mut left, mut sent) = (None, Vec::new(), 0);
        let taken = self.requests.dispatch_outcomes(&mut self.store, budget, |offer| {
            let who = *offer.caller;
            if sent == room {
                model.callers.get_mut(&who).unwrap().is_blocked = true;
                return Err(Undeliverable::Full);
            }
            if gone {
                model.callers.remove(&who);
                model.requests.retain(|request| request.caller != who);
                left.push(who);
                return Err(Undeliverable::Gone);
            }
            sent += 1;
            let untold = &mut model.callers.get_mut(&who).unwrap().untold;
            let found = (offer.number, told(&offer.outcome));
            match untold.iter().position(|expected| *expected == found) {
                Some(at) => drop(untold.remove(at)),
                None => failed = Some(TestCaseError::fail(format!("{who} is told {found:?}, not one of {untold:?}"))),
            }
            Ok(())
        });
        failed.map_or(Ok(()), Err)?;
        self.callers.retain(|(_, key)| !left.contains(key));
        prop_assert!(taken <= budget);
        if taken < budget {
            let mut callers = self.model.callers.values();
            prop_assert!(callers.all(|caller| caller.is_blocked || caller.untold.is_empty()));
        }
        Ok(())
    }

    fn advance(&mut self, by: u64) {
        self.now += Duration::from_millis(by);
        let now = self.now;
        self.requests.expire(&mut self.store, now, usize::MAX);
        self.model.end(|request| request.deadline <= now, &Told::Other("timed out"));
    }

    fn unblock(&mut self) {
        self.callers.iter().for_each(|(id, _)| self.requests.unblock_caller(*id));
        self.responders.iter().for_each(|(id, _)| self.requests.unblock_responder(*id));
        self.model.callers.values_mut().for_each(|caller| caller.is_blocked = false);
        self.model.responders.values_mut().for_each(|responder| responder.is_blocked = false);
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        let (ledger, model) = (self.requests.ledger(), &self.model);
        prop_assert!(ledger.is_balanced(), "{:?}", ledger);
        prop_assert_eq!(ledger.waiting as usize, model.waiting().count());
        prop_assert_eq!(self.requests.len(), model.requests.len());
        prop_assert_eq!(ledger.untold as usize, model.untold());
        prop_assert_eq!(self.requests.bytes(), model.waiting_bytes());
        prop_assert_eq!(self.store.payloads(), model.payloads());
        let next = model.requests.iter().map(|request| request.deadline).min();
        prop_assert_eq!(self.requests.next_deadline(), next);
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn requests_do_what_the_model_does(operations in vec(operation(), 1..150)) {
        let mut world = World::new();
        for operation in &operations {
            world.apply(operation)?;
        }
        // I27: nothing is left behind.
        world.requests.discard(&mut world.store);
        prop_assert_eq!(world.store.payloads(), 0);
    }
}
