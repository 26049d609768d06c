//! A handler that wants no further frames of a peer for now.

mod common;

use common::{Bench, bytes_of};
use msglib_broker::{ConnectionId, Context, CoreConfig, Event, Handler, Payload, Reject};
use msglib_proto::Frame;
use std::time::Duration;

const HOLD: u16 = 0x8001;
const GO_ON: u16 = 0x8002;
const HOLD_THE_OTHERS: u16 = 0x8003;

/// Notes what came; `HOLD` puts its sender on hold, `HOLD_THE_OTHERS` all but its sender; `GO_ON` lets everyone go on.
#[derive(Default)]
struct Holder {
    seen: Vec<String>,
    on_hold: Vec<ConnectionId>,
}

impl Handler for Holder {
    fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
        match event {
            Event::Frame { from, frame: Frame::User { kind, body, .. } } => {
                self.seen.push(String::from_utf8_lossy(&body).into_owned());
                let whom: Vec<ConnectionId> = match kind {
                    HOLD => vec![from],
                    HOLD_THE_OTHERS => cx.connections().filter(|id| *id != from).collect(),
                    _ => vec![],
                };
                whom.iter().for_each(|id| cx.hold(*id));
                self.on_hold.extend(whom);
                if kind == GO_ON {
                    self.on_hold.drain(..).for_each(|id| cx.go_on(id));
                }
                // Whatever comes, an answer.
                let _ = cx.send(from, Frame::User { kind, flags: 0, link: 0, body });
            }
            Event::NoMoreInput { id } => self.seen.push(format!("{id} is at its end")),
            Event::Disconnected { id, reason } => self.seen.push(format!("{id}: {reason}")),
            _ => {}
        }
        Ok(())
    }
}

fn user(kind: u16, body: &str) -> Frame<'_> {
    Frame::User { kind, flags: 0, link: 0, body: Payload::from(body) }
}

#[test]
fn what_comes_behind_is_handled_later_and_in_order() {
    let mut bench = Bench::new(Holder::default());
    let (held, other) = (bench.greeted(), bench.greeted());
    bench.send(held, &[user(HOLD, "a"), user(0x8000, "b"), user(HOLD, "c"), user(0x8000, "d")]);
    bench.send(held, &[user(0x8000, "e")]);
    bench.send(other, &[user(0x8000, "1")]);
    assert_eq!(bench.core.handler().seen, ["a", "1"], "in the middle of what arrived together");
    assert_eq!(bench.core.poll_timeout(), None, "and it is nobody's turn");
    bench.send(other, &[user(GO_ON, "2")]);
    assert_eq!(bench.core.handler().seen[2..], ["2", "b", "c"]);
    bench.send(other, &[user(GO_ON, "3")]);
    assert_eq!(bench.core.handler().seen[5..], ["3", "d", "e"]);
    assert_eq!(bench.names(held), ["User"; 5]);
}

#[test]
fn so_much_is_kept_and_then_the_transport_holds_the_peer_up() {
    let ahead = bytes_of(&[user(0x8000, "b")]).len();
    let mut bench = Bench::with_config(Holder::default(), CoreConfig::default().with_hold_ahead(ahead + 1));
    let (held, other) = (bench.greeted(), bench.greeted());
    bench.send(held, &[user(HOLD, "a")]);
    assert!(bench.core.wants_input(held));
    bench.send(held, &[user(0x8000, "b")]);
    assert!(bench.core.wants_input(held), "a byte is left");
    bench.send(held, &[user(0x8000, "c")]);
    assert!(!bench.core.wants_input(held));
    let bytes = bytes_of(&[user(GO_ON, "now")]);
    bench.core.handle_input(bench.now, other, &bytes);
    assert_eq!(bench.core.poll_resume(), None);
    bench.core.handle_timeout(bench.now);
    assert_eq!(bench.core.poll_resume(), Some(held));
    assert!(bench.core.wants_input(held));
    assert_eq!(bench.core.handler().seen, ["a", "now", "b", "c"]);
}

#[test]
fn the_end_of_a_peer_on_hold_is_noticed() {
    let mut bench = Bench::new(Holder::default());
    let id = bench.greeted();
    bench.send(id, &[user(HOLD, "a")]);
    bench.end(id);
    assert_eq!(bench.core.handler().seen[1..], ["c0: the peer closed the connection without a goodbye"]);

    // Behind something that is kept it is told, and what is kept waits for its turn.
    let (id, other) = (bench.greeted(), bench.greeted());
    bench.send(id, &[user(HOLD, "a"), user(HOLD, "b"), user(0x8000, "c")]);
    bench.end(id);
    assert_eq!(bench.core.handler().seen[2..], ["a", "c1 is at its end"]);
    bench.end(id);
    assert!(!bench.core.wants_input(id));
    bench.send(other, &[user(GO_ON, "1")]);
    assert_eq!(bench.core.handler().seen[4..], ["1", "b", "c1 is at its end"], "each time that it would wait");
    bench.send(other, &[user(GO_ON, "2")]);
    assert_eq!(bench.core.handler().seen[7..], ["2", "c", "c1: the peer closed the connection without a goodbye"]);
}

#[test]
fn a_peer_that_is_held_after_its_end_is_told_of_too() {
    let mut bench = Bench::with_config(Holder::default(), CoreConfig::default().with_reserve(10));
    let (id, other) = (bench.greeted(), bench.greeted());
    bench.room.insert(id, 0);
    bench.send(id, &[Frame::Ping { token: 1 }, user(0x8000, "behind")]);
    bench.end(id);
    assert!(bench.core.handler().seen.is_empty(), "it waits for its own reading");
    bench.send(other, &[user(HOLD_THE_OTHERS, "wait")]);
    assert_eq!(bench.core.handler().seen, ["wait", "c0 is at its end"]);
}

/// Both reasons to wait at once, which end in either order.
#[test]
fn a_peer_on_hold_that_does_not_read_either_goes_on_when_both_are_over() {
    for reads_first in [true, false] {
        let mut bench = Bench::with_config(Holder::default(), CoreConfig::default().with_reserve(100));
        let (id, other) = (bench.greeted(), bench.greeted());
        bench.room.insert(id, 0);
        let pings: Vec<Frame<'_>> = (0..10).map(|token| Frame::Ping { token }).collect();
        bench.send(id, &[&pings[..], &[user(0x8000, "behind")]].concat());
        bench.send(other, &[user(HOLD_THE_OTHERS, "wait")]);
        for step in 0..2 {
            assert!(!bench.core.handler().seen.contains(&"behind".to_owned()), "reads first: {reads_first}");
            if reads_first == (step == 0) {
                bench.room.remove(&id);
                bench.core.handle_writable(bench.now, id);
                bench.step();
            } else {
                bench.send(other, &[user(GO_ON, "now")]);
            }
        }
        assert_eq!(bench.core.handler().seen, ["wait", "now", "behind"], "reads first: {reads_first}");
    }
}

#[test]
fn it_is_the_handlers_mistake_that_matters_to_nobody() {
    struct Careless;
    impl Handler for Careless {
        fn handle(&mut self, cx: &mut Context<'_>, event: Event<'_>) -> Result<(), Reject> {
            let stranger = ConnectionId::new(77, 7);
            cx.hold(stranger);
            cx.go_on(stranger);
            if let Event::Frame { from, .. } = event {
                cx.go_on(from);
            }
            Ok(())
        }
    }
    let mut bench = Bench::new(Careless);
    let id = bench.greeted();
    bench.send(id, &[Frame::Ping { token: 1 }]);
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.names(id), ["Pong"]);
}
