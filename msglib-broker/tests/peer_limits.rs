//! What one peer can have of a broker, each at its limit and just beyond it, and what is counted when it is met.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Bench, bytes_of, hello, open, publish};
use msglib_broker::{ConnectionHandler, Context, CoreConfig, Event, Handler, Native, NewMessage, Reject, StockConfig};
use msglib_proto::{ChannelKind, ChannelName, Frame, Instant, Limits, NameError, Open, Payload};
use std::time::Duration;

/// Takes everything, and sets as many timers as there are frames of a kind of its own.
#[derive(Default)]
struct Taker {
    timers: usize,
}

impl Handler for Taker {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { frame: Frame::User { .. }, .. } => drop(cx.set_timer(Instant::from_nanos(1_000), 0)),
            Event::Timer { .. } => self.timers += 1,
            _ => {}
        }
        Ok(())
    }
}

fn ping(token: u64) -> Frame<'static> {
    Frame::Ping { token }
}

fn user(body: &[u8]) -> Frame<'_> {
    Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from(body) }
}

#[test]
fn a_handshake_deadline_is_kept_to_and_not_put_off_by_anything() {
    let config = CoreConfig::default().with_handshake_timeout(Duration::from_secs(10));
    let mut bench = Bench::with_config(Taker::default(), config);
    let (slow, late) = (bench.open(), bench.open());
    let bytes = bytes_of(&[hello()]);
    for byte in &bytes[..9] {
        bench.advance(Duration::from_secs(1));
        bench.send_bytes(slow, &[*byte]);
    }
    bench.advance(Duration::from_nanos(999_999_999));
    bench.send(late, &[hello()]);
    assert_eq!((bench.names(late), bench.core.counters().handshake_timeouts), (vec!["Welcome".to_owned()], 0));
    bench.advance(Duration::from_nanos(1));
    assert!(bench.lines(slow)[0].starts_with("Error { code: HANDSHAKE_TIMEOUT"));
    assert_eq!(bench.core.counters().handshake_timeouts, 1);
}

#[test]
fn a_read_that_is_full_before_the_handshake_is_counted() {
    let mut bench = Bench::with_config(Taker::default(), CoreConfig::default().with_handshake_read(20));
    let id = bench.open();
    assert_eq!((bench.core.input_limit(id, 20), bench.core.input_limit(id, 21)), (20, 20));
    let bytes = bytes_of(&[hello()]);
    bench.send_bytes(id, &bytes[..19]);
    assert_eq!(bench.core.counters().handshake_reads, 0);
    bench.send_bytes(id, &bytes[19..39]);
    assert_eq!(bench.core.counters().handshake_reads, 1);
    bench.send_bytes(id, &bytes[39..]);
    assert_eq!(bench.names(id), ["Welcome"]);
    bench.send(id, &[ping(1), ping(2)]);
    assert_eq!(bench.core.counters().handshake_reads, 1, "who is welcome has more");
}

/// Longer frames are refused by their header alone.
#[test]
fn a_payload_of_the_largest_size_is_taken_and_one_byte_more_is_an_error() {
    const MOST: usize = 1_024;
    let dialect = || Native::new(Limits::default().with_max_payload(MOST as u32));
    let taken = |size: usize| {
        let mut bench = Bench::with_dialect(ConnectionHandler::new(), dialect(), CoreConfig::default());
        let id = bench.greeted();
        let payload = vec![7; size];
        let publish = Frame::Publish { link: 1, number: 1, confirm: true, payload: Payload::from(&payload[..]) };
        bench.send(id, &[open(1, true, false), publish]);
        (bench.lines(id).pop().unwrap(), bench.core.counters().protocol_errors)
    };
    let (last, errors) = taken(MOST);
    assert!(last.starts_with("Confirmed") || last.starts_with("Credit"), "{last}");
    assert_eq!(errors, 0);
    let (last, errors) = taken(MOST + 1);
    assert!(last.starts_with("Error { code: FRAME_TOO_LARGE"), "{last}");
    assert_eq!(errors, 1);
}

#[test]
fn the_last_link_is_opened_and_one_more_is_an_error() {
    let dialect = Native::new(Limits::default().with_max_links(20));
    let mut bench = Bench::with_dialect(ConnectionHandler::new(), dialect, CoreConfig::default());
    let id = bench.greeted();
    for link in 1..=20 {
        bench.send(id, &[open(link, true, false)]);
        assert_eq!(bench.names(id)[0], "Opened");
    }
    assert_eq!(bench.core.counters().protocol_errors, 0);
    bench.send(id, &[open(21, true, false)]);
    assert!(bench.lines(id)[0].starts_with("Error { code: BAD_LINK"));
    assert_eq!(bench.core.counters().protocol_errors, 1);
}

#[test]
fn the_last_publish_of_the_credit_is_taken_and_one_more_is_an_error() {
    let taken = |publishes: u64| {
        let config = StockConfig::default().with_publish_window(100);
        let mut bench = Bench::new(ConnectionHandler::with_config(config));
        let id = bench.greeted();
        bench.send(id, &[open(1, true, false)]);
        assert!(bench.lines(id).contains(&"Credit { link: 1, upto: 100 }".to_owned()));
        // All at once, so that there is no credit in between.
        bench.send(id, &(1..=publishes).map(|number| publish(1, number, "x")).collect::<Vec<_>>());
        (bench.lines(id).pop().unwrap(), bench.core.counters().protocol_errors)
    };
    assert_eq!(taken(100), ("Credit { link: 1, upto: 200 }".to_owned(), 0));
    let (last, errors) = taken(101);
    assert!(last.starts_with("Error { code: CREDIT"), "{last}");
    assert_eq!(errors, 1);
}

