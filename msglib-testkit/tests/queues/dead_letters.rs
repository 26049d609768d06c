//! What cannot be delivered goes to another queue, says why, and can go back.

use super::*;
use msglib_broker::queue::{DeathReason, OrderKind};
use msglib_client::Verdict;

fn dying() -> Redelivery {
    Redelivery::default().with_dead_letter("dead")
}

/// I17, I18: one dead letter after so many deliveries, in one of the queues and never in both.
#[test]
fn after_so_many_attempts_a_message_is_a_dead_letter() {
    let mut world = world(QueueConfig::default());
    let redelivery = dying().with_max_deliveries(3);
    let config = QueueConfig::default().with_redelivery(redelivery);
    world.act(|handler, cx| handler.declare(cx, "jobs", config)).unwrap();
    publish(&mut world, "jobs", NewMessage::from("poison").with_key(b"key").with_priority(4));
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    for attempt in 1..=3 {
        let delivery = receive(&mut world, &mut sub).pop().unwrap();
        assert_eq!(delivery.count(), attempt);
        delivery.refuse(Verdict::Again).unwrap();
    }
    assert!(receive(&mut world, &mut sub).is_empty());
    assert_eq!((ledger(&world, "jobs").dead_lettered, ledger(&world, "jobs").ready), (1, 0));
    let dead = world.handler().queue("dead").unwrap();
    assert_eq!((dead.ledger.accepted, dead.ledger.ready), (1, 1));
    let message = dead.messages().next().unwrap();
    assert_eq!((message.priority, message.key, message.deliveries), (4, Some(&b"key"[..]), 0));
    let cause = message.cause.unwrap();
    assert_eq!((cause.reason, cause.deliveries, cause.hops), (DeathReason::TooManyDeliveries, 3, 1));
    assert_eq!(cause.source.as_ref().unwrap().to_string(), "jobs");
    let (_other, mut undertaker) = subscribe(&mut world, "dead");
    assert_eq!(texts(&receive(&mut world, &mut undertaker)), ["poison×1"]);
}

#[test]
fn a_message_that_is_refused_for_good_or_expired_is_a_dead_letter() {
    let mut world = world(QueueConfig::default());
    let config = QueueConfig::default().with_redelivery(dying()).with_ttl(9 * SECOND);
    world.act(|handler, cx| handler.declare(cx, "jobs", config)).unwrap();
    publish(&mut world, "jobs", "bad");
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    receive(&mut world, &mut sub).pop().unwrap().refuse(Verdict::ForGood).unwrap();
    world.settle();
    world.step_until_ok("the end of the link", || sub.close());
    publish(&mut world, "jobs", "old");
    world.settle();
    world.advance(9 * SECOND);
    world.settle();
    let dead = world.handler().queue("dead").unwrap();
    let reasons: Vec<_> = dead.messages().map(|message| message.cause.unwrap().reason).collect();
    assert_eq!(reasons, [DeathReason::RefusedForGood, DeathReason::Expired]);
    assert_eq!((ledger(&world, "jobs").refused, ledger(&world, "jobs").expired), (0, 0));
    assert_eq!(ledger(&world, "jobs").dead_lettered, 2);
}

/// Each of two queues is the end of the other: a message that nobody wants stops after so many rounds.
#[test]
fn a_circle_of_dead_letters_ends() {
    let mut world = world(QueueConfig::default());
    for (queue, other) in [("ping", "pong"), ("pong", "ping")] {
        let redelivery = Redelivery::default().with_dead_letter(other).with_max_hops(4);
        let config = QueueConfig::default().with_redelivery(redelivery).with_ttl(SECOND);
        world.act(|handler, cx| handler.declare(cx, queue, config)).unwrap();
    }
    publish(&mut world, "ping", "ball");
    for _ in 0..10 {
        world.settle();
        world.advance(SECOND);
    }
    world.settle();
    let (ping, pong) = (ledger(&world, "ping"), ledger(&world, "pong"));
    assert_eq!((ping.dead_lettered, pong.dead_lettered), (2, 2));
    assert_eq!((ping.dropped.undeliverable, pong.dropped.undeliverable), (1, 0));
    assert_eq!(world.handler().held(), (0, 0));
}

