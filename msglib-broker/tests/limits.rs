//! Limits of a core on what peers may have of it, each just below and just above, and what is counted when it is met.

mod common;

use common::{Bench, bytes_of, hello, open, publish};
use msglib_broker::{ConnectionHandler, Context, CoreConfig, ErrorCode, Event, Handler, Native, Reject, SendError};
use msglib_proto::transport::{Address, Close, ConnectionId};
use msglib_proto::{Frame, Payload};
use std::time::Duration;

/// Sends each peer who asks as much as there is room for, and writes down who came and went.
#[derive(Default)]
struct Feeder {
    came: Vec<ConnectionId>,
    went: Vec<String>,
    was_busy: Vec<bool>,
}

const PIECE: [u8; 88] = [7; 88];

impl Handler for Feeder {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Connected { id, .. } => self.came.push(id),
            Event::Disconnected { reason, .. } => self.went.push(reason.to_string()),
            Event::Frame { from: id, frame: Frame::User { kind: 0x8000, .. } } => {
                self.was_busy.push(cx.is_busy());
                // One hundred bytes each.
                let frame = Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from(&PIECE) };
                while cx.send(id, frame) != Err(SendError::Full) {}
            }
            _ => {}
        }
        Ok(())
    }
}

fn feed() -> Frame<'static> {
    Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from("") }
}

fn ping(token: u64) -> Frame<'static> {
    Frame::Ping { token }
}

fn goodbye() -> Frame<'static> {
    Frame::Goodbye { code: ErrorCode::NONE, text: "" }
}

fn waiting<H: Handler>(bench: &Bench<H>, id: ConnectionId) -> usize {
    bench.core.pending(id).map_or(0, |pending| pending.len())
}

#[test]
fn one_connection_more_than_there_may_be_is_told_and_the_handler_does_not_hear_of_it() {
    let mut bench = Bench::with_config(Feeder::default(), CoreConfig::default().with_max_connections(2));
    let (first, _second) = (bench.greeted(), bench.greeted());
    assert_eq!(bench.core.counters().turned_away, 0);

    let third = bench.open();
    bench.send(third, &[hello()]);
    assert!(bench.lines(third)[0].starts_with("Error { code: TOO_MANY_CONNECTIONS"), "and no WELCOME");
    assert!(bench.is_closed(third));
    let counters = *bench.core.counters();
    assert_eq!((counters.turned_away, counters.connected, counters.disconnected), (1, 2, 0));
    assert_eq!((bench.core.handler().came.len(), bench.core.handler().went.len()), (2, 0));

    bench.send(first, &[goodbye()]);
    bench.greeted();
    assert_eq!((bench.core.load().connections, bench.core.counters().turned_away), (2, 1));
}

#[test]
fn one_address_has_no_more_connections_than_it_may_and_others_come_in() {
    let config = CoreConfig::default().with_max_connections_per_address(2);
    let mut bench = Bench::with_config(Feeder::default(), config);
    let from = |host: &str, port: u16| Address::Socket(format!("{host}:{port}").parse().unwrap());
    let greeted = |bench: &mut Bench<Feeder>, address| {
        let id = bench.open_from(address);
        bench.send(id, &[hello()]);
        (id, bench.names(id))
    };
    let (first, _) = greeted(&mut bench, from("192.0.2.1", 1));
    assert_eq!(greeted(&mut bench, from("192.0.2.1", 2)).1, ["Welcome"]);
    assert_eq!(greeted(&mut bench, from("192.0.2.1", 3)).1, ["Error"]);
    assert_eq!(greeted(&mut bench, from("192.0.2.2", 1)).1, ["Welcome"]);
    bench.end(first);
    assert_eq!(greeted(&mut bench, from("192.0.2.1", 4)).1, ["Welcome"]);
    assert_eq!(bench.core.counters().turned_away, 1);
}

