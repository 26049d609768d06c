//! What the stock handler's books say, whoever is told of what leaves, and what clients cannot switch off.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;

use common::Bench;
use core::time::Duration;
use msglib_broker::policy::{Departure, Policy};
use msglib_broker::queue::{Fate, Redelivery};
use msglib_broker::{ConnectionHandler, NewMessage, QueueConfig, QueueSettings, StockConfig};
use msglib_proto::{ChannelKind, ChannelName, Feature, Frame, Open, OwnedName, Verdict};
use std::sync::{Arc, Mutex};

type StockBench = Bench<ConnectionHandler>;

fn publish(bench: &mut StockBench, queue: u64, text: &'static str) {
    let now = bench.now;
    bench.core.act(now, |handler, cx| handler.publish(cx, queue, NewMessage::from(text))).unwrap();
    bench.step();
}

/// A client that consumes so many messages of the queue.
fn consume(bench: &mut StockBench, name: u64, upto: u64) -> msglib_broker::ConnectionId {
    let id = bench.greeted();
    let (kind, name) = (ChannelKind::QUEUE, ChannelName::id(name));
    let open = Open { link: 1, publishes: false, consumes: true, kind, name, arguments: b"" };
    bench.send(id, &[Frame::Open(open), Frame::Credit { link: 1, upto }]);
    id
}

#[test]
fn a_queue_that_is_deleted_stays_in_the_books_of_the_broker() {
    let mut bench = Bench::new(ConnectionHandler::new());
    ["1", "2", "3", "4"].into_iter().for_each(|text| publish(&mut bench, 7, text));
    publish(&mut bench, 8, "other");
    let id = consume(&mut bench, 7, 2);
    bench.send(id, &[Frame::Ack { link: 1, first: 1, last: 1 }]);
    let ledger = bench.core.handler().ledger();
    assert_eq!((ledger.accepted, ledger.acked, ledger.in_flight, ledger.ready), (5, 1, 1, 3));
    let now = bench.now;
    assert!(bench.core.act(now, |handler, cx| handler.delete(cx, 7)));
    bench.step();
    let ledger = bench.core.handler().ledger();
    assert_eq!((ledger.accepted, ledger.acked, ledger.purged, ledger.here()), (5, 1, 3, 1));
    assert!(ledger.is_balanced());
    publish(&mut bench, 7, "in another of that name");
    assert_eq!(bench.core.handler().ledger().accepted, 6);
    assert_eq!(bench.core.handler().held().0, 2);
}

/// Writes down what it hears of, and keeps what is purged in queue 99.
struct Keeps(Arc<Mutex<Vec<(Fate, String, u32)>>>);

impl Policy for Keeps {
    fn departed(&mut self, departure: &Departure<'_>) -> Option<OwnedName> {
        let text = String::from_utf8_lossy(&departure.payload).into_owned();
        self.0.lock().unwrap().push((departure.fate, text, departure.deliveries));
        Some(ChannelName::id(99).to_owned())
    }
}

