//! Messages that leave a queue for another.

use super::*;

fn dying(redelivery: Redelivery) -> Fixture {
    Fixture::redelivering(redelivery.with_dead_letter("dead"))
}

fn reasons(queue: &mut Fixture) -> Vec<(String, DeathReason, u32)> {
    let mut reasons = Vec::new();
    while let Some(departed) = queue.queue.take_departed() {
        assert!(departed.is_dead_letter());
        let payload = String::from_utf8(departed.payload(&queue.store).to_vec()).unwrap();
        let cause = departed.cause().unwrap();
        reasons.push((payload, cause.reason, cause.deliveries));
        departed.discard(&mut queue.store);
    }
    reasons
}

#[test]
fn every_way_to_die_is_told_with_its_reason() {
    let config = QueueConfig::default().with_max_messages(4).with_overflow(Overflow::DeadLetterOldest);
    let redelivery = Redelivery::default().with_max_deliveries(2).with_dead_letter("dead");
    let mut queue = Fixture::new(config.with_redelivery(redelivery));
    queue.push(NewMessage::new("old").with_ttl(SECOND)).unwrap();
    queue.push_all(&["pushed out"]);
    queue.advance(SECOND);
    queue.push_all(&["bad", "poison", "good"]);
    let a = queue.consumer('a', 9);
    queue.pause();
    queue.push("one too many").unwrap();
    queue.resume();
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    queue.again(a, 2..=2);
    queue.deliveries();
    queue.again(a, 5..=5);
    queue.ack(a, 3..=4);
    use DeathReason::*;
    let expected =
        [("old", Expired, 0), ("pushed out", Dropped, 0), ("bad", RefusedForGood, 1), ("poison", TooManyDeliveries, 2)];
    assert_eq!(reasons(&mut queue), expected.map(|(payload, reason, count)| (payload.to_owned(), reason, count)));
    let ledger = queue.ledger();
    assert_eq!((ledger.dead_lettered, ledger.expired, ledger.refused, ledger.dropped.total()), (4, 0, 0, 0));
    assert_eq!((queue.store.payloads(), queue.len()), (0, 0));
}

#[test]
fn a_dead_letter_keeps_what_it_was_and_says_where_it_has_been() {
    let mut queue = dying(Redelivery::default());
    let mut dead = Queue::<char>::new(QueueConfig::default());
    let message = NewMessage::new("x").with_key(b"key").with_priority(7).with_ttl(100 * SECOND);
    queue.advance(SECOND);
    queue.push(message).unwrap();
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    let mut departed = queue.queue.take_departed().unwrap();
    departed.cause_mut().unwrap().source = Some(msglib_proto::ChannelName::from("jobs").to_owned());
    dead.admit(&mut queue.store, queue.now, departed).unwrap();
    let info = dead.messages(&queue.store).next().unwrap();
    assert_eq!((info.priority, info.key, info.deliveries), (7, Some(&b"key"[..]), 0));
    assert_eq!(info.expires, Instant::MAX, "its time is over when it is dead, and no longer counts");
    let cause = info.cause.unwrap();
    assert_eq!((cause.hops, cause.deliveries, cause.first), (1, 1, Instant::ZERO + SECOND));
    assert_eq!(cause.source.as_ref().unwrap().to_string(), "jobs");
    let b = dead.add_consumer('b');
    dead.allow(b, 1);
    dead.dispatch(&mut queue.store, queue.now, 9, |offer| {
        assert_eq!((offer.count, offer.key(), offer.priority()), (1, Some(&b"key"[..]), 7));
        assert_eq!(offer.cause().unwrap().reason, DeathReason::RefusedForGood);
        assert!(!offer.is_plain());
        Ok(())
    });
    assert_eq!((queue.len(), dead.len()), (0, 1), "in one of them");
}

/// Two queues that are each other's end.
#[test]
fn a_circle_comes_to_an_end() {
    let redelivery = Redelivery::default().with_dead_letter("the other").with_max_hops(3);
    let mut queue = Fixture::redelivering(redelivery.clone());
    let mut other = Queue::new(QueueConfig::default().with_redelivery(redelivery));
    queue.push("round and round").unwrap();
    let mut hops = Vec::new();
    loop {
        let a = queue.consumer('a', 1);
        queue.deliveries();
        queue.settle(a, 1..=1, Settling::ForGood);
        queue.remove(a);
        let Some(departed) = queue.queue.take_departed() else { break };
        hops.push(departed.cause().unwrap().hops);
        other.admit(&mut queue.store, queue.now, departed).unwrap();
        core::mem::swap(&mut queue.queue, &mut other);
        assert!(hops.len() < 10, "there is no end");
    }
    assert_eq!(hops, [1, 2, 3]);
    assert_eq!((queue.ledger().dropped.undeliverable, queue.store.payloads()), (1, 0));
}