/// Sixteen KiB are all that a client may send before it is welcome, so nobody has to keep more for it.
#[test]
fn before_its_handshake_little_is_read_and_kept_of_a_peer() {
    const MOST: usize = 16_384;
    let mut bench = Bench::new(Feeder::default());
    let (id, greeted) = (bench.open(), bench.greeted());
    assert_eq!((bench.core.input_limit(id, MOST), bench.core.input_limit(id, MOST + 1)), (MOST, MOST));
    assert_eq!(bench.core.input_limit(greeted, MOST + 1), MOST + 1);

    // The longest HELLO that there is, but for its last byte.
    let mut bytes = bytes_of(&[hello()]);
    bytes[..4].copy_from_slice(&(MOST as u32).to_be_bytes());
    bytes.resize(MOST - 1, 0);
    bench.send_bytes(id, &bytes);
    let kept = bench.core.load().inbound;
    assert!((1..=MOST).contains(&kept), "{kept} bytes are kept");
    let longer = bench.open();
    bytes[..4].copy_from_slice(&(MOST as u32 + 1).to_be_bytes());
    bench.send_bytes(longer, &bytes);
    assert!(bench.lines(longer)[0].starts_with("Error { code: FRAME_LENGTH"));
    assert_eq!(bench.core.load().inbound, kept);

    // What waits to be written has a deadline too, and nothing to do with that.
    bench.room.insert(greeted, 0);
    bench.send(greeted, &[feed()]);
    assert_eq!(bench.core.input_limit(greeted, MOST + 1), MOST + 1);
}

/// Over for the handler, and with last words that nobody reads.
fn leave_unread(bench: &mut Bench<Feeder>) -> ConnectionId {
    let id = bench.greeted();
    bench.room.insert(id, 0);
    bench.send(id, &[goodbye()]);
    id
}

#[test]
fn one_more_that_is_closing_is_cut_off_at_once() {
    let mut bench = Bench::with_config(Feeder::default(), CoreConfig::default().with_max_closing(2));
    let first = [leave_unread(&mut bench), leave_unread(&mut bench)];
    assert!(first.iter().all(|id| !bench.is_closed(*id)), "they have time for their last words");
    assert_eq!((bench.core.load().closing, bench.core.counters().closings_cut), (2, 0));

    let third = leave_unread(&mut bench);
    assert_eq!(bench.closed, [(third, Close::Abort)]);
    assert_eq!((bench.core.load().closing, bench.core.counters().closings_cut), (2, 1));
    assert_eq!(bench.core.handler().went.len(), 3);

    bench.read(first[0], usize::MAX);
    leave_unread(&mut bench);
    assert_eq!((bench.core.load().closing, bench.core.counters().closings_cut), (2, 1));

    // In a shutdown all have time.
    let others = [bench.greeted(), bench.greeted()];
    bench.room.extend(others.map(|id| (id, 0)));
    bench.core.close_all();
    bench.step();
    assert_eq!((bench.core.load().closing, bench.core.counters().closings_cut), (4, 1));
}

#[test]
fn a_driver_is_told_when_too_many_drain_already() {
    let mut bench = Bench::with_config(Feeder::default(), CoreConfig::default().with_max_closing(2));
    assert!(!bench.core.cuts_closing(1));
    assert!(bench.core.cuts_closing(2));
    assert_eq!((bench.core.counters().closings_cut, bench.core.counters().aborted), (1, 1));
    bench.core.close_all();
    assert!(!bench.core.cuts_closing(2));
}

