//! What a core does for any handler: handshake, ends, backpressure, budgets, timers, what may be sent.

mod common;

use common::{Bench, bytes_of, hello, open, publish};
use msglib_broker::{
    Context, CoreConfig, End, ErrorCode, Event, Frames, Handler, Identity, Native, Reject, SendError, TimerId,
    handler_fn,
};
use msglib_proto::transport::{Address, Close, ConnectionId, Peer};
use msglib_proto::{Frame, Payload};
use std::time::Duration;

/// Writes down what it is told, and does nothing.
#[derive(Default)]
struct Notes(Vec<String>);

impl Handler for Notes {
    fn handle(&mut self, _: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        self.0.push(format!("{event:?}"));
        Ok(())
    }
}

fn ping(token: u64) -> Frame<'static> {
    Frame::Ping { token }
}

#[test]
fn a_handler_knows_whom_it_talks_to_and_can_write_to_others() {
    let mut told = Vec::new();
    let mut bench = Bench::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: Frame::User { body, .. } } = event {
            told.push(cx.peer(from).map(|peer| peer.address.to_string()));
            let everyone: Vec<ConnectionId> = cx.connections().filter(|id| *id != from).collect();
            for id in everyone {
                cx.send(id, Frame::User { kind: 0x8001, flags: 0, link: 0, body }).unwrap();
            }
        }
        Ok(())
    }));
    let (a, b, c) = (bench.greeted(), bench.greeted(), bench.greeted());
    bench.send(a, &[Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from("hi") }]);
    assert!(bench.lines(a).is_empty());
    assert_eq!(bench.lines(b), ["User { kind: 32769, flags: 0, link: 0, body: \"hi\" }"]);
    assert_eq!(bench.names(c), ["User"]);
    drop(bench);
    assert_eq!(told, [Some("memory:1".to_owned())]);
}

