//! What may be kept for the names of topics, in all and for one identity.

use super::*;
use msglib_broker::{Payload, PublishOptions, TopicsConfig};

fn topics(topics: TopicsConfig) -> StockBench {
    bench(StockConfig::default().with_topics(topics))
}

/// Opens a link to publish or to consume; whether it stays open.
fn opens(bench: &mut StockBench, id: ConnectionId, link: u32, name: &'static str, publishes: bool) -> bool {
    let name = ChannelName::from(name);
    let open = Open { link, publishes, consumes: !publishes, kind: ChannelKind::TOPIC, name, arguments: b"" };
    bench.send(id, &[Frame::Open(open)]);
    let lines = bench.lines(id);
    let is_refused = lines[0].starts_with("Closed") && lines[0].contains("TOO_MANY_CHANNELS");
    if is_refused {
        bench.send(id, &[close(link)]);
        bench.lines(id);
    }
    assert!(is_refused || lines[0].starts_with("Opened"), "{lines:?}");
    !is_refused
}

/// Keeps a last value, or takes it away; whether that was confirmed.
fn keeps(bench: &mut StockBench, id: ConnectionId, number: u64, topic: &'static str, payload: &'static str) -> bool {
    let options = PublishOptions { topic: Some(topic.as_bytes()), ..PublishOptions::default() };
    let payload = Payload::from(payload);
    bench.send(id, &[Frame::PublishWith { link: 1, number, confirm: true, retain: true, options, payload }]);
    let lines = bench.lines(id);
    let is_refused = lines[0].contains("QUEUE_FULL");
    assert!(is_refused || lines[0].starts_with("Confirmed"), "{lines:?}");
    !is_refused
}

#[test]
fn one_topic_more_than_may_be_open_is_refused_and_counted() {
    let mut bench = topics(TopicsConfig::default().with_max_topics(2));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    assert!(opens(&mut bench, alice, 1, "a", true) && opens(&mut bench, bob, 1, "a", true));
    assert_eq!(bench.core.handler().topic_ledger().topics_turned_away, 0);
    assert!(!opens(&mut bench, alice, 2, "b", true));
    assert_eq!(bench.core.handler().topic_ledger().topics_turned_away, 1);
    assert!(opens(&mut bench, alice, 2, "b", false), "who consumes has a limit of its own");
    assert!(opens(&mut bench, alice, 3, "+", true), "a filter is no topic");
    bench.end(bob);
    assert!(opens(&mut bench, alice, 4, "b", true));
    assert_eq!(bench.core.handler().load().open_topics, 2);
}

#[test]
fn one_subscriber_more_than_there_may_be_is_refused_and_counted_and_leaves_nothing() {
    let mut bench = topics(TopicsConfig::default().with_max_subscribers(1).with_max_topics(1));
    let alice = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, "a", false));
    assert_eq!(bench.core.handler().topic_ledger().subscribers_turned_away, 0);
    assert!(!opens(&mut bench, alice, 2, "a", false));
    let name = ChannelName::from("a");
    let both = Open { link: 2, publishes: true, consumes: true, kind: ChannelKind::TOPIC, name, arguments: b"" };
    bench.send(alice, &[Frame::Open(both)]);
    assert!(bench.lines(alice)[0].contains("TOO_MANY_CHANNELS"));
    assert_eq!(bench.core.handler().topic_ledger().subscribers_turned_away, 2);
    assert_eq!(bench.core.handler().load().open_topics, 0, "half of it was open");
    bench.send(alice, &[close(2)]);
    bench.lines(alice);
    assert!(opens(&mut bench, alice, 2, "a", true));
}

#[test]
fn one_identity_has_no_more_topics_than_it_may_and_others_do() {
    let mut bench = topics(TopicsConfig::default().with_max_per_identity(2));
    let (alice, bob) = (client(&mut bench, "alice"), client(&mut bench, "bob"));
    let again = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, "a", true) && opens(&mut bench, again, 1, "b", true));
    assert_eq!(bench.core.handler().topic_ledger().identity_limits, 0);
    assert!(!opens(&mut bench, alice, 2, "c", true));
    assert_eq!(bench.core.handler().topic_ledger().identity_limits, 1);
    assert!(opens(&mut bench, bob, 1, "c", true));
    bench.end(again);
    assert!(opens(&mut bench, alice, 2, "c", true) && !opens(&mut bench, alice, 3, "d", true));
}

#[test]
fn last_values_count_for_who_was_the_first_to_keep_them() {
    let mut bench = topics(TopicsConfig::default().with_max_per_identity(2));
    let (alice, bob, nobody) = (client(&mut bench, "alice"), client(&mut bench, "bob"), client(&mut bench, ""));
    for id in [alice, bob, nobody] {
        assert!(opens(&mut bench, id, 1, "#", true));
    }
    assert!(keeps(&mut bench, alice, 1, "a", "1") && keeps(&mut bench, alice, 2, "b", "1"));
    assert!(!keeps(&mut bench, alice, 3, "c", "1"));
    let ledger = bench.core.handler().topic_ledger();
    assert_eq!((ledger.identity_limits, ledger.turned_away, ledger.values_turned_away), (1, 1, 0));
    assert!(keeps(&mut bench, alice, 4, "a", "2"), "it is there");
    assert!(keeps(&mut bench, bob, 1, "a", "3"), "and stays alice's");
    assert!(keeps(&mut bench, bob, 2, "c", "1") && keeps(&mut bench, bob, 3, "d", "1"));
    assert!(!keeps(&mut bench, bob, 4, "e", "1"));
    assert!(keeps(&mut bench, nobody, 1, "e", "1") && keeps(&mut bench, nobody, 2, "f", "1"));
    assert!(!keeps(&mut bench, nobody, 3, "g", "1"), "who has no identity has one with all the others");
    // Whoever takes it away.
    assert!(keeps(&mut bench, bob, 5, "a", "") && !keeps(&mut bench, bob, 6, "g", "1"));
    assert!(keeps(&mut bench, alice, 5, "g", "1") && !keeps(&mut bench, alice, 6, "h", "1"));
    assert_eq!(bench.core.handler().load().retained, 6);
    // What was kept stays when its owner has gone.
    bench.end(alice);
    let alice = client(&mut bench, "alice");
    assert!(!opens(&mut bench, alice, 1, "z", true));
}

#[test]
fn one_last_value_more_than_there_may_be_is_refused_and_counted() {
    let mut bench = topics(TopicsConfig::default().with_max_retained(2));
    let alice = client(&mut bench, "alice");
    assert!(opens(&mut bench, alice, 1, "#", true));
    assert!(keeps(&mut bench, alice, 1, "a", "1") && keeps(&mut bench, alice, 2, "b", "1"));
    assert_eq!(bench.core.handler().topic_ledger().values_turned_away, 0);
    assert!(!keeps(&mut bench, alice, 3, "c", "1"));
    assert_eq!(bench.core.handler().topic_ledger().values_turned_away, 1);
}
