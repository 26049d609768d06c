//! What a user of the blocking client sees, over a stream that does not wait, against a broker that says what the test says.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{Broker, Faults, WELCOME, Wire, persist};
use msglib_client::{
    ChannelKind, Connection, Error, ErrorCode, Verdict, blocking_pull_subscribe_to_queue, publish_to_q,
    publish_to_q_confirmed, subscribe_with_prefetch,
};
use msglib_proto::{Frame, Payload, Welcome};
use std::io;

/// A connection that the broker has greeted, and its wire.
fn greeted() -> (Wire, Connection) {
    greeted_with(WELCOME)
}

fn greeted_with(welcome: Welcome<'_>) -> (Wire, Connection) {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    wire.send(Frame::Welcome(welcome));
    connection.welcome().unwrap();
    wire.take_written();
    (wire, connection)
}

fn delivery(link: u32, tag: u64) -> Frame<'static> {
    Frame::Delivery { link, tag, count: 1, payload: Payload::from("x") }
}

fn code_of<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

#[test]
fn publish_one_read_one() {
    let wire = Wire::new(Faults::default());
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    publish_to_q(&connection, 1, b"Hello, world!").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 2).unwrap();
    let msg = persist(&mut broker, || sub.next()).unwrap();
    assert_eq!((msg.payload(), msg.count(), msg.redelivered()), (&b"message 1"[..], 1, false));
    msg.ack().unwrap();
    assert_eq!(wire.frames(), ["ACK 2 1-1"], "written before ack returns");
    let all = common::frames(&wire.written());
    assert_eq!(all, ["HELLO", "OPEN 1 #1", "PUBLISH 1 1 Hello, world!", "OPEN 2 #2", "CREDIT 2 1", "ACK 2 1-1"]);
}

#[test]
fn a_repeated_next_pulls_once() {
    let (wire, connection) = greeted();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    for _ in 0..5 {
        assert!(sub.next().unwrap_err().is_would_block());
    }
    assert_eq!(wire.frames(), ["OPEN 1 #1", "CREDIT 1 1"]);
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    sub.next().unwrap().ack().unwrap();
    assert_eq!(wire.frames(), ["ACK 1 1-1"], "nothing is pulled before it is asked for");
    assert!(sub.next().unwrap_err().is_would_block());
    assert_eq!(wire.frames(), ["CREDIT 1 2"]);
}

#[test]
fn an_empty_payload_is_a_message() {
    let (wire, connection) = greeted();
    publish_to_q(&connection, 1, b"").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    wire.send(Frame::Opened { link: 2 });
    assert!(sub.next().is_err());
    wire.send(Frame::Delivery { link: 2, tag: 1, count: 3, payload: Payload::from("") });
    let msg = sub.next().unwrap();
    assert!(msg.payload().is_empty() && msg.redelivered());
    msg.refuse(Verdict::Again).unwrap();
    assert_eq!(wire.frames()[1..], ["PUBLISH 1 1 ", "OPEN 2 #1", "CREDIT 2 1", "REFUSE 2 1-1 Again"]);
}

#[test]
fn with_a_prefetch_credit_and_acks_are_few() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 10).unwrap();
    assert_eq!(wire.frames(), ["OPEN 1 #1", "CREDIT 1 10"]);
    wire.send(Frame::Opened { link: 1 });
    (1..=10).for_each(|tag| wire.send(delivery(1, tag)));
    for _ in 0..10 {
        sub.next().unwrap().ack().unwrap();
    }
    // At half of the prefetch the credit, and the acks so far with it; the last delivery has nothing to wait for.
    assert_eq!(wire.frames(), ["ACK 1 1-4", "CREDIT 1 15", "ACK 1 5-9", "CREDIT 1 20", "ACK 1 10-10"]);
}

