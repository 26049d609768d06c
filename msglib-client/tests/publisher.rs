//! A publisher's own link: batches, outcomes, and that nothing is left unsent, lost or told twice.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{Broker, Faults, WELCOME, Wire, persist};
use msglib_client::{Connection, Error, ErrorCode, Publisher, publish_to_q};
use msglib_proto::{Frame, Welcome};

/// A connection that the broker has greeted, a publisher whose link it has opened with credit, and the wire.
fn opened() -> (Wire, Connection, Publisher) {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    let publisher = connection.publisher_to_q("jobs").unwrap();
    wire.send(Frame::Opened { link: 1 });
    wire.send(Frame::Credit { link: 1, upto: 10_000 });
    assert!(connection.ping().unwrap_err().is_would_block());
    wire.take_written();
    (wire, connection, publisher)
}

fn refused(first: u64, last: u64) -> Frame<'static> {
    Frame::Refused { link: 1, first, last, code: ErrorCode::QUEUE_FULL, text: "full" }
}

/// Lets the connection read what has come.
fn read(connection: &Connection) {
    assert!(connection.ping().unwrap_err().is_would_block());
}

fn refused_number<T: std::fmt::Debug>(result: Result<T, Error>) -> u64 {
    match result.unwrap_err() {
        Error::Refused { number, code: ErrorCode::QUEUE_FULL, .. } => number,
        other => panic!("{other}"),
    }
}

#[test]
fn a_publish_is_written_at_once_and_a_batch_when_it_is_dropped() {
    let (wire, _connection, mut jobs) = opened();
    assert_eq!(jobs.publish("a").unwrap(), 1);
    assert_eq!(wire.frames(), ["PUBLISH 1 1 confirm a"]);
    let mut batch = jobs.batch();
    assert_eq!(batch.publish("b").unwrap(), 2);
    assert_eq!(batch.publish("c").unwrap(), 3);
    assert!(wire.frames().is_empty());
    drop(batch);
    assert_eq!(wire.frames(), ["PUBLISH 1 2 confirm b", "PUBLISH 1 3 confirm c"]);
}

#[test]
fn a_batch_is_written_from_32_kib_on() {
    let (wire, _connection, mut jobs) = opened();
    let operations = wire.operations();
    let mut batch = jobs.batch();
    let payload = [b'x'; 1024 - 20];
    for _ in 0..31 {
        batch.publish(&payload).unwrap();
    }
    assert_eq!(wire.operations(), operations);
    batch.publish(&payload).unwrap();
    assert_eq!(wire.operations(), operations + 1, "one write");
    assert_eq!(wire.frames().len(), 32);
    drop(batch);
    assert_eq!(wire.operations(), operations + 1, "nothing is left");
}

#[test]
fn a_batch_is_written_by_other_calls_too() {
    let (wire, connection, mut jobs) = opened();
    let mut batch = jobs.batch();
    batch.publish("a").unwrap();
    publish_to_q(&connection, "other", "b").unwrap();
    assert_eq!(wire.frames(), ["PUBLISH 1 1 confirm a", "OPEN 2 other", "PUBLISH 2 1 b"]);
    batch.publish("c").unwrap();
    connection.flush().unwrap();
    assert_eq!(wire.frames(), ["PUBLISH 1 2 confirm c"]);
}

#[test]
fn waiting_writes_the_batch_once_and_is_done_when_all_is_confirmed() {
    let (wire, _connection, mut jobs) = opened();
    jobs.wait().unwrap();
    let mut batch = jobs.batch();
    batch.publish("a").unwrap();
    batch.publish("b").unwrap();
    assert!(batch.wait().unwrap_err().is_would_block());
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    assert!(batch.wait().unwrap_err().is_would_block());
    wire.send(Frame::Confirmed { link: 1, upto: 2 });
    batch.wait().unwrap();
    batch.wait().unwrap();
    drop(batch);
    assert_eq!((jobs.answered(), wire.frames().len()), (2, 2));
}