#[test]
fn a_queue_can_be_its_own_end() {
    let redelivery = Redelivery::default().with_dead_letter("jobs").with_max_hops(2);
    let mut world = world(QueueConfig::default().with_redelivery(redelivery).with_ttl(SECOND));
    publish(&mut world, "jobs", "again and again");
    for _ in 0..5 {
        world.settle();
        world.advance(SECOND);
    }
    let ledger = ledger(&world, "jobs");
    assert_eq!((ledger.accepted, ledger.dead_lettered, ledger.dropped.undeliverable), (3, 2, 1));
}

#[test]
fn dead_letters_go_back_when_the_reason_is_gone() {
    let mut world = world(QueueConfig::default());
    for queue in ["jobs", "mail"] {
        let config = QueueConfig::default().with_redelivery(dying()).with_max_messages(2);
        world.act(|handler, cx| handler.declare(cx, queue, config)).unwrap();
        publish(&mut world, queue, format!("{queue} 1").as_str());
        publish(&mut world, queue, format!("{queue} 2").as_str());
        let (_connection, mut sub) = subscribe(&mut world, queue);
        for delivery in receive(&mut world, &mut sub) {
            delivery.refuse(Verdict::ForGood).unwrap();
        }
        world.settle();
    }
    assert_eq!(ledger(&world, "dead").ready, 4);
    publish(&mut world, "mail", "in the way");
    world.settle();
    assert_eq!(world.act(|handler, cx| handler.redrive(cx, "dead", 1)), 1);
    assert_eq!(world.act(|handler, cx| handler.redrive(cx, "dead", 10)), 2, "mail has room for one");
    let dead = ledger(&world, "dead");
    assert_eq!((dead.redriven, dead.ready), (3, 1));
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let back = receive(&mut world, &mut sub);
    assert_eq!(texts(&back), ["jobs 1×1", "jobs 2×1"], "as if they were new");
    world.act(|handler, cx| handler.delete(cx, "mail"));
    assert_eq!(world.act(|handler, cx| handler.redrive(cx, "dead", 10)), 0, "its queue is gone");
    assert!(ledger(&world, "dead").is_balanced());
}

#[test]
fn a_dead_letter_for_which_there_is_no_room_is_dropped_and_counted() {
    let mut world = world(QueueConfig::default().with_redelivery(dying()));
    let full = QueueConfig::default().with_max_messages(1);
    world.act(|handler, cx| handler.declare(cx, "dead", full)).unwrap();
    publish(&mut world, "jobs", "1");
    publish(&mut world, "jobs", "2");
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    for delivery in receive(&mut world, &mut sub) {
        delivery.refuse(Verdict::ForGood).unwrap();
    }
    world.settle();
    let jobs = ledger(&world, "jobs");
    assert_eq!((jobs.dead_lettered, jobs.dropped.undeliverable), (1, 1));
    assert_eq!((ledger(&world, "dead").ready, ledger(&world, "dead").turned_away), (1, 1));
    assert_eq!(world.handler().held().0, 1);
}

/// A queue of dead letters has a configuration of its own, and its consumers are served like any others.
#[test]
fn a_dead_letter_is_delivered_at_once_where_somebody_waits_for_it() {
    let mut world = world(QueueConfig::default().with_redelivery(dying()).with_ttl(SECOND));
    let config = QueueConfig::default().with_order(OrderKind::Priority);
    world.act(|handler, cx| handler.declare(cx, "dead", config)).unwrap();
    let (_connection, mut undertaker) = subscribe(&mut world, "dead");
    publish(&mut world, "jobs", NewMessage::from("low").with_priority(1));
    publish(&mut world, "jobs", NewMessage::from("high").with_priority(2));
    world.settle();
    world.advance(SECOND);
    assert_eq!(texts(&receive(&mut world, &mut undertaker)), ["high×1", "low×1"]);
}
