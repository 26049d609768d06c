//! Leases, delays, times to live, on a clock that the test moves.

use super::*;
use msglib_broker::Broker;
use msglib_client::{Verdict, blocking_pull_subscribe_to_queue};
use msglib_io_memory::{InMemoryConnectionManager, Transport};

/// I16: not early, and no later than the next step.
#[test]
fn a_message_that_is_held_too_long_goes_to_somebody_else() {
    let mut world = redelivering(Redelivery::default().with_lease(30 * SECOND));
    publish(&mut world, "jobs", "1");
    let slow = world.connect();
    // Without a prefetch it allows nothing more while it works.
    let mut slow = blocking_pull_subscribe_to_queue(&slow, "jobs").unwrap();
    let held = vec![world.step_until_message(&mut slow)];
    assert_eq!(texts(&held), ["1×1"]);
    let (_other, mut other) = subscribe(&mut world, "jobs");
    assert_eq!(world.broker().next_timeout(), Some(world.now() + 30 * SECOND), "exactly then");
    world.advance(30 * SECOND - Duration::from_nanos(1));
    assert!(receive(&mut world, &mut other).is_empty());
    world.advance(Duration::from_nanos(1));
    let again = receive(&mut world, &mut other);
    assert_eq!(texts(&again), ["1×2"]);
    held.into_iter().for_each(|late| late.ack().unwrap());
    world.settle();
    assert_eq!(ledger(&world, "jobs").in_flight, 1, "an ack that comes too late changes nothing (I8)");
    again.into_iter().for_each(|delivery| delivery.ack().unwrap());
    world.settle();
    let ledger = ledger(&world, "jobs");
    assert_eq!((ledger.acked, ledger.lapsed, ledger.in_flight), (1, 1, 0));
    assert_eq!(world.broker().next_timeout(), None, "nothing is left to wait for (I27)");
}

/// I15: none before its delay is over, prompt after.
#[test]
fn a_delayed_message_arrives_when_its_time_has_come() {
    let mut world = world(QueueConfig::default());
    publish(&mut world, "jobs", NewMessage::from("later").with_delay(5 * SECOND));
    publish(&mut world, "jobs", "now");
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["now×1"]);
    world.advance(5 * SECOND - Duration::from_nanos(1));
    assert!(receive(&mut world, &mut sub).is_empty());
    world.advance(Duration::from_nanos(1));
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["later×1"]);
}

/// I14, with a clock that jumps beyond the expiry before the step in which it is seen.
#[test]
fn a_message_is_not_delivered_when_its_time_is_over() {
    let mut world = world(QueueConfig::default().with_ttl(10 * SECOND));
    publish(&mut world, "jobs", "too late");
    publish(&mut world, "jobs", NewMessage::from("even later").with_ttl(2 * SECOND));
    world.settle();
    assert_eq!(world.broker().next_timeout(), Some(world.now() + 2 * SECOND));
    let connection = world.connect();
    let mut sub = subscribe_with_prefetch(&connection, "jobs", 10).unwrap();
    world.advance(10 * SECOND);
    assert!(receive(&mut world, &mut sub).is_empty());
    assert_eq!(ledger(&world, "jobs").expired, 2);
}

#[test]
fn a_refused_message_waits_longer_each_time() {
    let mut world = redelivering(Redelivery::default().with_backoff(SECOND, 3 * SECOND));
    publish(&mut world, "jobs", "1");
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    for (attempt, wait) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        let delivery = receive(&mut world, &mut sub).pop().unwrap();
        assert_eq!(delivery.count(), attempt);
        delivery.refuse(Verdict::Again).unwrap();
        assert!(receive(&mut world, &mut sub).is_empty());
        assert_eq!(world.broker().next_timeout(), Some(world.now() + wait * SECOND));
        world.advance(wait * SECOND);
    }
}

/// A jump of the clock is worked off in steps, each of them bounded, and the broker asks for the next one by itself.
#[test]
fn a_hundred_thousand_at_once_are_worked_off_in_bounded_steps() {
    let config = StockConfig::default().with_chores_per_step(1_000).with_deliveries_per_step(100);
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    for number in 0..100_000_u32 {
        let message = NewMessage::from("x");
        let message = match number % 2 {
            0 => message.with_delay(SECOND + Duration::from_nanos(number.into())),
            _ => message.with_ttl(SECOND + Duration::from_nanos(number.into())),
        };
        publish(&mut world, ["a", "b", "c"][number as usize % 3], message);
    }
    world.settle();
    world.advance(10 * SECOND);
    let done =
        |world: &World| ["a", "b", "c"].map(|queue| ledger(world, queue)).map(|l| 33_334 - l.delayed + l.expired);
    let mut steps = 0;
    loop {
        let before: u64 = done(&world).iter().sum();
        let step = world.step();
        let now: u64 = done(&world).iter().sum();
        assert!(now - before <= 1_000, "{} in one step", now - before);
        steps += 1;
        if step.is_idle() {
            break;
        }
    }
    assert!((100..110).contains(&steps), "{steps}");
    let sum = |count: fn(Ledger) -> u64| ["a", "b", "c"].map(|queue| count(ledger(&world, queue))).iter().sum::<u64>();
    assert_eq!((sum(|l| l.ready), sum(|l| l.expired), sum(|l| l.delayed)), (50_000, 50_000, 0));
}

/// What waits for a time waits for what is left of it when another broker, with another clock, takes the handler over.
#[test]
fn times_go_on_with_another_broker() {
    let mut first = world(QueueConfig::default());
    first.advance(1_000 * SECOND);
    publish(&mut first, "jobs", NewMessage::from("later").with_delay(10 * SECOND));
    publish(&mut first, "jobs", NewMessage::from("brief").with_ttl(20 * SECOND));
    first.settle();
    first.advance(4 * SECOND);
    first.settle();
    let handler = std::mem::take(first.handler_mut());

    let transport = Transport::new();
    let clock = transport.clock();
    let manager = InMemoryConnectionManager::new(&transport, "broker").unwrap();
    let mut second = Broker::new(handler, manager);
    second.process_connections().unwrap();
    let ledger = |broker: &Broker<ConnectionHandler, _>| broker.handler().queue("jobs").unwrap().ledger;
    clock.advance(6 * SECOND - Duration::from_nanos(1));
    second.process_connections().unwrap();
    assert_eq!(ledger(&second).delayed, 1);
    clock.advance(Duration::from_nanos(1));
    second.process_connections().unwrap();
    assert_eq!((ledger(&second).delayed, ledger(&second).expired), (0, 0));
    clock.advance(10 * SECOND);
    second.process_connections().unwrap();
    assert_eq!(ledger(&second).expired, 1);
}

/// I12 across a pause: what became possible while nothing was delivered is delivered then.
#[test]
fn a_lease_ends_in_a_queue_that_is_paused() {
    let mut world = redelivering(Redelivery::default().with_lease(SECOND));
    publish(&mut world, "jobs", "1");
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let _held = receive(&mut world, &mut sub);
    assert!(world.act(|handler, cx| handler.pause(cx, "jobs")));
    world.advance(SECOND);
    assert!(receive(&mut world, &mut sub).is_empty());
    assert_eq!(ledger(&world, "jobs").lapsed, 1);
    world.act(|handler, cx| handler.resume(cx, "jobs"));
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["1×2"]);
}
