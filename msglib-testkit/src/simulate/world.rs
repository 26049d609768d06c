//! A broker and its clients on one thread, with everything that can go wrong around them.

use super::books::{Account, Books};
use super::checker::{Checker, Ended, Seen, View, Violation};
use super::client::{Client, Read1};
use super::facts::{ConnectionNumber, Facts};
use super::featured::{Credentials, HostAct, Jobs, job_queue};
use super::guest::{Guest, Planned, Room};
use super::setup::{Setup, queue_name};
use super::streams::Random;
use super::trace::{Moment, TraceHash, What};
use crate::faults::{Faulty, Tally};
use crate::{Transcript, TranscriptLog};
use msglib_broker::{Broker, ChannelName, Context, Counters, Handler, Native, QueueConfig};
use msglib_io_memory::{Clock, InMemoryConnectionManager, Transport};
use msglib_proto::transport::ConnectionManager;
use msglib_proto::{ChannelKind, Feature, Frame, Hello, LinkState};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// What the clients of the features offer.
const FEATURES: u64 = Feature::Queues.bit() | Feature::Topics.bit() | Feature::Requests.bit();

const ENDPOINT: &str = "broker";

/// Rounds in which something still moved before it is said that there is no rest.
const MOST_ROUNDS: usize = 200_000;

/// Rounds in which nothing moved before it is said that there is rest: what a fault held back comes some polls late.
const STILL: usize = 4;

/// Puts something around the transport: a decorator that the user wrote, say.
pub(super) type Decorate = Rc<dyn Fn(Box<dyn ConnectionManager>) -> Box<dyn ConnectionManager>>;

/// What a world is made of, the same for each run of a simulation.
pub(super) struct Parts<H> {
    pub(super) make: Rc<dyn Fn(&Setup) -> H>,
    pub(super) books: Option<Books<H>>,
    pub(super) decorate: Option<Decorate>,
    pub(super) host: Option<Host<H>>,
}

/// Does something with a queue on behalf of the host program; whether it could.
pub type Host<H> = fn(&mut H, &mut Context<'_>, ChannelName<'static>, HostAct, &QueueConfig) -> bool;

type WorldBroker<H> = Broker<Guest<H>, Faulty<Box<dyn ConnectionManager>>>;

pub(super) struct World<'p, H: Handler> {
    parts: &'p Parts<H>,
    pub(super) setup: Setup,
    transport: Transport,
    clock: Clock,
    /// There always is one, but while it is replaced.
    broker: Option<WorldBroker<H>>,
    room: Rc<RefCell<Room<H>>>,
    /// By client, and behind them those that drain the queues in the end.
    pub(super) clients: Vec<Option<Client>>,
    /// Connections that their clients have forgotten, and that nobody has closed.
    ghosts: Vec<Client>,
    pub(super) facts: Facts,
    checkers: Vec<Box<dyn Checker<H>>>,
    accounts: Vec<Option<Account>>,
    job_accounts: Vec<Option<Account>>,
    counters_before: Counters,
    pub(super) hash: TraceHash,
    pub(super) trace: Option<Vec<Moment>>,
    /// Faults of processes that happened.
    pub(super) process_faults: u64,
    faults: Tally,
    /// With which handler the broker goes on after the panic that is planned.
    panic_is_fresh: bool,
    /// The broker is being replaced, so whatever ends is no wonder.
    is_replacing: bool,
    /// Nothing new is said.
    is_resting: bool,
    buf: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl<'p, H: Handler + 'static> World<'p, H> {
    pub(super) fn new(
        parts: &'p Parts<H>,
        setup: Setup,
        broker_seed: &mut Random,
        checkers: Vec<Box<dyn Checker<H>>>,
        is_traced: bool,
    ) -> World<'p, H> {
        let seed = u128::from(broker_seed.number()) << 64 | u128::from(broker_seed.number());
        let transport = Transport::builder().pipe_capacity(setup.pipe_capacity).seed(seed).build();
        let room = Room::new((parts.make)(&setup));
        let mut world = World {
            parts,
            facts: Facts::new(setup.queues),
            accounts: vec![None; setup.queues],
            clients: (0..setup.clients + setup.queues + setup.featured).map(|_| None).collect(),
            setup,
            clock: transport.clock(),
            transport,
            broker: None,
            room,
            ghosts: Vec::new(),
            checkers,
            job_accounts: Vec::new(),
            counters_before: Counters::default(),
            hash: TraceHash::new(),
            trace: is_traced.then(Vec::new),
            process_faults: 0,
            faults: Tally::default(),
            panic_is_fresh: false,
            is_replacing: false,
            is_resting: false,
            buf: vec![0; 16 * 1024],
            payload: Vec::new(),
        };
        world.facts.may_be_cut = world.setup.may_be_cut();
        world.start_broker();
        if world.setup.featured > 0 {
            world.facts.jobs = Jobs::new(&world.setup.jobs);
            world.declare_jobs();
        }
        world
    }

    /// Faults of the network that were fired so far.
    pub(super) fn network_faults(&self) -> Tally {
        let mut all = self.faults.clone();
        if let Some(broker) = &self.broker {
            all += &broker.connection_manager().tally();
        }
        all
    }

    /// Writes a line for a person, if one wants to read it.
    pub(super) fn note(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace {
            trace.push(Moment { at: self.facts.now, what: what() });
        }
    }
}

