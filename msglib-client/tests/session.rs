//! The session alone: what it sends for what is asked of it, and what it says of what comes.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use common::{WELCOME, bytes, frames};
use msglib_client::{Event, Session, SessionConfig, SessionError};
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Frame, MAX_HELLO, Payload, SendQueue, Verdict, Welcome};

fn session() -> Session {
    Session::new(&SessionConfig::default()).unwrap()
}

/// A session after the handshake, with nothing pending.
fn greeted() -> Session {
    let mut session = session();
    input(&mut session, Frame::Welcome(WELCOME));
    sent(&mut session);
    session
}

fn input(session: &mut Session, frame: Frame<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    session.handle_input(&bytes(frame), &mut events).unwrap();
    events
}

/// What the session sends now, as texts.
fn sent(session: &mut Session) -> Vec<String> {
    let bytes = session.pending().to_vec();
    session.sent(bytes.len());
    frames(&bytes)
}

fn open(session: &mut Session, id: u64, publishes: bool, consumes: bool) -> Result<u32, SessionError> {
    session.open(ChannelKind::QUEUE, ChannelName::id(id), publishes, consumes)
}

fn closed(link: u32) -> Frame<'static> {
    Frame::Closed { link, code: ErrorCode::NONE, text: "" }
}

#[test]
fn a_client_need_not_wait_for_an_answer() {
    let mut session = session();
    let link = open(&mut session, 1, true, true).unwrap();
    assert_eq!(session.publish(link, Payload::from("Hello, world!"), true), Ok(1));
    session.grant(link, 1).unwrap();
    assert_eq!(sent(&mut session), ["HELLO", "OPEN 1 #1", "PUBLISH 1 1 confirm Hello, world!", "CREDIT 1 1"]);
}

/// PROTOCOL §4.4, at the limit and one byte above it.
#[test]
fn before_the_welcome_16384_bytes_may_be_sent_and_no_more() {
    for (too_much, expected) in [(0, Ok(1)), (1, Err(SessionError::BeforeWelcome))] {
        let mut session = session();
        let link = open(&mut session, 1, true, false).unwrap();
        let left = MAX_HELLO as usize - session.pending().len() - 12 - 8;
        let payload = vec![b'x'; left + too_much];
        assert_eq!(session.publish(link, Payload::from(&payload), false), expected);
        assert_eq!(session.ping(1), if too_much == 0 { Err(SessionError::BeforeWelcome) } else { Ok(()) });
        input(&mut session, Frame::Welcome(WELCOME));
        assert!(session.publish(link, Payload::from(&payload), false).is_ok());
    }
}

#[test]
fn before_the_welcome_16_links_may_be_opened_after_it_as_many_as_it_says() {
    let mut session = session();
    for id in 1..=16 {
        assert_eq!(open(&mut session, id, true, false), Ok(id as u32));
    }
    assert_eq!(open(&mut session, 17, true, false), Err(SessionError::NoFreeLink { max: 16 }));
    input(&mut session, Frame::Welcome(Welcome { max_links: 17, ..WELCOME }));
    assert_eq!(open(&mut session, 17, true, false), Ok(17));
    assert_eq!(open(&mut session, 18, true, false), Err(SessionError::NoFreeLink { max: 17 }));
}

#[test]
fn a_link_number_is_free_after_close_and_closed() {
    let mut session = greeted();
    for id in 1..=3 {
        open(&mut session, id, true, false).unwrap();
    }
    session.close_link(2).unwrap();
    assert_eq!(session.close_link(2), Err(SessionError::NoSuchLink { link: 2 }));
    assert_eq!(open(&mut session, 4, true, false), Ok(4), "2 is not free before CLOSED");
    let text = "".into();
    assert_eq!(
        input(&mut session, closed(2)),
        [Event::LinkClosed { link: 2, asked: true, code: ErrorCode::NONE, text }]
    );
    assert_eq!(open(&mut session, 5, true, false), Ok(2));
}

