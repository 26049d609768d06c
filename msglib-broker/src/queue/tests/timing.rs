//! Delays, times to live, and how much is done at once.

use super::*;

fn ttl(payload: &str, seconds: u32) -> NewMessage<'_> {
    NewMessage::new(payload).with_ttl(seconds * SECOND)
}

#[test]
fn a_message_that_is_too_old_is_dropped_when_its_time_is_over() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(ttl("brief", 2)).unwrap();
    queue.push("stays").unwrap();
    queue.push(ttl("longer", 5)).unwrap();
    queue.advance(2 * SECOND - Duration::from_nanos(1));
    assert_eq!((queue.ledger().ready, queue.next_due()), (3, Some(Instant::ZERO + 2 * SECOND)));
    queue.advance(Duration::from_nanos(1));
    assert_eq!((queue.ledger().expired, queue.next_due()), (1, Some(Instant::ZERO + 5 * SECOND)));
    assert_eq!(queue.drain(), ["stays", "longer"]);
    assert_eq!(queue.next_due(), None);
}

#[test]
fn the_shorter_time_of_queue_and_message_counts() {
    let mut queue = Fixture::new(QueueConfig::default().with_ttl(3 * SECOND));
    queue.push(ttl("brief", 1)).unwrap();
    queue.push(ttl("as long as the queue says", 9)).unwrap();
    queue.push("so too").unwrap();
    queue.advance(SECOND);
    assert_eq!((queue.ledger().expired, queue.ledger().ready), (1, 2));
    queue.advance(2 * SECOND);
    assert_eq!((queue.ledger().expired, queue.len()), (3, 0));
}

/// I14: whoever forgets to let the time go on still delivers nothing that is too old.
#[test]
fn nothing_is_delivered_at_or_behind_its_expiry() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(ttl("1", 1)).unwrap();
    queue.push(ttl("2", 2)).unwrap();
    queue.push("3").unwrap();
    queue.consumer('a', 9);
    queue.now += SECOND;
    assert_eq!(queue.deliveries(), ["a1×1 2", "a2×1 3"]);
    assert_eq!(queue.ledger().expired, 1);
}

#[test]
fn no_time_at_all_is_too_late_at_once_and_the_longest_is_never_over() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(NewMessage::new("never").with_ttl(Duration::ZERO)).unwrap();
    queue.push(NewMessage::new("ever").with_ttl(Duration::MAX)).unwrap();
    queue.push(NewMessage::new("late").with_delay(Duration::MAX)).unwrap();
    queue.consumer('a', 9);
    assert_eq!(queue.deliveries(), ["a1×1 ever"]);
    queue.advance(1_000_000 * SECOND);
    assert_eq!((queue.ledger().expired, queue.ledger().delayed), (1, 1));
}

#[test]
fn what_is_in_flight_when_its_time_is_over_can_be_settled_and_does_not_come_back() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(ttl("1", 1)).unwrap();
    queue.push(ttl("2", 1)).unwrap();
    let a = queue.consumer('a', 9);
    queue.deliveries();
    assert_eq!(queue.next_due(), None, "nobody is waiting for the end of it");
    queue.advance(5 * SECOND);
    assert_eq!((queue.ack(a, 1..=1), queue.again(a, 2..=2)), (1, 1));
    assert_eq!((queue.ledger().acked, queue.ledger().expired, queue.len()), (1, 1, 0));
}

#[test]
fn a_message_that_came_back_in_time_still_expires() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(ttl("1", 3)).unwrap();
    let a = queue.consumer('a', 1);
    queue.deliveries();
    queue.advance(SECOND);
    queue.again(a, 1..=1);
    assert_eq!(queue.next_due(), Some(Instant::ZERO + 3 * SECOND));
    queue.advance(2 * SECOND);
    assert_eq!(queue.ledger().expired, 1);
}

