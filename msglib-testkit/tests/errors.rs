//! What goes wrong gives a clear error to whom it concerns, and everyone else goes on.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use msglib_broker::{Broker, ConnectionHandler};
use msglib_client::{ChannelKind, Connection, ErrorCode, Subscription, blocking_pull_subscribe_to_queue, publish_to_q};
use msglib_io_epoll::EpollSocketManager;
use msglib_io_memory::{InMemoryConnectionManager, Transport};
use msglib_proto::{Decoder, Frame, Limits};
use msglib_testkit::Harness;
use std::io::{Read, Write};
use std::time::Duration;

/// A pair that must not notice anything.
struct Witness {
    sender: Connection,
    sub: Subscription,
}

impl Witness {
    fn new(harness: &Harness<ConnectionHandler>) -> Witness {
        let sub = blocking_pull_subscribe_to_queue(&harness.connect(), "witness").unwrap();
        Witness { sender: harness.connect(), sub }
    }

    fn still_served(&mut self, harness: &mut Harness<ConnectionHandler>) {
        publish_to_q(&self.sender, "witness", "still here").unwrap();
        let message = harness.step_until_message(&mut self.sub);
        assert_eq!((message.payload(), message.count()), (&b"still here"[..], 1));
        message.ack().unwrap();
    }
}

#[test]
fn a_bad_frame_is_answered_with_an_error_that_says_what_and_where() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let mut witness = Witness::new(&harness);
    let mut bad = harness.connect_raw();
    bad.write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n").unwrap();
    harness.settle();
    let mut answer = Vec::new();
    bad.read_to_end(&mut answer).unwrap();
    let mut decoder = Decoder::new(&Limits::default());
    let frame = decoder.decode(&mut &answer[..]).unwrap();
    let Some(Frame::Error { code, offset, text }) = frame else { panic!("{frame:?}") };
    assert_eq!((code, offset), (ErrorCode::UNKNOWN_TYPE, 4));
    assert!(text.contains("0x2F20"), "it names what it found: {text}");
    witness.still_served(&mut harness);
    assert_eq!(harness.broker().counters().protocol_errors, 1);
}

#[test]
fn an_unknown_kind_of_channel_ends_the_link_with_the_reason_and_nothing_else() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let mut witness = Witness::new(&harness);
    let client = harness.connect();
    let mut lottery = client.subscribe(ChannelKind(0x8001), "lottery", &[], 0).unwrap();
    let error = harness.step_until_done("an answer", || lottery.next()).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_KIND));
    assert!(error.to_string().contains("0x8001") && !error.is_worth_retrying(), "{error}");
    publish_to_q(&client, "q", "the connection goes on").unwrap();
    harness.settle();
    assert_eq!(harness.handler().queue("q").unwrap().ledger.accepted, 1);
    witness.still_served(&mut harness);
}