#[test]
fn a_link_that_the_broker_ends_is_answered_with_close_and_its_number_is_free() {
    let mut session = greeted();
    open(&mut session, 1, true, true).unwrap();
    sent(&mut session);
    let frame = Frame::Closed { link: 1, code: ErrorCode::NOT_ALLOWED, text: "no" };
    let expected = Event::LinkClosed { link: 1, asked: false, code: ErrorCode::NOT_ALLOWED, text: "no".into() };
    assert_eq!(input(&mut session, frame), [expected]);
    assert_eq!(sent(&mut session), ["CLOSE 1"]);
    assert_eq!(session.publish(1, Payload::from(""), false), Err(SessionError::NoSuchLink { link: 1 }));
    assert_eq!(open(&mut session, 1, true, true), Ok(1));
    assert_eq!(session.publish(1, Payload::from(""), false), Ok(1), "numbers begin again");
}

/// PROTOCOL §6.2: 16 before the first CREDIT, then up to what it says.
#[test]
fn a_publish_beyond_the_credit_uses_nothing_up() {
    let mut session = greeted();
    let link = open(&mut session, 1, true, false).unwrap();
    input(&mut session, Frame::Opened { link });
    for number in 1..=16 {
        assert_eq!(session.publish(link, Payload::from(""), false), Ok(number));
    }
    sent(&mut session);
    for _ in 0..2 {
        assert_eq!(session.publish(link, Payload::from(""), false), Err(SessionError::NoCredit { link, credit: 16 }));
        assert!(session.pending().is_empty());
    }
    assert_eq!(input(&mut session, Frame::Credit { link, upto: 17 }), [Event::Credit { link, upto: 17 }]);
    assert_eq!(session.publish(link, Payload::from("x"), false), Ok(17));
    assert_eq!(sent(&mut session), ["PUBLISH 1 17 x"]);
}

#[test]
fn a_payload_above_the_brokers_limit_is_not_sent() {
    let mut session = session();
    input(&mut session, Frame::Welcome(Welcome { max_payload: 3, ..WELCOME }));
    let link = open(&mut session, 1, true, false).unwrap();
    sent(&mut session);
    let error = SessionError::TooLarge { length: 4, max: 3 };
    assert_eq!(session.publish(link, Payload::from("four"), false), Err(error.clone()));
    assert_eq!(session.send_user(0x8000, 0, 0, Payload::from("four")), Err(error));
    assert!(session.pending().is_empty());
    assert_eq!(session.publish(link, Payload::from("abc"), false), Ok(1));
}

#[test]
fn consecutive_acks_that_wait_become_one_frame() {
    let mut session = greeted();
    let link = open(&mut session, 1, false, true).unwrap();
    sent(&mut session);
    for tag in [3, 1, 2, 7, 8] {
        session.ack(link, tag..=tag).unwrap();
    }
    assert_eq!(session.waiting_acks(link), 5);
    assert!(session.pending().is_empty());
    session.flush_acks(link);
    assert_eq!(sent(&mut session), ["ACK 1 1-3", "ACK 1 7-8"]);
    session.ack(link, 9..=9).unwrap();
    session.refuse(link, 10..=11, Verdict::ForGood).unwrap();
    session.close_link(link).unwrap();
    assert_eq!(sent(&mut session), ["REFUSE 1 10-11 ForGood", "ACK 1 9-9", "CLOSE 1"]);
}

#[test]
fn credit_that_says_nothing_new_is_not_sent() {
    let mut session = greeted();
    let link = open(&mut session, 1, false, true).unwrap();
    sent(&mut session);
    for upto in [5, 5, 3, 6] {
        session.grant(link, upto).unwrap();
    }
    assert_eq!(sent(&mut session), ["CREDIT 1 5", "CREDIT 1 6"]);
}

#[test]
fn outcomes_are_told_once_and_only_of_what_was_sent() {
    let mut session = greeted();
    let link = open(&mut session, 1, true, false).unwrap();
    input(&mut session, Frame::Opened { link });
    (0..5).for_each(|_| assert!(session.publish(link, Payload::from(""), true).is_ok()));
    let refused = |first, last| Frame::Refused { link, first, last, code: ErrorCode::QUEUE_FULL, text: "full" };
    let told = |numbers| Event::Refused { link, numbers, code: ErrorCode::QUEUE_FULL, text: "full".into() };
    assert_eq!(input(&mut session, Frame::Confirmed { link, upto: 2 }), [Event::Confirmed { link, upto: 2 }]);
    assert_eq!(input(&mut session, Frame::Confirmed { link, upto: 2 }), []);
    assert_eq!(input(&mut session, refused(1, 3)), [told(3..=3)]);
    assert_eq!(input(&mut session, refused(5, u64::MAX)), [told(5..=5)]);
    assert_eq!(input(&mut session, refused(6, 7)), []);
    assert_eq!(input(&mut session, Frame::Confirmed { link, upto: 99 }), [Event::Confirmed { link, upto: 5 }]);
}

