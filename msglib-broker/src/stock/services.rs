//! Services in the stock handler: links that ask and links that answer, and when a request is over.

use super::ConnectionHandler;
use super::client::{Client, Other};
use super::consumer_key::ConsumerKey;
use super::delivering::sorry;
use super::publishing::unwelcome;
use crate::core::{Context, TimerId};
use crate::dialect::SendError;
use crate::queue::{Store, Undeliverable};
use crate::reason::Reject;
use crate::request::{
    CallerId, NotHandedOver, Outcome, OutcomeOffer, RequestLedger, RequestOffer, Requests, ResponderId,
};
use crate::table::{Key, Table};
use core::time::Duration;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    ChannelName, ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, Instant, LinkNumber, Open, OwnedName, Payload,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What each request and each reply counts for beyond its payload.
const OVERHEAD: usize = Requests::<ConsumerKey>::OVERHEAD;

/// The services that there are, and when each has to be looked at.
#[derive(Debug, Default)]
pub(super) struct Services {
    table: Table<Service>,
    names: BTreeMap<OwnedName, Key>,
    /// Those that may have something to dispatch, each once.
    dirty: VecDeque<Key>,
    /// Each once, not later than its next deadline.
    due: BTreeSet<(Instant, Key)>,
    /// Not later than the first of them.
    timer: Option<(Instant, TimerId)>,
    /// What waits in all of them.
    held: Held,
    pub(super) counters: ServiceCounters,
}

/// Bytes of requests and of replies that wait.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    pub(super) requests: usize,
    pub(super) replies: usize,
}

/// How often a limit of all services was met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ServiceCounters {
    pub(super) services: u64,
    pub(super) requests: u64,
    pub(super) replies: u64,
}

#[derive(Debug)]
struct Service {
    name: OwnedName,
    requests: Requests<ConsumerKey>,
    links: usize,
    is_dirty: bool,
    due: Option<Instant>,
    /// As it was last added up.
    held: Held,
}

/// A link to a service.
#[derive(Debug)]
pub(super) struct ServiceEnd {
    service: Key,
    caller: Option<Asking>,
    responder: Option<ResponderId>,
}

/// What a caller is owed.
#[derive(Debug)]
struct Asking {
    id: CallerId,
    /// Requests that have their outcome.
    told: u64,
    /// The last number that it may use.
    credit: u64,
}

/// One service, as a person or a test sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ServiceInfo<'a> {
    /// Its name.
    pub name: ChannelName<'a>,
    /// What became of every request so far.
    pub ledger: RequestLedger,
    /// How many links ask.
    pub callers: usize,
    /// How many links answer.
    pub responders: usize,
    /// Bytes of the requests that wait.
    pub bytes: usize,
}

impl Services {
    fn find_or_make(&mut self, name: ChannelName<'_>, config: &super::StockConfig) -> Result<Key, Reject> {
        let name = name.to_owned();
        if let Some(key) = self.names.get(&name) {
            return Ok(*key);
        }
        if self.table.len() >= config.max_services {
            self.counters.services += 1;
            let text = format!("there are {} services already, and all of them in use", self.table.len());
            return Err(Reject::new(ErrorCode::TOO_MANY_CHANNELS, text));
        }
        let requests = Requests::new(config.requests.clone());
        let service =
            Service { name: name.clone(), requests, links: 0, is_dirty: false, due: None, held: Held::default() };
        let key = self.table.insert(service);
        self.names.insert(name, key);
        Ok(key)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// After everything that can change what a service has to do, or what waits in it.
    fn changed(&mut self, key: Key) {
        self.add_up(key);
        if let Some(service) = self.table.get_mut(key)
            && !service.is_dirty
            && (service.requests.can_dispatch() || service.requests.has_outcomes())
        {
            service.is_dirty = true;
            self.dirty.push_back(key);
        }
    }

    fn add_up(&mut self, key: Key) {
        let Some(service) = self.table.get_mut(key) else { return };
        let now = Held { requests: service.requests.bytes(), replies: service.requests.reply_bytes() };
        let before = core::mem::replace(&mut service.held, now);
        self.held.requests = self.held.requests - before.requests + now.requests;
        self.held.replies = self.held.replies - before.replies + now.replies;
    }

    /// The service has to be looked at when its next request is due; earlier does no harm.
    fn schedule(&mut self, key: Key) {
        let Some(service) = self.table.get_mut(key) else { return };
        let Some(next) = service.requests.next_deadline() else { return };
        if service.due.is_some_and(|due| due <= next) {
            return;
        }
        if let Some(due) = service.due.replace(next) {
            self.due.remove(&(due, key));
        }
        self.due.insert((next, key));
    }

    /// A timer for the first of those that have to be looked at.
    fn set_timer(&mut self, cx: &mut Context<'_>) {
        let Some((first, _)) = self.due.first() else { return };
        if let Some((at, timer)) = self.timer {
            if at <= *first {
                return;
            }
            cx.cancel_timer(timer);
        }
        self.timer = Some((*first, cx.set_timer(*first, 0)));
    }

    fn drop_if_unneeded(&mut self, key: Key, store: &mut Store) {
        if self.table.get(key).is_none_or(|service| service.links > 0) {
            return;
        }
        if let Some(service) = self.table.remove(key) {
            self.names.remove(&service.name);
            self.held.requests -= service.held.requests;
            self.held.replies -= service.held.replies;
            if let Some(due) = service.due {
                self.due.remove(&(due, key));
            }
            service.requests.discard(store);
        }
    }
}

impl ConnectionHandler {
    /// Every service that somebody has a link to.
    pub fn services(&self) -> impl Iterator<Item = ServiceInfo<'_>> {
        self.services.table.iter().map(|service| ServiceInfo {
            name: service.name.borrow(),
            ledger: service.requests.ledger(),
            callers: service.requests.callers(),
            responders: service.requests.responders(),
            bytes: service.requests.bytes(),
        })
    }

