//! What the stock handler does for clients, frame by frame.

mod common;

use common::{Bench, hello, open, open_as, publish};
use msglib_broker::{ChannelName, ConnectionHandler, Instant, QueueConfig, StockConfig};
use msglib_proto::{ChannelKind, Frame, Payload, Verdict};

fn bench() -> Bench<ConnectionHandler> {
    Bench::new(ConnectionHandler::new())
}

fn credit(link: u32, upto: u64) -> Frame<'static> {
    Frame::Credit { link, upto }
}

#[test]
fn a_message_goes_from_publisher_to_consumer_and_is_acked() {
    let mut bench = bench();
    let (sender, receiver) = (bench.greeted(), bench.greeted());
    bench.send(sender, &[open(1, true, false), publish(1, 1, "Hello, world!")]);
    assert_eq!(
        bench.lines(sender),
        ["Opened { link: 1 }", "Confirmed { link: 1, upto: 1 }", "Credit { link: 1, upto: 1025 }"]
    );
    bench.send(receiver, &[open(1, false, true), credit(1, 1)]);
    assert_eq!(
        bench.lines(receiver),
        ["Opened { link: 1 }", "Delivery { link: 1, tag: 1, count: 1, payload: \"Hello, world!\" }"]
    );
    bench.send(receiver, &[Frame::Ack { link: 1, first: 1, last: 1 }]);
    let queue = bench.core.handler().queue(7).unwrap();
    assert_eq!((queue.ledger.acked, queue.ledger.ready, queue.bytes), (1, 0, 0));
    assert!(queue.ledger.is_balanced());
}

#[test]
fn everything_may_come_in_one_read_behind_the_hello() {
    let mut bench = bench();
    let client = bench.open();
    bench.send(client, &[hello(), open(1, true, true), publish(1, 1, "x"), credit(1, 1)]);
    assert_eq!(bench.names(client), ["Welcome", "Opened", "Delivery", "Confirmed", "Credit"]);
}

#[test]
fn one_confirm_stands_for_all_publishes_of_a_step() {
    let mut bench = bench();
    let client = bench.greeted();
    bench.send(client, &[open(1, true, false), publish(1, 1, "a"), publish(1, 2, "b"), publish(1, 3, "c")]);
    assert_eq!(bench.lines(client)[1], "Confirmed { link: 1, upto: 3 }");
}

#[test]
fn a_publish_that_asks_for_nothing_is_told_nothing() {
    let mut bench = bench();
    let client = bench.greeted();
    let quiet = Frame::Publish { link: 1, number: 1, confirm: false, payload: Payload::from("a") };
    bench.send(client, &[open(1, true, false), quiet]);
    assert_eq!(bench.names(client), ["Opened", "Credit"]);
}

#[test]
fn publish_credit_moves_on_at_half_of_the_window() {
    let config = StockConfig::default().with_publish_window(20);
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    let client = bench.greeted();
    bench.send(client, &[open(1, true, false)]);
    assert_eq!(bench.lines(client), ["Opened { link: 1 }"], "16 are allowed, 20 are not half a window more");
    for number in 1..=6 {
        bench.send(client, &[publish(1, number, "x")]);
    }
    let lines = bench.lines(client);
    let credits: Vec<_> = lines.iter().filter(|line| line.starts_with("Credit")).collect();
    assert_eq!(credits, ["Credit { link: 1, upto: 26 }"]);
}

#[test]
fn a_full_queue_refuses_with_the_reason_and_the_connection_goes_on() {
    let config = StockConfig::default().with_queue(QueueConfig::default().with_max_messages(1));
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    let client = bench.greeted();
    bench.send(client, &[open(1, true, true), publish(1, 1, "a"), publish(1, 2, "b"), publish(1, 3, "c")]);
    let lines = bench.lines(client);
    assert!(lines[1].starts_with("Refused { link: 1, first: 2, last: 3, code: QUEUE_FULL"), "{}", lines[1]);
    assert_eq!(lines[2], "Confirmed { link: 1, upto: 3 }", "after the refusal that it covers");
    bench.send(client, &[credit(1, 1)]);
    bench.send(client, &[Frame::Ack { link: 1, first: 1, last: 1 }, publish(1, 4, "d")]);
    assert_eq!(bench.names(client), ["Delivery", "Confirmed"]);
    assert_eq!(bench.core.handler().queue(7).unwrap().ledger.turned_away, 2);
}

#[test]
fn refusals_with_gaps_are_all_told() {
    let config = StockConfig::default().with_queue(QueueConfig::default().with_max_bytes(1000));
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    let client = bench.greeted();
    let large = Box::leak(vec![b'x'; 2000].into_boxed_slice());
    let big = |number| Frame::Publish { link: 1, number, confirm: true, payload: Payload::from(&large[..]) };
    bench.send(client, &[open(1, true, false), big(1), publish(1, 2, "ok"), big(3)]);
    let lines = bench.lines(client);
    assert!(lines[1].starts_with("Refused { link: 1, first: 1, last: 1,"), "{}", lines[1]);
    assert!(lines[2].starts_with("Refused { link: 1, first: 3, last: 3,"), "{}", lines[2]);
    assert_eq!(lines[3], "Confirmed { link: 1, upto: 3 }");
}

