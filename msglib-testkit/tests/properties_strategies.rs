//! The strategies reach what they are for, and the strict client is strict: or the properties would hold of anything.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

use msglib_broker::{ConnectionHandler, QueueConfig, StockConfig};
use msglib_proto::{
    ChannelKind, ChannelName, Decoder, ErrorCode, Feature, Frame, FrameType, Hello, Limits, Open, Payload, Role,
    Verdict, Welcome,
};
use msglib_testkit::strategies::{
    OwnedFrame, StrictClient, almost_frames, chunkings, conversations, frames, frames_from, frames_with, play,
};
use msglib_testkit::{Harness, HarnessConfig};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, BTreeSet};

/// The same values in every run.
fn draw<S: Strategy>(strategy: S, times: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    (0..times).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

#[test]
fn frames_are_of_every_type_and_from_each_side_those_that_it_may_send() {
    let types = |frames: Vec<OwnedFrame>| frames.iter().map(OwnedFrame::frame_type).collect::<BTreeSet<_>>();
    let of_version_1 = BTreeSet::from_iter(FrameType::ALL.into_iter().filter(|frame| frame.is_known(0)));
    assert_eq!(types(draw(frames(), 1000)), of_version_1);
    assert_eq!(types(draw(frames_with(Feature::all_bits()), 2000)), BTreeSet::from(FrameType::ALL));
    let from_client = types(draw(frames_from(Role::Client), 1000));
    let from_broker = types(draw(frames_from(Role::Broker), 1000));
    assert!(from_client.contains(&FrameType::Publish) && !from_client.contains(&FrameType::Delivery));
    assert!(from_broker.contains(&FrameType::Delivery) && !from_broker.contains(&FrameType::Publish));
    assert_eq!(from_client.union(&from_broker).count(), of_version_1.len());
}

#[test]
fn nearly_valid_frames_break_every_rule_of_the_codec_and_are_valid_now_and_then() {
    let mut outcomes = BTreeMap::new();
    for bytes in draw(almost_frames(), 2000) {
        let mut decoder = Decoder::new(&Limits::default().with_max_payload(1024));
        let mut input = &bytes[..];
        let outcome = loop {
            match decoder.decode(&mut input).map(|frame| frame.is_some()) {
                Ok(true) => {}
                Ok(false) if decoder.is_between_frames() => break "valid".to_owned(),
                Ok(false) => break "needs more".to_owned(),
                Err(error) => break error.code().to_string(),
            }
        };
        *outcomes.entry(outcome).or_insert(0) += 1;
    }
    let codes =
        [ErrorCode::FRAME_LENGTH, ErrorCode::FRAME_TOO_LARGE, ErrorCode::UNKNOWN_TYPE, ErrorCode::RESERVED_FLAG];
    let codes = codes.into_iter().chain([ErrorCode::BAD_FIELD, ErrorCode::BAD_MAGIC]).map(|code| code.to_string());
    for outcome in codes.chain(["valid".to_owned(), "needs more".to_owned()]) {
        assert!(outcomes.contains_key(&outcome), "never {outcome}: {outcomes:?}");
    }
}

#[test]
fn pieces_are_not_empty_and_together_the_whole() {
    let bytes: Vec<u8> = (0..=255).collect();
    for chunking in draw(chunkings(300), 200) {
        assert!(chunking.cut(&bytes).all(|piece| !piece.is_empty()));
        assert_eq!(chunking.cut(&bytes).flatten().copied().collect::<Vec<u8>>(), bytes);
        assert_eq!(chunking.cut(&[]).count(), 0);
    }
}

/// Everything that a broker of queues can answer is answered to some conversation.
#[test]
fn conversations_bring_about_all_that_a_broker_of_queues_does() {
    let queue = QueueConfig::default().with_max_messages(3);
    let mut seen = BTreeSet::new();
    for conversations in draw(vec(conversations(), 2..5), 60) {
        let stock = StockConfig::default().with_queue(queue.clone()).with_publish_window(16);
        let config = HarnessConfig::default().with_pipe_capacity(2000);
        let mut harness = Harness::with_config(ConnectionHandler::with_config(stock), config);
        for frame in play(&mut harness, &conversations).concat() {
            seen.insert(match frame.as_frame() {
                Frame::Delivery { count, .. } if count > 1 => "DELIVERY again".to_owned(),
                Frame::Closed { code, .. } => format!("CLOSED {code}"),
                frame => frame.frame_type().to_string(),
            });
        }
        for queue in harness.handler().queues() {
            let settled = [("acked", queue.ledger.acked), ("refused", queue.ledger.refused)];
            seen.extend(settled.into_iter().filter(|(_, count)| *count > 0).map(|(what, _)| what.to_owned()));
        }
    }
    let expected =
        ["WELCOME", "OPENED", "CREDIT", "CONFIRMED", "REFUSED", "DELIVERY", "DELIVERY again", "PONG", "GOODBYE"];
    for what in
        expected.into_iter().chain(["acked", "refused", "CLOSED NONE (0x0000)", "CLOSED CONSUMER_TOO_SMALL (0x0307)"])
    {
        assert!(seen.contains(what), "never {what}: {seen:?}");
    }
}

const HELLO: Hello<'static> = Hello {
    min_version: 1,
    max_version: 1,
    features: 0,
    max_payload: 8,
    idle_ms: 0,
    name: "",
    mechanism: "",
    credentials: &[],
};
const WELCOME: Welcome<'static> =
    Welcome { version: 1, features: 0, max_payload: 100, max_links: 4, idle_ms: 0, name: "" };

