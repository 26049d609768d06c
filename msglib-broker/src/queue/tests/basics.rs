//! Credit, turns, settling, limits: what holds for every queue.

use super::*;

#[test]
fn nothing_is_delivered_without_credit() {
    let mut queue = queue_of(&["one", "two"]);
    let a = queue.add_consumer('a');
    assert!(!queue.can_dispatch());
    assert!(deliveries(&mut queue).is_empty());
    queue.allow(a, 1);
    assert_eq!(deliveries(&mut queue), ["a1×1 one"]);
    queue.allow(a, 1);
    assert!(deliveries(&mut queue).is_empty(), "the same credit again allows nothing more");
    queue.allow(a, 2);
    assert_eq!(deliveries(&mut queue), ["a2×1 two"]);
}

#[test]
fn consumers_take_turns() {
    let mut queue = queue_of(&["1", "2", "3", "4"]);
    let (a, b) = (queue.add_consumer('a'), queue.add_consumer('b'));
    queue.allow(a, 100);
    queue.allow(b, 100);
    assert_eq!(deliveries(&mut queue), ["a1×1 1", "a2×1 2", "b1×1 3", "b2×1 4"]);
}

#[test]
fn what_a_lost_consumer_held_comes_back_first_and_in_order() {
    let mut queue = queue_of(&["1", "2", "3", "4"]);
    let a = queue.add_consumer('a');
    queue.allow(a, 3);
    deliveries(&mut queue);
    queue.ack(a, 2..=2);
    assert_eq!(queue.remove(a), 2);
    assert_eq!(queue.remove(a), 0, "once");
    let b = queue.add_consumer('b');
    queue.allow(b, 9);
    assert_eq!(deliveries(&mut queue), ["b1×2 1", "b2×2 3", "b3×1 4"]);
}

#[test]
fn a_refused_message_comes_again_or_never() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let a = queue.add_consumer('a');
    queue.allow(a, 3);
    deliveries(&mut queue);
    assert_eq!(queue.refuse(a, 1..=2, Verdict::Again), 2);
    assert_eq!(queue.refuse(a, 3..=3, Verdict::ForGood), 1);
    queue.allow(a, 9);
    assert_eq!(deliveries(&mut queue), ["a4×2 1", "a5×2 2"]);
    assert_eq!((queue.ledger().refused, queue.ledger().given_back), (1, 2));
    assert_eq!(queue.store.payloads(), 2);
}

#[test]
fn stale_double_and_foreign_tags_change_nothing() {
    let mut queue = queue_of(&["1", "2"]);
    let (a, b) = (queue.add_consumer('a'), queue.add_consumer('b'));
    queue.allow(a, 2);
    deliveries(&mut queue);
    assert_eq!(queue.ack(b, 1..=2), 0, "b holds none");
    assert_eq!(queue.ack(a, 3..=u64::MAX), 0, "never used");
    assert_eq!(queue.ack(a, 1..=1), 1);
    assert_eq!(queue.ack(a, 1..=1), 0, "settled before");
    assert_eq!(queue.refuse(a, 1..=1, Verdict::Again), 0, "an ack is final");
    assert_eq!(queue.ack(a, 1..=u64::MAX), 1, "all that is left");
    queue.remove(a);
    assert_eq!(queue.ack(a, 1..=u64::MAX), 0, "a is gone");
    assert!(queue.is_empty());
    assert_eq!((queue.bytes(), queue.store.payloads()), (0, 0));
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let mut queue = Fixture::new(QueueConfig::default().with_max_messages(2));
    queue.push("1").unwrap();
    queue.push("2").unwrap();
    let error = queue.push("3").unwrap_err();
    assert_eq!(error, PushError::QueueFull { messages: 2, bytes: 130 });
    assert_eq!(queue.ledger().turned_away, 1);
    let a = queue.add_consumer('a');
    queue.allow(a, 1);
    deliveries(&mut queue);
    assert!(queue.push("3").is_err(), "what is in flight is still in the queue");
    queue.ack(a, 1..=1);
    queue.push("3").unwrap();
}

#[test]
fn bytes_are_limited_overhead_included() {
    let size = 10 + OVERHEAD;
    let mut queue = Fixture::new(QueueConfig::default().with_max_bytes(2 * size));
    queue.push("0123456789").unwrap();
    queue.push("0123456789").unwrap();
    assert_eq!(queue.bytes(), 2 * size);
    assert!(queue.push("").is_err());
}

#[test]
fn a_blocked_consumer_does_not_stop_the_others() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let (a, b) = (queue.add_consumer('a'), queue.add_consumer('b'));
    queue.allow(a, 9);
    queue.allow(b, 9);
    let mut got = Vec::new();
    queue.dispatch(100, |offer| match offer.consumer {
        'a' => Err(Undeliverable::Full),
        _ => {
            got.push(offer.tag);
            Ok(())
        }
    });
    assert_eq!(got, [1, 2, 3]);
    assert!(!queue.can_dispatch());
    queue.push("4").unwrap();
    queue.remove(b);
    assert!(deliveries(&mut queue).is_empty(), "a is still blocked");
    queue.unblock(a);
    assert_eq!(deliveries(&mut queue), ["a1×2 1", "a2×2 2", "a3×2 3", "a4×1 4"]);
}

