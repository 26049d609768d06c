//! Rung 1 of the ladder of control: a broker that is the stock one, with other values.
//!
//! Run it with `cargo run --example configured`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use msglib_broker::{BrokerConfig, ConnectionHandler, CoreConfig, Native, QueueConfig, StockConfig};
use msglib_client::{Error, publish_to_q_confirmed};
use msglib_proto::Limits;
use msglib_testkit::{Harness, HarnessConfig};
use std::time::Duration;

/// Short queues of short messages, for clients that hurry.
fn handler() -> ConnectionHandler {
    let queue = QueueConfig::default().with_max_messages(2).with_max_bytes(1 << 20);
    ConnectionHandler::with_config(StockConfig::default().with_queue(queue).with_publish_window(64))
}

/// What every connection gets.
fn broker() -> BrokerConfig {
    let core = CoreConfig::default().with_handshake_timeout(Duration::from_secs(2)).with_high_water(64 * 1024);
    BrokerConfig::default().with_core(core)
}

/// What the wire allows.
fn dialect() -> Native {
    Native::new(Limits::default().with_max_payload(4096)).with_name("a hurried broker")
}

fn main() -> Result<(), Error> {
    // In production: Broker::with_config(handler(), sockets, dialect(), broker()).
    let config = HarnessConfig::default().with_broker(broker()).with_dialect(dialect());
    let mut harness = Harness::with_config(handler(), config);
    let client = harness.connect();
    for job in ["one", "two", "three"] {
        let confirmation = publish_to_q_confirmed(&client, "jobs", job)?;
        match harness.step_until_done("an outcome", || confirmation.wait()) {
            Ok(()) => println!("{job} is accepted"),
            Err(error) => println!("{job}: {error}"),
        }
    }
    Ok(())
}
