use super::*;

/// Topics with a store of their own, whose subscribers are letters.
struct Fixture {
    store: Store,
    topics: Topics<char>,
}

impl Fixture {
    fn new(config: TopicsConfig) -> Fixture {
        Fixture { store: Store::new(), topics: Topics::new(config) }
    }

    /// A subscriber that allows everything.
    fn subscribe(&mut self, who: char, filter: &str, options: &SubscribeOptions<'_>) -> SubscriberId {
        let id = self.topics.subscribe(TopicFilter::new(filter).unwrap(), options, who).unwrap();
        self.topics.allow(id, u64::MAX);
        id
    }

    fn publish(&mut self, name: &str, payload: &str) {
        self.topics.publish_to(&mut self.store, TopicName::new(name).unwrap(), payload, false).unwrap();
    }

    fn keep(&mut self, name: &str, payload: &str) -> Result<usize, TopicsFull> {
        self.topics.publish_to(&mut self.store, TopicName::new(name).unwrap(), payload, true)
    }

    /// Dispatches all that can be, and lists what went where: subscriber, tag, topic, payload.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        self.topics.dispatch_turns(&mut self.store, usize::MAX, |turn| {
            let who = *turn.subscriber();
            while let Some(offer) = turn.next() {
                told.push(match offer {
                    TopicOffer::Gap { lost } => format!("{who} lost {lost}"),
                    TopicOffer::Message { tag, topic, payload, is_retained } => {
                        let payload = core::str::from_utf8(&payload).unwrap();
                        format!("{who}{tag} {topic} {payload}{}", if is_retained { " (kept)" } else { "" })
                    }
                });
            }
            Ok(())
        });
        assert!(self.topics.ledger().is_balanced(), "{:?}", self.topics.ledger());
        told
    }
}

fn topics() -> Fixture {
    Fixture::new(TopicsConfig::default())
}

fn plain() -> SubscribeOptions<'static> {
    SubscribeOptions::default()
}

#[test]
fn each_subscription_gets_its_own_and_all_of_one_payload() {
    let mut topics = topics();
    for who in ('a'..='z').cycle().take(1000) {
        topics.subscribe(who, "news/#", &plain());
    }
    topics.publish("news", "a");
    topics.publish("news/local", "b");
    topics.publish("weather", "nobody's");
    assert_eq!((topics.store.payloads(), topics.topics.ledger().unmatched), (2, 1));
    let told = topics.told();
    assert_eq!(told.len(), 2000);
    assert_eq!(told[..3], ["a1 news a", "a2 news/local b", "b1 news a"]);
    assert_eq!((topics.store.payloads(), topics.topics.bytes()), (0, 0));
    assert!(topics.topics.runs.is_empty());
}

#[test]
fn nothing_is_delivered_without_credit_and_a_gap_needs_none() {
    let mut topics = topics();
    let filter = TopicFilter::new("a").unwrap();
    let id = topics.topics.subscribe(filter, &plain().with_buffer(2), 'a').unwrap();
    for n in 1..=5 {
        topics.publish("a", &n.to_string());
    }
    assert!(!topics.topics.can_dispatch());
    topics.topics.allow(id, 1);
    assert_eq!(topics.told(), ["a lost 3", "a1 a 4"]);
    topics.topics.allow(id, 1);
    assert!(topics.told().is_empty(), "the same credit again allows nothing more");
    topics.topics.allow(id, 2);
    assert_eq!(topics.told(), ["a2 a 5"]);
}

#[test]
fn what_is_lost_is_said_where_it_was_lost() {
    let publish_five = |overflow| {
        let mut topics = topics();
        topics.subscribe('a', "+", &plain().with_buffer(2).with_overflow(overflow));
        for (name, payload) in [("x", "1"), ("y", "2"), ("x", "3"), ("x", "4"), ("z", "5")] {
            topics.publish(name, payload);
        }
        topics.told()
    };
    assert_eq!(publish_five(TopicOverflow::DropOldest), ["a lost 3", "a1 x 4", "a2 z 5"]);
    assert_eq!(publish_five(TopicOverflow::DropNewest), ["a1 x 1", "a2 y 2", "a lost 3"]);
    assert_eq!(publish_five(TopicOverflow::KeepLatest), ["a lost 3", "a1 y 2", "a2 z 5"]);
    assert!(publish_five(TopicOverflow::Disconnect).is_empty());
}