#[test]
fn a_batch_beyond_the_credit_is_written_and_waits() {
    let wire = Wire::new(Faults::default());
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    let mut jobs = connection.publisher_to_q("jobs").unwrap();
    let mut batch = jobs.batch();
    (0..16).for_each(|_| assert!(batch.publish("x").is_ok()));
    assert!(batch.publish("late").unwrap_err().to_string().contains("no credit"));
    assert_eq!(common::frames(&wire.written()).len(), 18, "what was gathered is on its way");
    broker.step();
    wire.send(Frame::Credit { link: 1, upto: 17 });
    assert_eq!(batch.publish("late").unwrap(), 17);
    persist(&mut broker, || batch.wait()).unwrap();
    drop(batch);
    assert_eq!(jobs.answered(), 17);
}

#[test]
fn each_refusal_is_told_once_by_waiting() {
    let (wire, connection, mut jobs) = opened();
    let mut batch = jobs.batch();
    (0..6).for_each(|_| assert!(batch.publish("x").is_ok()));
    drop(batch);
    wire.send(refused(2, 3));
    wire.send(refused(5, 5));
    wire.send(refused(2, 5)); // said again; 4 is new
    wire.send(Frame::Confirmed { link: 1, upto: 6 });
    read(&connection);
    let told: Vec<_> = (0..4).map(|_| refused_number(jobs.wait())).collect();
    assert_eq!(told, [2, 3, 5, 4]);
    jobs.wait().unwrap();
    assert!(connection.take_refusals().list.is_empty());
}

#[test]
fn a_refusal_is_told_before_more_is_published() {
    let (wire, connection, mut jobs) = opened();
    jobs.publish("a").unwrap();
    wire.take_written();
    wire.send(refused(1, 1));
    read(&connection);
    assert_eq!(refused_number(jobs.publish("b")), 1);
    assert!(wire.frames().is_empty(), "it was not published");
    assert_eq!(jobs.publish("b").unwrap(), 2, "and can be now");
    assert_eq!(jobs.answered(), 1);
}

/// A refusal says nothing of the publishes before it: those are accepted when a confirm says so.
#[test]
fn a_refusal_in_the_midst_confirms_nothing() {
    let (wire, connection, mut jobs) = opened();
    (0..2).for_each(|_| assert!(jobs.publish("x").is_ok()));
    wire.send(refused(2, 2));
    read(&connection);
    assert_eq!(jobs.answered(), 0);
    assert_eq!(refused_number(jobs.wait()), 2);
    assert!(jobs.wait().unwrap_err().is_would_block());
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    jobs.wait().unwrap();
    assert_eq!(jobs.answered(), 2);
}

#[test]
fn when_the_broker_ends_the_link_what_is_unanswered_had_no_effect() {
    let (wire, connection, mut jobs) = opened();
    (0..3).for_each(|_| assert!(jobs.publish("x").is_ok()));
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    wire.send(Frame::Closed { link: 1, code: ErrorCode::CHANNEL_DELETED, text: "" });
    for _ in 0..2 {
        assert_eq!(jobs.wait().unwrap_err().code(), Some(ErrorCode::CHANNEL_DELETED));
        assert_eq!(jobs.publish("more").unwrap_err().code(), Some(ErrorCode::CHANNEL_DELETED));
    }
    assert_eq!(jobs.answered(), 1);
    wire.take_written();
    drop(jobs);
    assert!(wire.frames().is_empty(), "the CLOSED was answered already");
    assert_eq!(connection.take_refusals().list[0].numbers, 2..=3);
    let mut again = connection.publisher_to_q("jobs").unwrap();
    assert_eq!(again.publish("x").unwrap(), 1);
    assert_eq!(wire.frames(), ["OPEN 1 jobs", "PUBLISH 1 1 confirm x"]);
}