#[test]
fn acks_that_wait_are_sent_by_flush_by_waiting_and_at_the_end() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 100).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=6).for_each(|tag| wire.send(delivery(1, tag)));
    let mut messages: Vec<_> = (0..5).map(|_| sub.next().unwrap()).collect();
    wire.take_written();
    messages.remove(0).ack().unwrap();
    messages.remove(0).ack().unwrap();
    assert!(wire.frames().is_empty());
    connection.flush().unwrap();
    assert_eq!(wire.frames(), ["ACK 1 1-2"]);
    messages.remove(0).ack().unwrap();
    let last = sub.next().unwrap();
    assert!(wire.frames().is_empty());
    assert!(sub.next().unwrap_err().is_would_block());
    assert_eq!(wire.frames(), ["ACK 1 3-3"]);
    last.ack().unwrap();
    assert_eq!(wire.frames(), ["ACK 1 6-6"], "nothing is left to be taken");
    wire.send(delivery(1, 7));
    assert!(connection.ping().is_err());
    messages.remove(0).ack().unwrap();
    assert_eq!(wire.frames(), ["PING 1"]);
    drop((messages, sub));
    assert_eq!(wire.frames(), ["ACK 1 4-4", "CLOSE 1"]);
}

#[test]
fn the_deliveries_of_a_closed_subscription_cannot_be_settled() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 2).unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    let msg = sub.next().unwrap();
    wire.take_written();
    assert!(sub.close().unwrap_err().is_would_block());
    drop(sub);
    assert_eq!(wire.frames(), ["CLOSE 1"]);
    wire.send(delivery(1, 2));
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" });
    assert!(connection.ping().is_err());
    // The number is used again, and the old delivery has nothing to do with the new subscription.
    let mut sub = subscribe_with_prefetch(&connection, 7, 2).unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    let new = sub.next().unwrap();
    assert!(matches!(msg.ack(), Err(Error::LinkClosed { .. })));
    new.ack().unwrap();
    assert_eq!(wire.frames(), ["PING 1", "OPEN 1 #7", "CREDIT 1 2", "CREDIT 1 3", "ACK 1 1-1"]);
}

#[test]
fn a_delivery_outlives_its_dropped_subscription_and_what_was_not_taken_goes_back_with_the_link() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 4).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=3).for_each(|tag| wire.send(delivery(1, tag)));
    let (first, second) = (sub.next().unwrap(), sub.next().unwrap());
    wire.take_written();
    drop(sub);
    assert!(wire.frames().is_empty());
    wire.send(delivery(1, 4));
    first.ack().unwrap();
    assert_eq!(wire.frames(), ["ACK 1 1-1"], "the link stays for the second");
    assert!(connection.ping().is_err());
    assert_eq!(wire.frames(), ["PING 1"]);
    drop(second);
    assert_eq!(wire.frames(), ["CLOSE 1"], "nothing is held any more");
}

#[test]
fn a_delivery_that_is_dropped_is_not_acked() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 4).unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    wire.take_written();
    drop(sub.next().unwrap());
    connection.flush().unwrap();
    assert!(wire.frames().is_empty());
}

#[test]
fn closing_a_subscription_waits_for_the_broker_and_asks_once() {
    let (wire, connection) = greeted();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    assert!(sub.close().unwrap_err().is_would_block());
    assert!(sub.close().unwrap_err().is_would_block());
    assert!(matches!(sub.next(), Err(Error::LinkClosed { .. })));
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" });
    sub.close().unwrap();
    sub.close().unwrap();
    drop(sub);
    assert_eq!(wire.frames(), ["OPEN 1 #1", "CLOSE 1"]);
}

#[test]
fn a_subscription_that_is_refused_says_why() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 5).unwrap();
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NOT_ALLOWED, text: "readers only" });
    for _ in 0..2 {
        let error = sub.next().unwrap_err();
        assert_eq!(error.to_string(), "the link to the channel has ended: NOT_ALLOWED (0x0302), readers only");
        assert!(!error.is_worth_retrying() && !error.ends_connection());
    }
    let items: Vec<_> = sub.iter().collect();
    assert_eq!(items.len(), 1, "an iterator ends with its error");
    drop(sub);
    assert_eq!(wire.frames(), ["OPEN 1 #1", "CREDIT 1 5", "CLOSE 1"], "one CLOSE for one CLOSED");
}

#[test]
fn try_next_takes_what_has_come() {
    let wire = Wire::new(Faults::default());
    let connection = Connection::builder().non_blocking(true).build(wire.stream()).unwrap();
    wire.send(Frame::Welcome(WELCOME));
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    assert!(sub.try_next().unwrap().is_none());
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    assert!(sub.try_next().unwrap().is_some());
    assert_eq!(wire.frames(), ["HELLO", "OPEN 1 #1", "CREDIT 1 1"]);
}

