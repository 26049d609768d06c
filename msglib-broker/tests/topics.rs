//! What the stock handler does for topics, frame by frame.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Bench, open_as, publish};
use msglib_broker::{ChannelKind, ConnectionHandler, ConnectionId, CoreConfig, Feature, StockConfig, TopicsConfig};
use msglib_proto::{ChannelName, Frame, Open, Payload, PublishOptions, TopicOverflow, TopicSettings};

const TOPICS: u64 = 1 << 1;

struct Scene {
    bench: Bench<ConnectionHandler>,
}

impl Scene {
    fn new(config: TopicsConfig, core: CoreConfig) -> Scene {
        let handler = ConnectionHandler::with_config(StockConfig::default().with_topics(config));
        Scene { bench: Bench::with_config(handler, core) }
    }

    fn client(&mut self) -> ConnectionId {
        self.bench.greeted_with(TOPICS)
    }

    /// A subscriber on link 1.
    fn subscriber(&mut self, filter: &'static str, settings: &TopicSettings, credit: u64) -> ConnectionId {
        let id = self.client();
        let arguments = settings.encode();
        self.bench.send(id, &[topic(1, filter, false, &arguments), Frame::Credit { link: 1, upto: credit }]);
        assert_eq!(self.bench.names(id)[0], "Opened");
        id
    }

    /// A publisher on link 1.
    fn publisher(&mut self, name: &'static str) -> ConnectionId {
        let id = self.client();
        self.bench.send(id, &[topic(1, name, true, b"")]);
        assert_eq!(self.bench.names(id), ["Opened", "Credit"]);
        id
    }
}

fn scene() -> Scene {
    Scene::new(TopicsConfig::default(), CoreConfig::default())
}

fn topic<'a>(link: u32, name: &'static str, publishes: bool, arguments: &'a [u8]) -> Frame<'a> {
    let (kind, name) = (ChannelKind::TOPIC, ChannelName::from(name));
    Frame::Open(Open { link, publishes, consumes: !publishes, kind, name, arguments })
}

fn publish_to(number: u64, topic: Option<&'static str>, retain: bool, payload: &'static str) -> Frame<'static> {
    let options = PublishOptions { topic: topic.map(str::as_bytes), ..PublishOptions::default() };
    Frame::PublishWith { link: 1, number, confirm: true, retain, options, payload: Payload::from(payload) }
}

fn plain() -> TopicSettings {
    TopicSettings::default()
}

#[test]
fn what_is_published_goes_to_each_who_subscribed_and_says_where_it_was_published_if_that_is_not_known() {
    let mut scene = scene();
    let (exact, wild) = (scene.subscriber("a/b", &plain(), 9), scene.subscriber("a/+", &plain(), 9));
    let other = scene.subscriber("a", &plain(), 9);
    let publisher = scene.publisher("a/b");
    scene.bench.send(publisher, &[publish(1, 1, "one"), publish(1, 2, "two")]);
    assert_eq!(scene.bench.lines(publisher), ["Confirmed { link: 1, upto: 2 }"]);
    assert_eq!(
        scene.bench.lines(exact),
        [
            "Delivery { link: 1, tag: 1, count: 1, payload: \"one\" }",
            "Delivery { link: 1, tag: 2, count: 1, payload: \"two\" }"
        ]
    );
    let lines = scene.bench.lines(wild);
    assert!(lines.len() == 2 && lines[0].starts_with("DeliveryWith { link: 1, tag: 1, count: 1"), "{lines:?}");
    assert!(lines[0].contains(&format!("topic: Some({:?})", b"a/b")), "{lines:?}");
    assert!(scene.bench.lines(other).is_empty());
    let ledger = scene.bench.core.handler().topic_ledger();
    assert_eq!((ledger.published, ledger.delivered, ledger.is_balanced()), (2, 4, true));
}

#[test]
fn a_link_to_many_topics_says_with_each_publish_to_which() {
    let mut scene = scene();
    let subscriber = scene.subscriber("house/#", &plain(), 9);
    let publisher = scene.publisher("house/+/heat");
    scene.bench.send(
        publisher,
        &[
            publish_to(1, Some("house/bath/heat"), false, "30"),
            publish_to(2, Some("house/bath"), false, "not meant by the link"),
            publish_to(3, Some("house/+/heat"), false, "not a name"),
            publish(1, 4, "says nothing"),
            publish_to(5, Some("house/hall/heat"), false, "17"),
        ],
    );
    let lines = scene.bench.lines(publisher);
    let refused: Vec<_> = lines.iter().filter(|line| line.contains("BAD_NAME")).collect();
    assert!(refused.len() == 3 && refused[0].contains("first: 2"), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "Confirmed { link: 1, upto: 5 }");
    let lines = scene.bench.lines(subscriber);
    assert!(lines.len() == 2 && lines[1].contains("payload: \"17\""), "{lines:?}");
}