#[test]
fn who_is_too_slow_is_named_once_and_gone() {
    let mut topics = topics();
    let options = plain().with_buffer(2).with_overflow(TopicOverflow::Disconnect).with_group(b"g");
    topics.subscribe('a', "x", &options);
    let b = topics.subscribe('b', "x", &options);
    topics.subscribe('c', "x", &plain());
    for _ in 0..2 {
        topics.publish("x", "1");
    }
    assert!(!topics.topics.has_disconnected(), "as much as fits");
    topics.publish("x", "1");
    topics.publish("x", "1");
    assert_eq!(topics.topics.take_disconnected(), ['a', 'b']);
    assert!(topics.topics.take_disconnected().is_empty());
    assert!(!topics.topics.unsubscribe(&mut topics.store, b));
    assert_eq!(topics.told().len(), 4, "the others go on");
    let ledger = topics.topics.ledger();
    assert_eq!((ledger.lost, ledger.abandoned, ledger.disconnected, ledger.copies), (1, 2, 2, 7));
}

#[test]
fn a_group_shares_its_messages_and_another_beside_it_has_its_own() {
    let mut topics = topics();
    for (who, group) in [('a', b"g"), ('b', b"g"), ('c', b"h")] {
        topics.subscribe(who, "x", &plain().with_group(group));
    }
    for n in 0..4 {
        topics.publish("x", &n.to_string());
    }
    assert_eq!(topics.told(), ["a1 x 0", "a2 x 1", "c1 x 0", "c2 x 1", "c3 x 2", "c4 x 3", "b1 x 2", "b2 x 3"]);
    let other = plain().with_group(b"g").with_buffer(7);
    let refused = topics.topics.subscribe(TopicFilter::new("x").unwrap(), &other, 'd');
    assert_eq!(refused, Err(SubscribeError::GroupDiffers));
}

#[test]
fn what_a_member_has_no_room_for_goes_to_another() {
    let mut topics = topics();
    let a = topics.subscribe('a', "x", &plain().with_group(b"g"));
    topics.subscribe('b', "x", &plain().with_group(b"g"));
    for n in 0..3 {
        topics.publish("x", &n.to_string());
    }
    let mut got = Vec::new();
    topics.topics.dispatch_turns(&mut topics.store, 100, |turn| {
        let is_full = *turn.subscriber() == 'a';
        while turn.next().is_some() {
            if is_full {
                return Err(Undeliverable::Full);
            }
            got.push('b');
        }
        Ok(())
    });
    assert_eq!(got, ['b'; 3]);
    topics.topics.unblock(a);
    topics.publish("x", "3");
    assert_eq!(topics.told(), ["b4 x 3"], "b waits longest");
}

#[test]
fn last_values_come_first_and_only_those_that_are_not_replaced_meanwhile() {
    let mut topics = topics();
    for name in ["a", "b", "c", "other/x"] {
        topics.keep(name, "old").unwrap();
    }
    topics.subscribe('s', "+", &plain());
    topics.subscribe('t', "+", &plain().with_retained(false));
    topics.subscribe('u', "b", &plain());
    topics.keep("b", "new").unwrap();
    topics.keep("c", "").unwrap();
    topics.publish("a", "passing");
    let told = topics.told();
    let to = |who: char| told.iter().filter(|line| line.starts_with(who)).map(|line| &line[1..]).collect::<Vec<_>>();
    assert_eq!(to('s'), ["1 a old (kept)", "2 b new", "3 c ", "4 a passing"]);
    assert_eq!(to('t'), ["1 b new", "2 c ", "3 a passing"]);
    assert_eq!(to('u'), ["1 b new"]);
    let value = topics.topics.retained(&topics.store, TopicName::new("b").unwrap());
    assert_eq!(value.map(|value| value.to_vec()), Some(b"new".to_vec()));
    assert_eq!((topics.topics.retained_size().0, topics.store.payloads()), (3, 3));
}

#[test]
fn a_few_last_values_among_many_are_found_bit_by_bit() {
    let mut topics = topics();
    for n in 0..5_000 {
        topics.keep(&format!("{n:04}/{}", n % 1_000), "x").unwrap();
    }
    topics.subscribe('a', "+/7", &plain());
    let mut steps = 0;
    let mut found = Vec::new();
    while topics.topics.can_dispatch() {
        steps += 1;
        topics.topics.dispatch_turns(&mut topics.store, 20, |turn| {
            while let Some(offer) = turn.next() {
                let TopicOffer::Message { topic, .. } = offer else { panic!("{offer:?}") };
                found.push(topic.as_str().to_owned());
            }
            Ok(())
        });
    }
    assert_eq!(found, ["0007/7", "1007/7", "2007/7", "3007/7", "4007/7"]);
    assert!(steps >= 5_000 / (3 * retained::LOOK), "{steps} steps: each has looked at too many");
    topics.publish("x/7", "new");
    assert_eq!(topics.told(), ["a6 x/7 new"]);
}

