//! Who may come in, and open what: at once, never, or later; and nothing has an effect before.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Bench, hello, open, publish};
use msglib_broker::{
    AnswerId, ConnectionId, Context, CoreConfig, ErrorCode, Event, Handler, Identity, PendingAnswer, Reject, SendError,
};
use msglib_proto::{Frame, Payload};
use std::time::Duration;

/// Decides nothing by itself: it keeps the answers for the test, and writes down what it sees.
#[derive(Default)]
struct Door {
    /// Which frames it answers later.
    hello: bool,
    open: bool,
    answers: Vec<PendingAnswer>,
    /// How often it puts the same answer off once more.
    again: usize,
    /// Refuses what it is allowed to take.
    says_no: bool,
    seen: Vec<String>,
    sent: Vec<Result<(), SendError>>,
}

impl Door {
    fn at_hello() -> Door {
        Door { hello: true, ..Door::default() }
    }

    fn at_open() -> Door {
        Door { open: true, ..Door::default() }
    }

    fn see(&mut self, cx: &Context<'_>, from: ConnectionId, what: &str) {
        let name = cx.identity(from).map_or("nobody", Identity::name);
        self.seen.push(format!("{name}: {what}"));
    }
}

impl Handler for Door {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, frame } => {
                self.see(cx, from, &format!("{:?}", frame.frame_type()));
                let is_later =
                    matches!(frame, Frame::Hello(_)) && self.hello || matches!(frame, Frame::Open(_)) && self.open;
                if is_later {
                    self.answers.push(cx.answer_later(from)?);
                    self.sent.push(cx.send(from, Frame::Ping { token: 1 }));
                }
            }
            Event::Answered { from, refusal, .. } => {
                self.see(cx, from, refusal.map_or("let in", Reject::text));
                if self.again > 0 {
                    self.again -= 1;
                    self.answers.push(cx.answer_later(from)?);
                } else if self.says_no {
                    return Err(Reject::new(ErrorCode::NOT_ALLOWED, "not even so"));
                }
            }
            Event::Disconnected { id, .. } => self.see(cx, id, "gone"),
            _ => {}
        }
        Ok(())
    }
}

fn answer(bench: &mut Bench<Door>) -> PendingAnswer {
    bench.core.handler_mut().answers.remove(0)
}

fn seen(bench: &mut Bench<Door>) -> Vec<String> {
    std::mem::take(&mut bench.core.handler_mut().seen)
}

fn refusal() -> Reject {
    Reject::new(ErrorCode::BAD_CREDENTIALS, "who are you?")
}

#[test]
fn an_identity_is_there_in_every_later_hook() {
    struct Named(Vec<String>);
    impl Handler for Named {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            let id = match event {
                Event::Frame { from, frame: Frame::Hello(hello) } => {
                    assert_eq!(cx.identity(from), None);
                    cx.set_identity(from, Identity::new(hello.name).with_data(*b"\x01"));
                    from
                }
                Event::Frame { from: id, .. } | Event::Disconnected { id, .. } => id,
                _ => return Ok(()),
            };
            self.0.extend(cx.identity(id).map(|identity| format!("{identity} {:?}", identity.data())));
            Ok(())
        }
    }
    let mut bench = Bench::new(Named(Vec::new()));
    let id = bench.greeted();
    bench.send(id, &[open(1, true, false)]);
    bench.end(id);
    assert_eq!(bench.core.handler().0, ["test [1]"; 3]);
}

#[test]
fn a_hello_that_is_answered_later_has_its_welcome_then_and_the_rest_behind_it() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false), publish(1, 1, "early")]);
    assert!(bench.names(id).is_empty());
    assert_eq!(seen(&mut bench), ["nobody: Hello"]);
    bench.send(id, &[publish(1, 2, "early too")]);
    assert!(seen(&mut bench).is_empty() && !bench.core.wants_input(id));

    answer(&mut bench).accept(Identity::new("alice"));
    bench.step();
    assert_eq!(bench.names(id), ["Welcome", "Opened"]);
    assert_eq!(seen(&mut bench), ["alice: let in", "alice: Open", "alice: Publish", "alice: Publish"]);
    assert!(bench.core.wants_input(id));
    bench.end(id);
    assert_eq!(seen(&mut bench), ["alice: gone"]);
}