#[test]
fn who_takes_nothing_for_too_long_is_told_and_cut_off() {
    let config = CoreConfig::default().with_write_timeout(Duration::from_secs(8)).with_high_water(1000);
    let mut bench = Bench::with_config(Feeder::default(), config);
    let (deaf, slow, quick) = (bench.greeted(), bench.greeted(), bench.greeted());
    bench.room.extend([(deaf, 0), (slow, 0)]);
    for id in [deaf, slow, quick] {
        bench.send(id, &[feed()]);
    }
    for second in 1..8 {
        bench.advance(Duration::from_secs(1));
        bench.read(slow, 1);
        assert_eq!(bench.core.counters().write_timeouts, 0, "after {second} s");
    }
    bench.advance(Duration::from_nanos(999_999_999));
    assert_eq!(bench.core.counters().write_timeouts, 0);
    bench.advance(Duration::from_nanos(1));
    assert_eq!(bench.core.counters().write_timeouts, 1);
    assert_eq!(bench.core.handler().went, ["the peer took nothing of what was sent to it for too long"]);
    assert_eq!(bench.core.load().connections, 2);

    bench.read(deaf, usize::MAX);
    assert!(bench.lines(deaf).last().unwrap().starts_with("Error { code: TOO_SLOW"), "if it reads at last");
    assert!(bench.is_closed(deaf));

    // A byte a second was progress; from now on there is none, which is found out at most a quarter late.
    for _ in 0..7 {
        bench.advance(Duration::from_secs(1));
    }
    assert_eq!(bench.core.counters().write_timeouts, 1);
    for _ in 0..3 {
        bench.advance(Duration::from_secs(1));
    }
    assert_eq!(bench.core.counters().write_timeouts, 2);
    assert!(!bench.is_closed(quick));

    // A clock that jumps ahead is no reason: nobody had the time that has gone by.
    bench.room.insert(quick, 0);
    bench.send(quick, &[feed()]);
    bench.advance(Duration::from_secs(100));
    assert_eq!(bench.core.counters().write_timeouts, 2);
}

#[test]
fn a_write_time_out_of_for_ever_sets_no_timer_and_an_idle_connection_has_none() {
    let mut bench = Bench::with_config(Feeder::default(), CoreConfig::default().with_write_timeout(Duration::MAX));
    let id = bench.greeted();
    bench.room.insert(id, 0);
    bench.send(id, &[feed()]);
    assert_eq!(bench.core.poll_timeout(), None);

    let mut bench = Bench::new(Feeder::default());
    let id = bench.greeted();
    bench.send(id, &[feed()]);
    assert_eq!(bench.core.poll_timeout(), None, "all was taken");
    bench.room.insert(id, 0);
    bench.send(id, &[feed()]);
    bench.room.remove(&id);
    bench.read(id, usize::MAX);
    bench.advance(Duration::from_secs(15));
    assert_eq!(bench.core.poll_timeout(), None, "one look, and no more");
}

#[test]
fn who_says_nothing_for_too_long_is_asked_at_half_of_it_and_then_cut_off() {
    let dialect = Native::default().with_idle_timeout(Duration::from_secs(10));
    let mut bench = Bench::with_dialect(Feeder::default(), dialect, CoreConfig::default());
    let [silent, answers] = [(); 2].map(|()| {
        let id = bench.open();
        bench.send(id, &[hello()]);
        assert!(bench.lines(id)[0].contains("idle_ms: 10000"));
        id
    });
    bench.advance(Duration::from_nanos(4_999_999_999));
    assert!(bench.lines(silent).is_empty());
    bench.advance(Duration::from_nanos(1));
    assert_eq!((bench.names(silent), bench.names(answers)), (vec!["Ping".to_owned()], vec!["Ping".to_owned()]));
    bench.send(answers, &[Frame::Pong { token: 0 }]);
    bench.advance(Duration::from_nanos(4_999_999_999));
    assert_eq!(bench.core.counters().idle_timeouts, 0);
    bench.advance(Duration::from_nanos(1));
    assert!(bench.lines(silent)[0].starts_with("Error { code: IDLE_TIMEOUT"));
    assert!(bench.is_closed(silent));
    assert_eq!(bench.core.handler().went, ["nothing came from the peer for too long"]);
    assert_eq!(bench.core.counters().idle_timeouts, 1);

    // Half a frame is a sign of life too.
    assert_eq!(bench.names(answers), ["Ping"]);
    bench.send_bytes(answers, &bytes_of(&[ping(1)])[..5]);
    bench.advance(Duration::from_secs(5));
    bench.advance(Duration::from_nanos(4_999_999_999));
    assert!(!bench.is_closed(answers));
    bench.advance(Duration::from_nanos(1));
    assert!(bench.is_closed(answers));
    assert_eq!(bench.core.poll_timeout(), None, "no timer of the dead");
}

#[test]
fn without_an_idle_time_out_silence_is_golden() {
    let mut bench = Bench::new(Feeder::default());
    let id = bench.open();
    bench.send(id, &[hello()]);
    assert!(bench.lines(id)[0].contains("idle_ms: 0"));
    assert_eq!(bench.core.poll_timeout(), None);
}

