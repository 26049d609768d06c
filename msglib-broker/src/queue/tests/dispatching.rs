//! Who gets the next message.

use super::*;

fn dispatched(dispatch: DispatchKind) -> Fixture {
    Fixture::new(QueueConfig::default().with_dispatch(dispatch))
}

#[test]
fn the_least_loaded_is_next_and_among_equals_who_was_served_longest_ago() {
    let mut queue = dispatched(DispatchKind::LeastLoaded);
    let (a, b) = (queue.consumer('a', 9), queue.consumer('b', 9));
    queue.push_all(&["1", "2", "3", "4"]);
    assert_eq!(queue.deliveries(), ["a1×1 1", "b1×1 2", "a2×1 3", "b2×1 4"]);
    queue.ack(b, 1..=2);
    queue.push_all(&["5", "6", "7"]);
    assert_eq!(queue.deliveries(), ["b3×1 5", "b4×1 6", "a3×1 7"], "b has caught up, and was served last");
    queue.ack(a, 1..=1);
    queue.push_all(&["8"]);
    assert_eq!(queue.deliveries().len(), 1);
}

#[test]
fn the_least_loaded_without_room_is_passed_over() {
    let mut queue = dispatched(DispatchKind::LeastLoaded);
    let (a, b) = (queue.consumer('a', 1), queue.consumer('b', 9));
    queue.push_all(&["1", "2", "3"]);
    assert_eq!(queue.deliveries(), ["a1×1 1", "b1×1 2", "b2×1 3"]);
    queue.ack(a, 1..=1);
    queue.push_all(&["4"]);
    assert_eq!(queue.deliveries(), ["b3×1 4"], "a has no credit");
    queue.remove(b);
    queue.allow(a, 9);
    assert_eq!(queue.deliveries().len(), 3);
}

#[test]
fn who_came_first_has_all_until_it_goes() {
    let mut queue = dispatched(DispatchKind::Exclusive);
    queue.push_all(&["1", "2", "3"]);
    let (a, b, c) = (queue.consumer('a', 1), queue.consumer('b', 9), queue.consumer('c', 9));
    assert_eq!(queue.deliveries(), ["a1×1 1"]);
    assert!(!queue.can_dispatch(), "the others wait, whatever they have allowed");
    queue.remove(b);
    queue.remove(a);
    assert_eq!(queue.deliveries(), ["c1×2 1", "c2×1 2", "c3×1 3"]);
    queue.push("4").unwrap();
    let d = queue.consumer('d', 9);
    queue.queue.remove_consumer(&mut queue.store, queue.now, c);
    assert_eq!(queue.deliveries().len(), 4);
    assert_eq!(queue.ack(d, 1..=4), 4);
}

/// Even numbers to a, the others to b; and what is for nobody waits.
struct ByParity;

impl Dispatch<char> for ByParity {
    fn pick(&mut self, message: &MessageInfo<'_>, candidates: &Candidates<'_, char>) -> Pick {
        let wanted = match &message.payload[..] {
            b"any" => return Pick::Default,
            [.., last] if last % 2 == 0 => 'a',
            _ => 'b',
        };
        let candidate = candidates.iter().find(|candidate| *candidate.consumer == wanted);
        candidate.map_or(Pick::Nobody, |candidate| Pick::To(candidate.id))
    }
}

#[test]
fn a_dispatch_of_ones_own_sees_the_message_and_who_could_have_it() {
    let mut queue = queue_of(&["1", "2", "any", "4", "3", "6"]);
    queue.consumer('a', 1);
    let b = queue.consumer('b', 9);
    let mut seen = Vec::new();
    let mut dispatch = |queue: &mut Fixture| {
        let (store, now) = (&mut queue.store, queue.now);
        queue.queue.dispatch_by(&mut ByParity, store, now, 99, |turn| {
            while let Some(offer) = turn.next() {
                seen.push(format!("{}{}", offer.consumer, offer.payload.escape_ascii()));
            }
            Ok(())
        });
        seen.clone()
    };
    assert_eq!(dispatch(&mut queue), ["b1", "a2", "bany"], "4 is for a, who has no credit, and is in the way");
    queue.consumer('a', 9);
    assert_eq!(dispatch(&mut queue), ["b1", "a2", "bany", "a4", "b3", "a6"]);
    assert_eq!(queue.each_consumer().map(|c| (*c.consumer, c.in_flight, c.credit)).last(), Some(('a', 2, 7)));
    queue.ack(b, 1..=9);
    queue.check();
}

#[test]
fn a_paused_queue_delivers_nothing_and_does_all_else() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(SECOND));
    queue.push_all(&["1", "2"]);
    let a = queue.consumer('a', 1);
    queue.deliveries();
    queue.pause();
    queue.push("3").unwrap();
    queue.allow(a, 9);
    assert!(!queue.can_dispatch() && queue.deliveries().is_empty());
    queue.advance(SECOND);
    assert_eq!(queue.ledger().lapsed, 1);
    queue.resume();
    assert_eq!(queue.deliveries(), ["a2×2 1", "a3×1 2", "a4×1 3"]);
}

/// A turn that fails in the middle has taken what came before.
#[test]
fn a_turn_that_fails_takes_what_it_was_given_before() {
    for special in [false, true] {
        let mut queue = queue_of(&["1", "2", "3"]);
        if special {
            queue.push(NewMessage::new("4").with_priority(1)).unwrap();
        }
        let a = queue.consumer('a', 9);
        let mut left = 2;
        queue.dispatch(99, |_| {
            left -= 1;
            if left < 0 { Err(Undeliverable::Full) } else { Ok(()) }
        });
        assert_eq!(queue.ledger().in_flight, 2);
        assert!(!queue.can_dispatch());
        queue.check();
        queue.unblock(a);
        assert_eq!(queue.deliveries()[0], "a3×1 3");
    }
}

#[test]
fn a_turn_that_asks_for_nothing_ends_and_is_not_asked_again() {
    for special in [false, true] {
        let mut queue = queue_of(&["1"]);
        if special {
            queue.push(NewMessage::new("2").with_priority(1)).unwrap();
        }
        queue.consumer('a', 9);
        let (store, now) = (&mut queue.store, queue.now);
        let mut turns = 0;
        queue.queue.dispatch_turns(store, now, 99, |_| {
            turns += 1;
            Ok(())
        });
        assert_eq!(turns, 1);
        queue.check();
    }
}