#[test]
fn a_rejected_hello_ends_the_connection_without_a_welcome() {
    let mut bench = Bench::new(handler_fn(|_, event| match event {
        Event::Frame { frame: Frame::Hello(_), .. } => Err(Reject::new(ErrorCode::BAD_CREDENTIALS, "who are you?")),
        _ => Ok(()),
    }));
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false), publish(1, 1, "no effect")]);
    let lines = bench.lines(id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Error { code: BAD_CREDENTIALS") && lines[0].contains("who are you?"), "{lines:?}");
    assert!(bench.is_closed(id));
}

#[test]
fn a_connection_that_says_nothing_is_closed_at_the_handshake_deadline() {
    let mut bench = Bench::new(Notes::default());
    let (silent, greeted) = (bench.open(), bench.greeted());
    bench.advance(Duration::from_nanos(9_999_999_999));
    assert!(!bench.is_closed(silent));
    bench.advance(Duration::from_nanos(1));
    assert!(bench.lines(silent)[0].starts_with("Error { code: HANDSHAKE_TIMEOUT"));
    assert!(bench.is_closed(silent));
    assert!(!bench.is_closed(greeted));
    assert_eq!(bench.core.counters().handshake_timeouts, 1);
}

#[test]
fn a_broken_protocol_is_answered_with_where_and_why_and_nothing_behind_it_counts() {
    let mut bench = Bench::new(Notes::default());
    let id = bench.greeted();
    let at = bytes_of(&[hello(), ping(1)]).len();
    let mut bytes = bytes_of(&[ping(1), ping(2), ping(3)]);
    let second = bytes.len() / 3;
    bytes[second + 4] = 0x7F; // the type of the second
    bench.send_bytes(id, &bytes);
    let lines = bench.lines(id);
    assert_eq!(lines[0], "Pong { token: 1 }");
    assert!(lines[1].contains("UNKNOWN_TYPE") && lines[1].contains(&format!("offset: {}", at + 4)), "{lines:?}");
    assert_eq!(lines.len(), 2);
    assert!(bench.is_closed(id));
    assert_eq!(bench.core.counters().protocol_errors, 1);
    assert_eq!(bench.core.connections(), 0);
}

#[test]
fn the_end_is_told_exactly_once_whatever_ends_it() {
    type Ending = fn(&mut Bench<Notes>, ConnectionId);
    let ends: [(&str, Ending); 5] = [
        ("without a goodbye", |bench, id| bench.end(id)),
        ("said goodbye", |bench, id| bench.send(id, &[Frame::Goodbye { code: ErrorCode::NONE, text: "" }])),
        ("broke the protocol", |bench, id| bench.send(id, &[hello()])),
        ("gave up", |bench, id| {
            bench.send(id, &[Frame::Error { code: ErrorCode::INTERNAL, offset: 0, text: "oh" }]);
        }),
        ("transport failed", |bench, id| {
            let error = std::io::ErrorKind::ConnectionReset.into();
            bench.core.handle_end(bench.now, id, End::Failed(error));
            bench.step();
        }),
    ];
    for (why, end) in ends {
        let mut bench = Bench::new(Notes::default());
        let id = bench.greeted();
        end(&mut bench, id);
        bench.core.handle_end(bench.now, id, End::OfStream);
        bench.send(id, &[ping(1)]);
        let told: Vec<_> = bench.core.handler().0.iter().filter(|line| line.contains("is over")).collect();
        assert_eq!(told.len(), 1, "{why}: {told:?}");
        assert!(told[0].contains(why), "{told:?}");
        assert_eq!(bench.closed.len(), 1, "{why}");
    }
}

#[test]
fn deliveries_are_full_at_the_mark_and_drained_when_there_is_room() {
    let config = CoreConfig::default().with_high_water(1000);
    let mut refused = 0;
    let mut drained = 0;
    let handler = handler_fn(|cx, event| {
        match event {
            Event::Frame { from, frame: frame @ Frame::User { .. } } => {
                while cx.queued(from) < 10_000 {
                    match cx.send(from, frame) {
                        Ok(()) => {}
                        Err(SendError::Full) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
                assert!(cx.queued(from) < 1200, "{}", cx.queued(from));
                refused += 1;
            }
            Event::Drained { .. } => drained += 1,
            _ => {}
        }
        Ok(())
    });
    let mut bench = Bench::with_config(handler, config);
    let id = bench.greeted();
    bench.room.insert(id, 0);
    let body = [b'x'; 100];
    bench.send(id, &[Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from(&body) }]);
    bench.room.remove(&id);
    bench.core.handle_writable(bench.now, id);
    bench.step();
    assert_eq!(bench.names(id).len(), 9);
    drop(bench);
    assert_eq!((refused, drained), (1, 1));
}

#[test]
fn a_peer_that_sends_pings_and_reads_nothing_is_not_read_from_any_more() {
    let config = CoreConfig::default().with_high_water(1000).with_reserve(1000);
    let mut bench = Bench::with_config(Notes::default(), config);
    let id = bench.greeted();
    bench.room.insert(id, 0);
    let many: Vec<Frame<'_>> = (0..1000).map(ping).collect();
    bench.send(id, &many);
    assert!(!bench.core.wants_input(id));
    let waiting = bench.core.pending(id).unwrap().len();
    assert!(waiting <= 2000 + 20, "{waiting} bytes wait");
    bench.room.remove(&id);
    for _ in 0..100 {
        bench.core.handle_writable(bench.now, id);
        bench.step();
    }
    assert_eq!(bench.names(id).len(), 1000, "nothing that was held is lost");
    assert!(bench.core.wants_input(id));
}

#[test]
fn a_turn_is_bounded_and_the_rest_is_handled_later_in_order() {
    let config = CoreConfig::default().with_frames_per_turn(3);
    let mut bench = Bench::with_config(Notes::default(), config);
    let id = bench.greeted();
    let seven: Vec<Frame<'_>> = (1..=7).map(ping).collect();
    bench.core.handle_input(bench.now, id, &bytes_of(&seven));
    assert_eq!(bench.core.counters().frames_received, 1 + 3);
    assert!(!bench.core.wants_input(id), "held input comes first");
    bench.core.handle_input(bench.now, id, &bytes_of(&[ping(8)]));
    bench.core.handle_end(bench.now, id, End::OfStream);
    bench.step();
    let lines = bench.lines(id);
    let tokens: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_eq!(tokens[..8], (1..=8).map(|n| format!("Pong {{ token: {n} }}")).collect::<Vec<_>>()[..]);
    assert!(bench.is_closed(id), "the end comes behind what was held");
}

#[test]
fn timers_come_when_they_are_due_unless_cancelled() {
    let mut due = Vec::new();
    let mut kept: Option<TimerId> = None;
    let mut bench = Bench::new(handler_fn(|cx, event| {
        match event {
            Event::Connected { .. } => {
                let at = |ms| cx.now() + Duration::from_millis(ms);
                let (early, late, never) = (at(10), at(20), at(15));
                cx.set_timer(late, 2);
                kept = Some(cx.set_timer(early, 1));
                let cancelled = cx.set_timer(never, 3);
                assert!(cx.cancel_timer(cancelled));
                assert!(!cx.cancel_timer(cancelled));
            }
            Event::Timer { timer, token } => due.push((token, cx.now().as_nanos() / 1_000_000, Some(timer) == kept)),
            _ => {}
        }
        Ok(())
    }));
    bench.open();
    bench.advance(Duration::from_millis(9));
    bench.advance(Duration::from_millis(1));
    bench.advance(Duration::from_millis(50));
    drop(bench);
    assert_eq!(due, [(1, 10, true), (2, 60, false)]);
}

#[test]
fn what_a_handler_must_not_send_is_an_error_and_never_reaches_the_peer() {
    let mut errors = Vec::new();
    let mut bench = Bench::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: Frame::Open(_) } = event {
            errors.push(cx.deliver(from, 1, 1, "early").unwrap_err());
            errors.push(cx.deliver(from, 2, 1, "no such link").unwrap_err());
            errors.push(cx.send(from, Frame::Confirmed { link: 1, upto: 1 }).unwrap_err());
            errors.push(cx.send(from, Frame::Ack { link: 1, first: 1, last: 1 }).unwrap_err());
            errors.push(cx.send(ConnectionId::new(99, 0), ping(1)).unwrap_err());
        }
        Ok(())
    }));
    let id = bench.greeted();
    bench.send(id, &[open(1, true, true)]);
    assert_eq!(bench.names(id), ["Opened"]);
    drop(bench);
    assert_eq!(errors[0], SendError::NoCredit(1));
    assert_eq!(errors[1], SendError::LinkGone(2));
    assert!(matches!(errors[2], SendError::Misuse(_)), "{:?}", errors[2]);
    assert!(matches!(errors[3], SendError::Misuse(_)), "{:?}", errors[3]);
    assert_eq!(errors[4], SendError::Gone);
}

