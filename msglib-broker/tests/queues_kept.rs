//! What a queue has is kept, within its limits, and what it does comes to an end: each of these was once otherwise.
#![allow(clippy::unwrap_used, reason = "tests")]
mod common;

use common::{Bench, open};
use msglib_broker::policy::{Departure, Policy};
use msglib_broker::queue::{Overflow, Redelivery, Settling};
use msglib_broker::{ConnectionHandler, Instant, NewMessage, Queue, QueueConfig, StockConfig, Store};
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Frame, Open, OwnedName};

fn open_q(link: u32, name: u64, publishes: bool, consumes: bool) -> Frame<'static> {
    Frame::Open(Open {
        link,
        publishes,
        consumes,
        kind: ChannelKind::QUEUE,
        name: ChannelName::id(name),
        arguments: b"",
    })
}

fn host_publish(bench: &mut Bench<ConnectionHandler>, queue: u64, text: &'static str) {
    let now = bench.now;
    bench.core.act(now, |handler, cx| handler.publish(cx, queue, NewMessage::from(text))).unwrap();
    bench.step();
}

/// It was empty and without a link once, and then the host published to it.
#[test]
fn a_queue_with_messages_is_not_forgotten_for_another() {
    let mut bench = Bench::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(2)));
    let client = bench.greeted();
    bench.send(client, &[open_q(1, 7, true, true)]);
    bench.send(client, &[Frame::Close { link: 1 }]);
    // The queue is empty and without a link; now it gets a message without a link.
    host_publish(&mut bench, 7, "precious");
    assert_eq!(bench.core.handler().queue(7).unwrap().ledger.ready, 1);
    bench.send(client, &[open_q(1, 8, true, false), open_q(2, 9, true, false)]);
    assert!(
        bench.core.handler().queue(7).is_some(),
        "7 has a message, and is gone; the store holds {:?}",
        bench.core.handler().held()
    );
}

/// By clients alone: somebody has looked at the queue for dead letters, and left.
#[test]
fn dead_letters_that_wait_are_not_forgotten() {
    let redelivery = Redelivery::default().with_dead_letter(99_u64);
    let config =
        StockConfig::default().with_max_queues(3).with_queue(QueueConfig::default().with_redelivery(redelivery));
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    let (client, other) = (bench.greeted(), bench.greeted());
    // Somebody has looked at the queue of dead letters, and left.
    bench.send(other, &[open_q(1, 99, false, true)]);
    bench.send(other, &[Frame::Close { link: 1 }]);
    bench.send(client, &[open(1, true, true), common::publish(1, 1, "precious"), Frame::Credit { link: 1, upto: 1 }]);
    bench.send(client, &[Frame::Refuse { link: 1, first: 1, last: 1, verdict: msglib_proto::Verdict::ForGood }]);
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 1);
    bench.send(other, &[open_q(1, 8, true, false), open_q(2, 9, true, false)]);
    assert!(
        bench.core.handler().queue(99).is_some(),
        "the dead letter is lost, store {:?}",
        bench.core.handler().held()
    );
}

/// Something came meanwhile.
#[test]
fn what_is_put_back_does_not_switch_off_the_limit() {
    let (mut store, now) = (Store::new(), Instant::ZERO);
    let mut source =
        Queue::<char>::new(QueueConfig::default().with_redelivery(Redelivery::default().with_dead_letter("dead")));
    let mut dead = Queue::<char>::new(QueueConfig::default().with_max_messages(1));
    source.push(&mut store, now, "1").unwrap();
    let a = source.add_consumer('a');
    source.allow(a, 9);
    source.dispatch(&mut store, now, 9, |_| Ok(()));
    source.settle(&mut store, now, a, 1..=1, Settling::ForGood);
    let letter = source.take_departed().unwrap();
    dead.admit(&mut store, now, letter).unwrap();
    let taken = dead.redrive(1, |_| true).pop().unwrap();
    dead.push(&mut store, now, "came meanwhile").unwrap();
    dead.put_back(&mut store, now, taken);
    let mut accepted = 0;
    while accepted < 100 && dead.push(&mut store, now, "more").is_ok() {
        accepted += 1;
    }
    assert_eq!(accepted, 0, "the limit is 1, and there are {} messages", dead.len());
}