#[test]
fn answers_that_are_not_taken_stop_the_reading_at_the_reserve_and_once_is_counted_once() {
    let size = bytes_of(&[Frame::Pong { token: 0 }]).len();
    let config = CoreConfig::default().with_reserve(10 * size);
    let mut bench = Bench::with_config(Taker::default(), config);
    let id = bench.greeted();
    bench.room.insert(id, 0);
    bench.send(id, &(1..=10).map(ping).collect::<Vec<_>>());
    assert!(bench.core.wants_input(id));
    assert_eq!(bench.core.counters().reserve_limits, 0);
    bench.send(id, &[ping(11)]);
    assert!(!bench.core.wants_input(id) && !bench.core.wants_input(id));
    assert_eq!(bench.core.counters().reserve_limits, 1);
    bench.read(id, usize::MAX);
    assert!(bench.core.wants_input(id));
    // In the middle of what has come already.
    bench.send(id, &(1..=12).map(ping).collect::<Vec<_>>());
    assert!(!bench.core.wants_input(id));
    assert_eq!(bench.core.counters().reserve_limits, 2);
    assert_eq!(bench.core.counters().frame_turns_cut, 0, "it was not for its turn that the last one waits");
}

#[test]
fn a_turn_of_as_many_frames_as_it_may_have_is_whole_and_one_more_cuts_it() {
    let mut bench = Bench::with_config(Taker::default(), CoreConfig::default().with_frames_per_turn(3));
    let id = bench.greeted();
    let handle = |bench: &mut Bench<Taker>, frames: u64| {
        let before = bench.core.counters().frames_received;
        bench.core.handle_input(bench.now, id, &bytes_of(&(1..=frames).map(ping).collect::<Vec<_>>()));
        let handled = bench.core.counters().frames_received - before;
        bench.step();
        (handled, bench.core.counters().frame_turns_cut)
    };
    assert_eq!(handle(&mut bench, 3), (3, 0));
    assert_eq!(handle(&mut bench, 4), (3, 1));
    assert_eq!(bench.names(id).len(), 7);
}

#[test]
fn a_step_of_as_many_timers_as_it_may_have_is_whole_and_one_more_cuts_it() {
    let fired = |timers: usize| {
        let mut bench = Bench::with_config(Taker::default(), CoreConfig::default().with_timers_per_step(3));
        let id = bench.greeted();
        bench.send(id, &vec![user(b""); timers]);
        bench.core.handle_timeout(Instant::from_nanos(1_000));
        let at_once = bench.core.handler().timers;
        bench.now = Instant::from_nanos(1_000);
        bench.step();
        assert_eq!(bench.core.handler().timers, timers);
        (at_once, bench.core.counters().timer_turns_cut)
    };
    assert_eq!(fired(3), (3, 0));
    assert_eq!(fired(4), (3, 1));
}

/// A consumer that allows everything, in one step with what is published.
fn delivered(config: StockConfig, messages: u64) -> (u64, u64) {
    let mut bench = Bench::new(ConnectionHandler::with_config(config));
    let id = bench.greeted();
    bench.send(id, &[open(1, true, true)]);
    bench.send(id, &(1..=messages).map(|number| publish(1, number, "x")).collect::<Vec<_>>());
    bench.core.handle_input(bench.now, id, &bytes_of(&[Frame::Credit { link: 1, upto: 100 }]));
    bench.core.end_of_step(bench.now);
    let at_once = bench.core.handler().queue(7).unwrap().ledger.in_flight;
    bench.step();
    assert_eq!(bench.core.handler().queue(7).unwrap().ledger.in_flight, messages);
    (at_once, bench.core.handler().counters().delivery_turns_cut)
}

#[test]
fn a_step_of_as_many_deliveries_as_it_may_have_is_whole_and_one_more_cuts_it() {
    let config = StockConfig::default().with_deliveries_per_step(3);
    assert_eq!(delivered(config.clone(), 3), (3, 0));
    assert_eq!(delivered(config, 4), (3, 1));
}

#[test]
fn a_step_of_as_many_chores_as_it_may_have_is_whole_and_one_more_cuts_it() {
    let purged = |messages: usize| {
        let mut bench = Bench::new(ConnectionHandler::with_config(StockConfig::default().with_chores_per_step(3)));
        let now = bench.now;
        bench.core.act(now, |handler, cx| {
            for _ in 0..messages {
                handler.publish(cx, 7, NewMessage::from("x")).unwrap();
            }
            assert!(handler.delete(cx, 7));
        });
        bench.core.end_of_step(now);
        let left = bench.core.handler().held().0;
        bench.step();
        assert_eq!(bench.core.handler().held().0, 0);
        (left, bench.core.handler().counters().chore_turns_cut)
    };
    assert_eq!(purged(3), (0, 0));
    assert_eq!(purged(4), (1, 1));
}

#[test]
fn the_longest_name_is_taken_and_one_byte_more_is_none() {
    let (longest, longer) = ([b'x'; 255], [b'x'; 256]);
    assert_eq!(ChannelName::bytes(&longest).map(|name| name.as_bytes().map(<[u8]>::len)), Ok(Some(255)));
    assert_eq!(ChannelName::bytes(&longer), Err(NameError { length: 256 }));
    let mut bench = Bench::new(ConnectionHandler::new());
    let id = bench.greeted();
    let (kind, name) = (ChannelKind::QUEUE, ChannelName::bytes(&longest).unwrap());
    bench.send(id, &[Frame::Open(Open { link: 1, publishes: true, consumes: false, kind, name, arguments: b"" })]);
    assert_eq!(bench.names(id)[0], "Opened");
    assert!(bench.core.handler().queue(name).is_some());
}
