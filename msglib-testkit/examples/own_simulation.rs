//! A broker of one's own under simulation, with a promise of one's own.
//!
//! Run it with `cargo run --release --example own_simulation`.
#![allow(clippy::print_stdout, reason = "it is a program")]

#[allow(dead_code, unreachable_pub)]
#[path = "own_broker.rs"]
mod own_broker;

use msglib_broker::Frame;
use msglib_testkit::simulate::{Checker, Facts, Report, Seen, Simulation};
use own_broker::FewestUnacked;
use std::borrow::Cow;

/// Whoever holds a hundred messages gets no more, whatever they allow.
#[derive(Clone)]
struct NobodyHoardsAHundred;

impl Checker<FewestUnacked> for NobodyHoardsAHundred {
    fn name(&self) -> &'static str {
        "nobody hoards a hundred"
    }

    fn sees(&mut self, facts: &Facts, seen: &Seen<'_>) -> Result<(), Cow<'static, str>> {
        let Seen::Received(connection, Frame::Delivery { link, .. }) = seen else { return Ok(()) };
        match facts.find_link(*connection, *link) {
            Some(link) if facts.link(link).held().count() >= 100 => Err(format!("{link} holds a hundred").into()),
            _ => Ok(()),
        }
    }
}

/// The run of one seed.
pub fn run(seed: u64) -> Report {
    let simulation = Simulation::new(seed).handler(|_| FewestUnacked::default()).check(NobodyHoardsAHundred);
    // It has one queue for all names, no limits, and nothing to say to consumers that are too small.
    let simulation =
        simulation.adjust(|setup| (setup.queues, setup.payload, setup.stock) = (1, 20, Default::default()));
    simulation.operations(500).run()
}

fn main() {
    for report in (1..=20).map(run).filter(|report| report.failure.is_some()) {
        println!("{report}");
    }
}
