//! Properties of brokers: whatever valid clients say, the protocol is kept and no message is lost; whatever anyone else says, they
//! get an answer or an end, and nobody else notices.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

#[allow(dead_code, unreachable_pub)]
#[path = "../examples/own_broker.rs"]
mod own_broker;

#[allow(dead_code, unreachable_pub)]
#[path = "../examples/property.rs"]
mod property;

use msglib_broker::{ConnectionHandler, Context, Event, Handler, QueueConfig, Reject, StockConfig};
use msglib_client::{blocking_pull_subscribe_to_queue, publish_to_q_confirmed};
use msglib_io_memory::MemoryStream;
use msglib_proto::{ErrorCode, Frame, FrameType};
use msglib_testkit::strategies::{
    Conversation, OwnedFrame, StrictClient, almost_frames, cases, chunkings, conversations, play,
};
use msglib_testkit::{Harness, HarnessConfig};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

/// The stock handler as it is, and with limits that are met all the time.
fn stock_configs() -> impl Strategy<Value = StockConfig> {
    let tight = (1..4_usize, 1..3_usize, 1..3_usize).prop_map(|(messages, in_flight, per_step)| {
        StockConfig::default()
            .with_queue(QueueConfig::default().with_max_messages(messages).with_max_in_flight(in_flight))
            .with_publish_window(16)
            .with_deliveries_per_step(per_step)
            .with_deliveries_per_turn(1)
    });
    prop_oneof![Just(StockConfig::default()), tight]
}

fn harness_configs() -> impl Strategy<Value = HarnessConfig> {
    let capacities = prop_oneof![1..100_usize, Just(64 * 1024)];
    (capacities, any::<u64>()).prop_map(|(capacity, seed)| {
        let config = HarnessConfig::default().with_pipe_capacity(capacity).with_seed(seed.into());
        config.with_max_steps(100_000)
    })
}

fn payloads(frames: &[OwnedFrame], of: FrameType) -> impl Iterator<Item = &[u8]> {
    frames.iter().filter(move |frame| frame.frame_type() == of).filter_map(|frame| match frame.as_frame() {
        Frame::Publish { payload, .. } | Frame::Delivery { payload, .. } => Some(payload.as_slice()),
        _ => None,
    })
}

fn count(frames: &[OwnedFrame], of: FrameType) -> usize {
    frames.iter().filter(|frame| frame.frame_type() == of).count()
}

/// How many publishes were refused.
fn refused(frames: &[OwnedFrame]) -> u64 {
    let refusals = frames.iter().map(|frame| match frame.as_frame() {
        Frame::Refused { first, last, .. } => last - first + 1,
        _ => 0,
    });
    refusals.sum()
}

fn is_closed_by_broker(frame: &Frame<'_>) -> bool {
    matches!(frame, Frame::Closed { code, .. } if *code != ErrorCode::NONE)
}

/// The stock handler, one frame after the other.
struct OneByOne(ConnectionHandler);

