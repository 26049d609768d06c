//! Messages that are named by their ids.

use super::*;
use crate::random::Random;
use std::collections::BTreeMap;

fn indexed(order: OrderKind) -> Fixture {
    Fixture::new(QueueConfig::default().with_order(order).with_index())
}

impl Fixture {
    fn peeked(&mut self) -> Option<String> {
        let message = self.queue.peek(&self.store)?;
        Some(String::from_utf8(message.payload.to_vec()).unwrap())
    }

    /// The tag, the count and the payload.
    fn deliver_by_id(&mut self, id: MessageId, to: ConsumerId) -> Option<(u64, u32, String)> {
        let offer = self.queue.deliver(&mut self.store, self.now, id, to)?;
        Some((offer.tag, offer.count, String::from_utf8(offer.payload.to_vec()).unwrap()))
    }

    fn ready_by_id(&mut self, id: MessageId) -> bool {
        self.queue.make_ready(&mut self.store, self.now, id)
    }

    fn remove_by_id(&mut self, id: MessageId) -> bool {
        self.queue.remove(&mut self.store, self.now, id)
    }

    fn place(&self, id: MessageId) -> Option<Place> {
        self.queue.message(&self.store, id).map(|message| message.place)
    }
}

#[test]
fn a_message_is_delivered_out_of_turn_and_without_credit() {
    let mut queue = indexed(OrderKind::Fifo);
    let ids = ["a", "b", "c"].map(|payload| queue.push(payload).unwrap());
    let delayed = queue.push(NewMessage::new("d").with_delay(SECOND)).unwrap();
    let consumer = queue.consumer('x', 0);
    assert_eq!(queue.peeked().as_deref(), Some("a"));
    assert_eq!(queue.deliver_by_id(ids[1], consumer), Some((1, 1, "b".into())));
    assert_eq!(queue.deliver_by_id(ids[1], consumer), None, "it is in flight");
    assert_eq!(queue.deliver_by_id(delayed, consumer), Some((2, 1, "d".into())));
    assert_eq!(queue.held(&queue.store, consumer, 1).map(|message| message.id), Some(ids[1]));
    queue.check();
    assert_eq!(queue.again(consumer, 1..=1), 1);
    assert!(queue.held(&queue.store, consumer, 1).is_none());
    assert_eq!(queue.deliver_by_id(ids[1], consumer), Some((3, 2, "b".into())), "the second time");
    assert_eq!(queue.ack(consumer, 1..=9), 2);
    assert_eq!(queue.drain(), ["a", "c"]);
    assert_eq!(queue.store.payloads(), 0);
}

/// What it has allowed means from there on what it would have meant.
#[test]
fn credit_and_what_is_delivered_by_name_go_together() {
    let mut queue = indexed(OrderKind::Fifo);
    let ids = ["a", "b", "c"].map(|payload| queue.push(payload).unwrap());
    let consumer = queue.consumer('x', 2);
    queue.deliver_by_id(ids[2], consumer).unwrap();
    assert_eq!(queue.deliveries(), ["x2×1 a"], "of the two that it has allowed one is used up");
    queue.allow(consumer, 3);
    assert_eq!(queue.deliveries(), ["x3×1 b"]);
}

#[test]
fn what_is_delayed_can_be_ready_now_and_what_waits_can_be_dropped() {
    let mut queue = indexed(OrderKind::Fifo);
    let later = queue.push(NewMessage::new("later").with_delay(SECOND)).unwrap();
    let never = queue.push(NewMessage::new("never").with_delay(Duration::MAX)).unwrap();
    assert_eq!(
        (queue.place(later), queue.place(never)),
        (Some(Place::Delayed(Instant::ZERO + SECOND)), Some(Place::Delayed(Instant::MAX)))
    );
    assert!(queue.ready_by_id(later) && !queue.ready_by_id(later));
    assert_eq!(queue.peeked().as_deref(), Some("later"));
    queue.advance(10 * SECOND);
    assert!(queue.remove_by_id(never) && !queue.remove_by_id(never));
    assert!(queue.remove_by_id(later));
    assert_eq!((queue.ledger().purged, queue.len(), queue.peeked()), (2, 0, None));
    queue.check();
    let consumer = queue.consumer('x', 9);
    let held = queue.push("held").unwrap();
    queue.deliveries();
    assert!(!queue.remove_by_id(held) && !queue.ready_by_id(held), "it is somebody's");
    assert_eq!(queue.ack(consumer, 1..=1), 1);
}

#[test]
fn limits_leases_and_times_to_live_hold_for_it_too() {
    let redelivery = Redelivery::default().with_lease(SECOND);
    let config = QueueConfig::default().with_index().with_max_in_flight(1).with_redelivery(redelivery);
    let mut queue = Fixture::new(config);
    let ids = ["a", "b"].map(|payload| queue.push(payload).unwrap());
    let short = queue.push(NewMessage::new("short").with_ttl(SECOND / 2)).unwrap();
    let consumer = queue.consumer('x', 0);
    queue.deliver_by_id(ids[0], consumer).unwrap();
    assert_eq!(queue.deliver_by_id(ids[1], consumer), None, "one more than it may have");
    queue.now += SECOND / 2;
    let other = queue.consumer('y', 0);
    assert_eq!(queue.deliver_by_id(short, other), None, "too late");
    assert_eq!(queue.ledger().expired, 1);
    queue.advance(SECOND);
    assert_eq!((queue.ledger().lapsed, queue.place(ids[0])), (1, Some(Place::Ready)));
    queue.check();
    queue.remove(consumer);
    assert_eq!(queue.deliver_by_id(ids[0], consumer), None, "it is gone");
}