#[test]
fn last_values_come_at_the_opening_and_an_empty_one_takes_them_away() {
    let mut scene = scene();
    let publisher = scene.publisher("a/b");
    scene.bench.send(publisher, &[publish_to(1, None, true, "kept")]);
    let (exact, wild) = (scene.subscriber("a/b", &plain(), 9), scene.client());
    scene.bench.send(wild, &[topic(1, "#", false, b""), Frame::Credit { link: 1, upto: 9 }]);
    assert!(scene.bench.lines(wild)[1].starts_with("DeliveryWith { link: 1, tag: 1, count: 1, retained: true"));
    let _ = exact;
    let without = TopicSettings { retained: Some(false), ..plain() };
    let (arguments, late) = (without.encode(), scene.client());
    scene.bench.send(late, &[topic(1, "#", false, &arguments), Frame::Credit { link: 1, upto: 9 }]);
    assert_eq!(scene.bench.names(late), ["Opened"]);
    scene.bench.send(publisher, &[publish_to(2, None, true, "")]);
    let after = scene.client();
    scene.bench.send(after, &[topic(1, "#", false, b""), Frame::Credit { link: 1, upto: 9 }]);
    assert_eq!(scene.bench.names(after), ["Opened"]);
}

#[test]
fn a_group_gets_each_message_once_and_its_members_must_be_alike() {
    let mut scene = scene();
    let group = TopicSettings { group: Some("workers".into()), ..plain() };
    let (a, b) = (scene.subscriber("jobs", &group, 9), scene.subscriber("jobs", &group, 9));
    let other = scene.client();
    let arguments = TopicSettings { buffer: Some(7), ..group }.encode();
    scene.bench.send(other, &[topic(1, "jobs", false, &arguments)]);
    assert!(scene.bench.lines(other)[0].contains("DECLARED_OTHERWISE"));
    let publisher = scene.publisher("jobs");
    scene.bench.send(publisher, &[publish(1, 1, "1"), publish(1, 2, "2"), publish(1, 3, "3"), publish(1, 4, "4")]);
    assert_eq!((scene.bench.lines(a).len(), scene.bench.lines(b).len()), (2, 2));
}

#[test]
fn what_a_slow_subscriber_has_lost_is_said_where_it_is_missing() {
    let mut scene = scene();
    let small = TopicSettings { buffer: Some(2), ..plain() };
    let slow = scene.subscriber("a", &small, 1);
    let publisher = scene.publisher("a");
    for number in 1..=5 {
        scene.bench.send(publisher, &[publish(1, number, "x")]);
    }
    assert_eq!(scene.bench.names(slow), ["Delivery"]);
    scene.bench.send(slow, &[Frame::Credit { link: 1, upto: 9 }]);
    assert_eq!(scene.bench.names(slow), ["Gap", "Delivery", "Delivery"]);
    let ledger = scene.bench.core.handler().topic_ledger();
    assert_eq!((ledger.lost, ledger.announced, ledger.waiting), (2, 2, 0));
}

#[test]
fn who_is_too_slow_for_a_subscription_that_must_not_lose_anything_has_its_link_closed() {
    let mut scene = scene();
    let strict = TopicSettings { buffer: Some(2), overflow: Some(TopicOverflow::Disconnect), ..plain() };
    let slow = scene.subscriber("a", &strict, 0);
    let publisher = scene.publisher("a");
    for number in 1..=3 {
        scene.bench.send(publisher, &[publish(1, number, "x")]);
    }
    assert!(scene.bench.lines(slow)[0].starts_with("Closed { link: 1, code: TOO_SLOW"));
    scene.bench.send(slow, &[Frame::Close { link: 1 }, topic(1, "a", false, b""), Frame::Credit { link: 1, upto: 1 }]);
    scene.bench.send(publisher, &[publish(1, 4, "y")]);
    assert_eq!(scene.bench.names(slow), ["Opened", "Delivery"], "and it can begin anew");
}

/// A burst within one step must not be lost to a subscriber who would take it at once.
#[test]
fn a_small_buffer_loses_nothing_as_long_as_its_subscriber_keeps_up() {
    let mut scene = scene();
    let small = TopicSettings { buffer: Some(4), ..plain() };
    let subscriber = scene.subscriber("a", &small, u64::MAX);
    let publisher = scene.publisher("a");
    let (burst, other) = (|number| publish(1, number, "x"), |number| publish_to(number, Some("a"), false, "x"));
    scene.bench.send(publisher, &(1..=500).map(burst).collect::<Vec<_>>());
    scene.bench.send(publisher, &(501..=1_000).map(other).collect::<Vec<_>>());
    assert_eq!(scene.bench.lines(subscriber).len(), 1_000);
    assert_eq!(scene.bench.core.handler().topic_ledger().lost, 0);
}

