//! What a client can have of a queue: settings, messages with more than a payload, ways to settle, and producers.

use super::*;
use msglib_client::{
    ChannelKind, Error, ErrorCode, PublishOptions, QueueOrder, QueueOverflow, QueueSettings, Settling,
};

fn plain_world() -> World {
    world(QueueConfig::default())
}

/// Published by a client, and confirmed.
fn send(world: &mut World, client: &Connection, queue: &str, text: &str, options: &PublishOptions<'_>) {
    let publish = || client.publish_with(ChannelKind::QUEUE, queue, text, options);
    let confirmation = world.step_until_done("a publish", publish).unwrap();
    world.step_until_ok("a confirm", || confirmation.wait());
}

fn declare(world: &mut World, client: &Connection, queue: &str, settings: &QueueSettings) -> Result<(), Error> {
    world.step_until_done("the queue", || client.declare_queue(queue, settings))
}

fn why(result: Result<(), Error>) -> (ErrorCode, String) {
    let error = result.unwrap_err();
    (error.code().unwrap(), error.to_string())
}

#[test]
fn a_client_declares_a_queue_and_publishes_by_its_rules() {
    let mut world = plain_world();
    let client = world.connect();
    let settings = QueueSettings { order: Some(QueueOrder::Priority), ttl_ms: Some(60_000), ..Default::default() };
    declare(&mut world, &client, "jobs", &settings).unwrap();
    let urgent = PublishOptions::default().with_priority(9).with_key(b"tenant");
    send(&mut world, &client, "jobs", "slow", &PublishOptions::default());
    send(&mut world, &client, "jobs", "later", &urgent.with_delay(2 * SECOND));
    send(&mut world, &client, "jobs", "urgent", &urgent);
    send(&mut world, &client, "jobs", "brief", &urgent.with_ttl(Duration::from_millis(1)));
    world.advance(SECOND);
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let got = receive(&mut world, &mut sub);
    assert_eq!(texts(&got), ["urgent×1", "slow×1"]);
    let details = got[0].details().unwrap();
    assert_eq!((details.id, details.priority, details.key.as_deref()), (Some(3), Some(9), Some(&b"tenant"[..])));
    assert!(got[1].details().is_none(), "there is nothing to be said of it");
    world.advance(SECOND);
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["later×1"]);
    assert_eq!(ledger(&world, "jobs").expired, 1);
}

#[test]
fn a_queue_that_is_there_has_the_settings_that_are_named_or_the_client_is_told_which_it_has_not() {
    let mut world = plain_world();
    let config =
        QueueConfig::default().with_redelivery(Redelivery::default().with_lease(SECOND).with_max_deliveries(5));
    world.act(|handler, cx| handler.declare(cx, "jobs", config)).unwrap();
    let client = world.connect();
    declare(&mut world, &client, "jobs", &QueueSettings::default()).unwrap();
    let fits = QueueSettings { lease_ms: Some(1000), max_deliveries: Some(5), ..Default::default() };
    declare(&mut world, &client, "jobs", &fits).unwrap();
    let other =
        QueueSettings { lease_ms: Some(1000), max_deliveries: Some(0), delay_ms: Some(1), ..Default::default() };
    let (code, text) = why(declare(&mut world, &client, "jobs", &other));
    assert_eq!(code, ErrorCode::DECLARED_OTHERWISE);
    assert!(text.contains("jobs") && text.contains("limit of deliveries") && text.contains("delay"), "{text}");
    assert!(!text.contains("lease"), "{text}");
    declare(&mut world, &client, "jobs", &fits).expect("the connection goes on");
}

#[test]
fn a_queue_that_the_configuration_names_is_as_if_it_were_there() {
    let named = QueueConfig::default().with_redelivery(Redelivery::default().with_lease(SECOND));
    let config = StockConfig::default().with_queue_named("jobs", named.clone());
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    let client = world.connect();
    let other = QueueSettings { lease_ms: Some(2000), ..Default::default() };
    assert_eq!(why(declare(&mut world, &client, "jobs", &other)).0, ErrorCode::DECLARED_OTHERWISE);
    let same = QueueSettings { lease_ms: Some(1000), ..Default::default() };
    declare(&mut world, &client, "jobs", &same).unwrap();
    assert_eq!(*world.handler().queue("jobs").unwrap().config(), named);
    declare(&mut world, &client, "others", &other).unwrap();
}

