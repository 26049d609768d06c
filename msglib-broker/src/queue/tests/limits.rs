//! No room: what is refused, dropped, or makes way.

use super::*;

fn full(overflow: Overflow) -> Fixture {
    Fixture::new(QueueConfig::default().with_max_messages(2).with_overflow(overflow))
}

#[test]
fn the_oldest_makes_room() {
    let mut queue = full(Overflow::DropOldest);
    queue.push_all(&["1", "2", "3", "4"]);
    assert_eq!((queue.ledger().accepted, queue.ledger().dropped.oldest, queue.store.payloads()), (4, 2, 2));
    let a = queue.consumer('a', 1);
    queue.deliveries();
    queue.push("5").unwrap();
    assert_eq!(queue.ledger().in_flight, 1, "what is in flight makes no room");
    queue.again(a, 1..=1);
    assert_eq!(queue.drain(), ["3", "5"]);
}

#[test]
fn where_nothing_can_make_room_the_new_one_is_refused() {
    let mut queue = full(Overflow::DropOldest);
    queue.push_all(&["1", "2"]);
    queue.consumer('a', 9);
    queue.deliveries();
    assert_eq!(queue.push("3").unwrap_err(), PushError::QueueFull { messages: 2, bytes: 130 });
    assert_eq!(queue.ledger().turned_away, 1);
    queue.check();
}

#[test]
fn the_newest_is_taken_and_dropped() {
    let mut queue = full(Overflow::DropNewest);
    queue.push_all(&["1", "2", "3"]);
    assert_eq!((queue.ledger().accepted, queue.ledger().dropped.newest), (3, 1));
    assert_eq!(queue.drain(), ["1", "2"]);
    queue.push("4").unwrap();
    assert_eq!(queue.messages(&queue.store).next().unwrap().id, MessageId::new(4));
    assert_eq!(queue.drain(), ["4"]);
}

#[test]
fn a_large_message_pushes_out_as_many_as_it_takes() {
    let size = 100 + OVERHEAD;
    let config = QueueConfig::default().with_max_bytes(10 * size).with_overflow(Overflow::DropOldest);
    let mut queue = Fixture::new(config);
    let (small, large) = ("x".repeat(100), "y".repeat(5 * size - OVERHEAD));
    for _ in 0..10 {
        queue.push(&small).unwrap();
    }
    queue.push(&large).unwrap();
    assert_eq!((queue.ledger().dropped.oldest, queue.bytes()), (5, 10 * size));
    let too_large = "z".repeat(10 * size);
    let error = queue.push(&too_large).unwrap_err();
    assert_eq!(error, PushError::TooLarge { size: 10 * size + OVERHEAD, max: 10 * size });
    assert_eq!(queue.ledger().dropped.oldest, 5, "nothing was dropped for what would never fit");
}

#[test]
fn one_message_pushes_out_no_more_than_so_many() {
    let config = QueueConfig::default().with_max_bytes(2000 * OVERHEAD).with_overflow(Overflow::DropOldest);
    let mut queue = Fixture::new(config);
    for _ in 0..2000 {
        queue.push("").unwrap();
    }
    let large = "x".repeat(1900 * OVERHEAD);
    assert!(queue.push(&large).is_err(), "it is refused, and the work for it was bounded");
    assert_eq!(queue.ledger().dropped.oldest, 1024);
    queue.push(&large).unwrap();
}

#[test]
fn the_limit_holds_at_n_and_breaks_at_n_and_one() {
    let mut queue = Fixture::new(QueueConfig::default().with_max_bytes(2 * OVERHEAD + 4));
    queue.push("ab").unwrap();
    queue.push(NewMessage::new("a").with_key(b"k")).unwrap();
    assert_eq!(queue.bytes(), 2 * OVERHEAD + 4, "the key counts");
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.ack(a, 2..=2);
    assert!(queue.push("abc").is_err());
    queue.push("ab").unwrap();
}

#[test]
fn a_store_has_a_limit_for_all_queues() {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.store = Store::new().with_max_messages(2).with_max_bytes(2 * OVERHEAD + 10);
    let mut other = Queue::<char>::new(QueueConfig::default());
    queue.push("12345").unwrap();
    other.push(&mut queue.store, queue.now, "12345").unwrap();
    let error = queue.push("").unwrap_err();
    assert_eq!(error, PushError::StoreFull { messages: 2, bytes: 2 * OVERHEAD + 10 });
    other.discard(&mut queue.store);
    assert!(matches!(queue.push("123456"), Err(PushError::StoreFull { .. })), "bytes");
    queue.push("12345").unwrap();
}

