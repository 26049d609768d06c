//! What waits in all services together.

use super::*;
use msglib_broker::{Payload, Requests, RequestsConfig};

/// A link to a service.
fn opens(bench: &mut StockBench, id: ConnectionId, link: u32, name: u64, asks: bool) -> bool {
    let (kind, name) = (ChannelKind::SERVICE, ChannelName::id(name));
    bench.send(id, &[Frame::Open(Open { link, publishes: asks, consumes: !asks, kind, name, arguments: b"" })]);
    let lines = bench.lines(id);
    let is_refused = lines[0].contains("TOO_MANY_CHANNELS");
    assert!(is_refused || lines[0].starts_with("Opened"), "{lines:?}");
    !is_refused
}

fn ask(link: u32, number: u64, payload: &'static [u8]) -> Frame<'static> {
    Frame::Request { link, number, deadline_ms: 10_000, payload: Payload::from(payload) }
}

/// What counts for 200 bytes.
const LARGE: &[u8] = &[7; 200 - Requests::<()>::OVERHEAD];

#[test]
fn one_service_more_than_there_may_be_is_refused_and_counted() {
    let mut bench = bench(StockConfig::default().with_max_services(2));
    let alice = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, 1, true) && opens(&mut bench, alice, 2, 2, true));
    assert_eq!(bench.core.handler().counters().service_limits, 0);
    assert!(!opens(&mut bench, alice, 3, 3, true));
    assert_eq!((bench.core.handler().counters().service_limits, bench.core.handler().load().services), (1, 2));
    bench.send(alice, &[close(3), close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, 3, true));
}

/// They lie where the messages of queues do, and must not be why publishes find no room.
#[test]
fn requests_in_all_services_leave_room_for_the_queues() {
    let mut bench = bench(StockConfig::default().with_max_request_bytes(600));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    for service in 1..=3 {
        // Somebody is there, and takes nothing.
        assert!(opens(&mut bench, bob, service, service.into(), false));
        assert!(opens(&mut bench, alice, service, service.into(), true));
        bench.send(alice, &[ask(service, 1, LARGE)]);
        assert!(bench.names(alice).is_empty());
    }
    assert_eq!((bench.core.handler().load().request_bytes, bench.core.handler().counters().request_limits), (600, 0));
    bench.send(alice, &[ask(1, 2, b"")]);
    assert!(bench.lines(alice)[0].starts_with("NoReply { link: 1, number: 2, code: BUSY"));
    assert_eq!(bench.core.handler().counters().request_limits, 1);

    // A responder takes one.
    bench.send(bob, &[Frame::Credit { link: 2, upto: 1 }]);
    assert_eq!((bench.names(bob).len(), bench.core.handler().load().request_bytes), (1, 400));
    bench.send(alice, &[ask(1, 3, LARGE), ask(1, 4, b"")]);
    assert!(bench.lines(alice)[0].starts_with("NoReply { link: 1, number: 4, code: BUSY"));
    // Their time is over, and then the services are.
    bench.advance(Duration::from_secs(10));
    assert_eq!(bench.core.handler().load().request_bytes, 0);
    bench.lines(alice);
    bench.send(alice, &[ask(3, 2, LARGE)]);
    bench.end(alice);
    bench.end(bob);
    // One that asks itself: with its link the service goes, and what waits in it.
    let (alone, kind, name) = (client(&mut bench, "alone"), ChannelKind::SERVICE, ChannelName::id(9));
    let both = Open { link: 1, publishes: true, consumes: true, kind, name, arguments: b"" };
    bench.send(alone, &[Frame::Open(both), ask(1, 1, LARGE)]);
    assert_eq!(bench.core.handler().load().request_bytes, 200);
    bench.end(alone);
    let load = bench.core.handler().load();
    assert_eq!((load.request_bytes, load.reply_bytes, load.services, load.bytes), (0, 0, 0, 0));
}

#[test]
fn the_rest_of_the_store_is_for_the_queues() {
    let mut bench = bench(StockConfig::default().with_max_bytes(1_600));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    assert!(opens(&mut bench, bob, 1, 1, false) && opens(&mut bench, alice, 1, 1, true));
    bench.send(alice, &[ask(1, 1, LARGE), ask(1, 2, LARGE), ask(1, 3, b"")]);
    assert!(bench.lines(alice)[0].starts_with("NoReply { link: 1, number: 3, code: BUSY"), "a quarter by default");
    host_publish(&mut bench, 7, "there is room");
}

#[test]
fn replies_that_nobody_takes_leave_room_for_those_that_somebody_does() {
    let requests = RequestsConfig::default();
    let config = StockConfig::default().with_requests(requests).with_max_reply_bytes(600);
    let handler = ConnectionHandler::with_config(config).with_admission(ByName);
    let mut bench = Bench::with_config(handler, msglib_broker::CoreConfig::default().with_high_water(1));
    let (deaf, well, bob) = (client(&mut bench, "deaf"), client(&mut bench, "well"), client(&mut bench, "bob"));
    for (service, caller) in [(1, deaf), (2, well)] {
        assert!(opens(&mut bench, bob, service, service.into(), false));
        assert!(opens(&mut bench, caller, 1, service.into(), true));
        bench.send(bob, &[Frame::Credit { link: service, upto: 100 }]);
    }
    bench.room.insert(deaf, 0);
    // The first one fills the connection; then three wait, and the next does not.
    bench.send(deaf, &[1, 2, 3, 4, 5, 6].map(|number| ask(1, number, b"")));
    bench.step();
    let reply = |link, number| Frame::Reply { link, number, payload: Payload::from(LARGE) };
    for number in 1..=4 {
        bench.send(bob, &[reply(1, number)]);
    }
    assert_eq!((bench.core.handler().load().reply_bytes, bench.core.handler().counters().reply_limits), (600, 0));
    bench.send(bob, &[reply(1, 5)]);
    assert_eq!((bench.core.handler().load().reply_bytes, bench.core.handler().counters().reply_limits), (600, 1));
    // Who takes their replies has them.
    bench.send(well, &[ask(1, 1, b"")]);
    bench.send(bob, &[reply(2, 1)]);
    let lines = bench.lines(well);
    assert!(lines.iter().any(|line| line.starts_with("Reply { link: 1, number: 1")), "{lines:?}");
    for _ in 0..20 {
        bench.read(deaf, usize::MAX);
    }
    let lines = bench.lines(deaf);
    assert!(lines.iter().any(|line| line.starts_with("NoReply { link: 1, number: 5, code: BUSY")), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("Reply")).count(), 4, "{lines:?}");
    assert_eq!(bench.core.handler().load().reply_bytes, 0);
    bench.send(bob, &[reply(1, 6)]);
    assert_eq!(bench.core.handler().counters().reply_limits, 2, "no more than those two");

    // What waits for a caller goes with it.
    bench.room.insert(deaf, 0);
    bench.send(deaf, &[ask(1, 7, b""), ask(1, 8, b"")]);
    bench.send(bob, &[reply(1, 7)]);
    bench.send(bob, &[reply(1, 8)]);
    assert!(bench.core.handler().load().reply_bytes > 0);
    bench.end(deaf);
    assert_eq!((bench.core.handler().load().reply_bytes, bench.core.handler().services().count()), (0, 2));
}