#[test]
fn what_was_answered_is_known_after_the_end_of_the_connection() {
    let (wire, connection, mut jobs) = opened();
    jobs.publish("a").unwrap();
    wire.send(Frame::Confirmed { link: 1, upto: 1 });
    wire.end();
    let error = connection.ping().unwrap_err();
    assert!(matches!(error, Error::ConnectionLost { .. }));
    jobs.wait().unwrap();
    assert_eq!(jobs.publish("b").unwrap_err().to_string(), error.to_string());

    let (wire, _connection, mut jobs) = opened();
    jobs.publish("a").unwrap();
    wire.end();
    for _ in 0..2 {
        assert!(matches!(jobs.wait(), Err(Error::ConnectionLost { .. })));
    }
    assert_eq!(jobs.answered(), 0);
}

#[test]
fn dropped_it_closes_its_link_behind_its_messages_and_later_refusals_are_kept() {
    let (wire, connection, mut jobs) = opened();
    (0..2).for_each(|_| assert!(jobs.publish("x").is_ok()));
    wire.send(refused(1, 1));
    read(&connection);
    let mut batch = jobs.batch();
    assert_eq!(refused_number(batch.publish("y")), 1);
    batch.publish("y").unwrap();
    drop(batch);
    drop(jobs);
    assert_eq!(wire.frames()[2..], ["PUBLISH 1 3 confirm y", "CLOSE 1"]);
    wire.send(refused(3, 3));
    wire.send(Frame::Confirmed { link: 1, upto: 3 });
    wire.send(Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" });
    read(&connection);
    let numbers: Vec<_> = connection.take_refusals().list.iter().map(|refusal| refusal.numbers.clone()).collect();
    assert_eq!(numbers, [3..=3], "the first was told");
    drop(connection.publisher_to_q("next").unwrap());
    assert_eq!(wire.frames(), ["OPEN 1 next", "CLOSE 1"], "the number is free");
}

#[test]
fn refusals_that_it_was_not_told_are_kept_when_it_is_dropped() {
    let (wire, connection, mut jobs) = opened();
    jobs.publish("x").unwrap();
    wire.send(refused(1, 1));
    read(&connection);
    drop(jobs);
    assert_eq!(connection.take_refusals().list[0].numbers, 1..=1);
}

#[test]
fn dropped_before_the_welcome_it_is_closed_in_the_end() {
    let wire = Wire::new(Faults::default());
    let connection = wire.connect();
    let mut jobs = connection.publisher_to_q("jobs").unwrap();
    // Leaves less room before the WELCOME than a CLOSE takes.
    let room = 16_384 - wire.written().len() - 20;
    jobs.publish(&vec![0; room - 5]).unwrap();
    drop(jobs);
    assert_eq!(wire.frames().len(), 3, "HELLO, OPEN, PUBLISH");
    wire.send(Frame::Welcome(WELCOME));
    connection.welcome().unwrap();
    connection.flush().unwrap();
    assert_eq!(wire.frames(), ["CLOSE 1"]);
}

/// The links of those who publish by name make room; that of a handle stays as long as the handle.
#[test]
fn the_link_of_a_handle_is_not_given_up_for_others() {
    let wire = Wire::new(Faults::default());
    let mut broker = Broker::new(&wire);
    let connection = wire.connect();
    wire.send(Frame::Welcome(Welcome { max_links: 2, ..WELCOME }));
    connection.welcome().unwrap();
    wire.take_written();
    let mut first = connection.publisher_to_q(1).unwrap();
    publish_to_q(&connection, 2, "x").unwrap();
    let mut second = connection.publisher_to_q(3);
    while second.as_ref().is_err_and(Error::is_would_block) {
        broker.step();
        second = connection.publisher_to_q(3);
    }
    first.publish("still here").unwrap();
    second.unwrap().publish("here").unwrap();
    let third = persist(&mut broker, || {
        let _fourth = connection.publisher_to_q(4)?;
        connection.publisher_to_q(5)
    });
    assert!(matches!(third, Err(Error::TooManyLinks { max: 2 })), "{third:?}");
}
