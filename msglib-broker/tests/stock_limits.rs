//! Limits of the stock handler, each at it and just beyond it, and what is counted when it is met.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
#[path = "stock_limits/expiry.rs"]
mod expiry;
#[path = "stock_limits/queues.rs"]
mod queues;
#[path = "stock_limits/services.rs"]
mod services;
#[path = "stock_limits/topics.rs"]
mod topics;

use common::{Bench, hello, publish};
use msglib_broker::policy::{Departure, Policy, Publishing};
use msglib_broker::queue::Redelivery;
use msglib_broker::{
    Admission, ConnectionHandler, ConnectionId, Context, Hello, Identity, NewMessage, QueueConfig, QueueSettings,
    Reject, StockConfig,
};
use msglib_proto::{ChannelKind, ChannelName, Feature, Frame, Open, OwnedName, Verdict};
use std::borrow::Cow;
use std::time::Duration;

/// Everybody is who they say; who says nothing is nobody.
struct ByName;

impl Admission for ByName {
    fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
        if !hello.name.is_empty() {
            cx.set_identity(from, Identity::new(hello.name).with_data(from.to_string().as_bytes()));
        }
        Ok(())
    }
}

type StockBench = Bench<ConnectionHandler>;

fn bench(config: StockConfig) -> StockBench {
    Bench::new(ConnectionHandler::with_config(config).with_admission(ByName))
}

/// A client of that name, with all features.
fn client(bench: &mut StockBench, name: &'static str) -> ConnectionId {
    let id = bench.open();
    let Frame::Hello(hello) = hello() else { unreachable!() };
    bench.send(id, &[Frame::Hello(Hello { name, features: Feature::all_bits(), ..hello })]);
    assert_eq!(bench.names(id), ["Welcome"]);
    id
}

fn open_q(link: u32, name: u64) -> Frame<'static> {
    open_with(link, name, b"")
}

/// A link that publishes and consumes.
fn open_with(link: u32, name: u64, arguments: &[u8]) -> Frame<'_> {
    let (kind, name) = (ChannelKind::QUEUE, ChannelName::id(name));
    Frame::Open(Open { link, publishes: true, consumes: true, kind, name, arguments })
}

/// Opens a link to the queue on the client's link of that number; whether it stays open.
fn opens(bench: &mut StockBench, id: ConnectionId, link: u32, name: u64) -> bool {
    bench.send(id, &[open_q(link, name)]);
    let lines = bench.lines(id);
    let is_refused = lines.iter().any(|line| line.starts_with("Closed") && line.contains("TOO_MANY_CHANNELS"));
    if is_refused {
        bench.send(id, &[close(link)]);
        bench.lines(id);
    }
    assert!(is_refused || lines[0].starts_with("Opened"), "{lines:?}");
    !is_refused
}

fn close(link: u32) -> Frame<'static> {
    Frame::Close { link }
}

/// Opens a link to each of these queues and closes it again.
fn visit(bench: &mut StockBench, id: ConnectionId, names: &[u64]) {
    for name in names {
        assert!(opens(bench, id, 1, *name));
        bench.send(id, &[close(1)]);
        assert_eq!(bench.names(id), ["Closed"]);
    }
}

/// Which queues there are.
fn queues_of(bench: &StockBench) -> Vec<u64> {
    let mut names: Vec<u64> = bench.core.handler().queues().map(|queue| queue.name.as_id().unwrap()).collect();
    names.sort();
    names
}

fn host_publish(bench: &mut StockBench, queue: u64, text: &'static str) {
    let now = bench.now;
    bench.core.act(now, |handler, cx| handler.publish(cx, queue, NewMessage::from(text))).unwrap();
    bench.step();
}

/// Refuses the first delivery on a link, so that it is a dead letter.
fn refuse(bench: &mut StockBench, id: ConnectionId, link: u32) {
    bench.send(id, &[publish(link, 1, "dead"), Frame::Credit { link, upto: 1 }]);
    bench.send(id, &[Frame::Refuse { link, first: 1, last: 1, verdict: Verdict::ForGood }]);
    bench.lines(id);
}
