//! What the features of the protocol give to a user of the blocking client, against a broker that says what the test says.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{Faults, WELCOME, Wire};
use msglib_client::{
    ChannelKind, Connection, Error, ErrorCode, Feature, PublishOptions, QueueSettings, Settling, TopicSettings,
    publish_retained_to_topic, publish_to_topic, request, serve, subscribe_to_topic, subscribe_with_prefetch,
};
use msglib_proto::{Cause, ChannelName, DeliveryOptions, Frame, Payload, Welcome};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A connection whose broker has these features, and its wire.
fn greeted(features: u64) -> (Wire, Connection) {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    wire.send(Frame::Welcome(Welcome { features, ..WELCOME }));
    connection.welcome().unwrap();
    wire.take_written();
    (wire, connection)
}

fn delivery_with(tag: u64, options: DeliveryOptions<'static>) -> Frame<'static> {
    Frame::DeliveryWith { link: 1, tag, count: 1, retained: false, options, payload: Payload::from("x") }
}

#[test]
fn what_needs_a_feature_waits_for_the_greeting_and_says_when_there_is_none() {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    assert!(subscribe_to_topic(&connection, "a/#", &TopicSettings::default(), 1).unwrap_err().is_would_block());
    assert!(request(&connection, "prices", "?", SECOND).unwrap_err().is_would_block());
    assert_eq!(wire.frames(), ["HELLO"]);
    wire.send(Frame::Welcome(Welcome { features: Feature::Drain.bit(), ..WELCOME }));
    let errors = [
        subscribe_to_topic(&connection, "a/#", &TopicSettings::default(), 1).unwrap_err(),
        request(&connection, "prices", "?", SECOND).unwrap_err(),
        serve(&connection, "prices", 1).unwrap_err(),
        connection.declare_queue("jobs", &QueueSettings::default()).unwrap_err(),
        connection.producer_to_q("jobs", 1, 0).unwrap_err(),
        publish_retained_to_topic(&connection, "a", "x").unwrap_err(),
        connection.publish_with(ChannelKind::QUEUE, 1, "x", &PublishOptions::default().with_priority(1)).unwrap_err(),
    ];
    for (error, feature) in errors.iter().zip("TOPICS REQUESTS REQUESTS QUEUES QUEUES TOPICS QUEUES".split(' ')) {
        assert!(matches!(error, Error::NotAgreed(named) if named.name() == feature), "{error}");
        assert!(!error.ends_connection() && !error.is_worth_retrying());
    }
}

#[test]
fn a_message_is_published_with_more_than_its_payload() {
    let (wire, connection) = greeted(Feature::all_bits());
    let options = PublishOptions::default().with_delay(Duration::from_micros(1500)).with_ttl(SECOND).with_key(b"k");
    let confirmation = connection.publish_with(ChannelKind::QUEUE, 1, "x", &options).unwrap();
    let frames = wire.frames();
    assert!(frames[1].contains("delay_ms: Some(2), ttl_ms: Some(1000), priority: None"), "rounded up: {frames:?}");
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    confirmation.wait().unwrap();
    let mut publisher = connection.publisher_to_q(2).unwrap();
    let mut batch = publisher.batch();
    batch.publish_with("x", &PublishOptions::default()).unwrap();
    batch.publish_with("y", &options).unwrap();
    drop(batch);
    let frames = wire.frames();
    assert_eq!(frames[..2], ["OPEN 2 #2", "PUBLISH 2 1 confirm x"], "with nothing to be said it is a plain one");
    assert!(frames[2].contains("number: 2"), "{frames:?}");
}

#[test]
fn a_delivery_says_what_the_broker_says_of_it() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut sub = subscribe_with_prefetch(&connection, 1, 10).unwrap();
    wire.send(Frame::Opened { link: 1 });
    let source = ChannelName::from("jobs");
    let cause = Cause { reason: ErrorCode::EXPIRED, count: 3, hops: 1, first_ms: 250, source };
    let options = DeliveryOptions { id: Some(7), priority: Some(9), key: Some(b"k"), topic: None, cause: Some(cause) };
    wire.send(delivery_with(1, options));
    wire.send(Frame::Delivery { link: 1, tag: 2, count: 1, payload: Payload::from("plain") });
    let msg = sub.next().unwrap();
    let details = msg.details().unwrap();
    assert_eq!((details.id, details.priority, details.key.as_deref()), (Some(7), Some(9), Some(&b"k"[..])));
    let cause = details.cause.as_ref().unwrap();
    assert_eq!((cause.reason, cause.count, cause.source.to_string()), (ErrorCode::EXPIRED, 3, "jobs".into()));
    assert_eq!(sub.next().unwrap().details(), None);
}

