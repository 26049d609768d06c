//! What the stock handler does for channels of the user's own, frame by frame.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Bench, open_as, publish};
use msglib_broker::{
    Channel, ChannelContext, ChannelKind, ChannelLink, ConnectionHandler, CoreConfig, ErrorCode, Open, Payload,
    Publication, Question, Reject, SendError, StockConfig,
};
use msglib_proto::{Frame, Verdict};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KIND: ChannelKind = ChannelKind(0x8001);

type Log = Arc<Mutex<Vec<String>>>;

/// Writes down what it is told, and does what it is told to by what is published.
struct Told {
    log: Log,
    consumer: Option<ChannelLink>,
}

impl Told {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }
}

impl Channel for Told {
    fn opened(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        self.note(format!("{link} opened"));
        if open.arguments == b"no" {
            return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, "no"));
        }
        self.consumer = self.consumer.or(open.consumes.then_some(link));
        Ok(())
    }
    fn published(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        message: Publication<'_>,
    ) -> Result<(), Reject> {
        let payload = message.payload;
        match payload.as_slice() {
            b"refuse" => return Err(Reject::new(ErrorCode::new(0x8765), "as you wish")),
            b"close" => cx.close(link, Reject::new(ErrorCode::CHANNEL_DELETED, "it is over")),
            b"timer" => {
                cx.set_timer(cx.now() + Duration::from_secs(1), 7);
            }
            b"cancel" => {
                let timer = cx.set_timer(cx.now() + Duration::from_secs(1), 8);
                assert!(cx.cancel_timer(timer));
            }
            b"fill" => {
                let consumer = self.consumer.unwrap();
                while cx.deliver(consumer, 1, &vec![0; 1000]) != Err(SendError::Full) {}
                self.note("full");
            }
            _ => {}
        }
        self.note(format!("{link} published {payload:?}"));
        Ok(())
    }
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        self.note(format!("{link} ready for {}", cx.credit(link)));
    }
    fn settled(
        &mut self,
        _: &mut ChannelContext<'_>,
        link: ChannelLink,
        tags: RangeInclusive<u64>,
        refused: Option<Verdict>,
    ) -> u64 {
        self.note(format!("{link} settled {tags:?} {refused:?}"));
        2
    }
    fn asked(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, question: Question<'_>) -> Result<(), Reject> {
        let Question { number, within, payload, .. } = question;
        match payload.as_slice() {
            b"now" => cx.reply(link, number, &format!("within {within:?}")).unwrap(),
            b"never" => cx.no_reply(link, number, &Reject::new(ErrorCode::NOT_ALLOWED, "never")).unwrap(),
            _ => return Err(Reject::new(ErrorCode::BUSY, "not now")),
        }
        Ok(())
    }
    fn frame(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        kind: u16,
        flags: u16,
        body: Payload<'_>,
    ) -> Result<(), Reject> {
        let _ = cx.send(link, kind + 1, flags, body);
        Ok(())
    }
    fn timer(&mut self, _: &mut ChannelContext<'_>, token: u64) {
        self.note(format!("timer {token}"));
    }
    fn closed(&mut self, _: &mut ChannelContext<'_>, link: ChannelLink) {
        self.note(format!("{link} closed"));
    }
}

fn bench(config: CoreConfig) -> (Bench<ConnectionHandler>, Log) {
    let log = Log::default();
    let its_log = log.clone();
    let handler = ConnectionHandler::with_config(StockConfig::default().with_max_channels(1))
        .with_channel(KIND, move |_| Told { log: its_log.clone(), consumer: None });
    (Bench::with_config(handler, config), log)
}

fn told(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

fn open_told(link: u32) -> Frame<'static> {
    open_as(link, true, true, KIND, b"")
}

#[test]
fn publishes_are_confirmed_or_refused_and_have_their_credit() {
    let (mut bench, log) = bench(CoreConfig::default());
    let id = bench.greeted();
    bench.send(id, &[open_told(1), publish(1, 1, "a"), publish(1, 2, "refuse"), publish(1, 3, "b")]);
    assert_eq!(
        bench.lines(id),
        [
            "Opened { link: 1 }",
            "Refused { link: 1, first: 2, last: 2, code: the user's code 0x8765, text: \"as you wish\" }",
            "Confirmed { link: 1, upto: 3 }",
            "Credit { link: 1, upto: 1027 }"
        ]
    );
    assert_eq!(told(&log), ["c0/1 opened", "c0/1 published \"a\"", "c0/1 published \"b\""]);
}

#[test]
fn what_a_consumer_does_is_told_and_credit_only_when_it_grows() {
    let (mut bench, log) = bench(CoreConfig::default());
    let id = bench.greeted();
    let credit = |upto| Frame::Credit { link: 1, upto };
    let refuse = Frame::Refuse { link: 1, first: 2, last: 2, verdict: Verdict::ForGood };
    bench.send(id, &[open_told(1), credit(3), credit(3), credit(4), Frame::Ack { link: 1, first: 1, last: 9 }, refuse]);
    assert_eq!(
        told(&log)[1..],
        ["c0/1 ready for 3", "c0/1 ready for 4", "c0/1 settled 1..=9 None", "c0/1 settled 2..=2 Some(ForGood)"]
    );
}

