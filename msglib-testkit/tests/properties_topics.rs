//! Topics against a naive matcher and a naive model: who gets what, in which order, what is lost and where that is said, and the books.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests, and what they share")]

#[path = "topics/model.rs"]
mod model;

use model::{Item, Model};
use msglib_broker::{
    Store, SubscribeOptions, SubscriberId, TopicFilter, TopicName, TopicOffer, TopicOverflow, Topics, TopicsConfig,
    Undeliverable,
};
use msglib_testkit::strategies::cases;
use proptest::collection::vec;
use proptest::prelude::*;

/// Few levels, so that filters and names meet.
fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b")]
}

fn name() -> impl Strategy<Value = String> {
    vec(level(), 1..5).prop_map(|levels| levels.join("/"))
}

fn filter() -> impl Strategy<Value = String> {
    let levels = vec(prop_oneof![3 => level(), 2 => Just("+")], 0..5);
    (levels, prop::bool::weighted(0.3))
        .prop_map(|(mut levels, has_rest)| {
            levels.extend(has_rest.then_some("#"));
            levels.join("/")
        })
        .prop_filter("a filter has a byte", |filter| !filter.is_empty())
}

/// Whether a filter means a name, by trying everything that a `#` could be.
fn means(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        (["#"], _) => true,
        ([], []) => true,
        (["+", filter @ ..], [_, name @ ..]) => means(filter, name),
        ([wanted, filter @ ..], [level, name @ ..]) => wanted == level && means(filter, name),
        _ => false,
    }
}

fn naively(filter: &str, name: &str) -> bool {
    means(&filter.split('/').collect::<Vec<_>>(), &name.split('/').collect::<Vec<_>>())
}

#[derive(Clone, Debug)]
enum Operation {
    Subscribe {
        filter: String,
        group: Option<u8>,
        overflow: TopicOverflow,
        buffer: u32,
        retained: bool,
    },
    /// As a group that is there already.
    Join(prop::sample::Index),
    Unsubscribe(prop::sample::Index),
    Publish {
        name: String,
        size: usize,
        retain: bool,
        by_name: bool,
    },
    /// Several at once.
    Run {
        name: String,
        sizes: Vec<usize>,
    },
    Allow(prop::sample::Index, u64),
    /// So many are taken by each, then there is no room; and those that are gone are found gone.
    Dispatch {
        budget: usize,
        room: usize,
        gone: bool,
    },
    Unblock,
}

fn operation() -> impl Strategy<Value = Operation> {
    let overflow = prop_oneof![
        Just(TopicOverflow::DropOldest),
        Just(TopicOverflow::DropNewest),
        Just(TopicOverflow::KeepLatest),
        Just(TopicOverflow::Disconnect),
    ];
    prop_oneof![
        3 => (filter(), prop::option::weighted(0.3, 0..2_u8), overflow, 1..5_u32, any::<bool>()).prop_map(
            |(filter, group, overflow, buffer, retained)| {
                Operation::Subscribe { filter, group, overflow, buffer, retained }
            }
        ),
        2 => any::<prop::sample::Index>().prop_map(Operation::Join),
        1 => any::<prop::sample::Index>().prop_map(Operation::Unsubscribe),
        10 => (name(), prop_oneof![5 => 1..40_usize, 1 => Just(0), 1 => Just(2_000)], prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(name, size, retain, by_name)| Operation::Publish { name, size, retain, by_name }),
        4 => (name(), vec(prop_oneof![9 => 0..40_usize, 1 => Just(2_000)], 0..8))
            .prop_map(|(name, sizes)| Operation::Run { name, sizes }),
        4 => (any::<prop::sample::Index>(), 1..6_u64).prop_map(|(who, more)| Operation::Allow(who, more)),
        4 => (1..20_usize, prop_oneof![Just(usize::MAX), 0..4_usize], prop::bool::weighted(0.05))
            .prop_map(|(budget, room, gone)| Operation::Dispatch { budget, room, gone }),
        2 => Just(Operation::Unblock),
    ]
}

/// Small, so that limits are met.
fn config() -> TopicsConfig {
    TopicsConfig::default()
        .with_max_bytes(6_000)
        .with_max_subscribers(12)
        .with_buffer_bytes(2_500)
        .with_max_retained(3)
        .with_max_retained_bytes(2_400)
}

