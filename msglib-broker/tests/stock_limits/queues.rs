//! How many queues there may be, in all and of one identity.

use super::*;

#[test]
fn one_queue_more_than_there_may_be_is_refused_and_counted() {
    let mut bench = bench(StockConfig::default().with_max_queues(2));
    let alice = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, 1) && opens(&mut bench, alice, 2, 2));
    assert_eq!(bench.core.handler().counters().queue_limits, 0);
    assert!(!opens(&mut bench, alice, 3, 3));
    assert_eq!(bench.core.handler().counters().queue_limits, 1);
    assert!(opens(&mut bench, alice, 3, 1), "one that is there is not one more");

    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, 3));
    let counters = bench.core.handler().counters();
    assert_eq!((counters.queue_limits, counters.queues_displaced, counters.identity_queue_limits), (1, 1, 0));
    assert_eq!(bench.core.handler().load().queues, 2);
}

#[test]
fn the_queue_that_nobody_has_used_for_longest_makes_room() {
    let mut bench = bench(StockConfig::default().with_max_queues(3));
    let alice = client(&mut bench, "alice");
    visit(&mut bench, alice, &[1, 2, 3]);
    bench.advance(Duration::from_secs(1));
    visit(&mut bench, alice, &[1]);
    assert!(opens(&mut bench, alice, 1, 4));
    assert_eq!(queues_of(&bench), [1, 3, 4]);
}

#[test]
fn one_identity_makes_no_more_queues_than_it_may_and_others_do() {
    let mut bench = bench(StockConfig::default().with_max_queues_per_identity(2));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    // Other data, and the same name.
    let again = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, 1) && opens(&mut bench, again, 1, 2));
    assert_eq!(bench.core.handler().counters().identity_queue_limits, 0);
    assert!(!opens(&mut bench, alice, 2, 3) && !opens(&mut bench, again, 2, 3));
    assert_eq!(bench.core.handler().counters().identity_queue_limits, 2);
    assert_eq!(bench.core.handler().counters().queue_limits, 0);

    assert!(opens(&mut bench, bob, 1, 1), "a queue is whose who made it");
    assert!(opens(&mut bench, bob, 2, 3) && opens(&mut bench, bob, 3, 4));
    assert!(!opens(&mut bench, bob, 4, 5));
    assert!(opens(&mut bench, alice, 2, 3), "it does not matter who opens it later");
}

#[test]
fn an_identitys_own_unused_queues_make_room_for_its_new_ones_and_no_others() {
    let mut bench = bench(StockConfig::default().with_max_queues_per_identity(2));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    visit(&mut bench, bob, &[10]);
    assert!(opens(&mut bench, alice, 1, 1) && opens(&mut bench, alice, 2, 2));
    assert!(!opens(&mut bench, alice, 3, 3), "that bob has an unused one is nothing to alice");
    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, 3));
    assert_eq!(queues_of(&bench), [1, 3, 10]);
    let counters = bench.core.handler().counters();
    assert_eq!((counters.identity_queue_limits, counters.queues_displaced), (1, 1));
    // A thousand names, one after the other, with one link.
    bench.send(alice, &[close(2)]);
    let again = client(&mut bench, "alice");
    visit(&mut bench, again, &(100..1_100).collect::<Vec<_>>());
    assert_eq!(queues_of(&bench), [1, 10, 1_099]);
}

#[test]
fn a_queue_that_is_gone_counts_for_nobody_any_more() {
    let config = StockConfig::default().with_max_queues_per_identity(1).with_max_queues(3);
    let mut bench = bench(config.with_unused_queue_expiry(Duration::from_secs(10)));
    let (alice, bob, now) = (client(&mut bench, "alice"), client(&mut bench, "bob"), bench.now);
    assert!(opens(&mut bench, alice, 1, 1) && !opens(&mut bench, alice, 2, 2));
    bench.core.act(now, |handler, cx| assert!(handler.delete(cx, 1)));
    bench.step();
    assert_eq!(bench.names(alice), ["Closed"]);
    assert!(opens(&mut bench, alice, 2, 2) && !opens(&mut bench, alice, 3, 3), "deleted");

    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    bench.advance(Duration::from_secs(10));
    assert!(queues_of(&bench).is_empty());
    assert!(opens(&mut bench, alice, 2, 3) && !opens(&mut bench, alice, 3, 4), "expired");

    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    bench.core.act(now, |handler, cx| handler.declare(cx, 3, QueueConfig::default())).unwrap();
    assert!(opens(&mut bench, alice, 2, 4), "the program has made it its own");
    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, bob, 1, 5));
    bench.core.act(now, |handler, cx| handler.declare(cx, 6, QueueConfig::default())).unwrap();
    assert_eq!(queues_of(&bench), [3, 5, 6]);
    bench.core.act(now, |handler, cx| handler.delete(cx, 6));
    assert!(opens(&mut bench, alice, 2, 7) && !opens(&mut bench, alice, 3, 8), "it has made room");
}