/// Clients.
impl<H: Handler + 'static> World<'_, H> {
    /// A new connection for a client; what it had before is dropped.
    pub(super) fn connect(&mut self, client: usize, takes: u32) -> Result<(), Violation> {
        self.leave(client, |_| {})?;
        let stream = match self.transport.connect(ENDPOINT) {
            Ok(stream) => stream,
            // A thousand wait for the next step.
            Err(_) => return Ok(()),
        };
        let credentials = self.credentials(client);
        let connection = self.facts.connected(client, takes, credentials);
        let name = connection.0.to_string();
        let is_plain = credentials == Credentials::None;
        self.note(|| What::Client { client, words: format!("connects ({connection})") });
        self.clients[client] = Some(Client::new(connection, stream, takes));
        let features = if client >= self.first_featured() { FEATURES } else { 0 };
        let hello = Hello {
            min_version: 1,
            max_version: 1,
            features,
            max_payload: takes,
            idle_ms: 0,
            name: if is_plain { "simulated" } else { &name },
            mechanism: "",
            credentials: credentials.as_bytes(),
        };
        self.send(client, &Frame::Hello(hello))
    }

    /// What a client shows at the door, if that has a keeper: now and then something for which it is not let in at once.
    fn credentials(&self, client: usize) -> Credentials {
        if client < self.first_featured() || !self.setup.door.has_keeper() {
            return Credentials::None;
        }
        match self.facts.connections.len() % 7 {
            _ if self.facts.is_healed => Credentials::Friend,
            2 => Credentials::Stranger,
            3 | 5 => Credentials::Unknown,
            _ => Credentials::Friend,
        }
    }

    /// The host program decides about somebody at the door.
    pub(super) fn decide(&mut self, pick: usize, yes: bool) -> bool {
        let Some(name) = self.setup.door.decide(pick, yes) else { return false };
        self.facts.decided(&name, yes);
        true
    }

    /// The client says a frame.
    pub(super) fn send(&mut self, client: usize, frame: &Frame<'_>) -> Result<(), Violation> {
        let Some(open) = &mut self.clients[client] else { return Ok(()) };
        open.say(frame);
        let connection = open.connection;
        self.seen(&Seen::Sent(connection, frame))?;
        self.facts.sent(connection, frame);
        self.note(|| What::Sent { client, connection, words: words(frame) });
        Ok(())
    }

    /// The client drops its connection, after `last` has been done to it.
    pub(super) fn leave(&mut self, client: usize, last: impl FnOnce(&mut Client)) -> Result<(), Violation> {
        let Some(mut gone) = self.clients[client].take() else { return Ok(()) };
        last(&mut gone);
        self.note(|| What::Client { client, words: "leaves its connection".to_owned() });
        self.ended(gone.connection, Ended::ByClient)
    }