/// Each setting alone: a queue that has it, and one that has not.
#[test]
fn every_setting_is_taken_and_compared() {
    let name = msglib_client::ChannelName::from("dead").to_owned();
    let one = |set: fn(&mut QueueSettings)| {
        let mut settings = QueueSettings::default();
        set(&mut settings);
        settings
    };
    let settings = [
        one(|s| s.order = Some(QueueOrder::LastValue)),
        one(|s| s.dispatch = Some(msglib_client::QueueDispatch::Exclusive)),
        one(|s| s.lease_ms = Some(7)),
        one(|s| s.max_deliveries = Some(3)),
        one(|s| s.backoff_ms = Some((1, 8))),
        QueueSettings { dead_letter: Some(name), ..Default::default() },
        one(|s| s.ttl_ms = Some(9)),
        one(|s| s.delay_ms = Some(9)),
        one(|s| s.max_messages = Some(10)),
        one(|s| s.max_bytes = Some(1000)),
        one(|s| s.overflow = Some(QueueOverflow::DropOldest)),
    ];
    let mut world = plain_world();
    let client = world.connect();
    for (number, settings) in settings.iter().enumerate() {
        let (first, second) = (format!("a{number}"), format!("b{number}"));
        declare(&mut world, &client, &first, settings).unwrap();
        assert_ne!(*world.handler().queue(&first[..]).unwrap().config(), QueueConfig::default(), "{settings:?}");
        declare(&mut world, &client, &first, settings).expect("it is the same");
        declare(&mut world, &client, &second, &QueueSettings::default()).unwrap();
        assert_eq!(
            why(declare(&mut world, &client, &second, settings)).0,
            ErrorCode::DECLARED_OTHERWISE,
            "{settings:?}"
        );
    }
}

#[test]
fn a_client_makes_a_queues_limits_narrower_and_not_wider() {
    let mut world = world(QueueConfig::default().with_max_messages(100).with_max_bytes(10_000));
    let client = world.connect();
    let most = QueueSettings { max_messages: Some(100), max_bytes: Some(10_000), ..Default::default() };
    declare(&mut world, &client, "most", &most).unwrap();
    for (settings, limit) in [
        (QueueSettings { max_messages: Some(101), ..Default::default() }, "100 messages"),
        (QueueSettings { max_bytes: Some(10_001), ..Default::default() }, "10000 bytes"),
    ] {
        let (code, text) = why(declare(&mut world, &client, "more", &settings));
        assert_eq!(code, ErrorCode::BAD_ARGUMENTS);
        assert!(text.contains(limit), "{text}");
    }
    assert!(world.handler().queue("more").is_none());
}

/// The consumer needs longer, and says so; then it is too late, and hears that.
#[test]
fn a_lease_is_extended_and_whoever_is_too_late_is_told() {
    let mut world = plain_world();
    let client = world.connect();
    let settings = QueueSettings { lease_ms: Some(1000), ..Default::default() };
    declare(&mut world, &client, "jobs", &settings).unwrap();
    send(&mut world, &client, "jobs", "work", &PublishOptions::default());
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let delivery = receive(&mut world, &mut sub).pop().unwrap();
    world.advance(Duration::from_millis(900));
    delivery.extend(Some(2 * SECOND)).unwrap();
    world.settle();
    world.advance(Duration::from_millis(1900));
    assert!(receive(&mut world, &mut sub).is_empty(), "it is still held");
    world.advance(Duration::from_millis(100));
    let again = receive(&mut world, &mut sub).pop().unwrap();
    assert_eq!(again.count(), 2);
    let (late, in_time) = (delivery.ack_confirmed().unwrap(), again.ack_confirmed().unwrap());
    assert!(!world.step_until_done("an answer", || late.wait()).unwrap());
    assert!(world.step_until_done("an answer", || in_time.wait()).unwrap());
    assert_eq!((ledger(&world, "jobs").acked, ledger(&world, "jobs").ready), (1, 0));
}

#[test]
fn a_message_comes_back_later_or_with_another_priority_or_is_a_dead_letter_that_says_why() {
    let mut world = plain_world();
    let client = world.connect();
    let dead = msglib_client::ChannelName::from("dead").to_owned();
    let settings = QueueSettings { order: Some(QueueOrder::Priority), dead_letter: Some(dead), ..Default::default() };
    declare(&mut world, &client, "jobs", &settings).unwrap();
    for text in ["a", "b", "c"] {
        send(&mut world, &client, "jobs", text, &PublishOptions::default());
    }
    let (_connection, mut sub) = subscribe(&mut world, "jobs");
    let mut got = receive(&mut world, &mut sub).into_iter();
    got.next().unwrap().refuse_later(SECOND).unwrap();
    let (_, settler) = got.next().unwrap().into_parts();
    settler.refuse_with(None, Some(5)).unwrap();
    let (_, settler) = got.next().unwrap().into_parts();
    let refused = settler.settle_confirmed(Settling::ForGood).unwrap();
    assert!(world.step_until_done("an answer", || refused.wait()).unwrap());
    let again = receive(&mut world, &mut sub);
    assert_eq!(texts(&again), ["b×2"]);
    assert_eq!(again[0].details().unwrap().priority, Some(5));
    world.advance(SECOND);
    assert_eq!(texts(&receive(&mut world, &mut sub)), ["a×2"]);
    let (_other, mut undertaker) = subscribe(&mut world, "dead");
    let dead = receive(&mut world, &mut undertaker).pop().unwrap();
    let cause = dead.details().unwrap().cause.clone().unwrap();
    assert_eq!((cause.reason, cause.count, cause.hops), (ErrorCode::REFUSED_FOR_GOOD, 1, 1));
    assert_eq!((cause.first_ms, cause.source.to_string()), (1000, "jobs".to_owned()));
}