#[test]
fn a_dead_letter_without_room_is_counted_as_dropped() {
    let mut queue = dying(Redelivery::default());
    let mut dead = Queue::<char>::new(QueueConfig::default().with_max_messages(0));
    queue.push("x").unwrap();
    let a = queue.consumer('a', 1);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    let departed = queue.queue.take_departed().unwrap();
    let (error, mut departed) = dead.admit(&mut queue.store, queue.now, departed).unwrap_err();
    assert!(matches!(error, PushError::QueueFull { .. }));
    queue.lost_dead_letter(&mut departed);
    assert_eq!(departed.fate(), Fate::NoRoomForDeadLetter);
    departed.discard(&mut queue.store);
    assert_eq!((queue.ledger().dead_lettered, queue.ledger().dropped.undeliverable), (0, 1));
    queue.check();
}

#[test]
fn dead_letters_go_back_to_where_they_came_from() {
    let mut queue = dying(Redelivery::default());
    let mut dead = Queue::<char>::new(QueueConfig::default());
    queue.push_all(&["1", "2", "3"]);
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.settle(a, 1..=3, Settling::ForGood);
    while let Some(departed) = queue.queue.take_departed() {
        dead.admit(&mut queue.store, queue.now, departed).unwrap();
    }
    dead.push(&mut queue.store, queue.now, "not a dead letter").unwrap();
    let mut redriven = dead.redrive(2, |cause| cause.reason == DeathReason::RefusedForGood);
    assert_eq!(redriven.iter().map(|departed| departed.id().value()).collect::<Vec<_>>(), [1, 2]);
    dead.put_back(&mut queue.store, queue.now, redriven.pop().unwrap());
    let back = redriven.pop().unwrap();
    let (store, now) = (&mut queue.store, queue.now);
    queue.queue.admit(store, now, back).unwrap();
    assert_eq!((dead.ledger().redriven, dead.ledger().ready), (1, 3));
    assert!(dead.ledger().is_balanced());
    queue.allow(a, 9);
    assert_eq!(queue.deliveries(), ["a4×1 1"], "as if it were new");
    assert!(queue.messages(&queue.store).all(|message| message.cause.is_none()));
}

#[test]
fn whoever_watches_is_told_of_every_end_but_acks() {
    let config = QueueConfig::default().with_max_messages(2).with_overflow(Overflow::DropOldest);
    let mut queue = Fixture::new(config);
    queue.watch();
    queue.push_all(&["1", "2", "3"]);
    queue.push(NewMessage::new("4").with_ttl(SECOND)).unwrap();
    queue.advance(SECOND);
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    let mut fates = Vec::new();
    while let Some(departed) = queue.queue.take_departed() {
        fates.push((departed.id().value(), departed.fate()));
        departed.discard(&mut queue.store);
    }
    use Fate::*;
    assert_eq!(fates, [(1, DroppedOldest), (2, DroppedOldest), (4, Expired), (3, Refused)]);
    assert_eq!(queue.store.payloads(), 0);
}

/// Found by the model: it said how often it was delivered where it came from.
#[test]
fn a_dead_letter_that_is_dropped_as_it_comes_was_never_delivered_there() {
    let mut queue = dying(Redelivery::default());
    let mut dead = Queue::<char>::new(QueueConfig::default().with_max_messages(0).with_overflow(Overflow::DropNewest));
    dead.watch();
    queue.push_all(&["1"]);
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    let departed = queue.queue.take_departed().unwrap();
    let (store, now) = (&mut queue.store, queue.now);
    let id = dead.admit(store, now, departed).unwrap();
    let dropped = dead.take_departed().unwrap();
    assert_eq!((dropped.id(), dropped.fate(), dropped.deliveries()), (id, Fate::DroppedNewest, 0));
    dropped.discard(store);
}

/// Found by the model: it was there for ever, and ready at once.
#[test]
fn a_dead_letter_that_is_put_back_keeps_its_time_and_its_delay() {
    let mut queue = dying(Redelivery::default());
    let config = QueueConfig::default().with_ttl(9 * SECOND).with_delay(5 * SECOND);
    let mut dead = Fixture::new(config);
    queue.push_all(&["1"]);
    let a = queue.consumer('a', 9);
    queue.deliveries();
    queue.settle(a, 1..=1, Settling::ForGood);
    let departed = queue.queue.take_departed().unwrap();
    core::mem::swap(&mut queue.store, &mut dead.store);
    let id = dead.queue.admit(&mut dead.store, dead.now, departed).unwrap();
    dead.advance(SECOND);
    let before = dead.queue.message(&dead.store, id).map(|message| (message.place, message.expires)).unwrap();
    let departed = dead.queue.redrive(1, |_| true).pop().unwrap();
    dead.queue.put_back(&mut dead.store, dead.now, departed);
    let after = dead.queue.message(&dead.store, id).map(|message| (message.place, message.expires)).unwrap();
    assert_eq!(after, before);
    dead.advance(8 * SECOND);
    assert_eq!((dead.ledger().expired, dead.len()), (1, 0));
}