    pub(super) fn open_service(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        open: &Open<'_>,
    ) -> Result<(), Reject> {
        if !open.arguments.is_empty() {
            return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, "a service takes no arguments"));
        }
        let Some(client) = Client::find(&mut self.clients, from) else { return Ok(()) };
        let key = self.services.find_or_make(open.name, &self.config)?;
        let Some(service) = self.services.table.get_mut(key) else { return Ok(()) };
        service.links += 1;
        let link = ConsumerKey { connection: from, link: open.link };
        let mut caller = open.publishes.then(|| Asking::new(service.requests.add_caller(link)));
        let responder = open.consumes.then(|| service.requests.add_responder(link));
        if let Some(asking) = &mut caller {
            asking.send_credit(cx, link, self.config.publish_window);
        }
        client.others.insert(open.link, Other::Service(ServiceEnd { service: key, caller, responder }));
        Ok(())
    }

    /// Requests that have no outcome yet, or whose caller has not been told.
    pub(super) fn open_requests(&self) -> usize {
        self.services
            .table
            .iter()
            .map(|service| service.requests.len() + service.requests.ledger().untold as usize)
            .sum()
    }

    /// A frame on a link to a service.
    pub(super) fn service_frame(
        &mut self,
        cx: &mut Context<'_>,
        from: ConnectionId,
        frame: &Frame<'_>,
    ) -> Result<(), Reject> {
        let Some(end) = service_end(&mut self.clients, from, frame.link()) else { return Ok(()) };
        let (key, responder) = (end.service, end.responder);
        let held = self.services.held;
        let Some(service) = self.services.table.get_mut(key) else { return Ok(()) };
        let (requests, store) = (&mut service.requests, self.queues.store_mut());
        match (*frame, responder) {
            (Frame::Request { number, deadline_ms, payload, .. }, _) => {
                let Some(asking) = &mut end.caller else { return Ok(()) };
                let within = Some(Duration::from_millis(u64::from(deadline_ms)));
                let has_room = held.requests + payload.len() + OVERHEAD <= self.config.request_bytes();
                let asked = match unwelcome(cx) {
                    Some(reject) => Err(reject),
                    None if !has_room => {
                        self.services.counters.requests += 1;
                        Err(Reject::new(ErrorCode::BUSY, "too many requests wait in all services"))
                    }
                    None => (requests.request(store, cx.now(), asking.id, number, within, payload))
                        .map_err(|full| Reject::new(ErrorCode::BUSY, full.to_string())),
                };
                if let Err(reject) = asked {
                    // Its outcome is this refusal.
                    asking.told += 1;
                    let link = ConsumerKey { connection: from, link: frame.link() };
                    asking.send_credit(cx, link, self.config.publish_window);
                    return Err(reject);
                }
                self.services.schedule(key);
                self.services.set_timer(cx);
            }
            // A late answer changes nothing (PROTOCOL §17.3).
            (Frame::Reply { number, payload, .. }, Some(responder)) => {
                let is_tight = held.replies + payload.len() + OVERHEAD > self.config.reply_bytes();
                self.services.counters.replies += u64::from(is_tight);
                requests.set_tight(is_tight);
                let _ = requests.reply(store, responder, number, payload);
            }
            (Frame::NoReply { number, code, text, .. }, Some(responder)) => {
                let is_tight = held.replies + text.len() + OVERHEAD > self.config.reply_bytes();
                self.services.counters.replies += u64::from(is_tight);
                requests.set_tight(is_tight);
                let _ = requests.refuse(store, responder, number, code, text);
            }
            (Frame::Credit { upto, .. }, Some(responder)) => requests.allow(responder, upto),
            (Frame::Close { link }, _) => self.close_service(cx, from, link, None),
            _ => {}
        }
        self.services.changed(key);
        Ok(())
    }

    /// Each dirty service has a turn: what is decided goes to the callers, and what waits to responders.
    pub(super) fn dispatch_services(&mut self, cx: &mut Context<'_>) {
        let mut budget = self.config.deliveries_per_step.max(1);
        for _ in 0..self.services.dirty.len() {
            if budget == 0 {
                break;
            }
            let Some(key) = self.services.dirty.pop_front() else { break };
            let turn = budget.min(self.config.deliveries_per_turn.max(1));
            budget -= self.dispatch_service(cx, key, turn).min(budget);
            if let Some(service) = self.services.table.get_mut(key) {
                service.is_dirty = false;
            }
            self.services.changed(key);
        }
        if !self.services.dirty.is_empty() {
            self.delivery_turns_cut += u64::from(budget == 0);
            cx.continue_soon();
        }
    }

    /// Requests whose time is over, if the timer is the services' own.
    pub(super) fn service_timer(&mut self, cx: &mut Context<'_>, timer: TimerId) -> bool {
        if self.services.timer.is_none_or(|(_, own)| own != timer) {
            return false;
        }
        self.services.timer = None;
        let mut budget = self.config.deliveries_per_step.max(1);
        while budget > 0
            && let Some((_, key)) = self.services.due.first().copied().filter(|(at, _)| *at <= cx.now())
        {
            self.services.due.pop_first();
            if let Some(service) = self.services.table.get_mut(key) {
                service.due = None;
                budget -= service.requests.expire(self.queues.store_mut(), cx.now(), budget);
            }
            self.services.schedule(key);
            self.services.changed(key);
        }
        self.services.set_timer(cx);
        true
    }

    /// There is room again on the way to a caller, or to a responder.
    pub(super) fn unblock_service(&mut self, from: ConnectionId, link: LinkNumber) {
        let Some(end) = service_end(&mut self.clients, from, link) else { return };
        let Some(service) = self.services.table.get_mut(end.service) else { return };
        if let Some(asking) = &end.caller {
            service.requests.unblock_caller(asking.id);
        }
        if let Some(responder) = end.responder {
            service.requests.unblock_responder(responder);
        }
        let key = end.service;
        self.services.changed(key);
    }

    /// A link to a service is over: its own requests end without a word, and those that it had in hand with an outcome.
    pub(super) fn leave_service(&mut self, end: &ServiceEnd) {
        let Some(service) = self.services.table.get_mut(end.service) else { return };
        let store = self.queues.store_mut();
        if let Some(asking) = &end.caller {
            service.requests.remove_caller(store, asking.id);
        }
        if let Some(responder) = end.responder {
            service.requests.remove_responder(store, responder);
        }
        service.links -= 1;
        self.services.drop_if_unneeded(end.service, store);
        self.services.changed(end.service);
    }

    /// The timers of an earlier broker are gone with it.
    pub(super) fn forget_service_timer(&mut self) {
        self.services.timer = None;
    }

    fn dispatch_service(&mut self, cx: &mut Context<'_>, key: Key, budget: usize) -> usize {
        let Some(service) = self.services.table.get_mut(key) else { return 0 };
        let (requests, store, clients) = (&mut service.requests, self.queues.store_mut(), &mut self.clients);
        let window = self.config.publish_window;
        let mut refused = Vec::new();
        let now = cx.now();
        let mut taken = requests.dispatch(store, now, budget, |offer| {
            let link = *offer.responder;
            hand_over(cx, &offer).map_err(|error| match error {
                SendError::TooLarge { .. } => NotHandedOver::TooLarge,
                error => match undeliverable(clients, link, error, &mut refused) {
                    Undeliverable::Full => NotHandedOver::Full,
                    Undeliverable::Gone => NotHandedOver::Gone,
                },
            })
        });
        taken += requests.dispatch_outcomes(store, budget, |offer| {
            let link = *offer.caller;
            tell(cx, &offer).map_err(|error| undeliverable(clients, link, error, &mut refused))?;
            if let Some(asking) = service_end(clients, link.connection, link.link).and_then(|end| end.caller.as_mut()) {
                asking.told += 1;
                asking.send_credit(cx, link, window);
            }
            Ok(())
        });
        for (ConsumerKey { connection, link }, error) in refused {
            self.close_service(cx, connection, link, sorry(&error).as_ref());
        }
        taken
    }

    fn close_service(&mut self, cx: &mut Context<'_>, from: ConnectionId, link: LinkNumber, reason: Option<&Reject>) {
        let Some(client) = Client::find(&mut self.clients, from) else { return };
        let Some(Other::Service(end)) = client.take_other(link) else { return };
        if let Some(reject) = reason {
            let _ = cx.send(from, Frame::Closed { link, code: reject.code(), text: reject.text() });
        }
        self.leave_service(&end);
    }
}

