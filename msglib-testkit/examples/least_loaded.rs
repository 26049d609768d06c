//! Rung 2 of the ladder of control: one decision of the stock broker is yours. Here: each message goes to whoever holds the fewest.
//!
//! Run it with `cargo run --example least_loaded`.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::policy::Policy;
use msglib_broker::queue::{Candidates, MessageInfo, Pick};
use msglib_broker::{ChannelName, ConnectionHandler, ConsumerKey};
use msglib_client::{Error, publish_to_q, subscribe_with_prefetch};
use msglib_testkit::Harness;

struct LeastLoaded;

impl Policy for LeastLoaded {
    fn pick(&mut self, _: ChannelName<'_>, _: &MessageInfo<'_>, candidates: &Candidates<'_, ConsumerKey>) -> Pick {
        let least = candidates.iter().min_by_key(|candidate| candidate.in_flight);
        least.map_or(Pick::Nobody, |candidate| Pick::To(candidate.id))
    }
}

fn main() -> Result<(), Error> {
    let mut harness = Harness::new(ConnectionHandler::new().with_policy(LeastLoaded));
    let (boss, first, second) = (harness.connect(), harness.connect(), harness.connect());
    let mut busy = subscribe_with_prefetch(&first, "jobs", 10)?;
    publish_to_q(&boss, "jobs", "one")?;
    publish_to_q(&boss, "jobs", "two")?;
    let held = [harness.step_until_message(&mut busy), harness.step_until_message(&mut busy)];
    let mut idle = subscribe_with_prefetch(&second, "jobs", 10)?;
    harness.settle();
    publish_to_q(&boss, "jobs", "three")?;
    publish_to_q(&boss, "jobs", "four")?;
    let taken = [harness.step_until_message(&mut idle), harness.step_until_message(&mut idle)];
    println!("the first holds {}, so the second gets {}", held.len(), taken.len());
    Ok(())
}
