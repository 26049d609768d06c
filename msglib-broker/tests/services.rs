//! What the stock handler does for services, frame by frame: every request has one outcome, and only whoever asked hears it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Bench, hello_with, open_as};
use msglib_broker::{ChannelKind, ConnectionHandler, ConnectionId, CoreConfig, ErrorCode, RequestsConfig, StockConfig};
use msglib_proto::{ChannelName, Frame, Hello, Open, Payload};
use std::time::Duration;

const REQUESTS: u64 = 1 << 2;

struct Scene {
    bench: Bench<ConnectionHandler>,
}

impl Scene {
    fn new(requests: RequestsConfig, core: CoreConfig) -> Scene {
        let config = StockConfig::default().with_requests(requests).with_publish_window(16);
        Scene { bench: Bench::with_config(ConnectionHandler::with_config(config), core) }
    }

    /// With a link of number 1.
    fn client(&mut self, asks: bool, answers: bool) -> ConnectionId {
        let id = self.bench.greeted_with(REQUESTS);
        self.bench.send(id, &[service(1, "time", asks, answers)]);
        assert_eq!(self.bench.names(id)[0], "Opened");
        id
    }

    fn caller(&mut self) -> ConnectionId {
        self.client(true, false)
    }

    fn responder(&mut self, credit: u64) -> ConnectionId {
        let id = self.client(false, true);
        self.bench.send(id, &[Frame::Credit { link: 1, upto: credit }]);
        id
    }

    fn send(&mut self, id: ConnectionId, frames: &[Frame<'_>]) {
        self.bench.send(id, frames);
    }

    fn lines(&mut self, id: ConnectionId) -> Vec<String> {
        self.bench.lines(id)
    }

    /// What became of the only service's requests.
    fn ledger(&self) -> msglib_broker::RequestLedger {
        let ledger = self.bench.core.handler().services().next().unwrap().ledger;
        assert!(ledger.is_balanced(), "{ledger:?}");
        ledger
    }
}

fn scene() -> Scene {
    Scene::new(RequestsConfig::default(), CoreConfig::default())
}

fn service(link: u32, name: &'static str, asks: bool, answers: bool) -> Frame<'static> {
    let (kind, name) = (ChannelKind::SERVICE, ChannelName::from(name));
    Frame::Open(Open { link, publishes: asks, consumes: answers, kind, name, arguments: b"" })
}

fn request(number: u64, deadline_ms: u32, payload: &'static str) -> Frame<'static> {
    Frame::Request { link: 1, number, deadline_ms, payload: Payload::from(payload) }
}

fn reply(number: u64, payload: &'static str) -> Frame<'static> {
    Frame::Reply { link: 1, number, payload: Payload::from(payload) }
}

#[test]
fn a_request_goes_to_a_responder_and_its_reply_to_whoever_asked() {
    let mut scene = scene();
    let (clock, alice, bob) = (scene.responder(9), scene.caller(), scene.caller());
    scene.send(alice, &[request(1, 500, "from alice")]);
    scene.send(bob, &[request(1, 500, "from bob")]);
    assert_eq!(
        scene.lines(clock),
        [
            "Request { link: 1, number: 1, deadline_ms: 500, payload: \"from alice\" }",
            "Request { link: 1, number: 2, deadline_ms: 500, payload: \"from bob\" }"
        ]
    );
    scene.send(clock, &[reply(2, "to bob"), reply(1, "to alice")]);
    assert_eq!(scene.lines(alice), ["Reply { link: 1, number: 1, payload: \"to alice\" }"]);
    assert_eq!(scene.lines(bob), ["Reply { link: 1, number: 1, payload: \"to bob\" }"]);
    assert_eq!((scene.ledger().replied, scene.ledger().told), (2, 2));
}

#[test]
fn each_other_outcome_is_a_no_reply_with_its_code() {
    let mut scene = scene();
    let alice = scene.caller();
    scene.send(alice, &[request(1, 500, "nobody there")]);
    assert!(scene.lines(alice)[0].starts_with("NoReply { link: 1, number: 1, code: NO_RESPONDER"));
    let clock = scene.responder(2);
    scene.send(alice, &[request(2, 500, "refused"), request(3, 500, "in hand"), request(4, 500, "waits")]);
    scene.lines(clock);
    let code = ErrorCode::new(0x8001);
    scene.send(clock, &[Frame::NoReply { link: 1, number: 1, code, text: "no" }]);
    assert_eq!(scene.lines(alice), ["NoReply { link: 1, number: 2, code: the user's code 0x8001, text: \"no\" }"]);
    scene.bench.end(clock);
    let lines = scene.lines(alice);
    assert!(lines[0].starts_with("NoReply { link: 1, number: 3, code: RESPONDER_GONE"), "{lines:?}");
    assert!(lines[1].starts_with("NoReply { link: 1, number: 4, code: NO_RESPONDER"), "{lines:?}");
}

#[test]
fn a_deadline_that_comes_first_is_the_outcome_and_a_later_reply_changes_nothing() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(1), scene.caller());
    scene.send(alice, &[request(1, 30, "in hand"), request(2, 20, "waits")]);
    scene.bench.advance(Duration::from_nanos(19_999_999));
    assert_eq!(scene.bench.names(alice), Vec::<String>::new());
    scene.bench.advance(Duration::from_nanos(1));
    assert!(scene.lines(alice)[0].starts_with("NoReply { link: 1, number: 2, code: TIMED_OUT"));
    scene.bench.advance(Duration::from_millis(10));
    assert!(scene.lines(alice)[0].starts_with("NoReply { link: 1, number: 1, code: TIMED_OUT"));
    scene.send(clock, &[reply(1, "late"), reply(2, "never asked")]);
    assert!(scene.lines(alice).is_empty());
    assert_eq!((scene.ledger().timed_out, scene.ledger().late), (2, 2));
}

#[test]
fn what_is_left_of_the_deadline_is_told_to_the_responder() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(0), scene.caller());
    scene.send(alice, &[request(1, 100, "x")]);
    scene.bench.advance(Duration::from_micros(40_500));
    scene.send(clock, &[Frame::Credit { link: 1, upto: 1 }]);
    assert!(scene.lines(clock)[0].contains("deadline_ms: 60,"), "59.5 ms, and no less than there is");
}