#[test]
fn a_peer_that_does_not_take_its_last_words_is_cut_off() {
    let mut bench = Bench::new(Notes::default());
    let id = bench.greeted();
    bench.room.insert(id, 0);
    bench.core.close_all();
    bench.step();
    bench.advance(Duration::from_nanos(4_999_999_999));
    assert!(!bench.is_closed(id), "its goodbye waits to be written");
    bench.advance(Duration::from_nanos(1));
    assert_eq!(bench.closed, [(id, Close::Abort)]);
    assert_eq!(bench.core.connections(), 0);
}

#[test]
fn one_seed_one_behaviour() {
    let draw = |seed| {
        let mut drawn = Vec::new();
        let handler = handler_fn(|cx, event| {
            if let Event::Connected { .. } = event {
                drawn.push(cx.random());
            }
            Ok(())
        });
        let mut core = msglib_broker::Core::new(handler, Native::default(), CoreConfig::default(), seed);
        for index in 0..3 {
            let peer = Peer::new(Address::Memory(0));
            core.handle_open(msglib_proto::Instant::ZERO, ConnectionId::new(index, 0), peer);
        }
        drop(core);
        drawn
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

fn own(body: &'static str) -> Frame<'static> {
    Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from(body) }
}

#[test]
fn a_connection_that_ends_for_two_reasons_in_one_step_ends_once() {
    let mut told = Vec::new();
    let mut bench = Bench::new(handler_fn(|cx, event| {
        match event {
            Event::Frame { from, frame: Frame::User { .. } } => {
                told.push("frame");
                cx.close(from);
                return Err(Reject::new(ErrorCode::NOT_ALLOWED, "no"));
            }
            Event::Disconnected { .. } => told.push("over"),
            _ => {}
        }
        Ok(())
    }));
    let id = bench.greeted();
    bench.send(id, &[own("1")]);
    bench.send(id, &[own("2")]);
    assert!(bench.is_closed(id));
    assert_eq!(bench.core.connections(), 0);
    drop(bench);
    assert_eq!(told, ["frame", "over"]);
}

#[test]
fn a_shutdown_and_a_handshake_deadline_at_once_end_a_connection_once() {
    let mut bench = Bench::new(Notes::default());
    bench.open();
    bench.now += Duration::from_secs(11);
    bench.core.close_all();
    bench.step();
    assert_eq!(bench.core.counters().disconnected, 1);
    assert_eq!(bench.closed.len(), 1);
}

#[test]
fn a_client_that_said_how_long_it_waits_hears_something_in_time() {
    let mut bench = Bench::new(Notes::default());
    let id = bench.open();
    let Frame::Hello(mut greeting) = hello() else { unreachable!() };
    greeting.idle_ms = 1000;
    bench.send(id, &[Frame::Hello(greeting)]);
    bench.names(id);
    let mut silence = Duration::ZERO;
    let mut pings = 0;
    for step in 0..100 {
        bench.advance(Duration::from_millis(50));
        if step == 30 {
            bench.send(id, &[ping(1)]);
        }
        match bench.names(id).pop() {
            None => silence += Duration::from_millis(50),
            Some(name) => {
                pings += usize::from(name == "Ping");
                silence = Duration::ZERO;
            }
        }
        assert!(silence < Duration::from_millis(600), "nothing for {silence:?}");
    }
    assert!((8..=20).contains(&pings), "{pings} pings in five seconds");
    bench.end(id);
    assert_eq!(bench.core.poll_timeout(), None, "nothing is left to be due");
}

#[test]
fn the_timers_of_a_connection_end_with_it() {
    let config = CoreConfig::default().with_handshake_timeout(Duration::MAX);
    let mut bench = Bench::with_config(Notes::default(), config);
    for _ in 0..10 {
        let silent = bench.open();
        bench.end(silent);
        let greeted = bench.greeted();
        bench.end(greeted);
    }
    assert_eq!(bench.core.poll_timeout(), None);
}

#[test]
fn a_timer_in_the_past_is_due_with_the_next_step() {
    let mut fired = 0;
    let mut bench = Bench::new(handler_fn(|cx, event| {
        match event {
            Event::Connected { .. } => {
                cx.set_timer(cx.now(), 1);
            }
            Event::Timer { .. } => {
                fired += 1;
                cx.set_timer(cx.now(), 1);
            }
            _ => {}
        }
        Ok(())
    }));
    bench.open();
    for _ in 0..3 {
        bench.core.handle_timeout(bench.now);
        bench.core.end_of_step(bench.now);
    }
    drop(bench);
    assert_eq!(fired, 3);
}

#[test]
fn a_delivery_that_failed_has_used_up_no_tag() {
    let mut results = Vec::new();
    let mut bench = Bench::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: Frame::Credit { link, .. } } = event {
            results.push(cx.deliver(from, link, 0, "count 0").is_err());
            results.push(cx.deliver(from, link, 1, "good") == Ok(1));
        }
        Ok(())
    }));
    let id = bench.greeted();
    bench.send(id, &[open(1, false, true), Frame::Credit { link: 1, upto: 5 }]);
    assert!(bench.lines(id).last().unwrap().starts_with("Delivery { link: 1, tag: 1,"));
    drop(bench);
    assert_eq!(results, [true, true]);
}