#[test]
fn a_hello_that_is_refused_later_has_an_error_and_nothing_behind_it_had_an_effect() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false), publish(1, 1, "early")]);
    answer(&mut bench).refuse(refusal());
    bench.step();
    let lines = bench.lines(id);
    assert!(lines.len() == 1 && lines[0].starts_with("Error { code: BAD_CREDENTIALS"), "{lines:?}");
    assert!(bench.is_closed(id));
    assert_eq!(seen(&mut bench), ["nobody: Hello", "nobody: who are you?", "nobody: gone"]);
    assert_eq!(bench.core.counters().rejected, 1);
}

#[test]
fn an_answer_that_is_dropped_refuses() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello()]);
    drop(answer(&mut bench));
    bench.step();
    assert!(bench.lines(id)[0].starts_with("Error { code: INTERNAL"));
}

#[test]
fn an_answer_that_does_not_come_is_a_refusal_at_its_deadline() {
    let config = CoreConfig::default().with_answer_timeout(Duration::from_secs(30));
    let mut bench = Bench::with_config(Door::at_hello(), config);
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false)]);
    bench.advance(Duration::from_nanos(29_999_999_999));
    assert!(!bench.is_closed(id), "and the handshake's own deadline does not count");
    bench.advance(Duration::from_nanos(1));
    assert!(bench.lines(id)[0].contains("it was not decided in time"));
    assert!(bench.is_closed(id));
    assert_eq!((bench.core.counters().answer_timeouts, bench.core.counters().handshake_timeouts), (1, 0));
    answer(&mut bench).accept(Identity::new("late"));
    bench.step();
    assert_eq!(seen(&mut bench).last().map(String::as_str), Some("nobody: gone"));
}

#[test]
fn as_many_answers_as_may_are_put_off_and_one_more_is_refused() {
    let mut bench = Bench::with_config(Door::at_hello(), CoreConfig::default().with_max_pending_answers(2));
    let ids = [bench.open(), bench.open(), bench.open()];
    for id in ids {
        bench.send(id, &[hello()]);
    }
    assert!(bench.lines(ids[2])[0].starts_with("Error { code: BUSY"));
    assert!(bench.names(ids[1]).is_empty());
    assert_eq!((bench.core.counters().answers_put_off, bench.core.counters().answers_turned_away), (2, 1));
    answer(&mut bench).allow();
    bench.step();
    let fourth = bench.open();
    bench.send(fourth, &[hello()]);
    assert!(!bench.is_closed(fourth), "there is room again");
}

#[test]
fn an_open_that_is_answered_later_holds_up_its_connection_and_no_other() {
    let mut bench = Bench::new(Door::at_open());
    let (waits, other) = (bench.greeted(), bench.greeted());
    bench.send(waits, &[open(1, true, false), publish(1, 1, "a"), Frame::Ping { token: 7 }]);
    bench.send(other, &[Frame::Ping { token: 8 }]);
    assert_eq!(bench.names(other), ["Pong"]);
    assert_eq!(bench.lines(waits), ["Ping { token: 1 }"], "what the handler says beside it goes out");
    seen(&mut bench);
    answer(&mut bench).allow();
    bench.step();
    assert_eq!(bench.names(waits), ["Opened", "Pong"]);
    assert_eq!(seen(&mut bench), ["nobody: let in", "nobody: Publish"]);
}

#[test]
fn a_link_that_is_refused_later_is_closed_and_what_was_sent_on_it_had_no_effect() {
    let mut bench = Bench::new(Door::at_open());
    let id = bench.greeted();
    bench.send(
        id,
        &[open(1, true, true), publish(1, 1, "a"), Frame::Credit { link: 1, upto: 1 }, Frame::Ping { token: 7 }],
    );
    seen(&mut bench);
    bench.lines(id);
    answer(&mut bench).refuse(Reject::new(ErrorCode::NOT_ALLOWED, "not you"));
    bench.step();
    assert_eq!(
        bench.lines(id),
        ["Closed { link: 1, code: NOT_ALLOWED (0x0302), text: \"not you\" }", "Pong { token: 7 }"]
    );
    assert_eq!(seen(&mut bench), ["nobody: not you"]);
}

