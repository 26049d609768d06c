//! No room: who is told what, and what is dropped.

use super::*;
use msglib_broker::queue::Overflow;
use msglib_client::{ErrorCode, publish_to_q, publish_to_q_confirmed};

fn refusal(world: &mut World, connection: &Connection, queue: &str, payload: &str) -> ErrorCode {
    let confirmation = publish_to_q_confirmed(connection, queue, payload).unwrap();
    let error = world.step_until_done("an outcome", || confirmation.wait()).unwrap_err();
    assert!(!error.ends_connection(), "{error}");
    error.code().unwrap()
}

#[test]
fn all_queues_together_have_a_limit_and_say_that_the_broker_is_busy() {
    let config = StockConfig::default().with_max_messages(2);
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    let client = world.connect();
    publish_to_q(&client, "a", "1").unwrap();
    publish_to_q(&client, "b", "2").unwrap();
    assert_eq!(refusal(&mut world, &client, "c", "3"), ErrorCode::BUSY);
    assert_eq!(world.handler().held().0, 2);
    let (_connection, mut sub) = subscribe(&mut world, "a");
    receive(&mut world, &mut sub).pop().unwrap().ack().unwrap();
    let confirmation = publish_to_q_confirmed(&client, "c", "3").unwrap();
    world.step_until_ok("a confirm", || confirmation.wait());
}

#[test]
fn what_would_never_fit_is_too_large_and_not_worth_another_try() {
    let mut world = world(QueueConfig::default().with_max_bytes(100));
    let client = world.connect();
    let code = refusal(&mut world, &client, "q", &"x".repeat(37));
    assert_eq!(code, ErrorCode::MESSAGE_TOO_LARGE);
    assert!(!code.is_worth_retrying());
    let confirmation = publish_to_q_confirmed(&client, "q", &"x".repeat(36)).unwrap();
    world.step_until_ok("a confirm: 64 bytes of overhead and 36", || confirmation.wait());
}

/// The publisher is told that its message was accepted, and it was; what was dropped for it is counted.
#[test]
fn older_messages_make_room_in_a_queue_that_is_told_so() {
    let mut world = world(QueueConfig::default().with_max_messages(3).with_overflow(Overflow::DropOldest));
    let client = world.connect();
    for number in 1..=5 {
        let confirmation = publish_to_q_confirmed(&client, "q", &number.to_string()).unwrap();
        world.step_until_ok("a confirm", || confirmation.wait());
    }
    let (_connection, mut sub) = subscribe(&mut world, "q");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["3×1", "4×1", "5×1"]);
    assert_eq!(refusal(&mut world, &client, "q", "6"), ErrorCode::QUEUE_FULL, "what is in flight makes no room");
    let ledger = ledger(&world, "q");
    assert_eq!((ledger.accepted, ledger.dropped.oldest, ledger.turned_away), (5, 2, 1));
}

#[test]
fn older_messages_make_room_as_dead_letters() {
    let redelivery = Redelivery::default().with_dead_letter("dead");
    let config = QueueConfig::default().with_max_messages(1).with_overflow(Overflow::DeadLetterOldest);
    let mut world = world(QueueConfig::default());
    world.act(|handler, cx| handler.declare(cx, "q", config.with_redelivery(redelivery))).unwrap();
    let client = world.connect();
    for number in 1..=3 {
        publish_to_q(&client, "q", &number.to_string()).unwrap();
    }
    world.settle();
    let dead = world.handler().queue("dead").unwrap();
    assert_eq!(dead.messages().map(|m| m.payload.to_vec()).collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((ledger(&world, "q").dead_lettered, ledger(&world, "q").ready), (2, 1));
}

#[test]
fn new_messages_are_dropped_in_a_queue_that_is_told_so() {
    let mut world = world(QueueConfig::default().with_max_messages(1).with_overflow(Overflow::DropNewest));
    let client = world.connect();
    for number in 1..=3 {
        let confirmation = publish_to_q_confirmed(&client, "q", &number.to_string()).unwrap();
        world.step_until_ok("a confirm", || confirmation.wait());
    }
    let ledger = ledger(&world, "q");
    assert_eq!((ledger.accepted, ledger.ready, ledger.dropped.newest), (3, 1, 2));
}
