//! Rung 2 of the ladder of control: one decision of the stock broker is yours. Here: what is refused for good goes into a tap for each queue, of
//! which whoever is curious sees the latest, and that never fills.
//!
//! Run it with `cargo run --example dead_letter_tap`.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::policy::{Departure, Policy};
use msglib_broker::queue::{Fate, Overflow};
use msglib_broker::{ChannelName, ConnectionHandler, OwnedName, QueueConfig, StockConfig};
use msglib_client::{Error, Verdict, blocking_pull_subscribe_to_queue, publish_to_q, subscribe_with_prefetch};
use msglib_testkit::Harness;

struct Tap;

impl Policy for Tap {
    fn departed(&mut self, departure: &Departure<'_>) -> Option<OwnedName> {
        let is_refused = departure.fate == Fate::Refused;
        is_refused.then(|| ChannelName::from(&*format!("dead/{}", departure.queue)).to_owned())
    }
}

fn main() -> Result<(), Error> {
    let latest = QueueConfig::default().with_max_messages(2).with_overflow(Overflow::DropOldest);
    let config = StockConfig::default().with_queue_named("dead/jobs", latest);
    let mut harness = Harness::new(ConnectionHandler::with_config(config).with_policy(Tap));
    let (worker, curious) = (harness.connect(), harness.connect());
    let mut jobs = blocking_pull_subscribe_to_queue(&worker, "jobs")?;
    for job in ["one", "two", "three"] {
        publish_to_q(&worker, "jobs", job)?;
        harness.step_until_message(&mut jobs).refuse(Verdict::ForGood)?;
    }
    harness.settle();
    let mut tap = subscribe_with_prefetch(&curious, "dead/jobs", 10)?;
    for _ in 0..2 {
        println!("dead: {}", String::from_utf8_lossy(harness.step_until_message(&mut tap).payload()));
    }
    Ok(())
}