/// The topics, the model, and the subscribers by the number that the model knows them by.
struct World {
    store: Store,
    topics: Topics<usize>,
    model: Model,
    subscribers: Vec<(SubscriberId, usize)>,
    /// How groups were subscribed to.
    groups: Vec<Operation>,
    serial: usize,
}

impl World {
    fn new() -> World {
        let model = Model::new(config(), Topics::<usize>::OVERHEAD, naively);
        let (store, topics, subscribers, groups) = (Store::new(), Topics::new(config()), Vec::new(), Vec::new());
        World { store, topics, model, subscribers, groups, serial: 0 }
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), TestCaseError> {
        match operation {
            Operation::Subscribe { filter, group, overflow, buffer, retained } => {
                let options =
                    SubscribeOptions::default().with_overflow(*overflow).with_buffer(*buffer).with_retained(*retained);
                let group = group.map(|group| [group]);
                let options = match &group {
                    Some(group) => options.with_group(group),
                    None => options,
                };
                if options.group.is_some() {
                    self.groups.push(operation.clone());
                }
                self.serial += 1;
                let result = self.topics.subscribe(TopicFilter::new(filter).unwrap(), &options, self.serial);
                let expected = self.model.subscribe(self.serial, filter, &options);
                prop_assert_eq!(result.is_ok(), expected, "{:?}", result);
                self.subscribers.extend(result.map(|id| (id, self.serial)));
            }
            Operation::Join(which) if !self.groups.is_empty() => {
                let group = self.groups.swap_remove(which.index(self.groups.len()));
                return self.apply(&group);
            }
            Operation::Unsubscribe(who) if !self.subscribers.is_empty() => {
                let (id, number) = self.subscribers.remove(who.index(self.subscribers.len()));
                prop_assert!(self.topics.unsubscribe(&mut self.store, id));
                prop_assert!(!self.topics.unsubscribe(&mut self.store, id), "once");
                self.model.unsubscribe(number);
            }
            Operation::Publish { name, size, retain, by_name } => self.publish(name, *size, *retain, *by_name)?,
            Operation::Run { name, sizes } => self.publish_run(name, sizes)?,
            Operation::Allow(who, more) if !self.subscribers.is_empty() => {
                let (id, number) = self.subscribers[who.index(self.subscribers.len())];
                let upto = self.model.allow(number, *more);
                self.topics.allow(id, upto);
            }
            Operation::Dispatch { budget, room, gone } => self.dispatch(*budget, *room, *gone)?,
            Operation::Unblock => self.unblock(),
            Operation::Join(_) | Operation::Unsubscribe(_) | Operation::Allow(..) => {}
        }
        self.check()
    }

    fn publish(&mut self, name: &str, size: usize, retain: bool, by_name: bool) -> Result<(), TestCaseError> {
        self.serial += 1;
        let payload = vec![self.serial as u8; size];
        let topic = TopicName::new(name).unwrap();
        let result = if by_name {
            self.topics.publish_to(&mut self.store, topic, &payload, retain)
        } else {
            let id = self.topics.open(topic).unwrap();
            let result = self.topics.publish(&mut self.store, id, &payload, retain);
            self.topics.close(id);
            result
        };
        let (expected, too_slow) = self.model.publish(name, &payload, retain, result.is_ok());
        prop_assert_eq!(result.ok(), expected);
        self.forget_disconnected(&too_slow)
    }

    fn publish_run(&mut self, name: &str, sizes: &[usize]) -> Result<(), TestCaseError> {
        let payloads: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
        let id = self.topics.open(TopicName::new(name).unwrap()).unwrap();
        let mut run = self.topics.run(&mut self.store, id);
        let results: Vec<_> = payloads.iter().map(|payload| run.publish(payload).ok()).collect();
        drop(run);
        self.topics.close(id);
        let (expected, too_slow) = self.model.publish_run(name, &payloads);
        prop_assert_eq!(results, expected);
        self.forget_disconnected(&too_slow)
    }