#[test]
fn a_caller_that_is_gone_is_told_nothing_and_its_successor_neither() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(9), scene.caller());
    scene.send(alice, &[request(1, 500, "x"), request(2, 500, "y")]);
    scene.send(alice, &[Frame::Close { link: 1 }, service(1, "time", true, false)]);
    assert_eq!(scene.bench.names(alice), ["Closed", "Opened"]);
    scene.send(clock, &[reply(1, "to whom?")]);
    scene.bench.end(alice);
    scene.send(clock, &[reply(2, "to whom?")]);
    assert_eq!(scene.bench.names(alice), ["Goodbye"]);
    assert_eq!((scene.ledger().abandoned, scene.ledger().late), (2, 2));
}

#[test]
fn requests_hold_their_credit_until_they_have_an_outcome() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(99), scene.caller());
    scene.lines(alice);
    let all: Vec<_> = (1..=16).map(|number| request(number, 500, "x")).collect();
    scene.send(alice, &all);
    assert!(scene.lines(alice).is_empty(), "no more credit as long as all are under way");
    scene.send(clock, &(1..=7).map(|tag| reply(tag, "y")).collect::<Vec<_>>());
    assert!(!scene.bench.names(alice).contains(&"Credit".to_owned()));
    scene.send(clock, &[reply(8, "y")]);
    assert_eq!(scene.lines(alice)[1], "Credit { link: 1, upto: 24 }");
}

#[test]
fn a_service_that_is_full_refuses_and_that_is_the_outcome() {
    let mut scene = Scene::new(RequestsConfig::default().with_max_pending(1), CoreConfig::default());
    let (_clock, alice) = (scene.responder(9), scene.caller());
    scene.lines(alice);
    scene.send(alice, &[request(1, 500, "x"), request(2, 500, "y")]);
    assert!(scene.lines(alice)[0].starts_with("NoReply { link: 1, number: 2, code: BUSY"));
    assert_eq!(scene.ledger().turned_away, 1);
}

#[test]
fn replies_wait_for_a_caller_that_does_not_read_and_it_can_still_be_read_from() {
    let mut scene = Scene::new(RequestsConfig::default(), CoreConfig::default().with_high_water(300).with_reserve(100));
    let (clock, alice) = (scene.responder(99), scene.caller());
    scene.lines(alice);
    scene.send(alice, &(1..=10).map(|number| request(number, 500, "x")).collect::<Vec<_>>());
    scene.bench.room.insert(alice, 0);
    let payload = "y".repeat(100);
    let replies: Vec<_> =
        (1..=10).map(|number| Frame::Reply { link: 1, number, payload: Payload::from(&payload) }).collect();
    scene.send(clock, &replies);
    assert!(scene.ledger().untold >= 6, "{:?}", scene.ledger());
    assert!(scene.bench.core.wants_input(alice), "its replies are no reason not to listen to it");
    scene.bench.room.clear();
    for _ in 0..5 {
        scene.bench.core.handle_writable(scene.bench.now, alice);
        scene.bench.step();
    }
    let replies = scene.bench.names(alice).iter().filter(|name| *name == "Reply").count();
    assert_eq!((replies, scene.ledger().untold), (10, 0));
}

