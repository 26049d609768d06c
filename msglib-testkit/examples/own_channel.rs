//! A channel of one's own, server and client: a cell that holds a value, and whoever watches it gets each new one. Beside queues and all the rest.
//!
//! Run it with `cargo run --example own_channel`; it plays a small scene in memory and tells what happens.
#![allow(clippy::print_stdout, reason = "it is a program")]

use bytes::Bytes;
use msglib_broker::{Channel, ChannelContext, ChannelKind, ChannelLink, ConnectionHandler, Open, Publication, Reject};
use msglib_client::{Confirmation, Connection, Error, Subscription};
use std::collections::BTreeMap;

/// The kind, which broker and clients share.
const CELL: ChannelKind = ChannelKind(0x8001);

/// One cell. A watcher that is slow misses what was overwritten meanwhile, and never the last.
#[derive(Default)]
pub struct Cell {
    value: Bytes,
    version: u64,
    /// Which version each has seen.
    watchers: BTreeMap<ChannelLink, u64>,
}

impl Cell {
    fn tell(&mut self, cx: &mut ChannelContext<'_>) {
        for (link, seen) in &mut self.watchers {
            if *seen < self.version && cx.deliver(*link, 1, &self.value).is_ok() {
                *seen = self.version;
            }
        }
    }
}

impl Channel for Cell {
    fn opened(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        if open.consumes {
            self.watchers.insert(link, 0);
        }
        Ok(())
    }
    fn published(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink, new: Publication<'_>) -> Result<(), Reject> {
        self.value = new.payload.share();
        self.version += 1;
        self.tell(cx);
        Ok(())
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, _: ChannelLink) {
        self.tell(cx);
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink) {
        self.watchers.remove(&link);
    }
    fn is_needed(&self) -> bool {
        self.version > 0
    }
}

/// The broker: the stock one, with cells.
pub fn broker() -> ConnectionHandler {
    ConnectionHandler::new().with_channel(CELL, |_name| Cell::default())
}

/// The client's side: what sets a cell …
pub fn set(client: &Connection, cell: &str, value: &str) -> Result<Confirmation, Error> {
    client.publish_confirmed(CELL, cell, value)
}

/// … and what watches one.
pub fn watch(client: &Connection, cell: &str) -> Result<Subscription, Error> {
    client.subscribe(CELL, cell, b"", 1)
}

fn main() -> Result<(), Error> {
    let mut harness = msglib_testkit::Harness::new(broker());
    let (alice, bob) = (harness.connect(), harness.connect());
    let mut heat = watch(&bob, "kitchen/heat")?;
    for value in ["19", "20", "21"] {
        let done = set(&alice, "kitchen/heat", value)?;
        harness.step_until_ok("a confirm", || done.wait());
        let seen = harness.step_until_message(&mut heat);
        println!("bob sees {}", String::from_utf8_lossy(seen.payload()));
        seen.ack()?;
    }
    Ok(())
}