    /// The client forgets its connection, and does not close it.
    pub(super) fn vanish(&mut self, client: usize) {
        let Some(gone) = self.clients[client].take() else { return };
        self.note(|| What::Client { client, words: "vanishes".to_owned() });
        self.facts.connections[gone.connection.0].is_listening = false;
        self.ghosts.push(gone);
    }

    /// The system of those who vanished gives their connections up.
    pub(super) fn lay_ghosts(&mut self) -> Result<(), Violation> {
        for ghost in core::mem::take(&mut self.ghosts) {
            self.ended(ghost.connection, Ended::ByClient)?;
        }
        Ok(())
    }

    pub(super) fn stall(&mut self, client: usize, is_stalled: bool) {
        let Some(open) = &mut self.clients[client] else { return };
        open.is_stalled = is_stalled;
        if !is_stalled {
            open.trickle = None;
        }
        self.facts.connections[open.connection.0].is_listening = !is_stalled;
    }

    fn ended(&mut self, connection: ConnectionNumber, how: Ended) -> Result<(), Violation> {
        let how = if self.is_replacing && how != Ended::ByClient { Ended::WithBroker } else { how };
        self.hash.word(connection.0 as u64);
        self.seen(&Seen::Ended(connection, how))?;
        self.facts.ended(connection);
        let client = self.facts.connection(connection).client;
        self.note(|| What::Client { client, words: format!("has no {connection} any more: {how:?}") });
        Ok(())
    }

    /// What clients have said goes on its way; true if anything did.
    fn write_all(&mut self) -> bool {
        let mut moved = false;
        // Whoever trickles hurries on the way to rest, or a large payload would take for ever.
        let least = if self.is_resting { 1_000 } else { 0 };
        for client in self.clients.iter_mut().flatten() {
            moved |= client.write(client.trickle.map_or(usize::MAX, |bytes| bytes.max(least))) > 0;
        }
        moved
    }

    /// Who reads takes in what has come; true if anything had.
    fn read_all(&mut self) -> Result<bool, Violation> {
        let mut moved = false;
        for client in 0..self.clients.len() {
            moved |= self.read(client)?;
        }
        Ok(moved)
    }

    fn read(&mut self, client: usize) -> Result<bool, Violation> {
        let mut moved = false;
        let mut buf = core::mem::take(&mut self.buf);
        while let Some(open) = &mut self.clients[client] {
            if open.is_stalled {
                break;
            }
            let connection = open.connection;
            let how = match open.read(&mut buf) {
                Read1::Nothing => break,
                Read1::Bytes(n) => {
                    moved = true;
                    let decoder = open.decoder.take();
                    self.take_in(client, connection, decoder, &buf[..n])?;
                    continue;
                }
                Read1::End => Ended::EndOfStream,
                Read1::Reset => Ended::Reset,
            };
            moved = true;
            self.clients[client] = None;
            self.ended(connection, how)?;
        }
        self.buf = buf;
        Ok(moved)
    }

    /// Decodes what came, and answers what has one answer.
    fn take_in(
        &mut self,
        client: usize,
        connection: ConnectionNumber,
        decoder: Option<msglib_proto::Decoder>,
        mut bytes: &[u8],
    ) -> Result<(), Violation> {
        let Some(mut decoder) = decoder else { return Ok(()) };
        self.hash.word(connection.0 as u64);
        self.hash.bytes(bytes);
        loop {
            match decoder.decode(&mut bytes) {
                Ok(Some(frame)) => {
                    let features = if let Frame::Welcome(welcome) = frame { welcome.features } else { 0 };
                    self.received(client, connection, &frame)?;
                    if features > 0 {
                        decoder.agree_on(features);
                    }
                }
                Ok(None) => break,
                Err(error) => self.seen(&Seen::NoFrame(connection, &error.to_string()))?,
            }
        }
        if let Some(open) = &mut self.clients[client] {
            open.decoder = Some(decoder);
        }
        Ok(())
    }

