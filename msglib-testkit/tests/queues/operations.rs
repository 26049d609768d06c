//! What the host program can do with its queues.

use super::*;
use msglib_broker::queue::{MessageId, OrderKind, Place, What};
use msglib_broker::{DeclareError, QueueState};
use msglib_client::{ErrorCode, publish_to_q, publish_to_q_confirmed};

#[test]
fn a_declared_queue_behaves_as_it_says_and_stays() {
    let mut world = Harness::new(ConnectionHandler::with_config(StockConfig::default().with_max_queues(1)));
    let config = QueueConfig::default().with_order(OrderKind::Priority);
    world.act(|handler, cx| handler.declare(cx, "jobs", config.clone())).unwrap();
    world.act(|handler, cx| handler.declare(cx, "jobs", config.clone())).expect("it is the same");
    let other = config.clone().with_max_messages(7);
    let error = world.act(|handler, cx| handler.declare(cx, "jobs", other)).unwrap_err();
    assert!(matches!(error, DeclareError::Otherwise(there) if *there == config));
    assert_eq!(world.handler().queue("jobs").unwrap().config().order, OrderKind::Priority);
    let error = world.act(|handler, cx| handler.declare(cx, "more", QueueConfig::default())).unwrap_err();
    assert!(matches!(error, DeclareError::TooMany(_)), "an empty queue that was declared makes no room: {error}");
    assert!(world.act(|handler, cx| handler.delete(cx, "jobs")));
    world.act(|handler, cx| handler.declare(cx, "more", QueueConfig::default())).unwrap();
}

#[test]
fn the_program_publishes_like_a_client() {
    let mut world = world(QueueConfig::default().with_max_messages(2));
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let first = world.act(|handler, cx| handler.publish(cx, "jobs", "1")).unwrap();
    assert_eq!(first, MessageId::new(1));
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["1×1"], "without anything that wakes the broker");
    publish(&mut world, "jobs", "2");
    let refused = world.act(|handler, cx| handler.publish(cx, "jobs", "3")).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::QUEUE_FULL);
}

#[test]
fn a_paused_queue_takes_and_does_not_give() {
    let mut world = world(QueueConfig::default());
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    assert!(world.act(|handler, cx| handler.pause(cx, "jobs")));
    assert!(!world.act(|handler, cx| handler.pause(cx, "unknown")));
    let client = world.connect();
    publish_to_q(&client, "jobs", "1").unwrap();
    assert!(receive(&mut world, &mut sub).is_empty());
    assert_eq!(world.handler().queue("jobs").unwrap().state, QueueState::Paused);
    assert!(world.act(|handler, cx| handler.resume(cx, "jobs")));
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["1×1"]);
}

#[test]
fn a_queue_that_is_drained_gives_and_does_not_take() {
    let mut world = world(QueueConfig::default());
    let client = world.connect();
    publish_to_q(&client, "jobs", "1").unwrap();
    world.settle();
    assert!(world.act(|handler, cx| handler.drain(cx, "jobs")));
    for payload in ["2", "3"] {
        let confirmation = publish_to_q_confirmed(&client, "jobs", payload).unwrap();
        let error = world.step_until_done("a refusal", || confirmation.wait()).unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::BUSY));
    }
    let batch = publish_to_q(&client, "jobs", "4").and_then(|()| publish_to_q_confirmed(&client, "jobs", "5")).unwrap();
    world.step_until_done("a refusal", || batch.wait()).unwrap_err();
    assert!(world.act(|handler, cx| handler.publish(cx, "jobs", "6")).is_err());
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    receive(&mut world, &mut sub).pop().unwrap().ack().unwrap();
    world.settle();
    let queue = world.handler().queue("jobs").unwrap();
    assert_eq!((queue.state, queue.messages().count(), queue.ledger.accepted), (QueueState::Draining, 0, 1));
    world.act(|handler, cx| handler.resume(cx, "jobs"));
    publish(&mut world, "jobs", "7");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["7×1"]);
}