/// Found by an audit: it closed the links of all responders, one after the other.
#[test]
fn a_request_that_is_too_large_for_its_responder_is_over_and_the_responder_stays() {
    let mut scene = scene();
    let Frame::Hello(hello) = hello_with(REQUESTS) else { unreachable!() };
    let responders = [(); 2].map(|()| scene.bench.open());
    for id in responders {
        scene.bench.send(id, &[Frame::Hello(Hello { max_payload: 1024, ..hello }), service(1, "time", false, true)]);
        scene.bench.send(id, &[Frame::Credit { link: 1, upto: 9 }]);
        scene.lines(id);
    }
    let alice = scene.caller();
    scene.lines(alice);
    let large = "x".repeat(1025);
    let too_large = Frame::Request { link: 1, number: 1, deadline_ms: 500, payload: Payload::from(&large) };
    let fits = Frame::Request { link: 1, number: 2, deadline_ms: 500, payload: Payload::from(&large[..1024]) };
    scene.send(alice, &[too_large, fits]);
    let lines = scene.lines(alice);
    assert!(matches!(&lines[..], [line] if line.contains("number: 1, code: MESSAGE_TOO_LARGE")), "{lines:?}");
    let taken: Vec<_> = responders.iter().flat_map(|id| scene.lines(*id)).collect();
    assert!(matches!(&taken[..], [line] if line.starts_with("Request { link: 1, number: 1,")), "{taken:?}");
    let ledger = scene.ledger();
    assert_eq!((ledger.refused, ledger.in_hand), (1, 1));
}

#[test]
fn responders_take_turns_and_a_link_can_ask_and_answer() {
    let mut scene = scene();
    let (one, two) = (scene.responder(9), scene.responder(9));
    let both = scene.client(true, true);
    scene.send(both, &[Frame::Credit { link: 1, upto: 9 }]);
    scene.lines(both);
    scene.send(both, &(1..=6).map(|number| request(number, 500, "x")).collect::<Vec<_>>());
    assert_eq!((scene.lines(one).len(), scene.lines(two).len(), scene.lines(both).len()), (2, 2, 2));
    scene.send(both, &[reply(1, "to itself")]);
    assert_eq!(scene.lines(both), ["Reply { link: 1, number: 3, payload: \"to itself\" }"]);
}

#[test]
fn a_service_is_there_as_long_as_somebody_has_a_link_to_it() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(9), scene.caller());
    scene.send(alice, &[request(1, 500, "x")]);
    assert_eq!(scene.bench.core.handler().services().count(), 1);
    scene.bench.end(alice);
    scene.bench.end(clock);
    assert_eq!(scene.bench.core.handler().services().count(), 0);
    scene.bench.advance(Duration::from_secs(100));
    assert_eq!(scene.bench.core.poll_timeout(), None, "and no timer is left");
}

#[test]
fn without_the_feature_and_with_arguments_there_is_no_service() {
    let mut scene = scene();
    let id = scene.bench.greeted();
    scene.send(id, &[open_as(1, true, false, ChannelKind::SERVICE, b"")]);
    assert!(scene.lines(id)[0].contains("code: UNKNOWN_KIND"));
    let id = scene.bench.greeted_with(REQUESTS);
    scene.send(id, &[open_as(1, true, false, ChannelKind::SERVICE, b"x")]);
    assert!(scene.lines(id)[0].contains("code: BAD_ARGUMENTS"));
}

/// One timer for all, whatever their number; none fires for those that have an outcome.
#[test]
fn many_deadlines_are_kept_to_and_cost_one_timer() {
    let mut scene = scene();
    let (clock, alice) = (scene.responder(99), scene.caller());
    scene.lines(alice);
    for number in 1..=12_u64 {
        scene.send(alice, &[request(number, 100 - 5 * number as u32, "x")]);
    }
    scene.send(clock, &[reply(12, "y"), reply(11, "y")]);
    scene.lines(alice);
    scene.bench.advance(Duration::from_millis(50));
    let lines = scene.lines(alice);
    assert!(lines.len() == 1 && lines[0].contains("number: 10, code: TIMED_OUT"), "{lines:?}");
    scene.bench.advance(Duration::from_millis(50));
    assert_eq!(scene.ledger().timed_out, 10);
}