    fn received(&mut self, client: usize, connection: ConnectionNumber, frame: &Frame<'_>) -> Result<(), Violation> {
        self.note(|| What::Received { client, connection, words: words(frame) });
        self.seen(&Seen::Received(connection, frame))?;
        // The client's half of the end of a link, unless that was its first (PROTOCOL §5.3).
        let must_close = matches!(frame, Frame::Closed { .. })
            && (self.facts.find_link(connection, frame.link()).is_some_and(|link| !self.facts.link(link).gave_up)
                || self
                    .facts
                    .featured
                    .find(connection, frame.link())
                    .is_some_and(|link| self.facts.featured.link(link).state != LinkState::Closing));
        self.facts.received(connection, frame);
        let facts = self.facts.connection(connection);
        if facts.is_leaving || facts.last_word.is_some() {
            return Ok(());
        }
        match *frame {
            Frame::Ping { token } => self.send(client, &Frame::Pong { token }),
            Frame::Closed { link, .. } if must_close => self.send(client, &Frame::Close { link }),
            _ => Ok(()),
        }
    }
}

/// The broker.
impl<H: Handler + 'static> World<'_, H> {
    /// Everybody writes, the broker makes a step, everybody reads. True if anything moved.
    pub(super) fn tick(&mut self) -> Result<bool, Violation> {
        let wrote = self.write_all();
        let stepped = self.step()?;
        let read = self.read_all()?;
        Ok(wrote || stepped || read)
    }

    fn step(&mut self) -> Result<bool, Violation> {
        let faults = self.trace.is_some().then(fault_log);
        let Some(broker) = &mut self.broker else { return Ok(false) };
        self.counters_before = *broker.counters();
        if let Some(log) = &faults {
            broker.connection_manager_mut().tell(log.clone());
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| broker.process_connections()));
        for fault in faults.iter().flat_map(TranscriptLog::lines) {
            // Without the time, which the moment has.
            let words = fault.trim_start().split_once("  ").map_or(fault.as_str(), |(_, words)| words).to_owned();
            self.note(|| What::Fault(words));
        }
        let step = match outcome {
            Ok(Ok(step)) => step,
            Ok(Err(error)) => return Err(contained(format!("process_connections failed: {error}"))),
            Err(panic) if panic.is::<Planned>() => {
                self.process_faults += 1;
                self.note(|| What::Note("the handler panics".to_owned()));
                self.look_at_told()?;
                let fresh = self.panic_is_fresh;
                return self.replace_broker(false, fresh).map(|()| true);
            }
            Err(panic) => return Err(contained(format!("the broker panicked: {}", words_of(panic.as_ref())))),
        };
        if let Some(broker) = &self.broker {
            self.facts.now = broker.connection_manager().now();
        }
        self.hash.word(u64::from(step.changed) << 1 | u64::from(step.has_more));
        self.look_at_told()?;
        if step.changed {
            self.look_after_step()?;
        }
        Ok(!step.is_idle())
    }

    /// What the handler was told in this step.
    fn look_at_told(&mut self) -> Result<(), Violation> {
        let mut told = core::mem::take(&mut self.room.borrow_mut().told);
        let result = told.drain(..).try_for_each(|told| self.seen(&Seen::Told(told)));
        self.room.borrow_mut().told = told;
        result
    }

    /// The broker ends, and another one begins.
    pub(super) fn replace_broker(&mut self, orderly: bool, fresh: bool) -> Result<(), Violation> {
        self.is_replacing = true;
        if orderly && let Some(broker) = &mut self.broker {
            match catch_unwind(AssertUnwindSafe(|| broker.shutdown(Duration::from_secs(1)))) {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(contained(format!("shutdown failed: {error}"))),
                Err(panic) if panic.is::<Planned>() => {}
                Err(panic) => return Err(contained(format!("the broker panicked: {}", words_of(panic.as_ref())))),
            }
            self.look_at_told()?;
        }
        if let Some(broker) = self.broker.take() {
            self.faults += &broker.connection_manager().tally();
        }
        // What was said before the end can still be read; then everybody finds out.
        self.facts.is_ending = true;
        self.read_all()?;
        for client in 0..self.clients.len() {
            if let Some(gone) = self.clients[client].take() {
                self.ended(gone.connection, Ended::WithBroker)?;
            }
        }
        for ghost in core::mem::take(&mut self.ghosts) {
            self.ended(ghost.connection, Ended::WithBroker)?;
        }
        if fresh {
            let handler = (self.parts.make)(&self.setup);
            self.room = Room::new(handler);
            self.facts.begins_anew();
        }
        self.room.borrow_mut().fuse = None;
        self.room.borrow_mut().told.clear();
        self.is_replacing = false;
        self.facts.is_ending = false;
        self.start_broker();
        self.facts.jobs.restarts();
        if fresh && self.setup.featured > 0 {
            self.declare_jobs();
        }
        self.note(|| {
            What::Note(format!("another broker begins, with {} handler", if fresh { "a new" } else { "the same" }))
        });
        self.seen(&Seen::Restarted { fresh })
    }

    pub(super) fn plan_panic(&mut self, after: u64, fresh: bool) {
        self.room.borrow_mut().fuse = Some(after);
        self.panic_is_fresh = fresh;
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        if let Some(broker) = &self.broker {
            self.facts.now = broker.connection_manager().now();
        }
    }

    pub(super) fn has_host(&self) -> bool {
        self.parts.host.is_some()
    }

    /// The host program does something with a queue.
    pub(super) fn operate(&mut self, name: ChannelName<'static>, act: HostAct, config: &QueueConfig) -> bool {
        let (Some(host), Some(broker)) = (self.parts.host, &mut self.broker) else { return false };
        broker.act(|guest, cx| host(&mut guest.room.borrow_mut().handler, cx, name, act, config))
    }

    fn start_broker(&mut self) {
        let manager = InMemoryConnectionManager::new(&self.transport, ENDPOINT);
        let manager = manager.expect("the one before is gone, so its name is free");
        let mut boxed: Box<dyn ConnectionManager> = Box::new(manager);
        if let Some(decorate) = &self.parts.decorate {
            boxed = decorate(boxed);
        }
        let mut manager = Faulty::new(boxed, self.setup.faults.clone());
        if self.facts.is_healed {
            manager.heal();
        }
        let guest = Guest { room: Rc::clone(&self.room) };
        let dialect = Native::new(self.setup.limits);
        self.counters_before = Counters::default();
        self.facts.now = manager.now();
        self.broker = Some(Broker::with_config(guest, manager, dialect, self.setup.broker.clone()));
    }
}

