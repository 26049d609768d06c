//! What becomes of deliveries that do not succeed: they come back at once or later, a few times or for ever.

use super::*;

fn after(seconds: u32) -> Settling {
    Settling::Again(Again::after(seconds * SECOND))
}

#[test]
fn what_comes_back_is_first_in_the_order_in_which_it_was_accepted() {
    let mut queue = queue_of(&["1", "2", "3", "4", "5"]);
    let (a, b) = (queue.consumer('a', 2), queue.consumer('b', 2));
    assert_eq!(queue.deliveries(), ["a1×1 1", "a2×1 2", "b1×1 3", "b2×1 4"]);
    queue.remove(b);
    queue.remove(a);
    queue.push("6").unwrap();
    assert_eq!(queue.drain(), ["1", "2", "3", "4", "5", "6"], "whoever gave back first");
}

#[test]
fn what_is_given_back_with_a_delay_comes_when_it_is_over_and_first() {
    let mut queue = queue_of(&["1", "2"]);
    let a = queue.consumer('a', 1);
    queue.deliveries();
    assert_eq!(queue.settle(a, 1..=1, after(2)), 1);
    assert_eq!((queue.ledger().delayed, queue.next_due()), (1, Some(queue.now + 2 * SECOND)));
    queue.advance(2 * SECOND - Duration::from_nanos(1));
    assert_eq!(queue.ledger().delayed, 1, "not before");
    queue.advance(Duration::from_nanos(1));
    assert_eq!((queue.ledger().delayed, queue.next_due()), (0, None));
    queue.allow(a, 9);
    assert_eq!(queue.deliveries(), ["a2×2 1", "a3×1 2"]);
}

#[test]
fn a_delivery_that_is_not_settled_in_time_comes_back_with_its_count_raised() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(10 * SECOND));
    queue.push_all(&["1", "2", "3"]);
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.advance(4 * SECOND);
    queue.allow(a, 3);
    assert_eq!(queue.deliveries(), ["a3×1 3"]);
    queue.ack(a, 1..=1);
    assert_eq!(queue.next_due(), Some(Instant::ZERO + 10 * SECOND));
    queue.advance(6 * SECOND);
    let ledger = queue.ledger();
    assert_eq!((ledger.ready, ledger.in_flight, ledger.lapsed, ledger.given_back), (1, 1, 1, 1));
    assert_eq!(queue.ack(a, 1..=2), 0, "it is too late");
    assert_eq!(queue.next_due(), Some(Instant::ZERO + 14 * SECOND));
    queue.ack(a, 3..=3);
    assert_eq!(queue.next_due(), None, "nothing is in flight");
    queue.allow(a, 4);
    assert_eq!(queue.deliveries(), ["a4×2 2"]);
}

#[test]
fn a_lease_is_extended_for_those_that_are_named_and_for_no_others() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(10 * SECOND));
    queue.push_all(&["1", "2", "3"]);
    let a = queue.consumer('a', 3);
    queue.deliveries();
    queue.advance(5 * SECOND);
    let b = queue.consumer('b', 9);
    assert_eq!(queue.extend(b, 1..=9, None), 0, "b holds none of them");
    assert_eq!(queue.extend(a, 2..=2, None), 1, "the queue's own lease anew");
    assert_eq!(queue.extend(a, 3..=9, Some(20 * SECOND)), 1);
    queue.advance(5 * SECOND);
    assert_eq!((queue.ledger().lapsed, queue.next_due()), (1, Some(Instant::ZERO + 15 * SECOND)));
    queue.advance(5 * SECOND);
    assert_eq!((queue.ledger().lapsed, queue.next_due()), (2, Some(Instant::ZERO + 25 * SECOND)));
    assert_eq!(queue.extend(a, 1..=3, Some(SECOND)), 1, "those whose lease is over are not in flight");
    queue.advance(SECOND);
    assert_eq!((queue.ledger().lapsed, queue.ledger().in_flight, queue.next_due()), (3, 0, None), "and shortened");
}

#[test]
fn a_lease_can_come_from_the_consumer_alone() {
    let mut queue = queue_of(&["1"]);
    let a = queue.consumer('a', 1);
    queue.deliveries();
    assert_eq!(queue.extend(a, 1..=1, None), 0, "there is no lease that could begin anew");
    assert_eq!(queue.next_due(), None);
    assert_eq!(queue.extend(a, 1..=1, Some(SECOND)), 1);
    queue.advance(SECOND);
    assert_eq!(queue.ledger().lapsed, 1);
}