#[test]
fn try_next_does_not_read_from_a_stream_that_may_wait() {
    let (wire, connection) = greeted();
    let mut sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    assert!(sub.try_next().unwrap().is_none());
    assert_eq!(wire.frames(), ["OPEN 1 #1", "CREDIT 1 1"], "but asks for a delivery");
    wire.send(Frame::Opened { link: 1 });
    wire.send(delivery(1, 1));
    assert!(sub.try_next().unwrap().is_none());
    assert!(connection.ping().unwrap_err().is_would_block());
    assert!(sub.try_next().unwrap().is_some(), "another call has read it");
}

#[test]
fn a_publish_is_confirmed_or_refused() {
    let (wire, connection) = greeted();
    let first = publish_to_q_confirmed(&connection, "jobs", "a").unwrap();
    let second = publish_to_q_confirmed(&connection, "jobs", "b").unwrap();
    assert!(first.wait().unwrap_err().is_would_block());
    assert!(!first.try_wait().unwrap());
    assert_eq!(wire.frames(), ["OPEN 1 jobs", "PUBLISH 1 1 confirm a", "PUBLISH 1 2 confirm b"]);
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Refused { link: 1, first: 2, last: 2, code: ErrorCode::QUEUE_FULL, text: "100 of 100" });
    wire.send(Frame::Confirmed { link: 1, upto: 2 });
    first.wait().unwrap();
    assert!(first.try_wait().unwrap());
    let error = second.wait().unwrap_err();
    assert_eq!(error.to_string(), "publish 2 was refused: QUEUE_FULL (0x0401), 100 of 100");
    assert!(error.is_worth_retrying() && !error.ends_connection());
    assert!(connection.take_refusals().list.is_empty(), "told to whom it concerns");
    publish_to_q(&connection, "jobs", "c").unwrap();
}

#[test]
fn refusals_that_nobody_waits_for_are_kept() {
    let (wire, connection) = greeted();
    publish_to_q(&connection, 9, "a").unwrap();
    let waited_for = publish_to_q_confirmed(&connection, 9, "b").unwrap();
    drop(publish_to_q_confirmed(&connection, 9, "c").unwrap());
    publish_to_q(&connection, 9, "d").unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Refused { link: 1, first: 1, last: 4, code: ErrorCode::BUSY, text: "" });
    assert_eq!(code_of(waited_for.wait()), ErrorCode::BUSY);
    let refusals = connection.take_refusals();
    let numbers: Vec<_> = refusals.list.iter().map(|refusal| refusal.numbers.clone()).collect();
    assert_eq!((numbers, refusals.dropped), (vec![1..=1, 3..=4], 0));
    assert_eq!((refusals.list[0].channel.to_string(), refusals.list[0].kind), ("#9".into(), ChannelKind::QUEUE));
    assert!(connection.take_refusals().list.is_empty());
}

#[test]
fn when_the_link_of_a_publisher_is_refused_its_publishes_are_and_the_next_opens_another() {
    let (wire, connection) = greeted();
    publish_to_q(&connection, 1, "a").unwrap();
    let confirmation = publish_to_q_confirmed(&connection, 1, "b").unwrap();
    wire.send(Frame::Closed { link: 1, code: ErrorCode::TOO_MANY_CHANNELS, text: "" });
    let error = confirmation.wait().unwrap_err();
    assert!(matches!(error, Error::LinkClosed { code: ErrorCode::TOO_MANY_CHANNELS, .. }));
    let refusals = connection.take_refusals();
    assert_eq!(refusals.list[0].numbers, 1..=1);
    assert_eq!(refusals.list[0].code, ErrorCode::TOO_MANY_CHANNELS);
    wire.take_written();
    publish_to_q(&connection, 1, "c").unwrap();
    assert_eq!(wire.frames(), ["OPEN 1 #1", "PUBLISH 1 1 c"]);
}

#[test]
fn what_was_answered_before_the_link_ended_is_not_refused() {
    let (wire, connection) = greeted();
    publish_to_q(&connection, 1, "a").unwrap();
    let confirmation = publish_to_q_confirmed(&connection, 1, "b").unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Confirmed { link: 1, upto: 2 });
    wire.send(Frame::Closed { link: 1, code: ErrorCode::CHANNEL_DELETED, text: "" });
    confirmation.wait().unwrap();
    assert!(connection.take_refusals().list.is_empty());
}