#[test]
fn a_consumer_that_is_found_gone_gives_back_what_it_held() {
    let mut queue = queue_of(&["1", "2"]);
    let a = queue.add_consumer('a');
    queue.allow(a, 9);
    let mut calls = 0;
    queue.dispatch(100, |_| {
        calls += 1;
        if calls == 1 { Ok(()) } else { Err(Undeliverable::Gone) }
    });
    assert_eq!((queue.consumers(), queue.ledger().ready), (0, 2));
    let b = queue.add_consumer('b');
    queue.allow(b, 9);
    assert_eq!(deliveries(&mut queue), ["b1×2 1", "b2×1 2"]);
}

#[test]
fn the_span_in_flight_is_bounded_whatever_the_credit() {
    let mut queue = Fixture::new(QueueConfig::default().with_max_in_flight(2));
    for message in ["1", "2", "3", "4"] {
        queue.push(message).unwrap();
    }
    let a = queue.add_consumer('a');
    queue.allow(a, u64::MAX);
    assert_eq!(deliveries(&mut queue).len(), 2);
    queue.ack(a, 2..=2);
    assert!(deliveries(&mut queue).is_empty(), "the oldest still holds the span");
    queue.ack(a, 1..=1);
    assert_eq!(deliveries(&mut queue), ["a3×1 3", "a4×1 4"]);
}

#[test]
fn the_budget_of_a_dispatch_holds() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let a = queue.add_consumer('a');
    queue.allow(a, 9);
    assert_eq!(queue.dispatch(2, |_| Ok(())), 2);
    assert!(queue.can_dispatch());
    assert_eq!(queue.dispatch(2, |_| Ok(())), 1);
    assert!(!queue.can_dispatch());
}

#[test]
fn consumers_that_come_and_go_leave_nothing_behind() {
    let mut queue = Fixture::new(QueueConfig::default());
    let stays = queue.add_consumer('s');
    queue.allow(stays, 1);
    for _ in 0..1000 {
        let id = queue.add_consumer('a');
        queue.allow(id, 1);
        queue.remove(id);
        assert!(queue.turns.ring_len() <= 3, "{} in the order of turns", queue.turns.ring_len());
    }
    queue.push("1").unwrap();
    assert_eq!(deliveries(&mut queue), ["s1×1 1"]);
}

#[test]
fn single_messages_go_round_and_the_idle_cost_nothing() {
    let mut queue = Fixture::new(QueueConfig::default());
    for name in ['a', 'b', 'c'] {
        let id = queue.add_consumer(name);
        queue.allow(id, u64::MAX);
    }
    let mut got = String::new();
    for _ in 0..9 {
        queue.push("x").unwrap();
        queue.dispatch(10, |offer| {
            got.push(*offer.consumer);
            Ok(())
        });
    }
    assert_eq!(got, "abcabcabc");
}

#[test]
fn a_burst_leaves_no_ring_behind() {
    let mut queue = Fixture::new(QueueConfig::default().with_max_in_flight(1 << 20));
    let a = queue.add_consumer('a');
    queue.allow(a, u64::MAX);
    for _ in 0..100_000 {
        queue.push("x").unwrap();
    }
    while queue.dispatch(1000, |_| Ok(())) > 0 {}
    for first in (1..100_000).step_by(1000) {
        queue.ack(a, first..=first + 999);
    }
    assert!(queue.is_empty());
    assert!(queue.fresh.capacity() <= 2048, "{}", queue.fresh.capacity());
    let consumer = queue.consumers.get_mut(a).unwrap();
    assert!(consumer.in_flight.capacity() <= 2048, "{}", consumer.in_flight.capacity());
}

#[test]
fn a_discarded_queue_leaves_nothing_in_the_store() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let a = queue.add_consumer('a');
    queue.allow(a, 2);
    deliveries(&mut queue);
    let Fixture { mut store, queue, .. } = queue;
    queue.discard(&mut store);
    assert_eq!(store.payloads(), 0);
}

/// Each such frame looked at all of the 65,536 tags that a consumer may spread.
#[test]
fn settling_what_is_settled_again_and_again_makes_no_work() {
    const TAGS: u64 = 4096;
    let mut queue = Fixture::new(QueueConfig::default());
    (0..TAGS).for_each(|_| queue.push_all(&["x"]));
    let a = queue.consumer('a', TAGS);
    queue.deliveries();
    assert_eq!(queue.ack(a, 2..=TAGS - 1) as u64, TAGS - 2);
    let looked = |queue: &Fixture| queue.consumers.get(a).unwrap().in_flight.looked() as u64;
    let before = looked(&queue);
    for first in 2..TAGS {
        assert_eq!(queue.ack(a, first..=TAGS - 1), 0);
        assert_eq!(queue.ack(a, 2..=first), 0);
        assert_eq!(queue.settle(a, first..=TAGS - 1, Settling::ForGood), 0);
        assert_eq!(queue.extend(a, first..=TAGS - 1, Some(SECOND)), 0);
    }
    let each = (looked(&queue) - before) / (4 * TAGS);
    assert!(each <= 2, "{each} slots for each call");
    queue.push_all(&["y"]);
    queue.allow(a, TAGS + 1);
    queue.deliveries();
    assert_eq!(queue.ack(a, 2..=TAGS + 1), 2, "the last of them, and the new one");
    assert_eq!(queue.ack(a, 1..=TAGS + 1), 1);
    assert!(queue.is_empty());
}
