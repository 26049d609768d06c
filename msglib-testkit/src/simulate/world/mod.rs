//! A broker and its clients on one thread, with everything that can go wrong around them.

mod broker;
mod clients;
mod look;
mod rest;
mod words;

use super::books::{Account, Books};
use super::checker::Checker;
use super::client::Client;
use super::facts::Facts;
use super::featured::{HostAct, Jobs};
use super::guest::{Guest, Room};
use super::setup::Setup;
use super::streams::Random;
use super::trace::{Moment, TraceHash, What};
use crate::faults::{Faulty, Tally};
use msglib_broker::{Broker, ChannelName, Context, Counters, Handler, QueueConfig};
use msglib_io_memory::{Clock, Transport};
use msglib_proto::transport::ConnectionManager;
use std::cell::RefCell;
use std::rc::Rc;

const ENDPOINT: &str = "broker";

/// Puts something around the transport: a decorator that the user wrote, say.
pub(in crate::simulate) type Decorate = Rc<dyn Fn(Box<dyn ConnectionManager>) -> Box<dyn ConnectionManager>>;

/// What a world is made of, the same for each run of a simulation.
pub(in crate::simulate) struct Parts<H> {
    pub(in crate::simulate) make: Rc<dyn Fn(&Setup) -> H>,
    pub(in crate::simulate) books: Option<Books<H>>,
    pub(in crate::simulate) decorate: Option<Decorate>,
    pub(in crate::simulate) host: Option<Host<H>>,
}

/// Does something with a queue on behalf of the host program; whether it could.
pub type Host<H> = fn(&mut H, &mut Context<'_>, ChannelName<'static>, HostAct, &QueueConfig) -> bool;

type WorldBroker<H> = Broker<Guest<H>, Faulty<Box<dyn ConnectionManager>>>;

pub(in crate::simulate) struct World<'p, H: Handler> {
    parts: &'p Parts<H>,
    pub(in crate::simulate) setup: Setup,
    transport: Transport,
    clock: Clock,
    /// There always is one, but while it is replaced.
    broker: Option<WorldBroker<H>>,
    room: Rc<RefCell<Room<H>>>,
    /// By client, and behind them those that drain the queues in the end.
    pub(in crate::simulate) clients: Vec<Option<Client>>,
    /// Connections that their clients have forgotten, and that nobody has closed.
    ghosts: Vec<Client>,
    pub(in crate::simulate) facts: Facts,
    checkers: Vec<Box<dyn Checker<H>>>,
    accounts: Vec<Option<Account>>,
    job_accounts: Vec<Option<Account>>,
    counters_before: Counters,
    pub(in crate::simulate) hash: TraceHash,
    pub(in crate::simulate) trace: Option<Vec<Moment>>,
    /// Faults of processes that happened.
    pub(in crate::simulate) process_faults: u64,
    faults: Tally,
    /// With which handler the broker goes on after the panic that is planned.
    panic_is_fresh: bool,
    /// The broker is being replaced, so whatever ends is no wonder.
    is_replacing: bool,
    /// Nothing new is said.
    is_resting: bool,
    buf: Vec<u8>,
    pub(in crate::simulate) payload: Vec<u8>,
}
impl<'p, H: Handler + 'static> World<'p, H> {
    pub(in crate::simulate) fn new(
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
            clients: (0..setup.clients + setup.queues + setup.featured + setup.own).map(|_| None).collect(),
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
    pub(in crate::simulate) fn network_faults(&self) -> Tally {
        let mut all = self.faults.clone();
        if let Some(broker) = &self.broker {
            all += &broker.connection_manager().tally();
        }
        all
    }

    /// Writes a line for a person, if one wants to read it.
    pub(in crate::simulate) fn note(&mut self, what: impl FnOnce() -> What) {
        if let Some(trace) = &mut self.trace {
            trace.push(Moment { at: self.facts.now, what: what() });
        }
    }
}
