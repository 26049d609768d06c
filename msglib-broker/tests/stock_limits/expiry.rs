//! Queues that nobody uses are forgotten after a while, and no others.

use super::*;
use msglib_broker::queue::Overflow;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_nanos(1);

#[test]
fn an_empty_queue_that_nobody_uses_for_an_hour_is_forgotten() {
    let mut bench = bench(StockConfig::default());
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[1]);
    assert!(opens(&mut bench, alice, 1, 2));
    bench.advance(HOUR - TICK);
    assert_eq!(queues_of(&bench), [1, 2]);
    assert_eq!(bench.core.handler().load().unused_queues, 1);
    assert!(opens(&mut bench, alice, 2, 1));
    assert_eq!(bench.core.handler().load().unused_queues, 0);
    bench.send(alice, &[close(2)]);
    assert_eq!(bench.core.handler().load().unused_queues, 1);
    bench.advance(HOUR - TICK);
    assert_eq!(queues_of(&bench), [1, 2]);
    bench.advance(TICK);
    assert_eq!(queues_of(&bench), [2], "who has a link to it uses it");
    assert_eq!((bench.core.handler().counters().queues_expired, bench.core.poll_timeout()), (1, None));
    assert_eq!(bench.core.handler().load().unused_queues, 0);
}

#[test]
fn a_visit_makes_the_hour_begin_anew() {
    let mut bench = bench(StockConfig::default());
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[1, 2]);
    bench.advance(HOUR - TICK);
    visit(&mut bench, alice, &[1]);
    bench.advance(TICK);
    assert_eq!(queues_of(&bench), [1]);
    bench.advance(HOUR - TICK - TICK);
    assert_eq!(queues_of(&bench), [1]);
    bench.advance(TICK);
    assert!(queues_of(&bench).is_empty());
}

#[test]
fn how_long_that_is_can_be_set_and_for_ever_is_for_ever() {
    let mut bench = bench(StockConfig::default().with_unused_queue_expiry(Duration::MAX));
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[1]);
    assert_eq!(bench.core.poll_timeout(), None);
    bench.advance(HOUR * 1_000_000);
    assert_eq!(queues_of(&bench), [1]);

    let mut bench = super::bench(StockConfig::default().with_unused_queue_expiry(TICK));
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[1]);
    bench.advance(TICK);
    assert!(queues_of(&bench).is_empty());
}

/// Each of these has something that would be lost, or is wanted.
#[test]
fn what_is_not_empty_or_is_wanted_stays() {
    let mut bench = bench(StockConfig::default());
    let (alice, now) = (client(&mut bench, "alice"), bench.now);
    // Unused once, and then with a message from the program.
    visit(&mut bench, alice, &[1, 2, 3, 4, 5]);
    host_publish(&mut bench, 1, "precious");
    bench.core.act(now, |handler, cx| {
        handler.declare(cx, 2, QueueConfig::default()).unwrap();
        assert!(handler.pause(cx, 3));
        assert!(handler.drain(cx, 4));
    });
    bench.step();
    bench.advance(HOUR * 2);
    assert_eq!(queues_of(&bench), [1, 2, 3, 4]);
    let now = bench.now;
    bench.core.act(now, |handler, cx| {
        assert!(handler.resume(cx, 3) && handler.resume(cx, 4));
        assert!(handler.purge(cx, 1));
    });
    bench.step();
    bench.advance(HOUR - TICK);
    assert_eq!(queues_of(&bench), [1, 2, 3, 4]);
    bench.advance(TICK);
    assert_eq!(queues_of(&bench), [2], "their hour began with the end of that");
    assert_eq!(bench.core.handler().held(), (0, 0));
}

/// By clients alone: somebody has looked at the queue for dead letters, and left.
#[test]
fn dead_letters_that_wait_do_not_expire_with_their_queue() {
    let redelivery = Redelivery::default().with_dead_letter(99_u64);
    let queue = QueueConfig::default().with_redelivery(redelivery);
    let mut bench = bench(StockConfig::default().with_queue(queue));
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[99]);
    assert!(opens(&mut bench, alice, 1, 1));
    refuse(&mut bench, alice, 1);
    bench.send(alice, &[close(1)]);
    bench.advance(HOUR * 2);
    assert_eq!(queues_of(&bench), [99]);
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 1);
}