#[test]
fn a_refused_message_comes_again_with_its_count_raised_or_never() {
    let mut bench = bench();
    let client = bench.greeted();
    bench.send(client, &[open(1, true, true), publish(1, 1, "a"), credit(1, 1)]);
    bench.lines(client);
    bench.send(client, &[Frame::Refuse { link: 1, first: 1, last: 1, verdict: Verdict::Again }, credit(1, 2)]);
    assert_eq!(bench.lines(client), ["Delivery { link: 1, tag: 2, count: 2, payload: \"a\" }"]);
    bench.send(client, &[Frame::Refuse { link: 1, first: 2, last: 2, verdict: Verdict::ForGood }, credit(1, 9)]);
    assert!(bench.lines(client).is_empty());
    assert_eq!(bench.core.handler().queue(7).unwrap().ledger.refused, 1);
}

#[test]
fn what_a_vanished_consumer_held_goes_to_the_next() {
    let mut bench = bench();
    let (first, second) = (bench.greeted(), bench.greeted());
    bench.send(first, &[open(1, true, true), publish(1, 1, "a"), publish(1, 2, "b"), credit(1, 2)]);
    bench.send(second, &[open(1, false, true), credit(1, 9)]);
    bench.lines(second);
    bench.end(first);
    assert_eq!(
        bench.lines(second),
        [
            "Delivery { link: 1, tag: 1, count: 2, payload: \"a\" }",
            "Delivery { link: 1, tag: 2, count: 2, payload: \"b\" }"
        ]
    );
    assert!(bench.is_closed(first));
}

#[test]
fn a_closed_link_gives_back_and_its_outcomes_come_first() {
    let mut bench = bench();
    let client = bench.greeted();
    bench.send(client, &[open(1, true, true), publish(1, 1, "a"), credit(1, 1)]);
    bench.lines(client);
    bench.send(client, &[publish(1, 2, "b"), Frame::Close { link: 1 }]);
    assert_eq!(
        bench.lines(client),
        ["Confirmed { link: 1, upto: 2 }", "Closed { link: 1, code: NONE (0x0000), text: \"\" }"]
    );
    let queue = bench.core.handler().queue(7).unwrap();
    assert_eq!((queue.ledger.ready, queue.ledger.in_flight, queue.links), (2, 0, 0));
    bench.send(client, &[open(1, false, true), credit(1, 2)]);
    assert_eq!(bench.names(client), ["Opened", "Delivery", "Delivery"], "the number can be used again");
}

#[test]
fn before_a_link_ends_all_that_was_accepted_is_confirmed_asked_for_or_not() {
    let mut bench = bench();
    let client = bench.greeted();
    let quiet = Frame::Publish { link: 1, number: 1, confirm: false, payload: Payload::from("a") };
    bench.send(client, &[open(1, true, false), quiet, Frame::Close { link: 1 }]);
    assert_eq!(bench.names(client), ["Opened", "Confirmed", "Closed"]);
}

#[test]
fn goodbye_is_answered_after_the_outcomes_and_the_connection_closed() {
    let mut bench = bench();
    let client = bench.greeted();
    let goodbye = Frame::Goodbye { code: msglib_proto::ErrorCode::NONE, text: "" };
    bench.send(client, &[open(1, true, false), publish(1, 1, "a"), goodbye]);
    assert_eq!(bench.names(client), ["Opened", "Confirmed", "Credit", "Goodbye"]);
    assert!(bench.is_closed(client));
}

#[test]
fn a_consumer_that_takes_only_small_messages_has_its_link_closed_and_the_message_stays() {
    let mut bench = bench();
    let small = bench.open();
    let Frame::Hello(mut greeting) = hello() else { unreachable!() };
    greeting.max_payload = 3;
    bench.send(small, &[Frame::Hello(greeting), open(1, true, true), credit(1, 9)]);
    bench.lines(small);
    bench.send(small, &[publish(1, 1, "abc"), publish(1, 2, "four")]);
    let lines = bench.lines(small);
    assert!(lines.iter().any(|line| line.contains("count: 1, payload: \"abc\"")), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("Closed { link: 1, code: CONSUMER_TOO_SMALL"), "{lines:?}");
    let queue = bench.core.handler().queue(7).unwrap();
    assert_eq!((queue.ledger.ready, queue.consumers, queue.links), (2, 0, 0));
}