#[test]
fn a_refusal_that_comes_too_late_for_the_protocol_is_not_sent() {
    let mut bench = Bench::new(handler_fn(|cx, event| match event {
        Event::Frame { from, frame: Frame::Publish { link, number, .. } } => {
            match number {
                1 => cx.send(from, Frame::Confirmed { link, upto: 1 }).unwrap(),
                _ => cx.send(from, Frame::Closed { link, code: ErrorCode::CHANNEL_DELETED, text: "" }).unwrap(),
            }
            Err(Reject::new(ErrorCode::BUSY, "too late"))
        }
        _ => Ok(()),
    }));
    let id = bench.greeted();
    bench.send(id, &[open(1, true, false), publish(1, 1, "a"), publish(1, 2, "b")]);
    assert_eq!(bench.names(id), ["Opened", "Confirmed", "Closed"]);
}

#[test]
fn a_refused_connection_is_told_by_an_error_whatever_the_code() {
    let mut bench = Bench::new(handler_fn(|_, event| match event {
        Event::Connected { .. } => Err(Reject::new(ErrorCode::NONE, "")),
        _ => Ok(()),
    }));
    let id = bench.open();
    bench.step();
    assert_eq!(bench.names(id), ["Error"], "a GOODBYE before WELCOME would break the protocol");
}