    fn forget_disconnected(&mut self, too_slow: &[usize]) -> Result<(), TestCaseError> {
        let mut disconnected = self.topics.take_disconnected();
        disconnected.sort_unstable();
        prop_assert_eq!(&disconnected, too_slow);
        self.subscribers.retain(|(_, number)| !disconnected.contains(number));
        Ok(())
    }

    fn dispatch(&mut self, budget: usize, room: usize, gone: bool) -> Result<(), TestCaseError> {
        let model = &mut self.model;
        let (mut failed, mut left) = (Ok(()), Vec::new());
        let taken = self.topics.dispatch_turns(&mut self.store, budget, |turn| {
            let who = *turn.subscriber();
            let mut sent = 0;
            while let Some(offer) = turn.next() {
                if sent == room {
                    model.block(who);
                    return Err(Undeliverable::Full);
                }
                let item = match offer {
                    TopicOffer::Gap { lost } => Item::Gap(lost),
                    TopicOffer::Message { tag, topic, payload, is_retained } => {
                        sent += 1;
                        Item::Message { tag, topic: topic.as_str().into(), payload: payload.to_vec(), is_retained }
                    }
                };
                let expected = model.next(who);
                if expected.as_ref() != Some(&item) {
                    failed = Err(TestCaseError::fail(format!("{who} got {item:?} and not {expected:?}")));
                }
            }
            if gone {
                model.unsubscribe(who);
                left.push(who);
                return Err(Undeliverable::Gone);
            }
            Ok(())
        });
        failed?;
        self.subscribers.retain(|(_, number)| !left.contains(number));
        prop_assert!(taken <= budget);
        // I12: nobody who could have something waits when there was budget for it.
        if taken < budget && !gone {
            prop_assert_eq!(self.model.who_waits_in_vain(), None);
            prop_assert!(!self.topics.can_dispatch());
        }
        Ok(())
    }

    fn unblock(&mut self) {
        for (id, number) in &self.subscribers {
            self.topics.unblock(*id);
            self.model.unblock(*number);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let ledger = self.topics.ledger();
        prop_assert!(ledger.is_balanced(), "{:?}", ledger);
        prop_assert_eq!(ledger.waiting, self.model.waiting());
        prop_assert_eq!(ledger.lost, self.model.lost);
        prop_assert_eq!(ledger.announced, self.model.announced);
        prop_assert_eq!(self.topics.subscribers(), self.subscribers.len());
        prop_assert_eq!(self.topics.bytes(), self.model.bytes());
        prop_assert_eq!(self.store.payloads(), self.model.payloads());
        prop_assert_eq!(self.topics.retained_size(), self.model.retained_size());
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn a_filter_matches_as_a_naive_one_does(filter in filter(), name in name()) {
        let matches = TopicFilter::new(&filter).unwrap().matches(TopicName::new(&name).unwrap());
        prop_assert_eq!(matches, naively(&filter, &name));
    }
}

proptest! {
    #![proptest_config(cases(250))]

    /// All at once, with some that have left.
    #[test]
    fn a_publish_reaches_those_whom_the_naive_matcher_names(
        filters in vec((filter(), prop::bool::weighted(0.3)), 1..40),
        names in vec(name(), 1..8),
    ) {
        let (mut store, mut topics) = (Store::new(), Topics::new(TopicsConfig::default()));
        let mut there = Vec::new();
        for (filter, leaves) in &filters {
            let id = topics.subscribe(TopicFilter::new(filter).unwrap(), &SubscribeOptions::default(), ()).unwrap();
            if *leaves {
                topics.unsubscribe(&mut store, id);
            } else {
                there.push(filter);
            }
        }
        for name in &names {
            let expected = there.iter().filter(|filter| naively(filter, name)).count();
            let found = topics.publish_to(&mut store, TopicName::new(name).unwrap(), "x", false);
            prop_assert_eq!(found, Ok(expected), "{}", name);
        }
    }

    #[test]
    fn topics_do_what_the_model_does(operations in vec(operation(), 1..120)) {
        let mut world = World::new();
        for operation in &operations {
            world.apply(operation)?;
        }
        // I27: nothing is left behind.
        world.topics.discard(&mut world.store);
        prop_assert_eq!(world.store.payloads(), 0);
    }
}