/// Rest, and the end.
impl<H: Handler + 'static> World<'_, H> {
    /// Everybody goes on, without new faults, until nothing moves any more; then the books are compared.
    pub(super) fn rest(&mut self) -> Result<(), Violation> {
        self.calm(true);
        self.is_resting = true;
        self.settle()?;
        self.is_resting = false;
        self.look(|checker, view| checker.at_rest(view))?;
        self.facts.rested();
        let is_healed = self.facts.is_healed;
        self.calm(is_healed);
        Ok(())
    }

    /// Until nothing moves any more.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        let mut still = 0;
        for _ in 0..MOST_ROUNDS {
            still = if self.tick()? { 0 } else { still + 1 };
            if still == STILL {
                return self.is_everything_said();
            }
        }
        Err(Violation {
            checker: "liveness",
            words: format!("there is no rest: after {MOST_ROUNDS} steps something still moves").into(),
        })
    }

    /// Who reads is read from.
    fn is_everything_said(&self) -> Result<(), Violation> {
        let waits = self.clients.iter().flatten().find(|client| !client.has_said_all() && !client.is_stalled);
        match waits {
            None => Ok(()),
            Some(client) => Err(Violation {
                checker: "liveness",
                words: format!("{} reads all, and the broker does not read what it says", client.connection).into(),
            }),
        }
    }

    /// The faults are over, for good: whoever was stalled goes on, and who vanished is gone.
    pub(super) fn heal(&mut self) -> Result<(), Violation> {
        self.facts.is_healed = true;
        self.calm(true);
        self.room.borrow_mut().fuse = None;
        while self.decide(0, true) {}
        self.lay_ghosts()?;
        (0..self.clients.len()).for_each(|client| self.stall(client, false));
        Ok(())
    }

    fn calm(&mut self, is_calm: bool) {
        let Some(broker) = &mut self.broker else { return };
        let manager = broker.connection_manager_mut();
        match is_calm {
            true => manager.heal(),
            false => manager.resume(),
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.broker.as_ref().map_or(0, |broker| broker.connections() + broker.connection_manager().draining())
    }
}