#[test]
fn a_policy_hears_of_what_is_purged_and_of_what_is_deleted_with_its_queue() {
    let heard = Arc::default();
    let config = StockConfig::default().with_chores_per_step(2);
    let mut bench = Bench::new(ConnectionHandler::with_config(config).with_policy(Keeps(Arc::clone(&heard))));
    let now = bench.now;
    let take = || std::mem::take(&mut *heard.lock().unwrap());
    let purged = |text: &str, deliveries| (Fate::Purged, text.to_owned(), deliveries);
    publish(&mut bench, 7, "1");
    bench.core.act(now, |handler, cx| handler.publish(cx, 7, NewMessage::from("2").with_key(b"k"))).unwrap();
    assert!(bench.core.act(now, |handler, cx| handler.purge(cx, 7)));
    (0..4).for_each(|_| bench.step());
    assert_eq!(take(), [purged("1", 0), purged("2", 0)]);
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 2);

    ["3", "4", "5"].into_iter().for_each(|text| publish(&mut bench, 7, text));
    let id = consume(&mut bench, 7, 2);
    bench.send(id, &[Frame::Refuse { link: 1, first: 2, last: 2, verdict: Verdict::Again }]);
    assert!(bench.core.act(now, |handler, cx| handler.delete(cx, 7)));
    assert!(take().is_empty(), "in the steps that follow");
    bench.step();
    let mut heard = take();
    heard.sort_unstable();
    assert_eq!(heard, [purged("3", 1), purged("4", 1), purged("5", 0)]);
    let dead = bench.core.handler().queue(99).unwrap();
    let mut kept: Vec<_> = dead.messages().map(|m| String::from_utf8_lossy(&m.payload).into_owned()).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["1", "2", "3", "4", "5"]);
    let ledger = bench.core.handler().ledger();
    assert_eq!((ledger.purged, ledger.here(), ledger.accepted), (5, 5, 10), "each went once more into the other queue");
}

/// The answer to the OPEN of a new queue with these settings.
fn asks(config: &StockConfig, settings: &QueueSettings) -> String {
    let mut bench = Bench::new(ConnectionHandler::with_config(config.clone()));
    let id = bench.greeted_with(Feature::all_bits());
    bench.lines(id);
    let arguments = settings.encode();
    let (kind, name) = (ChannelKind::QUEUE, ChannelName::id(7));
    let open = Open { link: 1, publishes: true, consumes: true, kind, name, arguments: &arguments };
    bench.send(id, &[Frame::Open(open)]);
    bench.lines(id).remove(0)
}

fn lease(lease_ms: u64) -> QueueSettings {
    QueueSettings { lease_ms: Some(lease_ms), ..QueueSettings::default() }
}

fn deliveries(most: u32) -> QueueSettings {
    QueueSettings { max_deliveries: Some(most), ..QueueSettings::default() }
}

fn is_refused(answer: &str) -> bool {
    let is_refused = answer.starts_with("Closed") && answer.contains("BAD_ARGUMENTS");
    assert!(is_refused || answer.starts_with("Opened"), "{answer}");
    is_refused
}

#[test]
fn a_client_cannot_switch_off_or_widen_the_brokers_lease_and_limit_of_deliveries() {
    let redelivery = Redelivery::default().with_lease(Duration::from_secs(30)).with_max_deliveries(5);
    let own = StockConfig::default().with_queue(QueueConfig::default().with_redelivery(redelivery));
    let wider = own.clone().with_max_lease(Duration::from_secs(60)).with_max_deliveries(8);
    let any = own.clone().with_max_lease(Duration::MAX).with_max_deliveries(u32::MAX);
    let free = StockConfig::default();
    for (config, longest, most) in [(&own, 30_000, 5), (&wider, 60_000, 8)] {
        for (told, is_too_much) in [(1, false), (longest, false), (longest + 1, true), (u64::MAX, true), (0, true)] {
            assert_eq!(is_refused(&asks(config, &lease(told))), is_too_much, "a lease of {told}");
        }
        for (told, is_too_much) in [(1, false), (most, false), (most + 1, true), (u32::MAX, true), (0, true)] {
            assert_eq!(is_refused(&asks(config, &deliveries(told))), is_too_much, "{told} deliveries");
        }
        assert!(!is_refused(&asks(config, &QueueSettings { ttl_ms: Some(9), ..QueueSettings::default() })));
    }
    for config in [&any, &free] {
        for told in [0, 1, u64::from(u32::MAX)] {
            assert!(!is_refused(&asks(config, &lease(told))), "a lease of {told}");
            assert!(!is_refused(&asks(config, &deliveries(told as u32))), "{told} deliveries");
        }
    }
    let text = asks(&own, &lease(0));
    assert!(text.contains("30000 ms"), "{text}");
}