#[test]
fn the_handler_can_still_refuse_what_it_is_allowed_to_take() {
    let mut bench = Bench::new(Door { says_no: true, ..Door::at_open() });
    let id = bench.greeted();
    bench.send(id, &[open(1, true, false)]);
    bench.lines(id);
    answer(&mut bench).allow();
    bench.step();
    assert_eq!(bench.names(id), ["Closed"]);
}

#[test]
fn a_decision_can_have_several_steps() {
    let mut bench = Bench::new(Door { again: 1, ..Door::at_hello() });
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false)]);
    answer(&mut bench).accept(Identity::new("perhaps alice"));
    bench.step();
    assert!(bench.names(id).is_empty());
    answer(&mut bench).accept(Identity::new("alice"));
    bench.step();
    assert_eq!(bench.names(id), ["Welcome", "Opened"]);
    assert_eq!(seen(&mut bench), ["nobody: Hello", "perhaps alice: let in", "alice: let in", "alice: Open"]);
}

#[test]
fn an_answer_for_a_peer_that_is_gone_is_for_nobody() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello()]);
    bench.end(id);
    assert!(bench.is_closed(id));
    let old = answer(&mut bench);
    let next = ConnectionId::new(id.index() as u32, 1);
    bench.core.handle_open(
        bench.now,
        next,
        msglib_proto::transport::Peer::new(msglib_proto::transport::Address::Memory(9)),
    );
    bench.send(next, &[hello()]);
    old.accept(Identity::new("the one before"));
    bench.step();
    assert!(bench.names(next).is_empty());
    answer(&mut bench).accept(Identity::new("the next"));
    bench.step();
    assert_eq!(bench.names(next), ["Welcome"]);
}

#[test]
fn nothing_can_be_sent_that_would_be_an_answer() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello()]);
    assert!(matches!(bench.core.handler().sent[..], [Err(SendError::Misuse(_))]));
    assert!(bench.names(id).is_empty());

    /// Delivers on a link whose OPEN has no answer yet.
    #[derive(Default)]
    struct Hasty(Vec<PendingAnswer>, Option<Result<u64, SendError>>);
    impl Handler for Hasty {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            if let Event::Frame { from, frame: Frame::Open(_) } = event {
                self.0.push(cx.answer_later(from)?);
                self.1 = Some(cx.deliver(from, 1, 1, "early"));
            }
            Ok(())
        }
    }
    let mut bench = Bench::new(Hasty::default());
    let id = bench.greeted();
    bench.send(id, &[open(1, false, true), Frame::Credit { link: 1, upto: 1 }]);
    assert_eq!(bench.core.handler().1, Some(Err(SendError::LinkGone(1))));
    assert!(bench.names(id).is_empty());
    bench.core.handler_mut().0.remove(0).allow();
    bench.step();
    assert_eq!(bench.names(id), ["Opened"]);
}

#[test]
fn a_broker_that_goes_away_says_so_to_those_who_wait() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    bench.send(id, &[hello(), open(1, true, false)]);
    bench.core.close_all();
    bench.step();
    let lines = bench.lines(id);
    assert!(lines.len() == 1 && lines[0].starts_with("Error { code: SHUTTING_DOWN"), "{lines:?}");
    assert!(bench.is_closed(id));
}

#[test]
fn only_a_hello_and_an_open_can_be_answered_later_and_only_by_whom_they_concern() {
    #[derive(Default)]
    struct Wrong {
        first: Option<ConnectionId>,
        got: Vec<Result<AnswerId, Reject>>,
    }
    impl Handler for Wrong {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            let Event::Frame { from, frame } = event else { return Ok(()) };
            let first = *self.first.get_or_insert(from);
            if first != from || !matches!(frame, Frame::Hello(_) | Frame::Open(_)) {
                self.got.push(cx.answer_later(first).map(|answer| answer.id()));
            }
            Ok(())
        }
    }
    let mut bench = Bench::new(Wrong::default());
    let id = bench.greeted();
    let user = Frame::User { kind: 0x8000, flags: 0, link: 0, body: Payload::from("x") };
    bench.send(id, &[user, open(1, true, false), publish(1, 1, "a"), Frame::Close { link: 1 }]);
    assert_eq!(bench.names(id), ["Opened", "Closed"]);
    bench.greeted();
    let got = &bench.core.handler().got;
    assert!(got.len() == 4 && got.iter().all(Result::is_err), "USER, PUBLISH, CLOSE, somebody else's HELLO: {got:?}");
    assert!(bench.core.last_misuse().unwrap().contains("can be put off"));
}