#[test]
fn limits_hold_and_what_is_beyond_them_has_no_effect() {
    let size = 10 + 1 + Topics::<char>::OVERHEAD;
    let mut topics = Fixture::new(TopicsConfig::default().with_max_bytes(2 * size).with_max_subscribers(1));
    topics.subscribe('a', "x", &plain());
    let second = topics.topics.subscribe(TopicFilter::new("y").unwrap(), &plain(), 'b');
    assert_eq!(second, Err(SubscribeError::TooMany(1)));
    topics.publish("x", "0123456789");
    topics.publish("x", "0123456789");
    assert_eq!(topics.topics.bytes(), 2 * size);
    assert_eq!(topics.keep("x", ""), Err(TopicsFull::Bytes { bytes: 2 * size }));
    assert_eq!(topics.topics.ledger().turned_away, 1);
    assert_eq!(topics.told().len(), 2);
    topics.publish("x", "0123456789");
}

#[test]
fn last_values_are_limited_by_number_and_by_bytes() {
    let size = 10 + 1 + Topics::<char>::OVERHEAD;
    let config = TopicsConfig::default().with_max_retained(2).with_max_retained_bytes(2 * size);
    let mut topics = Fixture::new(config);
    topics.subscribe('a', "#", &plain());
    topics.keep("x", "0123456789").unwrap();
    topics.keep("y", "0123456789").unwrap();
    assert_eq!(topics.keep("z", "0"), Err(TopicsFull::Retained { values: 2, bytes: 2 * size }));
    assert!(topics.keep("x", "0123456789+").is_err());
    topics.keep("x", "9876543210").unwrap();
    topics.keep("x", "").unwrap();
    topics.keep("z", "0123456789").unwrap();
    assert_eq!(topics.topics.ledger().published, 5, "and nobody has got what was refused");
    assert_eq!(topics.told().len(), 5);
}

#[test]
fn bytes_that_wait_are_limited_and_one_that_is_too_large_waits_alone() {
    let size = 10 + 1 + Topics::<char>::OVERHEAD;
    let mut topics = Fixture::new(TopicsConfig::default().with_buffer_bytes(2 * size));
    topics.subscribe('a', "x", &plain());
    for _ in 0..3 {
        topics.publish("x", "0123456789");
    }
    assert_eq!(topics.topics.subscriptions().next().map(|s| (s.waiting, s.bytes, s.lost)), Some((2, 2 * size, 1)));
    topics.publish("x", &"large".repeat(100));
    assert_eq!(topics.topics.subscriptions().next().map(|s| (s.waiting, s.lost)), Some((1, 3)));
}

/// Without it a value that grows would get past the bound, one topic after the other.
#[test]
fn a_latest_value_that_is_larger_than_the_one_before_makes_others_go() {
    let size = 10 + 1 + Topics::<char>::OVERHEAD;
    let mut topics = Fixture::new(TopicsConfig::default().with_buffer_bytes(3 * size));
    topics.subscribe('a', "+", &plain().with_overflow(TopicOverflow::KeepLatest));
    for name in ["x", "y", "z"] {
        topics.publish(name, "0123456789");
    }
    topics.publish("x", &"x".repeat(10 + size));
    let info = topics.topics.subscriptions().next().map(|s| (s.waiting, s.bytes, s.lost));
    assert_eq!(info, Some((2, 3 * size, 2)), "x is in its new place, and y is gone");
    assert_eq!(topics.told()[..2], ["a lost 2", "a1 z 0123456789"]);
}

#[test]
fn the_budget_of_a_dispatch_holds_and_turns_go_round() {
    let mut topics = topics();
    topics.subscribe('a', "x", &plain());
    topics.subscribe('b', "x", &plain());
    for _ in 0..200 {
        topics.publish("x", "1");
    }
    let mut turns = String::new();
    let mut dispatch = |budget| {
        topics.topics.dispatch_turns(&mut topics.store, budget, |turn| {
            turns.push(*turn.subscriber());
            while turn.next().is_some() {}
            Ok(())
        })
    };
    assert_eq!((dispatch(3), dispatch(100), dispatch(1000)), (3, 100, 297));
    assert_eq!(turns, "abababababa"[..turns.len()], "{turns}");
}

#[test]
fn whoever_comes_and_goes_leaves_nothing_behind() {
    let mut topics = topics();
    topics.subscribe('s', "x", &plain().with_group(b"g"));
    topics.publish("x", "waits");
    for n in 0..1000 {
        let member = topics.subscribe('a', "x", &plain().with_group(b"g"));
        let own = topics.subscribe('b', &format!("x/{n}"), &plain());
        topics.publish(&format!("x/{n}"), "nobody takes it");
        topics.topics.unsubscribe(&mut topics.store, member);
        topics.topics.unsubscribe(&mut topics.store, own);
        assert!(topics.topics.ready.len() <= 4, "{} in the order of turns", topics.topics.ready.len());
    }
    assert_eq!((topics.topics.trie.len(), topics.store.payloads()), (2, 1));
    assert_eq!(topics.told(), ["s1 x waits"]);
    assert_eq!(topics.topics.ledger().abandoned, 1000);
}