/// A client with link 1 open both ways, two publishes of which the second asks for a confirm, and credit for two deliveries.
fn client() -> StrictClient {
    let mut client = StrictClient::new();
    let (name, payload) = (ChannelName::id(1), Payload::from("p"));
    client.sends(&Frame::Hello(HELLO));
    client.sends(&Frame::Open(Open {
        link: 1,
        publishes: true,
        consumes: true,
        kind: ChannelKind::QUEUE,
        name,
        arguments: &[],
    }));
    client.sends(&Frame::Publish { link: 1, number: 1, confirm: false, payload });
    client.sends(&Frame::Publish { link: 1, number: 2, confirm: true, payload });
    client.sends(&Frame::Credit { link: 1, upto: 2 });
    receive(&mut client, &[Frame::Welcome(WELCOME), Frame::Opened { link: 1 }]).unwrap();
    client
}

fn receive(client: &mut StrictClient, frames: &[Frame<'_>]) -> Result<(), String> {
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| OwnedFrame::from(*frame).to_bytes()).collect();
    client.receives(&bytes).map(|_| ()).map_err(|rule| rule.to_string())
}

#[test]
fn a_strict_client_finds_every_rule_that_a_broker_can_break() {
    let delivery = |tag, payload| Frame::Delivery { link: 1, tag, count: 1, payload: Payload::from(payload) };
    let refused = |first, last| Frame::Refused { link: 1, first, last, code: ErrorCode::BUSY, text: "" };
    let confirmed = |upto| Frame::Confirmed { link: 1, upto };
    let credit = |link, upto| Frame::Credit { link, upto };
    let goodbye = Frame::Goodbye { code: ErrorCode::NONE, text: "" };
    let wrong: [(&str, &[Frame<'_>]); 14] = [
        ("a second WELCOME", &[Frame::Welcome(WELCOME)]),
        ("a second OPENED", &[Frame::Opened { link: 1 }]),
        ("a link that there is not", &[credit(2, 20)]),
        ("a frame of clients", &[Frame::Ack { link: 1, first: 1, last: 1 }]),
        ("a frame behind the last", &[goodbye, Frame::Ping { token: 1 }]),
        ("a PONG without a PING", &[Frame::Pong { token: 1 }]),
        ("credit that goes back", &[credit(1, 30), credit(1, 29)]),
        ("a tag that skips one", &[delivery(2, "")]),
        ("more than the credit", &[delivery(1, ""), delivery(2, ""), delivery(3, "")]),
        ("a payload that is too large", &[delivery(1, "nine char")]),
        ("a confirm of the unpublished", &[confirmed(3)]),
        ("a confirm twice", &[confirmed(2), confirmed(2)]),
        ("a refusal behind its confirm", &[confirmed(2), refused(2, 2)]),
        ("a refusal twice", &[refused(1, 1), refused(1, 2)]),
    ];
    for (what, frames) in wrong {
        let (last, before) = frames.split_last().unwrap();
        let mut client = client();
        assert_eq!(receive(&mut client, before), Ok(()), "{what}");
        assert!(receive(&mut client, &[*last]).is_err(), "{what}");
    }
    let mut closing = client();
    closing.sends(&Frame::Close { link: 1 });
    let closed = Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" };
    assert!(receive(&mut closing, &[closed]).is_err(), "CLOSED before the outcomes");
    let all_right = [refused(1, 1), confirmed(2), credit(1, 40), delivery(1, ""), delivery(2, ""), goodbye];
    assert_eq!(receive(&mut client(), &all_right), Ok(()));
}

#[test]
fn a_strict_client_knows_what_is_due() {
    let mut client = client();
    assert_eq!(client.unanswered().unwrap(), "CONFIRMED or REFUSED on link 1");
    receive(&mut client, &[Frame::Confirmed { link: 1, upto: 2 }]).unwrap();
    assert_eq!(client.unanswered(), None);
    client.sends(&Frame::Refuse { link: 1, first: 1, last: 1, verdict: Verdict::Again });
    assert_eq!(client.unanswered(), None, "what needs no answer");
    client.sends(&Frame::Ping { token: 7 });
    assert_eq!(client.unanswered().unwrap(), "the PONG 7");
    receive(&mut client, &[Frame::Pong { token: 7 }]).unwrap();
    client.sends(&Frame::Close { link: 1 });
    assert_eq!(client.unanswered().unwrap(), "CLOSED on link 1");
    receive(&mut client, &[Frame::Closed { link: 1, code: ErrorCode::NONE, text: "" }]).unwrap();
    client.sends(&Frame::Goodbye { code: ErrorCode::NONE, text: "" });
    assert_eq!(client.unanswered().unwrap(), "its GOODBYE");
    client.receives(&[0, 0]).unwrap();
    assert_eq!(client.unanswered().unwrap(), "the rest of a frame");
    assert_eq!(StrictClient::new().unanswered(), None);
}

/// A broker that answers nothing, and one that says what it must not: a play with them does not pass.
#[test]
fn a_play_with_a_broker_that_keeps_something_to_itself_fails() {
    use msglib_broker::{Context, Event, handler_fn};
    let publishing = draw(conversations(), 200).into_iter().find(|conversation| {
        let confirms = |frame: &OwnedFrame| matches!(frame.as_frame(), Frame::Publish { confirm: true, .. });
        let ends = |frame: &OwnedFrame| matches!(frame.frame_type(), FrameType::Close | FrameType::Goodbye);
        conversation.frames().iter().any(confirms) && !conversation.frames().iter().any(ends)
    });
    let silent = handler_fn(|_: &mut Context<'_>, _: Event<'_>| Ok(()));
    let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        play(&mut Harness::new(silent), &[publishing.unwrap()])
    }));
    let message = failure.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("owes CONFIRMED or REFUSED"), "{message}");
}