#[test]
fn a_delivery_is_extended_refused_for_later_and_settled_with_the_brokers_word() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut sub = subscribe_with_prefetch(&connection, 1, 10).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=4).for_each(|tag| wire.send(Frame::Delivery { link: 1, tag, count: 1, payload: Payload::from("x") }));
    let mut messages: Vec<_> = (0..4).map(|_| sub.next().unwrap()).collect();
    wire.take_written();
    let settled = |tag: u64, what: &str, confirm: bool| {
        format!("Settle {{ link: 1, first: {tag}, last: {tag}, confirm: {confirm}, settling: {what} }}")
    };
    messages[0].extend(None).unwrap();
    messages[0].extend(Some(SECOND)).unwrap();
    assert_eq!(
        wire.frames(),
        [settled(1, "Extend { lease_ms: 0 }", false), settled(1, "Extend { lease_ms: 1000 }", false)]
    );
    messages.remove(0).refuse_later(SECOND).unwrap();
    assert_eq!(wire.frames(), [settled(2 - 1, "Again { delay_ms: Some(1000), priority: None }", false)]);
    let in_time = messages.remove(0).ack_confirmed().unwrap();
    let (_, settler) = messages.remove(0).into_parts();
    let too_late = settler.settle_confirmed(Settling::ForGood).unwrap();
    assert_eq!(wire.frames(), [settled(2, "Ack", true), settled(3, "ForGood", true)]);
    assert!(in_time.wait().unwrap_err().is_would_block());
    wire.send(Frame::Settled { link: 1, first: 2, last: 2, count: 1 });
    wire.send(Frame::Settled { link: 1, first: 3, last: 3, count: 0 });
    assert!(!too_late.wait().unwrap());
    assert!(in_time.wait().unwrap());
    assert!(in_time.wait().unwrap(), "known once, it is said again");
    let never = messages.remove(0).ack_confirmed().unwrap();
    wire.send(Frame::Closed { link: 1, code: ErrorCode::CHANNEL_DELETED, text: "" });
    assert!(matches!(never.wait(), Err(Error::LinkClosed { code: ErrorCode::CHANNEL_DELETED, .. })));
}

#[test]
fn acks_that_wait_go_before_a_settling() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut sub = subscribe_with_prefetch(&connection, 1, 100).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=3).for_each(|tag| wire.send(Frame::Delivery { link: 1, tag, count: 1, payload: Payload::from("x") }));
    let (first, second) = (sub.next().unwrap(), sub.next().unwrap());
    wire.take_written();
    first.ack().unwrap();
    assert!(wire.frames().is_empty());
    second.refuse_later(SECOND).unwrap();
    assert_eq!(wire.frames()[0], "ACK 1 1-1");
}

#[test]
fn a_queue_is_declared_with_the_brokers_word() {
    let (wire, connection) = greeted(Feature::all_bits());
    let settings = QueueSettings { lease_ms: Some(5), ..QueueSettings::default() };
    for _ in 0..3 {
        assert!(connection.declare_queue("jobs", &settings).unwrap_err().is_would_block());
    }
    assert_eq!(wire.frames(), ["OPEN 1 jobs"], "once");
    wire.send(Frame::Opened { link: 1 });
    connection.declare_queue("jobs", &settings).unwrap();
    assert_eq!(wire.frames(), ["CLOSE 1"]);
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" });
    assert!(connection.declare_queue("jobs", &settings).unwrap_err().is_would_block());
    let text = "it has no lease";
    wire.send(Frame::Closed { link: 2, code: ErrorCode::DECLARED_OTHERWISE, text });
    let refused = connection.declare_queue("jobs", &settings).unwrap_err();
    assert!(matches!(refused, Error::LinkClosed { code: ErrorCode::DECLARED_OTHERWISE, .. }), "{refused}");
}

#[test]
fn a_producer_is_named_before_its_first_publish() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut producer = connection.producer_to_q("jobs", 42, 7).unwrap();
    assert_eq!(producer.publish("x").unwrap(), 1);
    assert_eq!(wire.frames(), ["OPEN 1 jobs", "Producer { link: 1, id: 42, base: 7 }", "PUBLISH 1 1 confirm x"]);
}