#[test]
fn a_publish_beyond_the_credit_waits_and_is_not_sent_twice() {
    let (wire, connection) = greeted();
    (0..16).for_each(|_| publish_to_q(&connection, 1, "x").unwrap());
    wire.take_written();
    for _ in 0..3 {
        assert!(publish_to_q(&connection, 1, "late").unwrap_err().is_would_block());
    }
    assert!(wire.frames().is_empty());
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Credit { link: 1, upto: 17 });
    publish_to_q(&connection, 1, "late").unwrap();
    assert_eq!(wire.frames(), ["PUBLISH 1 17 late"]);
}

#[test]
fn a_large_payload_waits_for_the_welcome_and_arrives_whole() {
    let wire = Wire::new(Faults::default());
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    let large: Vec<u8> = (0..3_000_000u32).map(|i| i as u8).collect();
    let confirmation = persist(&mut broker, || publish_to_q_confirmed(&connection, 1, &large)).unwrap();
    persist(&mut broker, || confirmation.wait()).unwrap();
    let written = wire.written();
    assert!(written.windows(32).any(|window| window == &large[..32]));
    assert!(written.ends_with(&large));
    let error = publish_to_q(&connection, 1, &vec![0; 5 << 20]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { length: 5_242_880, max: 4_194_304 }), "{error}");
}

#[test]
fn a_large_delivery_comes_in_pieces() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    let large = vec![7; 1_000_000];
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Delivery { link: 1, tag: 1, count: 1, payload: Payload::from(&large) });
    assert_eq!(sub.next().unwrap().payload(), &large);
}

/// The send buffer has 1 MiB; what is not accepted is not sent, and what is accepted goes out once.
#[test]
fn a_full_send_buffer_refuses_and_loses_nothing() {
    let (wire, connection) = greeted();
    wire.set_room(0);
    let payload = vec![b'x'; 100_000];
    let mut accepted = 0;
    while publish_to_q(&connection, 1, &payload).is_ok() {
        accepted += 1;
    }
    assert_eq!(accepted, 10, "below 1 MiB");
    assert!(connection.flush().unwrap_err().is_would_block());
    wire.set_room(usize::MAX);
    publish_to_q(&connection, 1, "next").unwrap();
    let mut expected = vec!["OPEN 1 #1".to_string()];
    expected.extend((1..=10).map(|number| format!("PUBLISH 1 {number} (100000 bytes)")));
    expected.push("PUBLISH 1 11 next".into());
    assert_eq!(wire.frames(), expected);
}

#[test]
fn more_queues_than_links_take_turns() {
    let (wire, connection) = greeted_with(Welcome { max_links: 2, ..WELCOME });
    publish_to_q(&connection, 1, "a").unwrap();
    publish_to_q(&connection, 2, "b").unwrap();
    publish_to_q(&connection, 1, "c").unwrap();
    wire.take_written();
    for _ in 0..2 {
        assert!(publish_to_q(&connection, 3, "d").unwrap_err().is_would_block());
    }
    assert_eq!(wire.frames(), ["CLOSE 2"], "the one that was not used for the longest time");
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Closed { link: 2, code: ErrorCode::NONE, text: "" });
    publish_to_q(&connection, 3, "d").unwrap();
    assert_eq!(wire.frames(), ["OPEN 2 #3", "PUBLISH 2 1 d"]);
    assert!(connection.take_refusals().list.is_empty());
}

#[test]
fn links_that_are_all_in_use_are_an_error() {
    let (_wire, connection) = greeted_with(Welcome { max_links: 1, ..WELCOME });
    let _sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    assert!(matches!(publish_to_q(&connection, 1, "a"), Err(Error::TooManyLinks { max: 1 })));
    assert!(matches!(blocking_pull_subscribe_to_queue(&connection, 2), Err(Error::TooManyLinks { max: 1 })));
}

#[test]
fn subscriptions_dropped_before_the_welcome_are_closed_after_it() {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    let sub = blocking_pull_subscribe_to_queue(&connection, 1).unwrap();
    // All that may be sent before the WELCOME, but for less than a CLOSE.
    let left = 16_384 - wire.written().len() - 32 - 11;
    publish_to_q(&connection, 2, &vec![0; left - 24 - 20 + 32]).unwrap();
    drop(sub);
    let before = wire.frames();
    assert!(before.last().unwrap().starts_with("PUBLISH"), "{before:?}");
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    assert_eq!(wire.frames(), ["CLOSE 1"]);
}