/// When its messages expire, they are on their way elsewhere, and the queue is empty.
#[test]
fn a_queue_whose_last_messages_leave_it_gets_its_hour_and_they_arrive() {
    let redelivery = Redelivery::default().with_dead_letter(99_u64);
    let queue = QueueConfig::default().with_ttl(HOUR).with_redelivery(redelivery);
    let mut bench = bench(StockConfig::default().with_queue_named(7, queue));
    host_publish(&mut bench, 7, "1");
    host_publish(&mut bench, 7, "2");
    bench.advance(HOUR);
    assert_eq!(queues_of(&bench), [7, 99]);
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 2);
    bench.advance(HOUR - TICK);
    assert_eq!(queues_of(&bench), [7, 99]);
    bench.advance(TICK);
    assert_eq!(queues_of(&bench), [99]);
}

/// Its place is free in the table, and what is known of it by its place must not be the next one's.
#[test]
fn what_waits_for_an_expired_queue_is_not_for_the_one_in_its_place() {
    let queue = QueueConfig::default().with_ttl(HOUR * 2).with_overflow(Overflow::DropOldest).with_max_messages(1);
    let mut bench = bench(StockConfig::default().with_queue(queue));
    let alice = client(&mut bench, "alice");
    // An alarm for its message, which is gone then.
    assert!(opens(&mut bench, alice, 1, 1));
    bench.send(alice, &[publish(1, 1, "old"), Frame::Credit { link: 1, upto: 1 }]);
    bench.send(alice, &[Frame::Ack { link: 1, first: 1, last: 1 }, close(1)]);
    bench.lines(alice);
    bench.advance(HOUR);
    assert!(queues_of(&bench).is_empty());
    host_publish(&mut bench, 2, "new");
    bench.advance(HOUR);
    let ledger = bench.core.handler().queue(2).unwrap().ledger;
    assert_eq!((ledger.ready, ledger.expired), (1, 0));
    bench.advance(HOUR);
    let ledger = bench.core.handler().queue(2).unwrap().ledger;
    assert_eq!((ledger.ready, ledger.expired), (0, 1));
    assert_eq!(bench.core.handler().held(), (0, 0));
}

/// As after a restart of the broker.
#[test]
fn an_expired_queue_is_made_anew_with_what_is_said_then() {
    let mut bench = bench(StockConfig::default());
    let alice = client(&mut bench, "alice");
    let settings = |most| QueueSettings { max_messages: Some(most), ..QueueSettings::default() }.encode();
    bench.send(alice, &[open_with(1, 1, &settings(5)), publish(1, 1, "1"), Frame::Credit { link: 1, upto: 1 }]);
    bench.send(alice, &[Frame::Ack { link: 1, first: 1, last: 1 }, close(1)]);
    bench.lines(alice);
    bench.send(alice, &[open_with(1, 1, &settings(6))]);
    assert!(bench.lines(alice)[0].contains("DECLARED_OTHERWISE"));
    bench.send(alice, &[close(1)]);
    bench.lines(alice);
    bench.advance(HOUR);
    bench.send(alice, &[open_with(1, 1, &settings(6))]);
    assert_eq!(bench.names(alice), ["Opened", "Credit"]);
    let queue = bench.core.handler().queue(1).unwrap();
    assert_eq!((queue.config().max_messages, queue.ledger.accepted), (6, 0));
}

/// A step takes no longer because many queues are due at once.
#[test]
fn many_queues_expire_in_many_steps() {
    let mut bench = bench(StockConfig::default().with_chores_per_step(10));
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &(1..=25).collect::<Vec<_>>());
    bench.now += HOUR;
    let mut left = Vec::new();
    while bench.core.poll_timeout().is_some_and(|at| at <= bench.now) {
        bench.core.handle_timeout(bench.now);
        bench.core.end_of_step(bench.now);
        left.push(bench.core.handler().load().queues);
    }
    left.dedup();
    assert_eq!(left, [15, 5, 0]);
}

/// The handler is handed to another broker, whose clock begins somewhere else.
#[test]
fn the_hour_goes_on_with_another_broker() {
    let mut bench = bench(StockConfig::default());
    let alice = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, 1));
    bench.advance(HOUR / 2);
    // Who was connected to the first broker is gone with it: from here on nobody uses the queue.
    let mut bench = Bench::new(bench.core.into_handler());
    bench.advance(TICK);
    bench.advance(HOUR - TICK - TICK);
    assert_eq!(queues_of(&bench), [1]);
    bench.advance(TICK + TICK);
    assert!(queues_of(&bench).is_empty());
}