/// What a consumer holds that was extended many times is one message, however many leases it had.
#[test]
fn leases_do_not_pile_up() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(10 * SECOND));
    let a = queue.consumer('a', u64::MAX);
    queue.push("held").unwrap();
    queue.deliveries();
    for round in 0..10_000_u64 {
        queue.push("x").unwrap();
        queue.dispatch(10, |_| Ok(()));
        queue.ack(a, round + 2..=round + 2);
        queue.extend(a, 1..=1, Some((10 + round as u32 % 7) * SECOND));
    }
    let leases = queue.special().leases.len();
    assert!(leases <= 66, "{leases}");
    queue.ack(a, 1..=1);
    assert_eq!((queue.next_due(), queue.special().leases.len()), (None, 0));
}

#[test]
fn a_backoff_doubles_and_a_delay_of_the_consumers_own_goes_before_it() {
    let redelivery = Redelivery::default().with_lease(10 * SECOND).with_backoff(SECOND, 3 * SECOND);
    let mut queue = Fixture::redelivering(redelivery);
    queue.push("1").unwrap();
    let a = queue.consumer('a', u64::MAX);
    let due = |queue: &mut Fixture| queue.next_due().map(|due| due - queue.now);
    for (tag, wait) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        queue.deliveries();
        queue.again(a, tag..=tag);
        assert_eq!(due(&mut queue), Some(wait * SECOND), "after attempt {tag}");
        queue.advance(wait * SECOND);
    }
    queue.deliveries();
    queue.settle(a, 5..=5, after(7));
    assert_eq!(due(&mut queue), Some(7 * SECOND));
    queue.advance(7 * SECOND);
    queue.deliveries();
    queue.settle(a, 6..=6, after(0));
    assert_eq!(queue.ledger().ready, 1, "at once, for the consumer says so");
    queue.deliveries();
    queue.advance(10 * SECOND);
    assert_eq!((queue.ledger().lapsed, due(&mut queue)), (1, Some(3 * SECOND)), "a lapsed one too");
    queue.advance(3 * SECOND);
    queue.deliveries();
    queue.remove(a);
    assert_eq!(queue.ledger().ready, 1, "who goes away does no harm to the message");
}

#[test]
fn after_so_many_deliveries_a_message_comes_to_its_end() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_max_deliveries(2));
    queue.push_all(&["1", "2"]);
    let a = queue.consumer('a', u64::MAX);
    queue.deliveries();
    queue.again(a, 1..=2);
    assert_eq!(queue.deliveries(), ["a3×2 1", "a4×2 2"], "the second attempt is allowed");
    queue.again(a, 3..=3);
    queue.remove(a);
    let ledger = queue.ledger();
    assert_eq!((ledger.dropped.exhausted, ledger.ready), (2, 0), "however they came back");
    assert_eq!(queue.store.payloads(), 0);
    queue.check();
}

#[test]
fn a_consumer_decides_for_each_message() {
    let mut queue = queue_of(&["good", "later", "bad"]);
    let a = queue.consumer('a', 3);
    queue.deliveries();
    let (store, now) = (&mut queue.store, queue.now);
    let settled = queue.queue.settle_each(store, now, a, 1..=9, |message| match &message.payload[..] {
        b"good" => Settling::Ack,
        b"later" => after(1),
        _ => Settling::ForGood,
    });
    let ledger = queue.ledger();
    assert_eq!((settled, ledger.acked, ledger.delayed, ledger.refused), (3, 1, 1, 1));
    queue.check();
}

#[test]
fn ranges_are_clipped_to_what_is_in_flight() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let a = queue.consumer('a', 3);
    queue.deliveries();
    queue.ack(a, 2..=2);
    assert_eq!(queue.extend(a, 0..=u64::MAX, Some(SECOND)), 2);
    assert_eq!(queue.settle(a, 0..=u64::MAX, after(1)), 2);
    assert_eq!(queue.settle(a, 0..=u64::MAX, Settling::ForGood), 0);
    assert_eq!(queue.ledger().delayed, 2);
}