#[test]
fn pings_are_answered_and_asked_once() {
    let (wire, connection) = greeted();
    wire.send(Frame::Ping { token: 77 });
    assert!(connection.ping().unwrap_err().is_would_block());
    assert!(connection.ping().unwrap_err().is_would_block());
    assert_eq!(wire.frames(), ["PING 1", "PONG 77"]);
    wire.send(Frame::Pong { token: 5 });
    assert!(connection.ping().unwrap_err().is_would_block(), "a PONG that answers nothing");
    wire.send(Frame::Pong { token: 1 });
    connection.ping().unwrap();
    assert!(connection.ping().is_err());
    assert_eq!(wire.frames(), ["PING 2"]);
}

#[test]
fn frames_of_the_users_own_go_both_ways() {
    let (wire, connection) = greeted();
    connection.send_user(0x9000, 3, 42, "abc").unwrap();
    assert!(matches!(connection.send_user(0x7FFF, 0, 0, ""), Err(Error::Invalid(_))));
    assert!(connection.next_user().unwrap_err().is_would_block());
    wire.send(Frame::User { kind: 0x9001, flags: 1, link: 7, body: Payload::from("xyz") });
    let frame = connection.next_user().unwrap();
    assert_eq!((frame.kind, frame.flags, frame.link, &frame.body[..]), (0x9001, 1, 7, &b"xyz"[..]));
    assert_eq!(connection.dropped_user_frames(), 0);
}

#[test]
fn an_orderly_end() {
    let wire = Wire::new(Faults::default());
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    let confirmation = publish_to_q_confirmed(&connection, 1, "last words").unwrap();
    persist(&mut broker, || connection.close()).unwrap();
    connection.close().unwrap();
    confirmation.wait().unwrap();
    assert!(matches!(publish_to_q(&connection, 1, "more"), Err(Error::Closed)));
    assert!(matches!(connection.ping(), Err(Error::Closed)));
    drop((connection, confirmation));
    let expected = ["HELLO", "OPEN 1 #1", "PUBLISH 1 1 confirm last words", "GOODBYE 0"];
    assert_eq!(common::frames(&wire.written()), expected);
}

/// What a call could queue only after it had read is written before the call reads again.
#[test]
fn a_goodbye_that_must_wait_for_the_welcome_follows_it() {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    connection.flush().unwrap();
    let left = 16_384 - wire.written().len() - 24;
    publish_to_q(&connection, 1, &vec![0; left - 20]).unwrap();
    assert_eq!(wire.written().len(), 16_384);
    assert!(connection.close().unwrap_err().is_would_block());
    assert_eq!(wire.frames().len(), 3);
    wire.send(Frame::Welcome(WELCOME));
    assert!(connection.close().unwrap_err().is_would_block());
    assert_eq!(wire.frames(), ["GOODBYE 0"]);
}

#[test]
fn the_last_handle_sends_what_waits_and_a_goodbye() {
    let (wire, connection) = greeted();
    wire.set_room(0);
    publish_to_q(&connection, 1, "a").unwrap();
    wire.set_room(usize::MAX);
    let other = connection.clone();
    drop(connection);
    assert!(wire.frames().is_empty());
    drop(other);
    assert_eq!(wire.frames(), ["OPEN 1 #1", "PUBLISH 1 1 a", "GOODBYE 0"]);
}

#[test]
fn a_broker_that_says_goodbye_is_answered() {
    let (wire, connection) = greeted();
    wire.send(Frame::Goodbye { code: ErrorCode::SHUTTING_DOWN, text: "restart" });
    for _ in 0..2 {
        let error = connection.ping().unwrap_err();
        assert!(matches!(error, Error::ClosedByBroker { code: ErrorCode::SHUTTING_DOWN, .. }));
        assert!(error.is_worth_retrying() && error.ends_connection());
    }
    assert_eq!(wire.frames(), ["PING 1", "GOODBYE 0"]);
}

