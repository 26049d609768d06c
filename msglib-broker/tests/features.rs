//! Features of the protocol over a core (PROTOCOL §14): what is agreed on, what is known then, and where it may be sent.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Bench, hello, hello_with, open, open_as, publish};
use msglib_broker::{Context, Event, Handler, Reject, SendError};
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    ChannelKind, DeliveryOptions, ErrorCode, Feature, Frame, FrameType, Payload, PublishOptions, Settling,
};

/// Serves some features, notes what it is told, and does one thing with it.
struct Noting<F> {
    features: u64,
    frames: Vec<FrameType>,
    act: F,
}

impl<F: FnMut(&mut Context<'_>, ConnectionId, &Frame<'_>) -> Result<(), Reject>> Handler for Noting<F> {
    fn features(&self) -> u64 {
        self.features
    }

    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        let Event::Frame { from, frame } = event else { return Ok(()) };
        self.frames.push(frame.frame_type());
        (self.act)(cx, from, &frame)
    }
}

fn bench<F>(features: u64, act: F) -> (Bench<Noting<F>>, ConnectionId)
where
    F: FnMut(&mut Context<'_>, ConnectionId, &Frame<'_>) -> Result<(), Reject>,
{
    let mut bench = Bench::new(Noting { features, frames: Vec::new(), act });
    let id = bench.open();
    (bench, id)
}

fn nothing(_: &mut Context<'_>, _: ConnectionId, _: &Frame<'_>) -> Result<(), Reject> {
    Ok(())
}

fn publish_with(number: u64) -> Frame<'static> {
    let options = PublishOptions { priority: Some(9), ..PublishOptions::default() };
    Frame::PublishWith { link: 1, number, confirm: false, retain: false, options, payload: Payload::from("x") }
}

fn request(number: u64) -> Frame<'static> {
    Frame::Request { link: 1, number, deadline_ms: 10, payload: Payload::from("?") }
}

#[test]
fn what_both_have_is_agreed_on_and_known_right_behind_the_hello() {
    let (mut bench, id) = bench(Feature::Queues.bit() | Feature::Requests.bit(), nothing);
    let offered = Feature::Queues.bit() | Feature::Topics.bit();
    bench.send(id, &[hello_with(offered), open(1, true, false), publish_with(1), publish(1, 2, "plain")]);
    let lines = bench.lines(id);
    assert!(lines[0].contains("features: 1,"), "{lines:?}");
    assert_eq!(
        bench.core.handler().frames,
        [FrameType::Hello, FrameType::Open, FrameType::PublishWith, FrameType::Publish]
    );
}

#[test]
fn what_was_not_agreed_on_is_unknown() {
    for (served, offered) in [(0, Feature::all_bits()), (Feature::all_bits(), 0), (Feature::Drain.bit(), u64::MAX)] {
        let (mut bench, id) = bench(served, nothing);
        bench.send(id, &[hello_with(offered), open(1, true, false), publish_with(1)]);
        let lines = bench.lines(id);
        assert!(lines.last().unwrap().contains("UNKNOWN_TYPE (0x0103), offset: 72"), "{lines:?}");
    }
}

#[test]
fn a_handler_cannot_send_what_was_not_agreed_on() {
    let mut results = Vec::new();
    let (mut bench, id) = bench(0, |cx, from, frame| {
        if let Frame::Ack { .. } = frame {
            results.push(cx.send(from, Frame::Gap { link: 1, lost: 1 }));
            results.push(cx.send(from, Frame::GoingAway { deadline_ms: 1 }));
            let mut deliveries = cx.deliveries(from, 1).unwrap();
            let options = DeliveryOptions { id: Some(7), ..DeliveryOptions::default() };
            results.push(deliveries.send_with(1, "x", false, &options).map(drop));
        }
        Ok(())
    });
    let ack = Frame::Ack { link: 1, first: 1, last: 1 };
    bench.send(id, &[hello(), open(1, false, true), Frame::Credit { link: 1, upto: 9 }, ack]);
    assert_eq!(bench.names(id), ["Welcome", "Opened", "Delivery"], "without what the client would not know");
    drop(bench);
    let refused = [SendError::NotAgreed(FrameType::Gap), SendError::NotAgreed(FrameType::GoingAway)];
    assert_eq!(results, [Err(refused[0]), Err(refused[1]), Ok(())]);
}