#[test]
fn a_purge_drops_what_waits_in_bounded_steps() {
    let config = StockConfig::default().with_chores_per_step(100);
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    for number in 0..1000 {
        let message = NewMessage::from("x");
        let message = if number % 2 == 0 { message } else { message.with_key(b"key").with_delay(SECOND) };
        publish(&mut world, "jobs", message);
    }
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let held = receive(&mut world, &mut sub);
    // Those that were taken have made room for others.
    world.settle();
    assert!(world.act(|handler, cx| handler.purge(cx, "jobs")));
    publish(&mut world, "jobs", "new");
    let (mut steps, in_flight) = (0, ledger(&world, "jobs").in_flight);
    while ledger(&world, "jobs").purged < 1000 - in_flight {
        let before = ledger(&world, "jobs").purged;
        world.step();
        steps += 1;
        assert!(ledger(&world, "jobs").purged <= before + 100 && steps < 50, "{:?}", ledger(&world, "jobs"));
    }
    assert_eq!((ledger(&world, "jobs").ready, ledger(&world, "jobs").in_flight), (1, in_flight));
    let before = receive(&mut world, &mut sub);
    assert_eq!((held.len() + before.len()) as u64, in_flight);
    held.into_iter().chain(before).for_each(|delivery| delivery.ack().unwrap());
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["new×1"], "what came later stays");
    assert_eq!(world.broker().next_timeout(), None, "nothing is delayed any more");
}

#[test]
fn a_deleted_queue_is_gone_and_its_links_are_told() {
    let config = StockConfig::default().with_chores_per_step(10);
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    let publisher = world.connect();
    for number in 0..100 {
        publish(&mut world, "jobs", number.to_string().as_str());
    }
    let confirmation = publish_to_q_confirmed(&publisher, "jobs", "confirmed").unwrap();
    publish_to_q(&publisher, "other", "stays").unwrap();
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    assert!(world.act(|handler, cx| handler.delete(cx, "jobs")));
    assert!(world.handler().queue("jobs").is_none());
    world.settle();
    assert_eq!(world.handler().held().0, 1, "its messages are gone, in the steps that followed");
    world.step_until_ok("a confirm from before", || confirmation.wait());
    let mut end = || -> Result<(), msglib_client::Error> {
        loop {
            let _held = sub.next()?;
        }
    };
    let error = world.step_until_done("the end", &mut end).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::CHANNEL_DELETED));
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    publish(&mut world, "jobs", "a new one");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["a new one×1"]);
    assert_eq!(ledger(&world, "jobs").accepted, 1, "with new books");
    assert_eq!(ledger(&world, "other").ready, 1);
}

#[test]
fn whatever_there_is_can_be_looked_at() {
    let mut world = world(QueueConfig::default().with_history(100));
    publish(&mut world, "jobs", NewMessage::from("one").with_key(b"k").with_ttl(9 * SECOND));
    publish(&mut world, "jobs", NewMessage::from("two").with_delay(5 * SECOND));
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let _held = receive(&mut world, &mut sub);
    let queue = world.handler().queue("jobs").unwrap();
    let consumer = queue.each_consumer().next().unwrap();
    assert_eq!((consumer.in_flight, consumer.credit, queue.consumers), (1, 9, 1));
    let one = queue.message(MessageId::new(1)).unwrap();
    assert_eq!(one.place, Place::InFlight { consumer: consumer.id, tag: 1 });
    assert_eq!((&one.payload[..], one.key, one.deliveries), (&b"one"[..], Some(&b"k"[..]), 1));
    assert_eq!(one.expires, world.now() + 9 * SECOND);
    let two = queue.messages().find(|message| message.id == MessageId::new(2)).unwrap();
    assert_eq!(two.place, Place::Delayed(world.now() + 5 * SECOND));
    let story: Vec<_> = queue.explain(MessageId::new(1)).map(|event| event.what).collect();
    assert_eq!(story, [What::Accepted, What::Delivered { consumer: consumer.id, tag: 1 }]);
    let payload = one.payload.as_ptr();
    assert_eq!(world.handler().queue("jobs").unwrap().message(MessageId::new(1)).unwrap().payload.as_ptr(), payload);
}
