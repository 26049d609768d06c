//! Enumerations, look-ups, histories, purges.

use super::*;

#[test]
fn every_message_is_found_wherever_it_is() {
    let mut queue = queue_of(&["in flight", "came back", "plain"]);
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.again(a, 2..=2);
    queue.push(NewMessage::new("delayed").with_delay(SECOND).with_key(b"k")).unwrap();
    queue.push(NewMessage::new("special").with_priority(3)).unwrap();
    queue.push("plain, behind").unwrap();
    let place =
        |id| queue.message(&queue.store, MessageId::new(id)).map(|m| (m.payload.to_vec(), m.deliveries, m.place));
    let expected = [
        ("in flight", 1, Place::InFlight { consumer: a, tag: 1 }),
        ("came back", 1, Place::Ready),
        ("plain", 0, Place::Ready),
        ("delayed", 0, Place::Delayed(Instant::ZERO + SECOND)),
        ("special", 0, Place::Ready),
        ("plain, behind", 0, Place::Ready),
    ];
    for (id, (payload, deliveries, at)) in (1..).zip(expected) {
        assert_eq!(place(id), Some((payload.as_bytes().to_vec(), deliveries, at)));
    }
    assert_eq!((place(0), place(7)), (None, None));
    queue.check();
    queue.ack(a, 1..=1);
    assert_eq!(queue.message(&queue.store, MessageId::new(1)).map(|m| m.id), None);
}

#[test]
fn a_purge_takes_what_waits_and_leaves_what_is_in_flight() {
    let mut queue = queue_of(&["1", "2", "3"]);
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.again(a, 2..=2);
    queue.push(NewMessage::new("4").with_delay(SECOND)).unwrap();
    queue.push(NewMessage::new("5").with_ttl(SECOND)).unwrap();
    let (store, now) = (&mut queue.store, queue.now);
    assert_eq!(queue.queue.purge(store, now), 4);
    assert_eq!((queue.ledger().purged, queue.ledger().in_flight, queue.store.payloads()), (4, 1, 1));
    queue.check();
    assert_eq!(queue.next_due(), None);
    queue.push("6").unwrap();
    assert!(queue.is_plain);
    assert_eq!(queue.ack(a, 1..=1), 1);
    assert_eq!(queue.drain(), ["6"]);
}

#[test]
fn a_purge_in_steps_takes_what_was_there_when_it_began() {
    for order in [OrderKind::Fifo, OrderKind::StickyByKey, OrderKind::Priority] {
        let mut queue = Fixture::new(QueueConfig::default().with_order(order));
        for number in 0..50_u32 {
            let key = [b'a' + (number % 7) as u8];
            queue.push("plain").unwrap();
            queue.push(NewMessage::new("special").with_key(&key).with_ttl(100 * SECOND)).unwrap();
        }
        let mut purge = queue.begin_purge();
        loop {
            let before = queue.ledger().purged;
            queue.push("new").unwrap();
            let (store, now) = (&mut queue.store, queue.now);
            let (looked, is_done) = queue.queue.go_on_with_purge(store, now, &mut purge, 7);
            assert!(looked <= 7 && queue.ledger().purged - before <= looked as u64);
            queue.check();
            if is_done {
                break;
            }
        }
        assert_eq!(queue.ledger().purged, 100, "{order:?}");
        assert!(queue.drain().iter().all(|payload| payload == "new"));
    }
}

#[test]
fn a_history_says_what_happened_to_a_message() {
    let redelivery = Redelivery::default().with_lease(SECOND).with_backoff(SECOND, SECOND);
    let mut queue = Fixture::new(QueueConfig::default().with_history(100).with_redelivery(redelivery));
    queue.push("1").unwrap();
    queue.push("2").unwrap();
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.extend(a, 1..=1, None);
    queue.advance(SECOND);
    queue.advance(SECOND);
    queue.deliveries();
    queue.ack(a, 3..=3);
    let at = |seconds: u32| Instant::ZERO + seconds * SECOND;
    let seen: Vec<_> = queue.explain(MessageId::new(1)).map(|event| (event.at, event.what)).collect();
    let delivered = |tag| What::Delivered { consumer: a, tag };
    assert_eq!(
        seen,
        [
            (at(0), What::Accepted),
            (at(0), delivered(1)),
            (at(0), What::Extended { until: at(1) }),
            (at(1), What::Lapsed),
            (at(1), What::Delayed { until: at(2) }),
            (at(2), What::Ready),
            (at(2), delivered(3)),
            (at(2), What::Acked),
        ]
    );
    assert!(queue.explain(MessageId::new(9)).next().is_none());
}

#[test]
fn a_history_is_bounded() {
    let mut queue = Fixture::new(QueueConfig::default().with_history(3));
    queue.push_all(&["1", "2", "3", "4"]);
    let kept = |queue: &Fixture, id| queue.explain(MessageId::new(id)).count();
    assert_eq!([1, 2, 3, 4].map(|id| kept(&queue, id)), [0, 1, 1, 1]);
    let mut queue = queue_of(&["1"]);
    queue.deliveries();
    assert_eq!(kept(&queue, 1), 0, "off unless it is asked for");
}

#[test]
fn a_queue_of_anything_leaves_nothing_in_the_store() {
    let redelivery = Redelivery::default().with_dead_letter("dead");
    let config = QueueConfig::default().with_order(OrderKind::Priority).with_redelivery(redelivery);
    let mut queue = Fixture::new(config);
    queue.push_all(&["1", "2", "3"]);
    queue.push(NewMessage::new("4").with_delay(SECOND)).unwrap();
    let a = queue.consumer('a', 2);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    assert_eq!(queue.store.payloads(), 4, "one in each place, and a dead letter on its way");
    let Fixture { mut store, queue, .. } = queue;
    queue.discard(&mut store);
    assert_eq!(store.payloads(), 0);
}

#[test]
fn what_a_burst_of_special_messages_took_goes_back() {
    let mut queue = Fixture::new(QueueConfig::default().with_order(OrderKind::FairByKey).with_ttl(SECOND));
    for number in 0..10_000_u32 {
        queue.push(NewMessage::new("x").with_key(&number.to_be_bytes())).unwrap();
    }
    queue.advance(SECOND);
    assert_eq!((queue.len(), queue.ledger().expired), (0, 10_000));
    assert_eq!((queue.special().messages.slots(), queue.next_due()), (0, None));
}
