//! What is measured: one row each, and how one turn of it runs.

mod client;
mod deaf;
mod idle;
mod in_memory;
mod queues;
mod round_trip;
mod rows;

pub(crate) use rows::{all, grouped};

use crate::Result;
use crate::load::Load;
use crate::machine::Cores;
use crate::plan::Plan;
use crate::sample::Sample;
use crate::server::Server;
use crate::target::Target;
use std::time::Duration;

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: String,
    /// What it shows, for people.
    pub(crate) what: String,
    /// The floor that it is compared with, where one makes sense.
    pub(crate) floor: Option<Target>,
    /// The place on a growth curve, if it is on one.
    pub(crate) growth: Option<Growth>,
    pub(crate) scenario: Scenario,
}

/// One point of a curve: does the cost of a message grow with what is there?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Growth {
    /// Of what: the name of all rows of the curve together.
    pub(crate) of: &'static str,
    pub(crate) at: u64,
}

pub(crate) enum Scenario {
    Flow(Plan, Bystanders),
    /// So many messages wait before the consumer begins.
    Behind(Plan, u64),
    RoundTrip,
    /// The blocking client.
    Client,
    IdleConnections(usize),
    ManyQueues {
        queues: usize,
        each: u64,
    },
    InMemory {
        ack_each: bool,
    },
}

/// What is at the broker beside the flow, and must not make it slower.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bystanders {
    Nobody,
    Connections(usize),
    /// With a link and a message each, so that they stay.
    Queues(usize),
    /// Consumers that do not read, and as many who do not read the answers to what they ask.
    Deaf(usize),
}

/// How long one turn takes, and on what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) cores: Cores,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// Whether everything is to be small.
    pub(crate) quick: bool,
    /// Files that a process may have open.
    pub(crate) descriptors: usize,
}

impl Row {
    /// The broker that spins is of interest where nothing but latency counts.
    pub(crate) fn has_spin(&self) -> bool {
        matches!(self.scenario, Scenario::RoundTrip)
    }

    /// Whether it runs in this process, so that no other program can be measured.
    pub(crate) fn is_in_process(&self) -> bool {
        matches!(self.scenario, Scenario::InMemory { .. })
    }

    /// One turn, with a server of its own.
    pub(crate) fn turn(&self, target: &Target, settings: &Settings) -> Result<Sample> {
        let Settings { cores, warm_up, time, .. } = *settings;
        match &self.scenario {
            Scenario::Flow(plan, bystanders) => {
                let server = Server::start(target, plan.shape()?, cores)?;
                let _beside = bystanders.arrive(&server)?;
                Load::connect(&server, target, plan)?.steady(warm_up, time)
            }
            Scenario::Behind(plan, count) => {
                let server = Server::start(target, plan.shape()?, cores)?;
                behind(&server, target, plan, *count)
            }
            Scenario::RoundTrip => {
                let server = Server::start(target, Plan::new(1, 1).shape()?, cores)?;
                round_trip::measure(&server, target, warm_up, time)
            }
            Scenario::Client => {
                let server = Server::start(target, Plan::new(1, 1).shape()?, cores)?;
                client::measure(&server, target, cores.generator, warm_up, time)
            }
            Scenario::IdleConnections(count) => {
                let server = Server::start(target, Plan::new(1, 1).shape()?, cores)?;
                idle::measure(&server, *count, time)
            }
            Scenario::ManyQueues { queues, each } => {
                let server = Server::start(target, Plan::new(1, 1).shape()?, cores)?;
                queues::measure(&server, *queues, *each)
            }
            Scenario::InMemory { ack_each } => in_memory::measure(*ack_each, warm_up, time),
        }
    }
}

impl Bystanders {
    /// What is returned keeps them there.
    fn arrive(self, server: &Server) -> Result<Vec<crate::socket::Socket>> {
        match self {
            Bystanders::Nobody => Ok(Vec::new()),
            Bystanders::Connections(count) => idle::connect(server, count),
            Bystanders::Queues(count) => queues::fill(server, count, 1),
            Bystanders::Deaf(0) => Ok(Vec::new()),
            Bystanders::Deaf(count) => deaf::connect(server, count),
        }
    }
}

/// A consumer that takes nothing until `count` messages wait, and then all of them.
fn behind(server: &Server, target: &Target, plan: &Plan, count: u64) -> Result<Sample> {
    let mut load = Load::connect(server, target, plan)?;
    let empty = server.resident()?;
    let fill = load.fill(count)?;
    let caught_up = load.drain()?;
    let mut sample = Sample::new(count, fill.wall + caught_up.wall, fill.cpu + caught_up.cpu);
    sample.peak = server.peak_resident()?;
    sample.generator_busy = caught_up.generator_busy;
    let bytes_each = (sample.peak - empty) as f64 / count as f64;
    Ok(sample
        .with_figure("falling behind", fill.cpu_per_message(), "ns/msg")
        .with_figure("catching up", caught_up.cpu_per_message(), "ns/msg")
        .with_figure("catching up", caught_up.messages_per_second(), "msgs/s")
        .with_figure("memory for each that waits", bytes_each, "bytes")
        .with_figure("memory afterwards", server.resident()? as f64 / f64::from(1 << 20), "MiB"))
}