#[test]
fn questions_have_the_answer_that_the_channel_gives_them() {
    let (mut bench, _) = bench(CoreConfig::default());
    let id = bench.greeted_with(0b110);
    let ask = |number, payload| Frame::Request { link: 1, number, deadline_ms: 5, payload: Payload::from(payload) };
    bench.send(id, &[open_told(1), ask(1, "now"), ask(2, "never"), ask(3, "what?"), publish(1, 4, "a")]);
    assert_eq!(
        bench.lines(id)[1..5],
        [
            "Reply { link: 1, number: 1, payload: \"within 5ms\" }",
            "NoReply { link: 1, number: 2, code: NOT_ALLOWED (0x0302), text: \"never\" }",
            "NoReply { link: 1, number: 3, code: BUSY (0x0402), text: \"not now\" }",
            "Confirmed { link: 1, upto: 4 }"
        ]
    );
}

#[test]
fn frames_of_the_users_own_come_to_the_channel_whose_link_they_name() {
    let (mut bench, _) = bench(CoreConfig::default());
    let id = bench.greeted();
    let user = |link| Frame::User { kind: 0x8100, flags: 3, link, body: Payload::from("hi") };
    bench.send(id, &[open_told(1), user(1)]);
    assert_eq!(bench.lines(id)[1], "User { kind: 33025, flags: 3, link: 1, body: \"hi\" }");
    bench.send(id, &[user(2)]);
    assert!(bench.lines(id)[0].starts_with("Error { code: UNKNOWN_TYPE"), "no channel, no frames");
}

#[test]
fn every_link_that_was_opened_is_closed_once_whoever_ends_it() {
    let (mut bench, log) = bench(CoreConfig::default());
    let (a, b) = (bench.greeted(), bench.greeted());
    bench.send(a, &[open_told(1), open_told(2), open_told(3), publish(2, 1, "close"), Frame::Close { link: 3 }]);
    assert_eq!(
        bench.lines(a)[..5],
        [
            "Opened { link: 1 }",
            "Opened { link: 2 }",
            "Opened { link: 3 }",
            "Confirmed { link: 2, upto: 1 }",
            "Closed { link: 2, code: CHANNEL_DELETED (0x0305), text: \"it is over\" }"
        ]
    );
    bench.send(b, &[open_told(1)]);
    bench.end(a);
    assert_eq!(bench.core.handler().channels(), 1);
    bench.end(b);
    let closed: Vec<String> = told(&log).into_iter().filter(|line| line.ends_with("closed")).collect();
    assert_eq!(closed, ["c0/2 closed", "c0/3 closed", "c0/1 closed", "c1/1 closed"]);
    assert_eq!(bench.core.handler().channels(), 0);
}

#[test]
fn a_link_that_the_channel_does_not_take_is_refused_and_leaves_nothing() {
    let (mut bench, log) = bench(CoreConfig::default());
    let id = bench.greeted();
    bench.send(id, &[open_as(1, true, true, KIND, b"no"), publish(1, 1, "no effect"), Frame::Close { link: 1 }]);
    assert_eq!(bench.lines(id), ["Closed { link: 1, code: BAD_ARGUMENTS (0x0304), text: \"no\" }"]);
    assert_eq!((told(&log), bench.core.handler().channels()), (vec!["c0/1 opened".to_owned()], 0));
}

#[test]
fn there_are_as_many_channels_as_may_be_and_one_more_is_refused() {
    let (mut bench, _) = bench(CoreConfig::default());
    let id = bench.greeted();
    let other = Open { link: 2, publishes: true, consumes: false, kind: KIND, name: "another".into(), arguments: b"" };
    bench.send(id, &[open_told(1)]);
    assert_eq!(bench.core.handler().counters().channel_limits, 0);
    bench.send(id, &[Frame::Open(other)]);
    assert_eq!(bench.core.handler().counters().channel_limits, 1);
    assert!(bench.lines(id).iter().any(|line| line.starts_with("Closed { link: 2, code: TOO_MANY_CHANNELS")));
}

#[test]
fn timers_come_to_the_channel_that_set_them_and_to_none_after_it_is_gone() {
    let (mut bench, log) = bench(CoreConfig::default());
    let id = bench.greeted();
    bench.send(id, &[open_told(1), publish(1, 1, "timer"), publish(1, 2, "cancel")]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(told(&log).last().unwrap(), "timer 7");
    bench.send(id, &[publish(1, 3, "timer")]);
    bench.end(id);
    told(&log);
    assert_eq!(bench.core.poll_timeout(), None, "they have gone with it");
    bench.advance(Duration::from_secs(1));
    assert!(told(&log).is_empty());
}

#[test]
fn a_channel_that_found_a_connection_full_is_told_when_there_is_room() {
    let (mut bench, log) = bench(CoreConfig::default().with_high_water(5_000));
    let (consumer, publisher) = (bench.greeted(), bench.greeted());
    bench.send(consumer, &[open_told(1), Frame::Credit { link: 1, upto: 1_000 }]);
    bench.room.insert(consumer, 0);
    told(&log);
    bench.send(publisher, &[open_told(1), publish(1, 1, "fill")]);
    assert_eq!(told(&log)[1..], ["full", "c1/1 published \"fill\""]);
    bench.room.clear();
    bench.core.handle_writable(bench.now, consumer);
    bench.step();
    assert_eq!(told(&log).len(), 1);
}

#[test]
#[should_panic(expected = "topic is not of the user's range")]
fn the_protocols_own_kinds_are_not_the_users() {
    struct Nothing;
    impl Channel for Nothing {}
    let _ = ConnectionHandler::new().with_channel(ChannelKind(2), |_| Nothing);
}
