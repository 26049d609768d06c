//! Deliveries that are taken together, over a stream that does not wait, against a broker that says what the test says.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{Faults, WELCOME, Wire};
use msglib_client::{Connection, Error, ErrorCode, Subscription, Verdict, subscribe_with_prefetch};
use msglib_proto::{Frame, Payload};

/// A subscription with a prefetch of 10, to which `count` messages were sent.
fn subscribed(count: u64) -> (Wire, Connection, Subscription) {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    let sub = subscribe_with_prefetch(&connection, 1, 10).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=count).for_each(|tag| wire.send(delivery(tag)));
    wire.take_written();
    (wire, connection, sub)
}

fn delivery(tag: u64) -> Frame<'static> {
    const PAYLOADS: [&str; 10] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    Frame::Delivery { link: 1, tag, count: 1, payload: Payload::from(PAYLOADS[(tag - 1) as usize]) }
}

#[test]
fn a_batch_is_what_has_come_and_one_ack_settles_it() {
    let (wire, _connection, mut sub) = subscribed(10);
    let batch = sub.next_batch(4).unwrap();
    assert_eq!(batch.payloads().collect::<Vec<_>>(), [b"1", b"2", b"3", b"4"]);
    batch.ack().unwrap();
    assert!(wire.frames().is_empty(), "less than half of the prefetch");
    let batch = sub.next_batch(100).unwrap();
    assert_eq!(batch.len(), 6);
    batch.ack().unwrap();
    assert_eq!(wire.frames(), ["ACK 1 1-4", "CREDIT 1 20", "ACK 1 5-10"]);
}

#[test]
fn a_batch_that_would_block_pulls_nothing_twice() {
    let (wire, _connection, mut sub) = subscribed(0);
    for _ in 0..3 {
        assert!(sub.next_batch(5).unwrap_err().is_would_block());
    }
    assert!(wire.frames().is_empty(), "the credit was given with the subscription");
    wire.send(delivery(1));
    assert_eq!(sub.next_batch(0).unwrap().len(), 1, "one at least");
}

#[test]
fn each_of_a_batch_can_be_settled_on_its_own() {
    let (wire, connection, mut sub) = subscribed(3);
    let mut batch = sub.next_batch(10).unwrap();
    batch.next().unwrap().refuse(Verdict::ForGood).unwrap();
    assert_eq!((batch.len(), batch.payloads().next()), (2, Some(&b"2"[..])));
    batch.ack().unwrap();
    connection.flush().unwrap();
    assert_eq!(wire.frames(), ["REFUSE 1 1-1 ForGood", "ACK 1 2-3"]);
}

#[test]
fn a_batch_is_refused_as_a_whole() {
    let (wire, _connection, mut sub) = subscribed(3);
    sub.next_batch(2).unwrap().refuse(Verdict::Again).unwrap();
    assert_eq!(wire.frames(), ["REFUSE 1 1-2 Again"]);
}

#[test]
fn a_batch_outlives_its_dropped_subscription_and_is_not_acked_when_it_is_dropped() {
    let (wire, connection, mut sub) = subscribed(3);
    let batch = sub.next_batch(2).unwrap();
    drop(sub);
    assert!(wire.frames().is_empty(), "two are held");
    drop(batch);
    connection.flush().unwrap();
    assert_eq!(wire.frames(), ["CLOSE 1"], "nothing is held any more");
}

#[test]
fn a_batch_of_a_link_that_has_ended_says_so() {
    let (wire, connection, mut sub) = subscribed(2);
    let batch = sub.next_batch(2).unwrap();
    wire.send(Frame::Closed { link: 1, code: ErrorCode::CHANNEL_DELETED, text: "" });
    assert!(connection.ping().is_err());
    assert!(matches!(batch.ack(), Err(Error::LinkClosed { code: ErrorCode::CHANNEL_DELETED, .. })));
}