impl Asking {
    fn new(id: CallerId) -> Asking {
        Asking { id, told: 0, credit: INITIAL_PUBLISH_CREDIT }
    }

    /// A request holds its credit until it has its outcome, so that no more are under way than the window has; it moves on when half of it is
    /// used up (PROTOCOL §6.2).
    fn send_credit(&mut self, cx: &mut Context<'_>, to: ConsumerKey, window: u64) {
        let upto = self.told.saturating_add(window);
        if upto >= self.credit.saturating_add(window / 2) {
            self.credit = upto;
            let _ = cx.send(to.connection, Frame::Credit { link: to.link, upto });
        }
    }
}

fn service_end(clients: &mut [Option<Client>], from: ConnectionId, link: LinkNumber) -> Option<&mut ServiceEnd> {
    match Client::find(clients, from)?.others.get_mut(&link)? {
        Other::Service(end) => Some(end),
        _ => None,
    }
}

fn hand_over(cx: &mut Context<'_>, offer: &RequestOffer<'_, ConsumerKey>) -> Result<(), SendError> {
    let ConsumerKey { connection, link } = *offer.responder;
    // What is left of a millisecond is one, for 0 would be over.
    let deadline_ms = u32::try_from(offer.left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
    cx.send(connection, Frame::Request { link, number: offer.tag, deadline_ms, payload: offer.payload })
}

fn tell(cx: &mut Context<'_>, offer: &OutcomeOffer<'_, ConsumerKey>) -> Result<(), SendError> {
    let (ConsumerKey { connection, link }, number) = (*offer.caller, offer.number);
    match offer.outcome {
        Outcome::Reply(payload) => reply(cx, *offer.caller, number, payload),
        Outcome::Refused { code, text } => cx.send(connection, Frame::NoReply { link, number, code, text }),
        other => {
            let (code, text) = words(&other);
            cx.send(connection, Frame::NoReply { link, number, code, text })
        }
    }
}

/// A reply that is larger than its caller takes is still an outcome.
fn reply(cx: &mut Context<'_>, to: ConsumerKey, number: u64, payload: Payload<'_>) -> Result<(), SendError> {
    let ConsumerKey { connection, link } = to;
    match cx.send(connection, Frame::Reply { link, number, payload }) {
        Err(error @ SendError::TooLarge { .. }) => {
            let (code, text) = (ErrorCode::MESSAGE_TOO_LARGE, error.to_string());
            cx.send(connection, Frame::NoReply { link, number, code, text: &text })
        }
        sent => sent,
    }
}

fn words(outcome: &Outcome<'_>) -> (ErrorCode, &'static str) {
    match outcome {
        Outcome::NoResponder => (ErrorCode::NO_RESPONDER, "nobody answers there"),
        Outcome::TimedOut => (ErrorCode::TIMED_OUT, "no answer came in time"),
        Outcome::ResponderGone => (ErrorCode::RESPONDER_GONE, "who had the request went away"),
        Outcome::CallerTooSlow => (ErrorCode::BUSY, "too many replies wait to be read"),
        // Told in their own words.
        Outcome::Reply(_) | Outcome::Refused { .. } => (ErrorCode::INTERNAL, ""),
    }
}

fn undeliverable(
    clients: &mut [Option<Client>],
    to: ConsumerKey,
    error: SendError,
    refused: &mut Vec<(ConsumerKey, SendError)>,
) -> Undeliverable {
    match error {
        SendError::Full => {
            if let Some(client) = Client::find(clients, to.connection) {
                client.blocked.push(to.link);
            }
            Undeliverable::Full
        }
        _ => {
            refused.push((to, error));
            Undeliverable::Gone
        }
    }
}
