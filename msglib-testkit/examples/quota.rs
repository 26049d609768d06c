//! Rung 2 of the ladder of control: one decision of the stock broker is yours. Here: each client may publish so many messages.
//!
//! Run it with `cargo run --example quota`. Clients that have an identity (`--example admission`) are better counted by that.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::policy::{Policy, Publishing};
use msglib_broker::{ConnectionHandler, ConnectionId, ErrorCode, Reject};
use msglib_client::{Error, publish_to_q_confirmed};
use msglib_testkit::Harness;
use std::collections::BTreeMap;

#[derive(Default)]
struct Quota(BTreeMap<Option<ConnectionId>, u32>);

impl Policy for Quota {
    fn admit(&mut self, publishing: &Publishing<'_>) -> Result<(), Reject> {
        let used = self.0.entry(publishing.from).or_default();
        *used += 1;
        match *used {
            ..=2 => Ok(()),
            _ => Err(Reject::new(ErrorCode::NOT_ALLOWED, "two messages are enough for anybody")),
        }
    }
}

fn main() -> Result<(), Error> {
    let mut harness = Harness::new(ConnectionHandler::new().with_policy(Quota::default()));
    for (name, client) in [("alice", harness.connect()), ("bob", harness.connect())] {
        for message in 1..=3 {
            let confirmation = publish_to_q_confirmed(&client, "jobs", &format!("{message}"))?;
            match harness.step_until_done("an outcome", || confirmation.wait()) {
                Ok(()) => println!("{name}: {message} is accepted"),
                Err(error) => println!("{name}: {error}"),
            }
        }
    }
    Ok(())
}