/// Else to have no identity would be the way around the limit.
#[test]
fn those_without_an_identity_count_as_one() {
    let mut bench = bench(StockConfig::default().with_max_queues_per_identity(2));
    let [first, second, alice] = ["", "", "alice"].map(|name| client(&mut bench, name));
    assert!(opens(&mut bench, first, 1, 1) && opens(&mut bench, second, 1, 2));
    assert!(!opens(&mut bench, first, 2, 3) && !opens(&mut bench, second, 2, 3));
    assert!(opens(&mut bench, alice, 1, 3));
    host_publish(&mut bench, 50, "the program has no such limit");
    host_publish(&mut bench, 51, "nor for the next one");
    host_publish(&mut bench, 52, "nor for the third");
}

/// They are not lost for it either: they had been taken.
#[test]
fn a_queue_for_dead_letters_counts_for_whom_they_come_from() {
    let mut bench = bench(StockConfig::default().with_max_queues_per_identity(2));
    let alice = client(&mut bench, "alice");
    let settings = QueueSettings { dead_letter: Some(ChannelName::id(99).to_owned()), ..QueueSettings::default() };
    bench.send(alice, &[open_with(1, 1, &settings.encode()), open_with(2, 2, &settings.encode())]);
    refuse(&mut bench, alice, 1);
    assert_eq!(bench.core.handler().queue(99).unwrap().ledger.ready, 1, "there were two already");
    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, 3), "the unused one has made room");
    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    let now = bench.now;
    bench.core.act(now, |handler, cx| handler.delete(cx, 3));
    assert!(!opens(&mut bench, alice, 2, 4), "the first one, and that of the dead letters");
}

struct Routes;

impl Policy for Routes {
    fn departed(&mut self, _: &Departure<'_>) -> Option<OwnedName> {
        Some(ChannelName::id(77).to_owned())
    }
}

#[test]
fn what_a_policy_makes_counts_for_nobody() {
    let config = StockConfig::default().with_max_queues_per_identity(1);
    let handler = ConnectionHandler::with_config(config).with_admission(ByName).with_policy(Routes);
    let mut bench = Bench::new(handler);
    let alice = client(&mut bench, "alice");
    let settings = QueueSettings { dead_letter: Some(ChannelName::id(99).to_owned()), ..QueueSettings::default() };
    bench.send(alice, &[open_with(1, 1, &settings.encode())]);
    refuse(&mut bench, alice, 1);
    assert_eq!(queues_of(&bench), [1, 77]);
    let now = bench.now;
    bench.core.act(now, |handler, cx| handler.delete(cx, 1));
    bench.step();
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, 2));
}

struct LongKeys(usize);

impl Policy for LongKeys {
    fn key<'p>(&mut self, _: &Publishing<'p>) -> Option<Cow<'p, [u8]>> {
        Some(vec![b'k'; self.0].into())
    }
}

#[test]
fn the_longest_key_of_a_policy_is_taken_and_of_a_longer_one_as_much() {
    for (said, taken) in [(0, None), (1, Some(1)), (255, Some(255)), (256, Some(255))] {
        let mut bench = Bench::new(ConnectionHandler::new().with_policy(LongKeys(said)));
        host_publish(&mut bench, 7, "x");
        let queue = bench.core.handler().queue(7).unwrap();
        let key = queue.messages().next().unwrap().key.map(<[u8]>::len);
        assert_eq!(key, taken, "of {said} bytes");
    }
}

#[test]
fn as_many_producers_as_may_be_are_in_use_and_one_more_is_refused_and_counted() {
    let mut bench = bench(StockConfig::default().with_max_producers(2));
    let alice = client(&mut bench, "alice");
    for link in 1..=3 {
        assert!(opens(&mut bench, alice, link, link.into()));
    }
    let produce = |link: u32| Frame::Producer { link, id: u128::from(link), base: 0 };
    bench.send(alice, &[produce(1), produce(2)]);
    assert_eq!((bench.names(alice).len(), bench.core.handler().counters().producer_limits), (0, 0));
    bench.send(alice, &[produce(3)]);
    assert!(bench.lines(alice)[0].starts_with("Closed { link: 3, code: BUSY"));
    assert_eq!(bench.core.handler().counters().producer_limits, 1);
}