/// A connection of a producer publishes these, and is lost after the broker has taken them and before the publisher hears of it.
fn publish_and_vanish(world: &mut World, (id, base): (u128, u64), texts: impl IntoIterator<Item = impl AsRef<str>>) {
    let client = world.connect();
    let mut publisher = world.step_until_done("a link", || client.producer_to_q("jobs", id, base)).unwrap();
    for text in texts {
        publisher.publish(text.as_ref()).unwrap();
    }
    world.settle();
    drop((publisher, client));
    world.settle();
}

fn take_all(world: &mut World, queue: &str) -> Vec<String> {
    let (_connection, mut sub) = subscribe(world, queue);
    let got = receive(world, &mut sub);
    let texts = texts(&got);
    got.into_iter().for_each(|delivery| delivery.ack().unwrap());
    world.settle();
    texts
}

#[test]
fn what_a_producer_publishes_again_after_a_lost_connection_is_no_second_message() {
    let mut world = plain_world();
    publish_and_vanish(&mut world, (7, 0), ["1", "2", "3"]);
    publish_and_vanish(&mut world, (7, 1), ["2", "3", "4"]);
    publish_and_vanish(&mut world, (8, 1), ["of another"]);
    assert_eq!(take_all(&mut world, "jobs"), ["1×1", "2×1", "3×1", "4×1", "of another×1"]);
    assert_eq!(ledger(&world, "jobs").accepted, 5);
    publish_and_vanish(&mut world, (7, 3), ["4", "5"]);
    assert_eq!(take_all(&mut world, "jobs"), ["5×1"], "also when the first one was delivered long ago");
}

#[test]
fn what_was_refused_is_tried_anew_and_what_was_accepted_is_confirmed_again() {
    let mut world = world(QueueConfig::default().with_max_messages(1));
    publish_and_vanish(&mut world, (7, 0), ["1", "2"]);
    let client = world.connect();
    let mut publisher = world.step_until_done("a link", || client.producer_to_q("jobs", 7, 0)).unwrap();
    publisher.publish("1").unwrap();
    world.step_until_ok("a confirm, though the queue is full", || publisher.wait());
    assert_eq!(take_all(&mut world, "jobs"), ["1×1"]);
    publisher.publish("2").unwrap();
    world.step_until_ok("a confirm", || publisher.wait());
    assert_eq!(take_all(&mut world, "jobs"), ["2×1"]);
}

#[test]
fn a_publish_that_is_too_old_to_be_known_is_refused() {
    let mut world = plain_world();
    publish_and_vanish(&mut world, (7, 2000), ["2001"]);
    for (base, expected) in [(976, Some(ErrorCode::TOO_OLD)), (977, None), (u64::MAX, Some(ErrorCode::NOT_ALLOWED))] {
        let client = world.connect();
        let mut publisher = world.step_until_done("a link", || client.producer_to_q("jobs", 7, base)).unwrap();
        publisher.publish("again").unwrap();
        let outcome = world.step_until_done("an outcome", || publisher.wait());
        assert_eq!(outcome.err().and_then(|error| error.code()), expected, "after {base}");
    }
}

#[test]
fn there_are_as_many_producers_in_use_as_may_be_and_one_more_is_told_so() {
    let config = StockConfig::default().with_max_producers(2);
    let mut world = Harness::new(ConnectionHandler::with_config(config));
    let client = world.connect();
    let open = |world: &mut World, id| {
        let mut publisher = world.step_until_done("a link", || client.producer_to_q("jobs", id, 0)).unwrap();
        publisher.publish("x").unwrap();
        let outcome = world.step_until_done("an outcome", || publisher.wait());
        (publisher, outcome.err().and_then(|error| error.code()))
    };
    let first = open(&mut world, 1);
    let second = open(&mut world, 2);
    let third = open(&mut world, 3);
    assert_eq!([first.1, second.1, third.1], [None, None, Some(ErrorCode::BUSY)]);
    drop(first);
    world.settle();
    assert_eq!(open(&mut world, 3).1, None, "it has the place of one that is out of use");
}

#[test]
fn with_a_queue_that_is_deleted_its_producers_are_forgotten() {
    let mut world = plain_world();
    publish_and_vanish(&mut world, (7, 0), ["1"]);
    assert!(world.act(|handler, cx| handler.delete(cx, "jobs")));
    publish_and_vanish(&mut world, (7, 0), ["1"]);
    assert_eq!(take_all(&mut world, "jobs"), ["1×1"]);
}