/// Checkers.
impl<H: Handler + 'static> World<'_, H> {
    fn seen(&mut self, seen: &Seen<'_>) -> Result<(), Violation> {
        for checker in &mut self.checkers {
            let result = checker.sees(&self.facts, seen);
            result.map_err(|words| Violation { checker: checker.name(), words })?;
        }
        Ok(())
    }

    fn look_after_step(&mut self) -> Result<(), Violation> {
        self.look(|checker, view| checker.after_step(view))
    }

    /// Shows the whole of it to each checker.
    pub(super) fn look(
        &mut self,
        look: impl Fn(&mut dyn Checker<H>, &View<'_, H>) -> Result<(), std::borrow::Cow<'static, str>>,
    ) -> Result<(), Violation> {
        let connections = self.connections();
        let Some(broker) = &self.broker else { return Ok(()) };
        let room = self.room.borrow();
        if let Some(books) = self.parts.books {
            for (queue, account) in self.accounts.iter_mut().enumerate() {
                *account = books(&room.handler, queue_name(queue));
            }
            let queues = if self.has_host() && self.setup.featured > 0 { self.setup.jobs.len() } else { 0 };
            self.job_accounts.clear();
            self.job_accounts.extend((0..queues).map(|queue| books(&room.handler, job_queue(queue))));
        }
        let view = View {
            facts: &self.facts,
            setup: &self.setup,
            handler: &room.handler,
            accounts: &self.accounts,
            jobs: &self.job_accounts,
            counters: broker.counters(),
            counters_before: &self.counters_before,
            connections,
        };
        for checker in &mut self.checkers {
            let result = look(checker.as_mut(), &view);
            result.map_err(|words| Violation { checker: checker.name(), words })?;
        }
        Ok(())
    }
}

/// Somewhere for the faults to be noted, apart from what passes.
fn fault_log() -> TranscriptLog {
    let nowhere = InMemoryConnectionManager::new(&Transport::new(), "nowhere");
    Transcript::keeping(nowhere.expect("a transport of its own"), 1_000).log()
}

fn contained(words: String) -> Violation {
    Violation { checker: "I37 nothing but a planned panic ends a broker", words: words.into() }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

/// A frame as a person reads it: a payload by the number of its message.
fn words(frame: &Frame<'_>) -> String {
    let message = |payload: &[u8]| {
        payload.first_chunk().map_or_else(|| "?".to_owned(), |number| u64::from_be_bytes(*number).to_string())
    };
    match *frame {
        Frame::Publish { link, number, confirm, payload } => {
            let confirm = if confirm { ", confirm" } else { "" };
            format!(
                "PUBLISH link {link} number {number}: message {}, {} bytes{confirm}",
                message(&payload),
                payload.len()
            )
        }
        Frame::Delivery { link, tag, count, payload } => {
            format!(
                "DELIVERY link {link} tag {tag} count {count}: message {}, {} bytes",
                message(&payload),
                payload.len()
            )
        }
        Frame::Open(ref open) => {
            let what = match (open.publishes, open.consumes) {
                (true, true) => "publish and consume",
                (true, false) => "publish",
                _ => "consume",
            };
            let kind = match open.kind {
                ChannelKind::TOPIC => "topic",
                ChannelKind::SERVICE => "service",
                _ => "queue",
            };
            format!("OPEN link {} to {kind} {}, to {what}", open.link, open.name)
        }
        Frame::Hello(_) => "HELLO".to_owned(),
        Frame::Welcome(_) => "WELCOME".to_owned(),
        ref other => format!("{other:?}"),
    }
}