#[test]
fn little_is_read_of_a_peer_before_its_handshake_is_done() {
    let mut bench = Bench::new(Door::at_hello());
    let id = bench.open();
    assert_eq!(bench.core.input_limit(id, 1 << 20), 16 * 1024);
    bench.send(id, &[hello()]);
    assert_eq!(bench.core.input_limit(id, 1 << 20), 16 * 1024);
    assert!(bench.core.wants_input(id), "its end would be noticed");
    bench.send(id, &[open(1, true, false)]);
    assert!(!bench.core.wants_input(id));
    answer(&mut bench).allow();
    bench.step();
    assert_eq!(bench.core.input_limit(id, 1 << 20), 1 << 20);
}

mod stock {
    use super::*;
    use msglib_broker::{Admission, ConnectionHandler};
    use msglib_proto::{Hello, Open};
    use std::sync::{Arc, Mutex};

    /// Lets everyone in under the name that they give, and says of each link "later", or "no" to those who consume.
    #[derive(Clone, Default)]
    struct Later(Arc<Mutex<Vec<PendingAnswer>>>);

    impl Admission for Later {
        fn admit(&mut self, cx: &mut Context<'_>, from: ConnectionId, hello: &Hello<'_>) -> Result<(), Reject> {
            cx.set_identity(from, Identity::new(hello.name));
            Ok(())
        }
        fn open(&mut self, cx: &mut Context<'_>, from: ConnectionId, open: &Open<'_>) -> Result<(), Reject> {
            assert_eq!(cx.identity(from).map(Identity::name), Some("test"));
            if open.consumes {
                return Err(Reject::new(ErrorCode::NOT_ALLOWED, "not yours to read"));
            }
            self.0.lock().unwrap().push(cx.answer_later(from)?);
            Ok(())
        }
    }

    fn bench() -> (Bench<ConnectionHandler>, Later) {
        let later = Later::default();
        (Bench::new(ConnectionHandler::new().with_admission(later.clone())), later)
    }

    fn answer(later: &Later) -> PendingAnswer {
        later.0.lock().unwrap().remove(0)
    }

    #[test]
    fn a_link_that_is_allowed_later_is_opened_then() {
        let (mut bench, later) = bench();
        let id = bench.greeted();
        bench.send(id, &[open(1, true, false), publish(1, 1, "a"), publish(1, 2, "b")]);
        assert!(bench.names(id).is_empty());
        assert_eq!(bench.core.handler().queues().count(), 0, "nothing of it is there yet");
        answer(&later).allow();
        bench.step();
        assert_eq!(bench.names(id), ["Opened", "Confirmed", "Credit"]);
        assert_eq!(bench.core.handler().queue(7).unwrap().ledger.accepted, 2);
    }

    #[test]
    fn a_link_that_is_refused_at_once_or_later_makes_no_queue() {
        let (mut bench, later) = bench();
        let id = bench.greeted();
        bench.send(id, &[open(1, true, true), open(2, true, false), publish(1, 1, "a"), publish(2, 1, "b")]);
        assert_eq!(bench.names(id), ["Closed"]);
        answer(&later).refuse(Reject::new(ErrorCode::NOT_ALLOWED, "not yours to write"));
        bench.step();
        assert_eq!(bench.lines(id), ["Closed { link: 2, code: NOT_ALLOWED (0x0302), text: \"not yours to write\" }"]);
        assert_eq!(bench.core.handler().queues().count(), 0);
        bench.send(id, &[Frame::Close { link: 2 }, open(2, true, false)]);
        answer(&later).allow();
        bench.step();
        assert_eq!(bench.names(id), ["Opened", "Credit"], "the number can be used again");
    }

    #[test]
    fn a_client_that_leaves_while_its_link_is_being_decided_leaves_nothing() {
        let (mut bench, later) = bench();
        let id = bench.greeted();
        bench.send(id, &[open(1, true, false)]);
        bench.end(id);
        answer(&later).allow();
        bench.step();
        assert_eq!(bench.core.handler().queues().count(), 0);
    }
}