#[test]
fn unknown_kinds_and_arguments_close_the_link_and_nothing_else() {
    let mut bench = bench();
    let client = bench.greeted();
    bench.send(client, &[open_as(1, true, false, ChannelKind(99), b""), publish(1, 1, "lost")]);
    let lines = bench.lines(client);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Closed { link: 1, code: UNKNOWN_KIND"), "{lines:?}");
    bench.send(client, &[open_as(2, true, false, ChannelKind::QUEUE, b"x")]);
    assert!(bench.lines(client)[0].starts_with("Closed { link: 2, code: BAD_ARGUMENTS"));
    bench.send(client, &[Frame::Close { link: 1 }, open(1, true, false), publish(1, 1, "x")]);
    assert_eq!(bench.names(client), ["Opened", "Confirmed", "Credit"]);
}

#[test]
fn a_frame_of_the_users_own_is_no_queue_operation() {
    let mut bench = bench();
    let (client, other) = (bench.greeted(), bench.greeted());
    bench.send(client, &[Frame::User { kind: 0x9000, flags: 0, link: 0, body: Payload::from("?") }]);
    let lines = bench.lines(client);
    assert!(lines[0].starts_with("Error { code: UNKNOWN_TYPE"), "{lines:?}");
    assert!(lines[0].contains("0x9000"), "the error names what was unknown: {lines:?}");
    assert!(bench.is_closed(client));
    bench.send(other, &[Frame::Ping { token: 1 }]);
    assert_eq!(bench.names(other), ["Pong"], "everyone else goes on");
}

#[test]
fn queues_are_bounded_and_unused_ones_make_room() {
    let mut bench = Bench::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(2)));
    let client = bench.greeted();
    let named = |link, id| {
        let Frame::Open(mut open) = open(link, true, false) else { unreachable!() };
        open.name = ChannelName::id(id);
        Frame::Open(open)
    };
    bench.send(client, &[named(1, 1), named(2, 2), named(3, 3)]);
    let lines = bench.lines(client);
    assert!(lines.iter().any(|line| line.starts_with("Closed { link: 3, code: TOO_MANY_CHANNELS")), "{lines:?}");
    bench.send(client, &[Frame::Close { link: 3 }, Frame::Close { link: 1 }, named(1, 3)]);
    assert_eq!(bench.names(client), ["Closed", "Opened", "Credit"]);
    assert!(bench.core.handler().queue(1).is_none());
    assert!(bench.core.handler().queue(3).is_some());
}

#[test]
fn a_message_outlives_the_unused_queue_rule() {
    let mut bench = Bench::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(1)));
    let client = bench.greeted();
    bench.send(client, &[open(1, true, false), publish(1, 1, "kept"), Frame::Close { link: 1 }]);
    let Frame::Open(mut other) = open(1, true, false) else { unreachable!() };
    other.name = ChannelName::id(8);
    bench.lines(client);
    bench.send(client, &[Frame::Open(other)]);
    assert_eq!(bench.names(client), ["Closed"], "a queue with a message is not unused");
    assert_eq!(bench.core.handler().queue(7).unwrap().ledger.ready, 1);
}

/// A peer that is sent a lot and reads nothing can still settle and publish: what it is owed must not stop what it says.
#[test]
fn who_does_not_read_can_still_settle_and_publish() {
    let mut bench = bench();
    let (client, sender) = (bench.greeted(), bench.greeted());
    bench.room.insert(client, 0);
    let large = Box::leak(vec![b'x'; 250_000].into_boxed_slice());
    bench.send(client, &[open(1, true, true), credit(1, u64::MAX)]);
    let big = |number| Frame::Publish { link: 1, number, confirm: false, payload: Payload::from(&large[..]) };
    bench.send(sender, &[open(1, true, false), big(1), big(2), big(3)]);
    assert!(bench.core.pending(client).unwrap().len() > 320 * 1024, "beyond the mark and the reserve");
    bench.send(client, &[Frame::Ack { link: 1, first: 1, last: 2 }, publish(1, 1, "mine")]);
    let ledger = bench.core.handler().queue(7).unwrap().ledger;
    assert_eq!((ledger.acked, ledger.accepted), (2, 4));
    assert!(bench.core.wants_input(client));
}

#[test]
fn nothing_is_delivered_to_a_client_that_has_said_goodbye() {
    let mut bench = bench();
    let (sender, leaving) = (bench.greeted(), bench.greeted());
    bench.send(sender, &[open(1, true, false), publish(1, 1, "a")]);
    let goodbye = Frame::Goodbye { code: msglib_proto::ErrorCode::NONE, text: "" };
    bench.send(leaving, &[open(1, false, true), credit(1, 9), goodbye]);
    assert_eq!(bench.names(leaving), ["Opened", "Goodbye"]);
    let ledger = bench.core.handler().queue(7).unwrap().ledger;
    assert_eq!((ledger.ready, ledger.given_back), (1, 0), "its count is not used up");
}

#[test]
fn single_queues_behave_as_their_name_says() {
    let short = QueueConfig::default().with_max_messages(1);
    let config = StockConfig::default().with_queue_named("short", short.clone()).with_queue_named(7, short);
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    bench.core.act(Instant::ZERO, |handler, cx| {
        for name in [ChannelName::from("short"), ChannelName::from(7), ChannelName::from("7")] {
            let outcomes = [(); 2].map(|()| handler.publish(cx, name, "a message").is_ok());
            assert_eq!(outcomes, [true, name == ChannelName::from("7")], "{name}");
        }
    });
}