#[test]
fn a_topic_is_matched_anew_only_when_a_subscription_came_or_went() {
    let mut topics = topics();
    let id = topics.subscribe('a', "x/+", &plain());
    let topic = topics.topics.open(TopicName::new("x/y").unwrap()).unwrap();
    let publish = |topics: &mut Fixture| topics.topics.publish(&mut topics.store, topic, "1", false);
    assert_eq!(publish(&mut topics), Ok(1));
    let visited = topics.topics.trie.visited;
    assert_eq!(publish(&mut topics), Ok(1));
    assert_eq!(topics.topics.trie.visited, visited);
    topics.topics.unsubscribe(&mut topics.store, id);
    assert_eq!(publish(&mut topics), Ok(0));
}

#[test]
fn a_buffer_that_is_half_full_asks_for_a_turn() {
    let mut topics = topics();
    let id = topics.topics.subscribe(TopicFilter::new("x").unwrap(), &plain().with_buffer(4), 'a').unwrap();
    topics.publish("x", "1");
    topics.publish("x", "2");
    assert!(!topics.topics.is_pressed(), "a could not take it");
    topics.topics.allow(id, 3);
    topics.told();
    topics.publish("x", "3");
    assert!(!topics.topics.is_pressed());
    topics.publish("x", "4");
    assert!(topics.topics.is_pressed());
    topics.told();
    assert!(!topics.topics.is_pressed());
}

#[test]
#[should_panic(expected = "is not open")]
fn a_topic_that_is_closed_and_forgotten_cannot_be_published_on() {
    let mut topics = topics();
    let topic = topics.topics.open(TopicName::new("x").unwrap()).unwrap();
    topics.topics.close(topic);
    for n in 0..2_000 {
        topics.publish(&n.to_string(), "1");
    }
    let _ = topics.topics.publish(&mut topics.store, topic, "1", false);
}

/// Each publish to a topic that its subscribers mean leaves a list of them behind, and nobody has asked for so much memory.
#[test]
fn lists_of_matches_are_limited_in_all_and_those_found_first_go_first() {
    let mut topics = Fixture::new(TopicsConfig::default().with_max_matches(64));
    for who in 'a'..='p' {
        topics.subscribe(who, "+", &plain());
    }
    let is_found_again = |topics: &mut Fixture, name: &str| {
        topics.topics.trie.visited = 0;
        topics.publish(name, "x");
        topics.told();
        topics.topics.trie.visited > 0
    };
    for name in ["1", "2", "3", "4"] {
        assert!(is_found_again(&mut topics, name));
    }
    assert_eq!((topics.topics.matches(), topics.topics.ledger().matches_forgotten), (64, 0));
    assert!(!is_found_again(&mut topics, "1"), "it is remembered");
    assert!(is_found_again(&mut topics, "5"));
    assert_eq!((topics.topics.matches(), topics.topics.ledger().matches_forgotten), (64, 1));
    assert!(!is_found_again(&mut topics, "2") && is_found_again(&mut topics, "1"));

    // One that is too long by itself is not kept, and takes nobody's place.
    for n in 0..49 {
        topics.subscribe('q', "long", &plain().with_group(&[n]));
    }
    assert!(is_found_again(&mut topics, "long") && is_found_again(&mut topics, "long"));
    assert_eq!(topics.topics.ledger().matches_forgotten, 4);
    assert_eq!(topics.topics.matches(), 64);
    let most = (0..1_000).map(|n| {
        topics.publish(&n.to_string(), "x");
        topics.told();
        topics.topics.matches()
    });
    assert_eq!(most.max(), Some(64));
}

#[test]
fn a_topic_that_is_forgotten_takes_its_matches_with_it() {
    let mut topics = topics();
    topics.subscribe('a', "#", &plain());
    for n in 0..3_000 {
        topics.publish(&n.to_string(), "x");
        topics.told();
    }
    let each = topics.topics.matches() / topics.topics.topics();
    assert!((1..=8).contains(&each), "{each}");
    assert!(topics.topics.matches() <= 1_024 * 8);
}

#[test]
fn as_many_messages_as_may_wait_for_a_subscription_and_one_more_loses_one() {
    let mut topics = Fixture::new(TopicsConfig::default().with_buffer_messages(3));
    topics.subscribe('a', "x", &plain().with_buffer(1_000));
    let lost = |topics: &Fixture| topics.topics.subscriptions().next().map(|it| (it.waiting, it.lost));
    for text in ["1", "2", "3"] {
        topics.publish("x", text);
    }
    assert_eq!((lost(&topics), topics.topics.ledger().lost), (Some((3, 0)), 0));
    topics.publish("x", "4");
    assert_eq!((lost(&topics), topics.topics.ledger().lost), (Some((3, 1)), 1));
}