/// What is not read cannot be held against the peer.
#[test]
fn who_is_not_read_from_is_not_silent() {
    struct Holder;
    impl Handler for Holder {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            if let Event::Frame { from, frame: Frame::User { .. } } = event {
                cx.hold(from);
            }
            Ok(())
        }
    }
    let dialect = Native::default().with_idle_timeout(Duration::from_secs(10));
    let mut bench = Bench::with_dialect(Holder, dialect, CoreConfig::default().with_hold_ahead(1));
    let id = bench.open();
    // The second frame waits behind the first, so that nothing more is read.
    bench.send(id, &[hello(), feed(), ping(1)]);
    for _ in 0..10 {
        bench.advance(Duration::from_secs(5));
    }
    assert!(!bench.is_closed(id));
    assert_eq!(bench.core.counters().idle_timeouts, 0);
}

/// Room for three hundred pieces on one connection, for two connections' worth in all.
fn crowded() -> CoreConfig {
    CoreConfig::default().with_high_water(30_000).with_max_outbound(60_000).with_busy_high_water(1_000)
}

#[test]
fn when_too_much_waits_in_all_those_who_read_go_on_and_those_who_do_not_get_nothing_more() {
    let mut bench = Bench::with_config(Feeder::default(), crowded());
    let deaf = [bench.greeted(), bench.greeted()];
    let (late, reader) = (bench.greeted(), bench.greeted());
    bench.room.extend([(deaf[0], 0), (deaf[1], 0), (late, 0)]);
    bench.send(deaf[0], &[feed()]);
    assert!(!bench.core.load().is_busy);
    assert_eq!(bench.core.counters().outbound_limits, 0);
    bench.send(deaf[1], &[feed()]);
    assert_eq!(bench.core.load().outbound, 60_000);
    assert!(bench.core.load().is_busy);
    assert_eq!(bench.core.counters().outbound_limits, 1);

    bench.send(late, &[feed()]);
    assert_eq!(waiting(&bench, late), 1_000);
    bench.send(late, &[feed()]);
    assert_eq!(waiting(&bench, late), 1_000);
    let before = bench.core.counters().bytes_sent;
    for _ in 0..10 {
        bench.send(reader, &[feed()]);
    }
    assert!(bench.core.counters().bytes_sent - before >= 10_000, "who reads is served");
    assert!(bench.core.handler().was_busy.last().unwrap());

    // Down to half of it: all is as before.
    bench.read(deaf[0], 30_000);
    assert!(bench.core.load().is_busy, "{:?}", bench.core.load());
    bench.read(deaf[1], 25_000);
    assert!(!bench.core.load().is_busy, "{:?}", bench.core.load());
    bench.send(late, &[feed()]);
    assert_eq!(waiting(&bench, late), 30_000);
}

#[test]
fn what_waits_goes_with_its_connection() {
    let mut bench = Bench::with_config(Feeder::default(), crowded());
    let ids = [bench.greeted(), bench.greeted()];
    for id in ids {
        bench.room.insert(id, 0);
        bench.send(id, &[feed()]);
    }
    assert!(bench.core.load().is_busy);
    let error = std::io::ErrorKind::ConnectionReset.into();
    bench.core.handle_end(bench.now, ids[0], msglib_broker::End::Failed(error));
    bench.send(ids[1], &[goodbye()]);
    bench.advance(Duration::from_secs(5));
    let load = bench.core.load();
    assert_eq!((load.outbound, load.is_busy, load.connections, load.closing), (0, false, 0, 0));
}