#[test]
fn a_subscriber_without_room_does_not_hold_up_the_others_and_goes_on_when_there_is_some() {
    let mut scene = Scene::new(TopicsConfig::default(), CoreConfig::default().with_high_water(500));
    let (slow, quick) = (scene.subscriber("a", &plain(), 99), scene.subscriber("a", &plain(), 99));
    let publisher = scene.publisher("a");
    scene.bench.room.insert(slow, 0);
    let payload = "x".repeat(100);
    for number in 1..=20 {
        let payload = Payload::from(&payload);
        scene.bench.send(publisher, &[Frame::Publish { link: 1, number, confirm: false, payload }]);
    }
    assert_eq!(scene.bench.lines(quick).len(), 20);
    assert!(scene.bench.core.handler().topic_ledger().waiting >= 14);
    scene.bench.room.clear();
    while scene.bench.core.handler().topic_ledger().waiting > 0 {
        scene.bench.core.handle_writable(scene.bench.now, slow);
        scene.bench.step();
    }
    scene.bench.core.handle_writable(scene.bench.now, slow);
    scene.bench.step();
    assert_eq!(scene.bench.lines(slow).len(), 20);
}

#[test]
fn nothing_comes_after_the_end_of_a_subscription() {
    let mut scene = scene();
    let (closes, leaves) = (scene.subscriber("a", &plain(), 9), scene.subscriber("a", &plain(), 9));
    let publisher = scene.publisher("a");
    scene.bench.send(closes, &[Frame::Close { link: 1 }]);
    scene.bench.end(leaves);
    scene.bench.send(publisher, &[publish(1, 1, "x")]);
    assert_eq!(scene.bench.names(closes), ["Closed"]);
    assert_eq!(scene.bench.core.handler().subscriptions().count(), 0);
    assert_eq!(scene.bench.core.handler().topic_ledger().unmatched, 1);
    scene.bench.end(publisher);
}

#[test]
fn what_is_no_topic_is_refused_and_the_connection_goes_on() {
    let mut scene = scene();
    let id = scene.client();
    let open_named = |link, name| {
        let kind = ChannelKind::TOPIC;
        Frame::Open(Open { link, publishes: true, consumes: false, kind, name, arguments: b"" })
    };
    let levels = vec!["a"; 33].join("/");
    let names = [
        ChannelName::id(1),
        ChannelName::bytes(b"\xFF").unwrap(),
        ChannelName::from("a//b"),
        ChannelName::from("a+"),
        ChannelName::from("#/a"),
        ChannelName::bytes(levels.as_bytes()).unwrap(),
    ];
    for (link, name) in (1..).zip(names) {
        scene.bench.send(id, &[open_named(link, name)]);
        assert!(scene.bench.lines(id)[0].contains("code: BAD_NAME"), "{name}");
    }
    scene.bench.send(id, &[topic(7, "a", false, b"\x05\0\0")]);
    assert!(scene.bench.lines(id)[0].contains("code: BAD_ARGUMENTS"));
    scene.bench.send(id, &[topic(8, "a", false, b"")]);
    assert_eq!(scene.bench.names(id), ["Opened"]);
}

#[test]
fn without_the_feature_there_are_no_topics() {
    let mut scene = scene();
    assert_eq!(TOPICS, Feature::Topics.bit());
    let id = scene.bench.greeted();
    scene.bench.send(id, &[open_as(1, false, true, ChannelKind::TOPIC, b"")]);
    assert!(scene.bench.lines(id)[0].contains("code: UNKNOWN_KIND"));
}

#[test]
fn a_full_store_of_last_values_refuses_with_the_reason_and_confirms_the_rest() {
    let mut scene = Scene::new(TopicsConfig::default().with_max_retained(1), CoreConfig::default());
    let publisher = scene.publisher("+");
    let keep = |number, topic| publish_to(number, Some(topic), true, "x");
    scene.bench.send(publisher, &[keep(1, "a"), keep(2, "b"), keep(3, "a")]);
    let lines = scene.bench.lines(publisher);
    assert!(lines[0].starts_with("Refused { link: 1, first: 2, last: 2, code: QUEUE_FULL"), "{lines:?}");
    assert_eq!(lines[1], "Confirmed { link: 1, upto: 3 }");
}