#[test]
fn a_delayed_message_is_ready_when_its_delay_is_over_and_behind_those_that_are() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(NewMessage::new("later").with_delay(2 * SECOND)).unwrap();
    queue.push(NewMessage::new("sooner").with_delay(SECOND)).unwrap();
    queue.push(NewMessage::new("with the other").with_delay(2 * SECOND)).unwrap();
    queue.push("now").unwrap();
    assert_eq!((queue.ledger().ready, queue.ledger().delayed), (1, 3));
    queue.advance(SECOND);
    assert_eq!((queue.ledger().ready, queue.next_due()), (2, Some(Instant::ZERO + 2 * SECOND)));
    queue.advance(SECOND);
    queue.push("last").unwrap();
    assert_eq!(queue.drain(), ["now", "sooner", "later", "with the other", "last"]);
}

#[test]
fn a_queue_can_delay_by_default_and_a_message_can_do_without() {
    let mut queue = Fixture::new(QueueConfig::default().with_delay(5 * SECOND));
    queue.push("slow").unwrap();
    queue.push(NewMessage::new("quick").with_delay(Duration::ZERO)).unwrap();
    assert_eq!((queue.ledger().ready, queue.ledger().delayed), (1, 1));
    queue.advance(5 * SECOND);
    assert_eq!(queue.drain(), ["quick", "slow"]);
}

#[test]
fn a_message_that_would_expire_before_it_is_ready_expires_then() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push(ttl("1", 1).with_delay(2 * SECOND)).unwrap();
    queue.push(ttl("2", 2).with_delay(2 * SECOND)).unwrap();
    queue.push(ttl("3", 3).with_delay(2 * SECOND)).unwrap();
    queue.advance(SECOND);
    assert_eq!((queue.ledger().expired, queue.ledger().delayed), (1, 2));
    queue.advance(SECOND);
    assert_eq!((queue.ledger().expired, queue.ledger().ready), (2, 1), "at the same time, it is too late");
    queue.advance(SECOND);
    assert_eq!(queue.ledger().expired, 3);
}

#[test]
fn a_jump_of_the_clock_is_worked_off_in_bounded_steps() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(SECOND));
    let a = queue.consumer('a', 1000);
    for number in 0..3000_u64 {
        let message = NewMessage::new("x");
        let message = match number % 3 {
            0 => message.with_delay((number as u32 + 1) * SECOND / 1000),
            1 => message.with_ttl((number as u32 + 1) * SECOND / 1000),
            _ => message,
        };
        queue.push(message).unwrap();
    }
    queue.deliveries();
    assert_eq!(queue.ledger().in_flight, 1000);
    queue.now += 1000 * SECOND;
    let mut steps = 0;
    while queue.queue.next_due().is_some_and(|due| due <= queue.now) {
        let (store, now) = (&mut queue.store, queue.now);
        let done = queue.queue.advance(store, now, 64);
        assert!((1..=64).contains(&done), "{done}");
        steps += 1;
        queue.check();
    }
    let ledger = queue.ledger();
    assert_eq!((ledger.lapsed, ledger.delayed, ledger.in_flight), (1000, 0, 0));
    assert_eq!(ledger.ready + ledger.expired, 3000);
    assert!((2500 / 64..200).contains(&steps), "{steps}");
    let _ = a;
}

#[test]
fn deliveries_are_bounded_even_if_all_that_waits_is_too_old() {
    let mut queue = Fixture::new(QueueConfig::default());
    for _ in 0..100 {
        queue.push(ttl("x", 1)).unwrap();
    }
    queue.consumer('a', 9);
    queue.now += SECOND;
    assert_eq!(queue.dispatch(30, |_| Ok(())), 30);
    assert_eq!((queue.ledger().expired, queue.ledger().ready), (30, 70));
    assert!(queue.can_dispatch(), "there is more to do");
    assert_eq!(queue.dispatch(1000, |_| Ok(())), 70);
    assert!(!queue.can_dispatch());
    queue.push("y").unwrap();
    assert_eq!(queue.deliveries(), ["a1×1 y"], "the consumer was not put aside");
}

#[test]
fn times_that_mean_nothing_any_more_do_not_pile_up() {
    let mut queue = Fixture::new(QueueConfig::default());
    let a = queue.consumer('a', u64::MAX);
    for round in 1..=10_000_u64 {
        let message = ttl("x", 1000 + round as u32 % 7);
        queue.push(message).unwrap();
        queue.dispatch(10, |_| Ok(()));
        queue.ack(a, round..=round);
    }
    let wakes = queue.special().wakes.len();
    assert!(wakes <= 66, "{wakes}");
    assert_eq!((queue.next_due(), queue.special().wakes.len()), (None, 0));
}