/// The stock handler refuses publishes meanwhile, and takes acks, so that one client that does both does not wait for itself.
#[test]
fn a_busy_broker_refuses_publishes_and_takes_acks() {
    let config = CoreConfig::default().with_max_outbound(1_000).with_high_water(2_000).with_busy_high_water(2_000);
    let mut bench = Bench::with_config(ConnectionHandler::new(), config);
    let id = bench.greeted();
    bench.send(id, &[open(1, true, true), Frame::Credit { link: 1, upto: 100 }, publish(1, 1, "before")]);
    assert_eq!(bench.names(id), ["Opened", "Delivery", "Confirmed", "Credit"]);

    let deaf = bench.greeted();
    bench.room.insert(deaf, 0);
    bench.send(deaf, &(0..100).map(ping).collect::<Vec<_>>());
    assert!(bench.core.load().is_busy);

    bench.send(id, &[publish(1, 2, "a"), publish(1, 3, "b"), Frame::Ack { link: 1, first: 1, last: 1 }]);
    let lines = bench.lines(id);
    assert!(lines[0].starts_with("Refused { link: 1, first: 2, last: 3, code: BUSY"), "{lines:?}");
    let ledger = bench.core.handler().queue(7).unwrap().ledger;
    assert_eq!((ledger.accepted, ledger.acked), (1, 1));

    bench.read(deaf, usize::MAX);
    bench.send(id, &[publish(1, 4, "after")]);
    assert_eq!(bench.names(id), ["Delivery", "Confirmed"]);
}

#[test]
fn when_too_much_is_unfinished_in_all_the_slowest_has_to_go() {
    const FRAME: usize = 100_000;
    let config = CoreConfig::default().with_max_inbound(2 * 131_072);
    let mut bench = Bench::with_config(Feeder::default(), config);
    let payload = "x".repeat(FRAME);
    let long = bytes_of(&[Frame::User { kind: 0x8001, flags: 0, link: 0, body: Payload::from(payload.as_bytes()) }]);
    let (slow, steady, small) = (bench.greeted(), bench.greeted(), bench.greeted());
    bench.send_bytes(small, &bytes_of(&[ping(1)])[..5]);
    bench.send_bytes(slow, &long[..90_000]);
    bench.send_bytes(steady, &long[..90_000]);
    // The slow one came first, and the steady one finishes one frame after the other.
    bench.send_bytes(steady, &[&long[90_000..], &long[..90_000]].concat());
    let load = bench.core.load();
    assert!(load.inbound > 180_000 && !load.is_busy, "{load:?}");
    assert_eq!(bench.core.counters().inbound_limits, 0);

    let new = bench.greeted();
    bench.send_bytes(new, &long[..90_000]);
    let counters = *bench.core.counters();
    assert_eq!((counters.inbound_limits, counters.evicted), (1, 1));
    let lines = bench.lines(slow);
    assert!(lines[0].starts_with("Error { code: BUSY"), "{lines:?}");
    assert!(bench.core.load().inbound <= 2 * 131_072 + 5 && !bench.core.load().is_busy);
    bench.send_bytes(new, &long[90_000..]);
    bench.send_bytes(steady, &long[90_000..]);
    bench.send_bytes(small, &bytes_of(&[ping(1)])[5..]);
    assert_eq!(bench.names(small), ["Pong"]);
    assert_eq!((bench.core.load().inbound, bench.core.load().is_busy), (0, false));
}

/// Neither those who hold all that may be held and finish nothing, nor many who hold a little each.
#[test]
fn frames_that_nobody_finishes_make_no_publisher_wait() {
    let config = CoreConfig::default().with_max_inbound(2 * 131_072);
    let mut bench = Bench::with_config(ConnectionHandler::new(), config);
    let id = bench.greeted();
    bench.send(id, &[open(1, true, true), Frame::Credit { link: 1, upto: 100 }]);
    let payload = "x".repeat(100_000);
    let long = bytes_of(&[Frame::User { kind: 0x8001, flags: 0, link: 0, body: Payload::from(payload.as_bytes()) }]);
    for _ in 0..20 {
        let little = bench.greeted();
        bench.send_bytes(little, &long[..15_000]);
    }
    let load = bench.core.load();
    assert!(load.inbound >= 20 * 15_000 && bench.core.counters().inbound_limits == 0, "a little each: {load:?}");
    for _ in 0..5 {
        let much = bench.greeted();
        bench.send_bytes(much, &long[..90_000]);
    }
    assert!(bench.core.counters().inbound_limits > 0 && bench.core.counters().evicted > 0);
    bench.lines(id);
    bench.send(id, &[publish(1, 1, "a")]);
    assert_eq!(bench.names(id), ["Delivery", "Confirmed"]);
}