#[test]
fn of_priorities_the_lowest_makes_room() {
    let config = QueueConfig::default().with_max_messages(3).with_order(OrderKind::Priority);
    let mut queue = Fixture::new(config.with_overflow(Overflow::DropOldest));
    for (payload, priority) in [("high", 9), ("low", 1), ("low too", 1), ("middle", 5), ("lowest", 0)] {
        queue.push(NewMessage::new(payload).with_priority(priority)).unwrap();
    }
    assert_eq!(queue.drain(), ["high", "middle", "lowest"], "the new one is not asked");
}

#[test]
fn a_noisy_key_pushes_out_its_own() {
    for order in [OrderKind::FairByKey, OrderKind::StickyByKey] {
        let config = QueueConfig::default().with_max_messages(4).with_order(order);
        let mut queue = Fixture::new(config.with_overflow(Overflow::DropOldest));
        queue.push_keyed(&["q1", "n1", "n2", "n3", "n4", "n5"]);
        let mut left: Vec<_> = queue.messages(&queue.store).map(|m| m.payload.to_vec()).collect();
        left.sort_unstable();
        assert_eq!(left, [b"n3", b"n4", b"n5", b"q1"], "{order:?}");
        queue.push_keyed(&["r1"]);
        assert_eq!(queue.ledger().dropped.oldest, 3, "who has none pushes out another's");
        queue.check();
    }
}

/// Messages that are bound to a consumer that can have no more now are still there to make room.
#[test]
fn what_was_put_aside_can_make_room() {
    let config = QueueConfig::default().with_max_messages(3).with_order(OrderKind::StickyByKey);
    let mut queue = Fixture::new(config.with_overflow(Overflow::DropOldest));
    queue.push_keyed(&["a1", "a2", "a3"]);
    queue.consumer('x', 1);
    queue.consumer('y', 9);
    queue.deliveries();
    queue.push_keyed(&["b1"]);
    assert_eq!((queue.ledger().dropped.oldest, queue.len()), (1, 3));
    assert_eq!(queue.deliveries(), ["y1×1 b1"]);
}

/// A queue of last values that is full of keys still takes the news of those that it has.
#[test]
fn a_value_that_replaces_another_needs_no_room() {
    let config = QueueConfig::default().with_max_messages(2).with_max_bytes(2 * (OVERHEAD + 3) + 1);
    let mut queue = Fixture::new(config.with_order(OrderKind::LastValue));
    queue.push_keyed(&["a1", "b1"]);
    queue.push_keyed(&["a2"]);
    queue.push_keyed(&["b22"]);
    assert!(queue.push(NewMessage::new("a33").with_key(b"a")).is_err(), "but for its bytes");
    assert!(queue.push(NewMessage::new("c1").with_key(b"c")).is_err());
    assert_eq!((queue.ledger().dropped.replaced, queue.ledger().turned_away), (2, 2));
    queue.check();
    let delayed = NewMessage::new("a3").with_key(b"a").with_delay(SECOND);
    assert!(queue.push(delayed).is_err(), "what comes later replaces nothing yet");
    assert_eq!(queue.drain(), ["a2", "b22"]);
}

/// A key that no message has was taken for none, so that new keys pushed out those who have none.
#[test]
fn a_new_key_pushes_out_the_key_whose_turn_is_last_not_those_without_one() {
    for order in [OrderKind::FairByKey, OrderKind::StickyByKey] {
        let config = QueueConfig::default().with_order(order).with_max_messages(4).with_overflow(Overflow::DropOldest);
        let mut queue = Fixture::new(config);
        queue.push_all(&["1", "2"]);
        queue.push_keyed(&["a1", "b1"]);
        queue.push_keyed(&["c1"]);
        let mut left = queue.drain();
        left.sort_unstable();
        assert_eq!(left, ["1", "2", "a1", "c1"], "{order:?}");
        queue.push_all(&["1", "2"]);
        queue.push_keyed(&["a1", "b1"]);
        queue.push_all(&["3"]);
        left = queue.drain();
        left.sort_unstable();
        assert_eq!(left, ["2", "3", "a1", "b1"], "who has no key pushes out their own, {order:?}");
    }
}