#[test]
fn a_redrive_that_fails_leaves_the_limit_of_the_queue_as_it_is() {
    let mut bench = Bench::new(ConnectionHandler::new());
    let now = bench.now;
    let dying = Redelivery::default().with_dead_letter(99_u64);
    let size = |payload: usize| payload + 64;
    let a = QueueConfig::default()
        .with_redelivery(dying.clone())
        .with_overflow(Overflow::DeadLetterOldest)
        .with_max_bytes(size(1000));
    let b = QueueConfig::default().with_redelivery(dying).with_max_messages(1);
    let dead = QueueConfig::default().with_max_messages(2);
    bench.core.act(now, |handler, cx| {
        handler.declare(cx, 1, a).unwrap();
        handler.declare(cx, 2, b).unwrap();
        handler.declare(cx, 99, dead).unwrap();
    });
    let client = bench.greeted();
    bench.send(client, &[open_q(1, 1, false, true), open_q(2, 2, false, true)]);
    let large: &'static str = Box::leak("x".repeat(1000).into_boxed_str());
    host_publish(&mut bench, 1, large);
    host_publish(&mut bench, 2, "b");
    bench.send(client, &[Frame::Credit { link: 1, upto: 1 }, Frame::Credit { link: 2, upto: 1 }]);
    for link in [1, 2] {
        bench.send(client, &[Frame::Refuse { link, first: 1, last: 1, verdict: msglib_proto::Verdict::ForGood }]);
    }
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 2);
    for _ in 0..10 {
        host_publish(&mut bench, 1, "small");
    }
    host_publish(&mut bench, 2, "full");
    bench.core.act(now, |handler, cx| handler.redrive(cx, 99, 2));
    bench.step();
    for _ in 0..50 {
        let _ = bench.core.act(now, |handler, cx| handler.publish(cx, 99, NewMessage::from("beyond")));
    }
    bench.step();
    let there = bench.core.handler().queue(99).unwrap().ledger.ready;
    assert_eq!(
        there, 2,
        "the one that stays has its place, though the other one's source has overflowed into this queue"
    );
}

struct ToTheTap(usize);

impl Policy for ToTheTap {
    fn departed(&mut self, _: &Departure<'_>) -> Option<OwnedName> {
        self.0 += 1;
        assert!(self.0 < 10_000, "asked ten thousand times in one step");
        Some(ChannelName::id(99).to_owned())
    }
}

#[test]
fn a_policy_that_sends_every_drop_to_a_queue_that_drops_comes_to_an_end() {
    let queue = QueueConfig::default().with_max_messages(1).with_overflow(Overflow::DropOldest);
    let handler = ConnectionHandler::with_config(StockConfig::default().with_queue(queue)).with_policy(ToTheTap(0));
    let mut bench = Bench::new(handler);
    for text in ["1", "2", "3"] {
        host_publish(&mut bench, 7, text);
    }
}

/// It cannot be that of the queue that has its place now.
#[test]
fn a_purge_is_for_the_queue_that_it_was_begun_for() {
    let mut bench = Bench::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(1)));
    let client = bench.greeted();
    bench.send(client, &[open(1, true, true), common::publish(1, 1, "old"), Frame::Credit { link: 1, upto: 1 }]);
    bench.send(client, &[Frame::Ack { link: 1, first: 1, last: 1 }]);
    bench.send(client, &[Frame::Close { link: 1 }]);
    let now = bench.now;
    bench.core.act(now, |handler, cx| {
        assert!(handler.purge(cx, 7));
        let refused = handler.publish(cx, 8, NewMessage::from("too early")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TOO_MANY_CHANNELS, "there is a purge to be worked off");
    });
    bench.step();
    host_publish(&mut bench, 8, "precious");
    let ledger = bench.core.handler().queue(8).unwrap().ledger;
    assert_eq!((ledger.ready, ledger.purged), (1, 0));
}

/// It was unused once; its messages expire, and the queue for its dead letters is one too many.
#[test]
fn a_queue_does_not_make_room_for_that_of_its_own_dead_letters() {
    let redelivery = Redelivery::default().with_dead_letter(99_u64);
    let queue = QueueConfig::default().with_ttl(core::time::Duration::from_secs(1)).with_redelivery(redelivery);
    let mut bench =
        Bench::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(2).with_queue(queue)));
    let client = bench.greeted();
    bench.send(client, &[open_q(1, 7, true, false), open_q(2, 8, true, false)]);
    bench.send(client, &[Frame::Close { link: 1 }]);
    host_publish(&mut bench, 7, "1");
    host_publish(&mut bench, 7, "2");
    bench.now += core::time::Duration::from_secs(1);
    bench.step();
    assert!(bench.core.handler().queue(99).is_none());
    let ledger = bench.core.handler().queue(7).expect("it has just lost two messages").ledger;
    assert_eq!((ledger.ready, ledger.dropped.undeliverable), (0, 2), "{ledger:?}");
    assert_eq!(bench.core.handler().held(), (0, 0));
}
