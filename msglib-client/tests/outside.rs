//! What happens to a connection from outside of its calls: it is ended, and its heart beats. No test sleeps; the wire says who waits.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]
#![allow(clippy::disallowed_methods, reason = "threads are what is tested with some of it")]

mod common;

use common::{Broker, Faults, WELCOME, Wire, bytes, persist};
use msglib_client::{Connection, Error, ErrorCode, publish_to_q_confirmed, subscribe_with_prefetch};
use msglib_proto::{Frame, Payload, Welcome};
use std::io;
use std::thread;
use std::time::Duration;

const PEER: &str = "[::1]:7777";

/// A connection with a name for its broker, whose stream ends when it is ended from outside.
fn over(wire: &Wire) -> Connection {
    let builder = Connection::builder().peer(PEER).unblock_with({
        let wire = wire.clone();
        move || wire.end()
    });
    builder.build_from_halves(wire.stream(), wire.stream()).unwrap()
}

fn waiting() -> (Wire, Connection) {
    let wire = Wire::new(Faults { blocking: true, ..Faults::default() });
    let connection = over(&wire);
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    wire.take_written();
    (wire, connection)
}

fn greeted() -> (Wire, Connection) {
    let wire = Wire::new(Faults::default());
    let connection = over(&wire);
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    wire.take_written();
    (wire, connection)
}

#[test]
fn a_stop_ends_all_calls_that_wait() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    let reader = thread::spawn(move || sub.next().map(drop));
    wire.wait_for_reader();
    let confirmation = publish_to_q_confirmed(&connection, 2, "x").unwrap();
    let follower = thread::spawn(move || confirmation.wait());
    let stopper = connection.stopper();
    stopper.stop();
    for thread in [reader, follower] {
        let error = thread.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Closed), "{error}");
    }
    wire.take_written();
    assert!(matches!(connection.publish_to_q(1, "late"), Err(Error::Closed)));
    stopper.stop();
    drop(connection);
    stopper.stop();
    assert_eq!(wire.frames(), [""; 0], "not even a goodbye");
}

/// It is a write that waits here, and without an end of the stream nothing else would end it.
#[test]
fn a_stop_is_seen_by_a_call_that_waits_for_the_writer() {
    let wire = Wire::new(Faults { blocking: true, blocking_writes: true, room: 100, ..Faults::default() });
    let connection = Connection::builder().unblock_with({
        let wire = wire.clone();
        move || drop(wire.take_written())
    });
    let connection = connection.build_from_halves(wire.stream(), wire.stream()).unwrap();
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    wire.take_written();
    let stopper = connection.stopper();
    let writer = thread::spawn(move || {
        (0..100).try_for_each(|_| connection.publish_to_q(1, &[b'x'; 300])).and_then(|()| connection.flush())
    });
    wire.wait_for_bytes(100);
    stopper.stop();
    let error = writer.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
}

#[test]
fn a_heart_asks_once_and_answers_what_it_is_asked() {
    let (wire, connection) = greeted();
    let mut heart = connection.heart();
    heart.beat().unwrap();
    assert_eq!(wire.frames(), ["PING 1"]);
    heart.beat().unwrap();
    assert_eq!(wire.frames(), [""; 0], "one is under way");
    wire.send(Frame::Ping { token: 9 });
    wire.send(Frame::Pong { token: 1 });
    heart.beat().unwrap();
    assert_eq!(wire.frames(), ["PONG 9"]);
    heart.beat().unwrap();
    assert_eq!(wire.frames(), ["PING 2"]);
}

#[test]
fn a_broker_is_silent_after_two_intervals_without_a_byte_and_not_before() {
    let (wire, connection) = greeted();
    let mut heart = connection.heart();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    heart.beat().unwrap();
    heart.beat().unwrap();
    // Half of a frame is a sign of life too.
    wire.send_bytes(&bytes(Frame::Pong { token: 1 })[..5]);
    heart.beat().unwrap();
    heart.beat().unwrap();
    let error = heart.beat().unwrap_err();
    assert!(matches!(error, Error::Silent { beats: 2, .. }), "{error}");
    assert_eq!(error.to_string(), "nothing came from the broker at [::1]:7777 for 2 heartbeats");
    assert!(error.ends_connection() && error.is_worth_retrying());
    assert!(matches!(sub.next(), Err(Error::Silent { .. })));
    assert!(matches!(heart.beat(), Err(Error::Silent { .. })));
}