#[test]
fn a_refused_connection_says_where_and_what_to_do() {
    let transport = Transport::new();
    let error = transport.connect("broker").unwrap_err();
    assert!(error.to_string().contains("broker"), "{error}");

    // A port that was free a moment ago, and to which nobody listens.
    let address = std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let error = msglib_io_epoll::connect(address, Duration::from_secs(10)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_port_in_use_says_which() {
    let first = EpollSocketManager::bind("[::1]:0").unwrap();
    let address = first.local_addr().unwrap();
    let error = EpollSocketManager::bind(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");

    let transport = Transport::new();
    let _first = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let error = InMemoryConnectionManager::new(&transport, "broker").unwrap_err();
    assert!(error.to_string().contains("broker"), "{error}");
}

#[test]
fn a_peer_that_vanishes_gives_back_what_it_held_and_nobody_else_notices() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let mut witness = Witness::new(&harness);
    let stream = harness.connect_raw();
    let vanishing = Connection::new(stream.clone());
    publish_to_q(&vanishing, "q", "held").unwrap();
    let mut sub = blocking_pull_subscribe_to_queue(&vanishing, "q").unwrap();
    let _held = harness.step_until_message(&mut sub);
    stream.reset();
    witness.still_served(&mut harness);
    let ledger = harness.handler().queue("q").unwrap().ledger;
    assert_eq!((ledger.ready, ledger.in_flight, ledger.given_back), (1, 0, 1));
    let error = sub.next().unwrap_err();
    assert!(!error.is_would_block(), "{error}");
}

#[test]
fn a_publisher_is_told_when_the_queue_is_full_and_can_go_on() {
    use msglib_broker::{QueueConfig, StockConfig};
    let config = StockConfig::default().with_queue(QueueConfig::default().with_max_messages(1));
    let mut harness = Harness::new(ConnectionHandler::with_config(config));
    let client = harness.connect();
    publish_to_q(&client, "q", "fits").unwrap();
    let confirmation = msglib_client::publish_to_q_confirmed(&client, "q", "does not").unwrap();
    let refused = harness.step_until_done("the refusal", || confirmation.wait()).unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::QUEUE_FULL));
    assert!(refused.is_worth_retrying() && !refused.ends_connection(), "{refused}");
    let mut sub = blocking_pull_subscribe_to_queue(&client, "q").unwrap();
    harness.step_until_message(&mut sub).ack().unwrap();
    harness.settle();
    let confirmation = msglib_client::publish_to_q_confirmed(&client, "q", "now it does").unwrap();
    harness.step_until_ok("the confirm", || confirmation.wait());
}

#[test]
fn a_broker_that_shuts_down_says_goodbye() {
    let transport = Transport::new();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut broker = Broker::new(ConnectionHandler::new(), manager);
    let client = Connection::new(transport.connect("broker").unwrap());
    let confirmation = msglib_client::publish_to_q_confirmed(&client, "q", "taken").unwrap();
    broker.process_connections().unwrap();
    let end = broker.shutdown(Duration::from_secs(1)).unwrap();
    assert_eq!((end.orderly, end.aborted), (1, 0));
    confirmation.wait().expect("what was answered before the end arrives");
    let error = publish_to_q(&client, "q", "too late").unwrap_err();
    assert!(error.ends_connection() && !error.is_would_block(), "{error}");
}

#[test]
fn a_publish_beyond_the_credit_says_so_and_can_be_repeated() {
    let mut harness = Harness::new(ConnectionHandler::new());
    let client = harness.connect();
    for number in 0..16 {
        publish_to_q(&client, "q", &format!("{number}")).unwrap();
    }
    let error = publish_to_q(&client, "q", "16").unwrap_err();
    assert!(error.is_would_block() && error.to_string().contains("up to number 16"), "{error}");
    harness.step_until_ok("credit", || publish_to_q(&client, "q", "16"));
    harness.settle();
    assert_eq!(harness.handler().queue("q").unwrap().ledger.accepted, 17);
}

#[test]
fn a_harness_that_waits_for_a_timer_says_when_it_is_due() {
    use msglib_broker::{Event, handler_fn};
    let mut harness = Harness::new(handler_fn(|cx, event| {
        if let Event::Frame { frame: Frame::Hello(_), .. } = event {
            cx.set_timer(cx.now() + Duration::from_secs(5), 1);
        }
        Ok(())
    }));
    let client = harness.connect();
    harness.settle();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        harness.step_until("a message that the timer would send", |_| client.next_user().ok());
    }));
    let text = waited.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("before 5s; advance the clock"), "{text}");
}

#[test]
fn a_harness_that_fails_names_the_mistake_of_the_handler() {
    use msglib_broker::{Event, handler_fn};
    let mut harness = Harness::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: Frame::Publish { link, number, .. } } = event {
            let _ = cx.send(from, Frame::Confirmed { link, upto: number + 1 });
        }
        Ok(())
    }));
    let client = harness.connect();
    let confirmation = msglib_client::publish_to_q_confirmed(&client, "q", "x").unwrap();
    let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        harness.step_until_ok("the confirm", || confirmation.wait());
    }));
    let text = waited.unwrap_err().downcast::<String>().unwrap();
    assert!(text.contains("Confirmed") && text.contains("a confirm covers what was published"), "{text}");
}