/// Each extension was a mark of its own, and all of them were looked through again and again.
#[test]
fn leases_that_are_extended_over_and_over_make_no_more_work_than_the_first_time() {
    const DELIVERIES: u64 = 2000;
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(SECOND));
    (0..DELIVERIES).for_each(|_| queue.push_all(&["x"]));
    let a = queue.consumer('a', 1);
    queue.deliveries();
    let b = queue.consumer('b', DELIVERIES);
    queue.deliveries();
    let looked = |queue: &Fixture| queue.consumers.get(b).unwrap().in_flight.looked();
    let extend_all = |queue: &mut Fixture, seconds: u32| {
        assert_eq!(queue.extend(b, 1..=DELIVERIES - 1, Some(seconds * SECOND)), DELIVERIES as usize - 1);
        assert_eq!(queue.next_due(), Some(queue.now + SECOND), "the other consumer's is the first");
        queue.special().extensions.len()
    };
    let before = looked(&queue);
    assert_eq!(extend_all(&mut queue, 9), 1);
    let once = looked(&queue) - before;
    for round in 0..20 {
        assert_eq!(extend_all(&mut queue, 10 + round), 1, "the others mean nothing any more");
        for tag in 1..DELIVERIES {
            queue.extend(b, tag..=tag, Some((100 - round) * SECOND));
        }
        assert_eq!(queue.special().extensions.len() as u64, DELIVERIES - 1);
    }
    assert_eq!(extend_all(&mut queue, 99), 1);
    queue.ack(a, 1..=1);
    assert_eq!(queue.next_due(), Some(queue.now + 99 * SECOND));
    let (each, calls) = (DELIVERIES as usize, 41);
    assert!(looked(&queue) - before <= once + 2 * each * calls, "{} in all", looked(&queue) - before);
    queue.ack(b, 2..=DELIVERIES);
    assert_eq!((queue.special().extensions.len(), queue.next_due()), (1, Some(queue.now + 99 * SECOND)));
    queue.advance(99 * SECOND);
    assert_eq!((queue.special().extensions.len(), queue.ledger().lapsed), (0, 1));
}

#[test]
fn of_leases_that_were_extended_together_those_that_were_extended_again_go_on() {
    let mut queue = Fixture::redelivering(Redelivery::default());
    queue.push_all(&["1", "2", "3", "4"]);
    let a = queue.consumer('a', 9);
    queue.deliveries();
    assert_eq!(queue.next_due(), None);
    assert_eq!(queue.extend(a, 1..=4, Some(2 * SECOND)), 4);
    assert_eq!(queue.extend(a, 2..=3, Some(5 * SECOND)), 2);
    assert_eq!(queue.extend(a, 3..=3, Some(SECOND)), 1);
    queue.advance(SECOND);
    assert_eq!((queue.ledger().lapsed, queue.next_due()), (1, Some(queue.now + SECOND)));
    queue.advance(SECOND);
    assert_eq!((queue.ledger().lapsed, queue.next_due()), (3, Some(queue.now + 3 * SECOND)));
    assert_eq!(queue.remove(a), 1);
    assert_eq!(queue.next_due(), None);
}

/// It was said to be due at the end of time.
#[test]
fn what_is_never_due_is_nothing_to_wait_for() {
    let mut queue = Fixture::redelivering(Redelivery::default().with_lease(Duration::MAX));
    queue.push(NewMessage::new("1").with_delay(Duration::MAX)).unwrap();
    queue.push(NewMessage::new("2").with_ttl(Duration::MAX)).unwrap();
    let a = queue.consumer('a', 9);
    queue.deliveries();
    assert_eq!(queue.next_due(), None);
    assert_eq!(queue.extend(a, 1..=1, Some(Duration::MAX)), 1);
    assert_eq!(queue.next_due(), None);
    queue.extend(a, 1..=1, Some(SECOND));
    assert_eq!(queue.next_due(), Some(queue.now + SECOND));
}