#[test]
fn a_broker_that_ends_the_connection_is_believed_from_then_on() {
    let (wire, connection) = greeted();
    let mut sub = subscribe_with_prefetch(&connection, 1, 5).unwrap();
    wire.send(Frame::Opened { link: 1 });
    (1..=2).for_each(|tag| wire.send(delivery(1, tag)));
    let msg = sub.next().unwrap();
    let confirmation = publish_to_q_confirmed(&connection, 2, "x").unwrap();
    wire.send(Frame::Error { code: ErrorCode::TOO_SLOW, offset: 0, text: "read!" });
    assert_eq!(code_of(connection.ping()), ErrorCode::TOO_SLOW);
    wire.take_written();
    let errors = [
        sub.next().unwrap_err(),
        sub.try_next().unwrap_err(),
        sub.close().unwrap_err(),
        msg.ack().unwrap_err(),
        confirmation.wait().unwrap_err(),
        connection.flush().unwrap_err(),
        connection.close().unwrap_err(),
        connection.welcome().unwrap_err(),
        connection.next_user().unwrap_err(),
        connection.send_user(0x8000, 0, 0, "").unwrap_err(),
        publish_to_q(&connection, 2, "y").unwrap_err(),
        subscribe_with_prefetch(&connection, 3, 1).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, Error::FailedByBroker { code: ErrorCode::TOO_SLOW, .. }), "{error}");
    }
    drop((sub, confirmation, connection));
    assert!(wire.frames().is_empty(), "nothing is sent after an ERROR");
}

#[test]
fn a_broker_that_breaks_the_protocol_is_told() {
    let (wire, connection) = greeted();
    wire.send(delivery(1, 1));
    assert!(matches!(connection.ping(), Err(Error::Protocol { .. })));
    let length = common::bytes(Frame::Welcome(WELCOME)).len();
    assert_eq!(wire.frames(), ["PING 1".to_string(), format!("ERROR BAD_LINK at {length}")]);
    assert!(matches!(connection.ping(), Err(Error::Protocol { .. })));
}

/// A broker that does not take the client says why and closes: the why counts, not the write that fails.
#[test]
fn a_failed_write_is_explained_by_what_the_broker_said() {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    publish_to_q(&connection, 1, "a").unwrap();
    wire.send(Frame::Error { code: ErrorCode::BAD_CREDENTIALS, offset: 0, text: "" });
    wire.fail_writes(io::ErrorKind::BrokenPipe);
    for _ in 0..2 {
        assert_eq!(code_of(publish_to_q(&connection, 1, "b")), ErrorCode::BAD_CREDENTIALS);
    }
}

/// The answer to the broker's goodbye cannot be written any more; what came before it counts all the same.
#[test]
fn what_was_answered_before_the_end_arrives() {
    let (wire, connection) = greeted();
    let confirmation = publish_to_q_confirmed(&connection, 1, "a").unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    wire.send(Frame::Goodbye { code: ErrorCode::NONE, text: "" });
    wire.fail_writes(io::ErrorKind::BrokenPipe);
    confirmation.wait().unwrap();
    assert!(matches!(connection.ping(), Err(Error::ClosedByBroker { .. })));
}

/// A broker gives a client that does not greet it little time, and sends it nothing.
#[test]
fn a_client_greets_at_once() {
    let wire = Wire::new(Faults::default());
    let _connection = wire.connect();
    assert_eq!(wire.frames(), ["HELLO"]);
}

#[test]
fn a_failed_write_without_an_explanation_stays_the_cause() {
    let (wire, connection) = greeted();
    wire.fail_writes(io::ErrorKind::BrokenPipe);
    for _ in 0..2 {
        let error = publish_to_q(&connection, 1, "a").unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe), "{error}");
        assert!(error.ends_connection() && !error.is_would_block());
    }
}

#[test]
fn a_client_says_who_it_is() {
    let wire = Wire::new(Faults::default());
    let builder = Connection::builder().name("billing").credentials("token", b"secret").max_payload(1000);
    let connection = builder.idle(std::time::Duration::from_micros(1500)).build(wire.stream()).unwrap();
    assert!(connection.welcome().is_err());
    let written = wire.written();
    let mut decoder = msglib_proto::Decoder::new(&msglib_proto::Limits::default());
    let mut input = &written[..];
    let Ok(Some(Frame::Hello(hello))) = decoder.decode(&mut input) else { panic!("not a HELLO") };
    assert_eq!((hello.name, hello.mechanism, hello.credentials), ("billing", "token", &b"secret"[..]));
    assert_eq!((hello.max_payload, hello.idle_ms), (1000, 2));
    let long = "x".repeat(256);
    assert!(matches!(Connection::builder().name(long).build(wire.stream()), Err(Error::Invalid(_))));
}