impl Handler for OneByOne {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        self.0.handle(cx, event)
    }

    fn end_of_step(&mut self, cx: &mut Context<'_>) {
        self.0.end_of_step(cx);
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn frames_in_runs_have_the_same_effect_as_one_by_one(
        conversations in vec(conversations(), 1..5),
        stock in stock_configs(),
        config in harness_configs(),
    ) {
        let handler = || ConnectionHandler::with_config(stock.clone());
        let mut in_runs = Harness::with_config(handler(), config.clone());
        let mut one_by_one = Harness::with_config(OneByOne(handler()), config);
        prop_assert_eq!(play(&mut in_runs, &conversations), play(&mut one_by_one, &conversations));
        prop_assert_eq!(in_runs.broker().counters(), one_by_one.broker().counters());
    }

    #[test]
    fn the_stock_broker_keeps_the_protocol_and_its_books(
        conversations in vec(conversations(), 1..5),
        stock in stock_configs(),
        config in harness_configs(),
    ) {
        let mut harness = Harness::with_config(ConnectionHandler::with_config(stock), config);
        let heard = play(&mut harness, &conversations);
        prop_assert_eq!(harness.broker().connections(), 0);

        let said = |of| conversations.iter().flat_map(move |conversation| payloads(conversation.frames(), of));
        let published: BTreeSet<&[u8]> = said(FrameType::Publish).collect();
        for frames in &heard {
            prop_assert_eq!(count(frames, FrameType::Welcome), 1);
            let invented = payloads(frames, FrameType::Delivery).find(|payload| !published.contains(payload));
            prop_assert_eq!(invented, None, "nobody has published that");
        }
        let (mut accepted, mut turned_away) = (0, 0);
        for queue in harness.handler().queues() {
            prop_assert!(queue.ledger.is_balanced(), "{:?}", queue);
            prop_assert_eq!((queue.links, queue.consumers, queue.ledger.in_flight), (0, 0, 0), "{:?}", queue);
            accepted += queue.ledger.accepted;
            turned_away += queue.ledger.turned_away;
        }
        // Each publish is in the books or its publisher was told why not; those that crossed a CLOSED had no effect.
        let published: usize = conversations.iter().map(Conversation::published).sum();
        let heard = heard.concat();
        prop_assert_eq!(turned_away, refused(&heard));
        let crossed = heard.iter().any(|frame| is_closed_by_broker(&frame.as_frame()));
        let outcomes = (accepted + turned_away) as usize;
        prop_assert!(outcomes == published || crossed && outcomes < published, "{} of {}", outcomes, published);
    }

    #[test]
    fn one_seed_and_the_same_conversations_are_the_same_in_every_frame(
        conversations in vec(conversations(), 1..4),
        config in harness_configs(),
    ) {
        let run = || play(&mut Harness::with_config(ConnectionHandler::new(), config.clone()), &conversations);
        prop_assert_eq!(run(), run());
    }

    /// The session keeps the protocol for a handler of thirty lines, too.
    #[test]
    fn a_broker_of_ones_own_keeps_the_protocol(
        conversations in vec(conversations(), 1..5),
        config in harness_configs(),
    ) {
        let mut harness = Harness::with_config(own_broker::FewestUnacked::default(), config);
        play(&mut harness, &conversations);
        prop_assert_eq!(harness.broker().connections(), 0);
    }

    /// No panic, an answer or an end for each, only valid frames, and others are served all the while.
    #[test]
    fn whatever_comes_in_everyone_is_answered_and_nobody_else_notices(
        noises in vec((almost_frames(), chunkings(60)), 1..5),
        config in harness_configs(),
    ) {
        let mut harness = Harness::with_config(ConnectionHandler::new(), config);
        let mut noisy: Vec<Noisy> =
            noises.iter().map(|(bytes, _)| Noisy::new(harness.connect_raw(), bytes.clone())).collect();
        serve_witnesses(&mut harness, "before");
        let longest = noises.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
        let mut lengths: Vec<_> = noises.iter().map(|(_, cuts)| cuts.lengths().iter().cycle()).collect();
        for _ in 0..=longest {
            for (noisy, lengths) in noisy.iter_mut().zip(&mut lengths) {
                noisy.write(*lengths.next().unwrap_or(&1));
            }
            harness.step();
            noisy.iter_mut().try_for_each(Noisy::read)?;
            if noisy.iter().all(|noisy| noisy.left.is_empty()) {
                break;
            }
        }
        serve_witnesses(&mut harness, "in between");

        // The end of their input, time for every deadline, and rest.
        for _ in 0..3 {
            noisy.iter().for_each(|noisy| noisy.stream.shutdown_write());
            drain(&mut harness, &mut noisy)?;
            harness.advance(Duration::from_secs(60));
        }
        for noisy in &noisy {
            prop_assert!(noisy.has_ended, "neither an answer nor an end");
        }
        serve_witnesses(&mut harness, "afterwards");
        drop(noisy);
        harness.settle();
        prop_assert_eq!(harness.broker().connections(), 0);
        prop_assert!(harness.handler().queues().all(|queue| queue.ledger.is_balanced()));
    }
}

fn drain(harness: &mut Harness<ConnectionHandler>, noisy: &mut [Noisy]) -> Result<(), TestCaseError> {
    for _ in 0..100_000 {
        let is_idle = harness.step().is_idle();
        let mut has_read = false;
        for noisy in &mut *noisy {
            has_read |= noisy.read_some()?;
        }
        if is_idle && !has_read {
            break;
        }
    }
    Ok(())
}

/// A pair of well-behaved clients with a queue of their own.
fn serve_witnesses(harness: &mut Harness<ConnectionHandler>, when: &str) {
    let (sender, receiver) = (harness.connect(), harness.connect());
    let queue = "the witnesses' own queue, which no noise names";
    let confirmation = harness.step_until_ok("room", || publish_to_q_confirmed(&sender, queue, when));
    harness.step_until_ok("the confirm", || confirmation.wait());
    let mut subscription = harness.step_until_ok("the link", || blocking_pull_subscribe_to_queue(&receiver, queue));
    let message = harness.step_until_message(&mut subscription);
    assert_eq!(message.payload(), when.as_bytes());
    message.ack().unwrap();
    for connection in [sender, receiver] {
        harness.step_until_ok("goodbye", || connection.close());
    }
}

/// A peer that writes anything, and looks strictly at what comes back.
struct Noisy {
    stream: MemoryStream,
    left: Vec<u8>,
    strict: StrictClient,
    has_ended: bool,
}

impl Noisy {
    fn new(stream: MemoryStream, bytes: Vec<u8>) -> Noisy {
        Noisy { stream, left: bytes, strict: StrictClient::wild(), has_ended: false }
    }

    fn write(&mut self, most: usize) {
        let most = most.min(self.left.len());
        match self.stream.write(&self.left[..most]) {
            Ok(n) => drop(self.left.drain(..n)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.left.clear(),
        }
    }

    fn read(&mut self) -> Result<(), TestCaseError> {
        self.read_some().map(|_| ())
    }

    fn read_some(&mut self) -> Result<bool, TestCaseError> {
        let mut buf = [0; 512];
        let mut some = false;
        while !self.has_ended {
            match self.stream.read(&mut buf) {
                Ok(0) => {
                    self.has_ended = true;
                    prop_assert_eq!(self.strict.unanswered(), None);
                }
                Ok(n) => {
                    some = true;
                    self.strict.receives(&buf[..n]).map_err(|rule| TestCaseError::fail(rule.to_string()))?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.has_ended = true,
            }
        }
        Ok(some)
    }
}

#[test]
fn the_example_of_a_property_holds() {
    property::main();
}