#[test]
fn an_idle_connection_gives_its_buffer_back() {
    let mut bench = Bench::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: frame @ Frame::User { .. } } = event {
            cx.send(from, frame).unwrap();
        }
        Ok(())
    }));
    let id = bench.greeted();
    bench.send(id, &[own("x"); 100]);
    bench.step();
    bench.step();
    bench.step();
    assert_eq!(bench.core.outbound_capacity(id), Some(0));
}

/// What it is told, with each call of `frames`, whether there are any in it or not.
#[derive(Default)]
struct Calls(Vec<&'static str>);

impl Handler for Calls {
    fn handle(&mut self, _: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Connected { .. } => self.0.push("connected"),
            Event::Disconnected { .. } => self.0.push("disconnected"),
            _ => {}
        }
        Ok(())
    }

    fn frames(&mut self, cx: &mut Context<'_>, frames: Frames<'_, Native>) {
        self.0.push("frames");
        frames.for_each(cx, |_, _| Ok(()));
    }
}

#[test]
fn frames_that_were_held_for_a_later_turn_are_not_called_for_when_their_connection_is_over() {
    let mut bench = Bench::with_config(Calls::default(), CoreConfig::default().with_frames_per_turn(1));
    let id = bench.greeted();
    // More than a turn takes; then the end, with last words that are not written yet.
    bench.core.handle_input(bench.now, id, &bytes_of(&[ping(1), ping(2), ping(3)]));
    bench.core.close_all();
    bench.core.end_of_step(bench.now);
    assert!(bench.core.pending(id).is_some());
    bench.step();
    assert_eq!(bench.core.handler().0, ["connected", "frames", "frames", "disconnected"]);
}

/// Two connections in one slot would be one to every table that is kept beside it.
#[test]
#[should_panic(expected = "while Some(c0) has its slot")]
fn a_transport_that_gives_a_slot_away_before_its_user_is_closed_is_found_out() {
    let mut bench = Bench::new(Notes::default());
    bench.greeted();
    let peer = Peer::new(Address::Memory(9));
    bench.core.handle_open(bench.now, ConnectionId::new(0, 1), peer);
}

#[test]
fn every_connection_can_be_looked_at() {
    let mut bench = Bench::new(handler_fn(|cx, event| {
        if let Event::Frame { from, frame: Frame::Hello(_) } = event {
            cx.set_identity(from, Identity::new("alice"));
        }
        Ok(())
    }));
    let (alice, silent) = (bench.greeted(), bench.open());
    let looks: Vec<_> = bench.core.each_connection().map(|seen| (seen.id, seen.identity.map(Identity::name))).collect();
    assert_eq!(looks, [(alice, Some("alice")), (silent, None)]);
    let seen = bench.core.each_connection().next().unwrap();
    assert_eq!((seen.peer.to_string(), seen.queued, seen.is_ending), ("memory:1".to_owned(), 0, false));
    assert!(seen.sent > 0, "its greeting");
    bench.core.close_all();
    assert!(bench.core.each_connection().all(|seen| seen.is_ending));
}