#[test]
fn while_a_link_closes_outcomes_come_and_deliveries_do_not() {
    let mut session = greeted();
    let link = open(&mut session, 1, true, true).unwrap();
    session.publish(link, Payload::from(""), true).unwrap();
    session.grant(link, 1).unwrap();
    session.close_link(link).unwrap();
    assert_eq!(input(&mut session, Frame::Opened { link }), []);
    let payload = Payload::from("late");
    assert_eq!(input(&mut session, Frame::Delivery { link, tag: 1, count: 1, payload }), []);
    assert_eq!(input(&mut session, Frame::Confirmed { link, upto: 1 }), [Event::Confirmed { link, upto: 1 }]);
    assert_eq!(input(&mut session, closed(link)).len(), 1);
}

/// PROTOCOL §8.3: the latest answers for all, so nothing grows when a broker pings and does not read.
#[test]
fn pings_are_answered_with_bounded_memory() {
    let mut session = greeted();
    assert_eq!(input(&mut session, Frame::Ping { token: 7 }), []);
    assert_eq!(sent(&mut session), ["PONG 7"]);
    for token in 0..100_000 {
        input(&mut session, Frame::Ping { token });
    }
    assert!(session.pending().len() <= 64 * 1024 + 20, "{}", session.pending().len());
    session.sent(session.pending().len());
    assert_eq!(sent(&mut session), ["PONG 99999"]);
    (0..100_000).for_each(|token| assert_eq!(input(&mut session, Frame::Ping { token }), []));
    let mut queue = SendQueue::new();
    session.drain_into(&mut queue);
    assert!(session.pending().is_empty());
    assert_eq!(frames(&queue.to_vec()).last().unwrap(), "PONG 99999");
}

#[test]
fn a_goodbye_is_answered_behind_what_is_due() {
    let mut session = greeted();
    let link = open(&mut session, 1, false, true).unwrap();
    sent(&mut session);
    session.ack(link, 1..=4).unwrap();
    let goodbye = Frame::Goodbye { code: ErrorCode::SHUTTING_DOWN, text: "restart" };
    assert_eq!(input(&mut session, goodbye), [Event::Over]);
    assert_eq!(sent(&mut session), ["ACK 1 1-4", "GOODBYE 0"]);
    assert!(matches!(session.ping(1), Err(SessionError::Over(_))));
    assert_eq!(session.end().unwrap().to_string(), "the broker closed the connection: SHUTTING_DOWN (0x0203), restart");
}

#[test]
fn after_its_goodbye_a_client_says_nothing_and_still_hears_the_outcomes() {
    let mut session = greeted();
    let link = open(&mut session, 1, true, false).unwrap();
    input(&mut session, Frame::Opened { link });
    session.publish(link, Payload::from(""), true).unwrap();
    session.goodbye().unwrap();
    assert!(session.goodbye().is_err());
    sent(&mut session);
    input(&mut session, Frame::Ping { token: 1 });
    assert_eq!(input(&mut session, Frame::Confirmed { link, upto: 1 }), [Event::Confirmed { link, upto: 1 }]);
    input(&mut session, closed(link));
    assert_eq!(input(&mut session, Frame::Goodbye { code: ErrorCode::NONE, text: "" }), [Event::Over]);
    assert!(session.pending().is_empty(), "not even an answer");
    assert_eq!(input(&mut session, Frame::Ping { token: 1 }), [], "what comes behind is thrown away");
}

/// PROTOCOL §8.1: the receiver of an ERROR sends nothing more.
#[test]
fn after_an_error_nothing_is_sent() {
    let mut session = session();
    let error = Frame::Error { code: ErrorCode::BAD_CREDENTIALS, offset: 0, text: "who are you?" };
    assert_eq!(input(&mut session, error), [Event::Over]);
    assert!(session.pending().is_empty());
    assert!(session.end().unwrap().to_string().contains("who are you?"));
}