#[test]
fn a_subscription_to_topics_has_their_names_and_its_gaps() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut sub = subscribe_to_topic(&connection, "a/+", &TopicSettings::default(), 10).unwrap();
    assert_eq!(wire.frames(), ["OPEN 1 a/+", "CREDIT 1 10"]);
    wire.send(Frame::Opened { link: 1 });
    let on = |topic: &'static [u8]| DeliveryOptions { topic: Some(topic), ..DeliveryOptions::default() };
    wire.send(delivery_with(1, on(b"a/b")));
    wire.send(Frame::Gap { link: 1, lost: 2 });
    wire.send(Frame::Gap { link: 1, lost: 3 });
    wire.send(delivery_with(2, on(b"a/c")));
    wire.send(delivery_with(3, on(b"a/b")));
    let topics: Vec<_> = (0..3)
        .map(|_| {
            let msg = sub.next().unwrap();
            (msg.details().unwrap().topic.clone().unwrap(), msg.lost_before())
        })
        .collect();
    assert_eq!(topics, [("a/b".into(), 0), ("a/c".into(), 5), ("a/b".into(), 0)]);
    publish_to_topic(&connection, "a/b", "x").unwrap();
    publish_retained_to_topic(&connection, "a/b", "y").unwrap();
    let frames = wire.frames();
    assert_eq!(frames[..2], ["OPEN 2 a/b", "PUBLISH 2 1 x"]);
    assert!(frames[2].contains("retain: true"), "{frames:?}");
}

#[test]
fn a_request_has_one_outcome() {
    let (wire, connection) = greeted(Feature::all_bits());
    let first = request(&connection, "prices", "apples", SECOND).unwrap();
    let second = request(&connection, "prices", "pears", SECOND).unwrap();
    let third = request(&connection, "prices", "plums", SECOND).unwrap();
    drop(request(&connection, "prices", "nobody waits", SECOND).unwrap());
    assert_eq!(wire.frames().len(), 5, "the OPEN, and four requests");
    assert!(first.wait().unwrap_err().is_would_block());
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::NoReply { link: 1, number: 2, code: ErrorCode::TIMED_OUT, text: "too slow" });
    wire.send(Frame::Reply { link: 1, number: 1, payload: Payload::from("2.50") });
    wire.send(Frame::Reply { link: 1, number: 4, payload: Payload::from("thrown away") });
    assert_eq!(&first.wait().unwrap()[..], b"2.50");
    assert_eq!(&first.wait().unwrap()[..], b"2.50", "known once, it is said again");
    let error = second.wait().unwrap_err();
    assert_eq!(error.to_string(), "no reply: TIMED_OUT (0x0406), too slow");
    assert!(error.is_worth_retrying() && !error.ends_connection());
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NOT_ALLOWED, text: "" });
    assert!(matches!(third.wait(), Err(Error::LinkClosed { code: ErrorCode::NOT_ALLOWED, .. })));
    assert!(connection.take_refusals().list.is_empty(), "requests are no publishes");
}

#[test]
fn a_responder_answers_each_request_once() {
    let (wire, connection) = greeted(Feature::all_bits());
    let mut prices = serve(&connection, "prices", 3).unwrap();
    assert_eq!(wire.frames(), ["OPEN 1 prices", "CREDIT 1 3"]);
    wire.send(Frame::Opened { link: 1 });
    for tag in 1..=3 {
        wire.send(Frame::Request { link: 1, number: tag, deadline_ms: 900, payload: Payload::from("?") });
    }
    let request = prices.next().unwrap();
    assert_eq!((request.payload(), request.deadline()), (&b"?"[..], Duration::from_millis(900)));
    request.reply("2.50").unwrap();
    prices.next().unwrap().refuse(ErrorCode::user(1), "no").unwrap();
    drop(prices.next().unwrap());
    assert!(prices.next().unwrap_err().is_would_block());
    let frames = wire.frames();
    let answers: Vec<_> = frames.iter().filter(|frame| frame.contains("Reply")).collect();
    assert!(answers[0].starts_with("Reply { link: 1, number: 1"), "{answers:?}");
    assert!(answers[1].starts_with("NoReply { link: 1, number: 2, code: the user's code 0x8001"), "{answers:?}");
    assert!(answers[2].contains("number: 3, code: RESPONDER_GONE"), "{answers:?}");
    assert_eq!(answers.len(), 3);
}

#[test]
fn a_broker_that_goes_away_is_noticed() {
    let (wire, connection) = greeted(Feature::all_bits());
    assert_eq!(connection.going_away(), None);
    wire.send(Frame::GoingAway { deadline_ms: 5000 });
    assert!(connection.ping().unwrap_err().is_would_block());
    assert_eq!(connection.going_away(), Some(Duration::from_secs(5)));
}