/// A paused queue gives nothing out by itself.
#[test]
fn a_pause_is_not_for_those_who_name_a_message() {
    let mut queue = indexed(OrderKind::Fifo);
    let id = queue.push("a").unwrap();
    let consumer = queue.consumer('x', 9);
    queue.pause();
    assert!(queue.deliveries().is_empty());
    assert_eq!(queue.peeked().as_deref(), Some("a"));
    assert!(queue.deliver_by_id(id, consumer).is_some());
}

#[test]
fn without_an_index_nothing_is_found() {
    let mut queue = queue_of(&["a"]);
    let id = queue.push(NewMessage::new("b").with_delay(SECOND)).unwrap();
    let consumer = queue.consumer('x', 9);
    assert_eq!((queue.peeked(), queue.deliver_by_id(id, consumer)), (None, None));
    assert!(!queue.ready_by_id(id) && !queue.remove_by_id(id));
    queue.check();
}

/// Random operations on messages by their names, in each order, beside a map that says where each of them is.
#[test]
fn whatever_is_named_is_where_it_should_be() {
    let orders =
        [OrderKind::Fifo, OrderKind::Priority, OrderKind::FairByKey, OrderKind::StickyByKey, OrderKind::LastValue];
    for (seed, order) in (0..).zip(orders.into_iter().cycle().take(15)) {
        let mut random = Random::new(seed);
        let mut below = |most: u64| random.next() % most;
        let mut queue = indexed(order);
        let consumers = ['a', 'b', 'c'].map(|name| queue.consumer(name, 0));
        // Whose it is, and under which tag; or that it waits.
        let mut known: BTreeMap<MessageId, Option<(ConsumerId, u64)>> = BTreeMap::new();
        for step in 0..200_u64 {
            let id = MessageId::new(1 + below(1 + step / 3));
            let consumer = consumers[below(3) as usize];
            let waits = known.get(&id) == Some(&None);
            match below(8) {
                // Keys that are all different, so that none takes the place of another.
                0..3 => {
                    let (key, delay) = (step.to_be_bytes(), SECOND * below(3) as u32);
                    let message = NewMessage::new("x").with_key(&key).with_priority(below(3) as u32).with_delay(delay);
                    known.insert(queue.push(message).unwrap(), None);
                }
                3 | 4 => {
                    let delivered = queue.deliver_by_id(id, consumer);
                    assert_eq!(delivered.is_some(), waits);
                    if let Some((tag, ..)) = delivered {
                        known.insert(id, Some((consumer, tag)));
                    }
                }
                5 => {
                    assert_eq!(queue.remove_by_id(id), waits);
                    if waits {
                        known.remove(&id);
                    }
                }
                6 => {
                    let Some(Some((consumer, tag))) = known.get(&id).copied() else { continue };
                    if below(2) == 0 {
                        assert_eq!(queue.ack(consumer, tag..=tag), 1);
                        known.remove(&id);
                    } else {
                        let again = Again::after(SECOND * below(2) as u32).with_priority(below(3) as u32);
                        assert_eq!(queue.settle(consumer, tag..=tag, Settling::Again(again)), 1);
                        known.insert(id, None);
                    }
                }
                _ => {
                    let was_delayed = matches!(queue.place(id), Some(Place::Delayed(_)));
                    assert_eq!(queue.ready_by_id(id), was_delayed);
                    queue.advance(SECOND / 3);
                }
            }
            let next = queue.queue.peek(&queue.store).map(|message| message.id);
            assert_eq!(next.is_some(), queue.ledger().ready > 0, "seed {seed}");
            assert!(next.is_none_or(|next| known.get(&next) == Some(&None)));
            for (id, at) in &known {
                match (queue.place(*id), at) {
                    (Some(Place::Ready | Place::Delayed(_)), None) => {}
                    (Some(Place::InFlight { consumer, tag }), Some(at)) => {
                        assert_eq!((consumer, tag), *at);
                        assert_eq!(queue.held(&queue.store, consumer, tag).map(|message| message.id), Some(*id));
                    }
                    (place, at) => panic!("seed {seed}: {id} is {place:?} and should be {at:?}"),
                }
            }
            queue.check();
        }
    }
}

/// Found by the model: the key stayed with somebody who was gone.
#[test]
fn a_sticky_key_goes_on_when_the_one_that_got_it_out_of_turn_is_gone() {
    let mut queue = indexed(OrderKind::StickyByKey);
    let ids = ["x1", "x2", "x3"].map(|payload| queue.push(NewMessage::new(payload).with_key(b"x")).unwrap());
    let (a, b) = (queue.consumer('a', 1), queue.consumer('b', 0));
    assert_eq!(queue.deliveries(), ["a1×1 x1"]);
    assert!(queue.deliver_by_id(ids[1], b).is_some());
    queue.remove(b);
    queue.allow(a, 9);
    assert_eq!(queue.deliveries(), ["a2×2 x2", "a3×1 x3"]);
}

/// Found by the model: it was looked for only when the other had room.
#[test]
fn a_sticky_key_that_was_put_aside_goes_to_whoever_gets_it_out_of_turn() {
    let mut queue = indexed(OrderKind::StickyByKey);
    let ids = ["x1", "x2", "x3"].map(|payload| queue.push(NewMessage::new(payload).with_key(b"x")).unwrap());
    let (_a, b) = (queue.consumer('a', 1), queue.consumer('b', 0));
    assert_eq!(queue.deliveries(), ["a1×1 x1"]);
    queue.allow(b, 2);
    assert!(queue.deliveries().is_empty(), "the key is with a, which can have no more");
    assert!(queue.deliver_by_id(ids[1], b).is_some());
    assert_eq!(queue.deliveries(), ["b2×1 x3"]);
}