#[test]
fn a_broker_that_never_greets_is_silent_too() {
    let wire = Wire::new(Faults::default());
    let connection = over(&wire);
    let mut heart = connection.heart();
    assert_eq!(heart.interval(), None);
    heart.beat().unwrap();
    heart.beat().unwrap();
    assert!(matches!(heart.beat(), Err(Error::Silent { .. })));
}

/// The read of another thread waits for ever: it must neither keep the beat nor outlive the connection.
#[test]
fn a_silent_broker_is_noticed_while_another_thread_waits_for_a_message() {
    let (wire, connection) = waiting();
    let mut sub = subscribe_with_prefetch(&connection, 1, 1).unwrap();
    let reader = thread::spawn(move || sub.next().map(drop));
    wire.wait_for_reader();
    let mut heart = connection.heart();
    heart.beat().unwrap();
    wire.send(Frame::Pong { token: 1 });
    wire.wait_for_reader();
    heart.beat().unwrap();
    heart.beat().unwrap();
    assert!(matches!(heart.beat(), Err(Error::Silent { .. })));
    assert!(matches!(reader.join().unwrap(), Err(Error::Silent { .. })));
}

#[test]
fn a_heart_stops_with_its_connection() {
    let (wire, connection) = greeted();
    let mut heart = connection.heart();
    heart.beat().unwrap();
    drop(connection);
    assert!(matches!(heart.beat(), Err(Error::Closed)));
    assert_eq!(wire.frames().last().unwrap(), "GOODBYE 0", "it does not keep it");
}

#[test]
fn a_heart_beats_twice_within_the_shorter_idle_time() {
    let cases = [(0, 0, None), (0, 9, Some(4_500)), (9, 0, Some(4_500)), (6, 9, Some(3_000)), (9, 6, Some(3_000))];
    for (ours, theirs, interval) in cases {
        let wire = Wire::new(Faults::default());
        let builder = Connection::builder().idle(Duration::from_millis(ours));
        let connection = builder.build_from_halves(wire.stream(), wire.stream()).unwrap();
        wire.send(Frame::Welcome(Welcome { idle_ms: theirs, ..WELCOME }));
        connection.welcome().unwrap();
        assert_eq!(connection.heart().interval(), interval.map(Duration::from_micros), "{ours} and {theirs}");
    }
}

#[test]
fn an_error_that_ends_the_connection_names_the_peer() {
    let at = |what: &dyn Fn(&Wire)| {
        let (wire, connection) = greeted();
        what(&wire);
        connection.ping().unwrap_err().to_string()
    };
    assert_eq!(
        at(&|wire| wire.end()),
        format!("the broker at {PEER}'s stream ended between two frames, without a goodbye")
    );
    let goodbye = Frame::Goodbye { code: ErrorCode::SHUTTING_DOWN, text: "at night" };
    let goodbye = at(&|wire| wire.send(goodbye));
    assert_eq!(goodbye, format!("the broker at {PEER} closed the connection: SHUTTING_DOWN (0x0203), at night"));
    let failed = Frame::Error { code: ErrorCode::TOO_SLOW, offset: 7, text: "" };
    let failed = at(&|wire| wire.send(failed));
    assert!(failed.starts_with(&format!("the broker at {PEER} ended the connection: TOO_SLOW")), "{failed}");
    let violation = at(&|wire| wire.send(Frame::Delivery { link: 99, tag: 1, count: 1, payload: Payload::from("x") }));
    assert!(violation.starts_with(&format!("the broker at {PEER} broke the protocol: ")), "{violation}");
    let broken = at(&|wire| wire.fail_writes(io::ErrorKind::BrokenPipe));
    assert!(broken.starts_with(&format!("the stream failed: {PEER}: ")), "{broken}");

    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    persist(&mut Broker::new(&wire), || connection.ping()).unwrap();
    wire.end();
    let nameless = connection.ping().unwrap_err().to_string();
    assert_eq!(nameless, "the broker's stream ended between two frames, without a goodbye");
}