#[test]
fn a_delivery_with_more_is_a_delivery() {
    let mut results = Vec::new();
    let (mut bench, id) = bench(Feature::Queues.bit(), |cx, from, frame| {
        if let Frame::Settle { .. } = frame {
            let options = DeliveryOptions { id: Some(7), ..DeliveryOptions::default() };
            let mut deliveries = cx.deliveries(from, 1).unwrap();
            results.push(deliveries.send_with(1, "x", false, &options));
            results.push(deliveries.send_with(1, "x", false, &DeliveryOptions::default()));
            results.push(deliveries.send(1, "x"));
            cx.send(from, Frame::Settled { link: 1, first: 1, last: 1, count: 0 }).unwrap();
        }
        Ok(())
    });
    let settle = Frame::Settle { link: 1, first: 1, last: 1, confirm: true, settling: Settling::ForGood };
    let credit = Frame::Credit { link: 1, upto: 2 };
    bench.send(id, &[hello_with(u64::MAX), open(1, false, true), credit, settle]);
    assert_eq!(bench.names(id), ["Welcome", "Opened", "DeliveryWith", "Delivery", "Settled"]);
    drop(bench);
    assert_eq!(results, [Ok(1), Ok(2), Err(SendError::NoCredit(1))]);
}

#[test]
fn a_producer_is_known_before_its_first_publish_and_once() {
    let producer = Frame::Producer { link: 1, id: 5, base: 0 };
    for (frames, ok) in [
        (&[producer, publish(1, 1, "x")][..], true),
        (&[producer, producer], false),
        (&[publish(1, 1, "x"), producer], false),
    ] {
        let (mut bench, id) = bench(Feature::Queues.bit(), nothing);
        bench.send(id, &[hello_with(u64::MAX), open(1, true, false)]);
        bench.send(id, frames);
        let lines = bench.lines(id);
        assert_eq!(!lines.iter().any(|line| line.contains("BAD_LINK")), ok, "{lines:?}");
    }
}

#[test]
fn requests_are_for_services_and_publishes_for_the_rest() {
    let service = open_as(1, true, false, ChannelKind::SERVICE, b"");
    let users = open_as(1, true, false, ChannelKind::USER, b"");
    for (open, frame, ok) in [
        (service, request(1), true),
        (service, publish(1, 1, "x"), false),
        (service, publish_with(1), false),
        (open(1, true, false), request(1), false),
        (users, request(1), true),
        (users, publish(1, 1, "x"), true),
        (open_as(1, false, true, ChannelKind::SERVICE, b""), request(1), false),
        (
            open_as(1, true, false, ChannelKind::SERVICE, b""),
            Frame::Reply { link: 1, number: 1, payload: Payload::from("") },
            false,
        ),
        (
            open_as(1, false, true, ChannelKind::SERVICE, b""),
            Frame::Reply { link: 1, number: 1, payload: Payload::from("") },
            true,
        ),
    ] {
        let (mut bench, id) = bench(Feature::all_bits(), nothing);
        bench.send(id, &[hello_with(u64::MAX), open, frame]);
        let lines = bench.lines(id);
        assert_eq!(!lines.iter().any(|line| line.contains("BAD_LINK")), ok, "{frame:?}: {lines:?}");
    }
}

#[test]
fn outcomes_are_of_requests_that_were_made_and_requests_are_within_credit() {
    let mut results = Vec::new();
    let (mut bench, id) = bench(Feature::Requests.bit(), |cx, from, frame| {
        let payload = Payload::from("!");
        match frame {
            Frame::Request { number, .. } => {
                results.push(cx.send(from, Frame::Reply { link: 1, number: number + 1, payload }).is_ok());
                results.push(cx.send(from, Frame::Reply { link: 1, number: *number, payload }).is_ok());
                return Err(Reject::new(ErrorCode::NO_RESPONDER, "nobody"));
            }
            Frame::Credit { upto, .. } => {
                for number in 1..=upto + 1 {
                    results.push(cx.send(from, Frame::Request { link: 2, number, deadline_ms: 1, payload }).is_ok());
                }
            }
            _ => {}
        }
        Ok(())
    });
    let (asks, answers) =
        (open_as(1, true, false, ChannelKind::SERVICE, b""), open_as(2, false, true, ChannelKind::SERVICE, b""));
    bench.send(id, &[hello_with(u64::MAX), asks, request(1), answers, Frame::Credit { link: 2, upto: 2 }]);
    assert_eq!(bench.names(id), ["Welcome", "Opened", "Reply", "NoReply", "Opened", "Request", "Request"]);
    drop(bench);
    assert_eq!(results, [false, true, true, true, false]);
}
