//! Topics as a value: messages in, a copy of each for every subscription that means its topic out. They know neither frames nor
//! connections, so that the broker of any dialect, and a test, can use them.

mod buffer;
mod config;
mod error;
mod ledger;
mod name;
mod opening;
mod publish;
mod retained;
mod runs;
mod subscription;
#[cfg(test)]
mod tests;
mod topics;
mod trie;
mod turn;

pub use config::{SubscribeOptions, TopicOverflow, TopicsConfig};
pub use error::{SubscribeError, TopicsFull};
pub use ledger::TopicLedger;
pub use name::{BadTopic, MAX_TOPIC_LEVELS, TopicFilter, TopicName};
pub use publish::TopicRun;
pub use turn::{RunId, RunOffer, TopicOffer, TopicTurn};

use crate::owners::{Owners, Who};
use crate::queue::{Store, Undeliverable};
use crate::table::{Key, Table};
use buffer::{Bound, Buffer};
use msglib_proto::Payload;
use retained::Retained;
use runs::Runs;
use std::collections::{BTreeMap, VecDeque};
use subscription::{Subscriber, Subscription};
use trie::Trie;

/// Names one subscriber; never used again for another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriberId(Key);

/// Names a topic that somebody has opened to publish on it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicId(Key);

/// One subscription, as a person or a test sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SubscriptionInfo<'a> {
    /// The topics that it means.
    pub filter: TopicFilter<'a>,
    /// The group that shares it, if it is one.
    pub group: Option<&'a [u8]>,
    /// How many subscribers share it.
    pub members: usize,
    /// Messages that wait.
    pub waiting: usize,
    /// Bytes that they count for.
    pub bytes: usize,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that were lost.
    pub lost: u64,
}

/// Publish and subscribe, by hierarchical names.
///
/// Each message goes to every subscription whose filter means its topic, in the order of publication, and lies in the [`Store`] once
/// however many that are. A subscriber is known by a key of the caller's (`S`), say a connection and a link; its deliveries have
/// dense tags, and it gets no more than it has [`allow`](Topics::allow)ed. Nothing comes back: what is delivered is done with. For one that
/// is slower than its messages a bounded buffer waits, and what it has no room for is lost as its [`TopicOverflow`] says, counted,
/// and told of in its place.
///
/// What a publish costs grows with those that it is for. The ones it is for are found in a trie, in a step for each level and
/// each filter that begins as the name does, and remembered with the topic until a subscription comes or goes.
///
/// ```
/// use msglib_broker::{Store, SubscribeOptions, TopicFilter, TopicName, TopicOffer, Topics, TopicsConfig};
///
/// let (mut store, mut topics) = (Store::new(), Topics::new(TopicsConfig::default()));
/// let alice = topics.subscribe(TopicFilter::new("house/+/heat")?, &SubscribeOptions::default(), "alice")?;
/// topics.allow(alice, 10);
/// topics.publish_to(&mut store, TopicName::new("house/kitchen/heat")?, "21.5", false)?;
///
/// let mut got = Vec::new();
/// topics.dispatch_turns(&mut store, 100, |turn| {
///     let who = *turn.subscriber();
///     while let Some(offer) = turn.next() {
///         match offer {
///             TopicOffer::Message { tag, topic, payload, .. } => got.push(format!("{who} {tag} {topic} {payload:?}")),
///             TopicOffer::Gap { lost } => got.push(format!("{who} has lost {lost}")),
///         }
///     }
///     Ok(())
/// });
/// assert_eq!(got, ["alice 1 house/kitchen/heat \"21.5\""]);
/// assert_eq!(topics.ledger().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Topics<S> {
    config: TopicsConfig,
    trie: Trie,
    runs: Runs,
    retained: Retained,
    subscriptions: Table<Subscription>,
    subscribers: Table<Subscriber<S>>,
    /// Groups by filter and name.
    groups: BTreeMap<(Box<str>, Box<[u8]>), Key>,
    /// Subscriptions with something to deliver and somebody who can take it, in the order of their turns. May name some that are gone.
    ready: VecDeque<Key>,
    /// How many of them are gone.
    stale: usize,
    /// Those that were too slow.
    disconnected: Vec<S>,
    is_pressed: bool,
    /// How often topics are open.
    open: usize,
    /// Who has opened topics, and kept last values.
    owners: Owners,
    ledger: TopicLedger,
}

/// Deliveries to one subscriber before the next has its turn, at most.
const QUANTUM: usize = 64;

impl<S> Topics<S> {
    /// What each message counts for beyond its payload and its topic's name, in bytes.
    pub const OVERHEAD: usize = runs::OVERHEAD;

    /// No topics yet.
    pub fn new(config: TopicsConfig) -> Topics<S> {
        Topics {
            open: 0,
            owners: Owners::new(config.max_per_identity),
            config,
            trie: Trie::new(),
            runs: Runs::new(),
            retained: Retained::default(),
            subscriptions: Table::new(),
            subscribers: Table::new(),
            groups: BTreeMap::new(),
            ready: VecDeque::new(),
            stale: 0,
            disconnected: Vec::new(),
            is_pressed: false,
            ledger: TopicLedger::default(),
        }
    }

    /// A new subscriber; it has not allowed anything yet.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]; nothing has changed.
    pub fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        options: &SubscribeOptions<'_>,
        key: S,
    ) -> Result<SubscriberId, SubscribeError> {
        if self.subscribers.len() >= self.config.max_subscribers {
            self.ledger.subscribers_turned_away += 1;
            return Err(SubscribeError::TooMany(self.subscribers.len()));
        }
        let bound = self.bound(options);
        let group = options.group.map(|group| (Box::from(filter.as_str()), Box::from(group)));
        if let Some(existing) = group.as_ref().and_then(|group| self.groups.get(group)).copied()
            && let Some(subscription) = self.subscriptions.get_mut(existing)
        {
            if subscription.buffer.bound() != bound {
                return Err(SubscribeError::GroupDiffers);
            }
            return Ok(SubscriberId(subscription.join(&mut self.subscribers, key, existing)));
        }
        let subscription = self.add_subscription(filter, options, bound);
        if let Some(group) = group {
            self.groups.insert(group, subscription);
        }
        let Some(added) = self.subscriptions.get_mut(subscription) else { unreachable!("it was just added") };
        Ok(SubscriberId(added.join(&mut self.subscribers, key, subscription)))
    }

    /// Allows the subscriber's deliveries up to the tag `upto`; a lower value than before changes nothing.
    pub fn allow(&mut self, SubscriberId(id): SubscriberId, upto: u64) {
        if let Some(subscriber) = self.subscribers.get_mut(id) {
            subscriber.allowed = subscriber.allowed.max(upto);
        }
        self.list_subscriber(id);
    }

    /// There is room again on the way to a subscriber that was [`Full`](Undeliverable::Full).
    pub fn unblock(&mut self, SubscriberId(id): SubscriberId) {
        if let Some(subscriber) = self.subscribers.get_mut(id) {
            subscriber.is_blocked = false;
        }
        self.list_subscriber(id);
    }

    /// The subscriber is gone. What waits for it, or for the group whose last member it was, is not delivered any more. Returns whether it
    /// was there.
    pub fn unsubscribe(&mut self, store: &mut Store, SubscriberId(id): SubscriberId) -> bool {
        let Some(gone) = self.subscribers.remove(id) else { return false };
        let Some(subscription) = self.subscriptions.get_mut(gone.subscription) else { return false };
        subscription.left(&mut self.subscribers, &gone);
        if subscription.members().is_empty() {
            self.end_subscription(store, gone.subscription);
        }
        true
    }

    /// Takes a message on a topic, and returns how many subscriptions it is for. With `retain` it is kept as the topic's last value
    /// as well, or, when it is empty, takes the last value away.
    ///
    /// # Errors
    ///
    /// [`TopicsFull`]; the message was not taken.
    ///
    /// # Panics
    ///
    /// When the topic was closed as often as it was opened, and is gone.
    pub fn publish<'p>(
        &mut self,
        store: &mut Store,
        topic: TopicId,
        payload: impl Into<Payload<'p>>,
        retain: bool,
    ) -> Result<usize, TopicsFull> {
        self.publish_as(store, topic, payload.into(), retain, Who::Host)
    }

    /// The same for somebody.
    pub(crate) fn publish_as(
        &mut self,
        store: &mut Store,
        TopicId(topic): TopicId,
        payload: Payload<'_>,
        retain: bool,
        who: Who<'_>,
    ) -> Result<usize, TopicsFull> {
        assert!(self.runs.topics.contains(topic), "{topic:?} is not open");
        self.publish_one(store, topic, payload, retain, who)
    }

    /// Begins a run of messages on one topic: as [`publish`](Topics::publish) for each of them, without `retain`, at about a third of the price
    /// for each subscription. They are given out when the run is dropped. Whoever dispatches as well ends a run
    /// that [is full](TopicRun::is_full), and begins another one.
    ///
    /// # Panics
    ///
    /// As [`publish`](Topics::publish).
    pub fn run<'a>(&'a mut self, store: &'a mut Store, TopicId(topic): TopicId) -> TopicRun<'a, S> {
        assert!(self.runs.topics.contains(topic), "{topic:?} is not open");
        TopicRun::with_room(self, store, topic)
    }

    /// As [`publish`](Topics::publish), on a topic that nobody needs to have opened.
    ///
    /// # Errors
    ///
    /// [`TopicsFull`]; the message was not taken.
    pub fn publish_to<'p>(
        &mut self,
        store: &mut Store,
        name: TopicName<'_>,
        payload: impl Into<Payload<'p>>,
        retain: bool,
    ) -> Result<usize, TopicsFull> {
        self.publish_to_as(store, name, payload.into(), retain, Who::Host)
    }

    /// The same for somebody.
    pub(crate) fn publish_to_as(
        &mut self,
        store: &mut Store,
        name: TopicName<'_>,
        payload: Payload<'_>,
        retain: bool,
        who: Who<'_>,
    ) -> Result<usize, TopicsFull> {
        let topic = self.runs.topics.find_or_make(name);
        let result = self.publish_one(store, topic, payload, retain, who);
        self.runs.topics.rest(topic);
        result
    }

    /// The last value of a topic.
    pub fn retained<'s>(&self, store: &'s Store, name: TopicName<'_>) -> Option<Payload<'s>> {
        self.retained.get(name).map(|run| store.get(&self.runs.get(run).messages[0]))
    }

    /// How many topics have a last value, and the bytes that they count for.
    pub fn retained_size(&self) -> (usize, usize) {
        (self.retained.len(), self.retained.bytes())
    }

    /// Whether [`dispatch_turns`](Topics::dispatch_turns) would have something to offer.
    pub fn can_dispatch(&self) -> bool {
        self.ready.len() > self.stale
    }

    /// Whether more than half of somebody's buffer is in use who could take what is in it. Whoever publishes much before they dispatch asks
    /// after each message, so that nothing is lost for want of a turn.
    pub fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    /// Offers what waits to those who may have it, in turns of up to 64 messages, at most `budget` messages in all, and returns how many
    /// were taken. After an error the last offer counts as not taken. A turn in which nothing is taken blocks the subscriber as
    /// [`Full`](Undeliverable::Full) does. Looking for last values among many others counts against the budget too.
    pub fn dispatch_turns(
        &mut self,
        store: &mut Store,
        budget: usize,
        mut deliver: impl FnMut(&mut TopicTurn<'_, S>) -> Result<(), Undeliverable>,
    ) -> usize {
        let (mut left, mut taken) = (budget, 0);
        self.is_pressed = false;
        while left > 0 {
            let Some(key) = self.ready.pop_front() else { break };
            let Some(subscription) = self.subscriptions.get_mut(key) else {
                self.stale -= 1;
                continue;
            };
            subscription.is_listed = false;
            let done = self.turn(store, key, left.min(QUANTUM), &mut deliver);
            left = left.saturating_sub(done.cost());
            taken += done.taken();
            self.list(key);
        }
        relax(&mut self.ready);
        taken
    }

    /// The keys of those that were too slow ([`TopicOverflow::Disconnect`]) since this was asked last. They are not subscribers any more.
    pub fn take_disconnected(&mut self) -> Vec<S> {
        core::mem::take(&mut self.disconnected)
    }

    /// Whether [`take_disconnected`](Topics::take_disconnected) has somebody.
    pub fn has_disconnected(&self) -> bool {
        !self.disconnected.is_empty()
    }

    /// The end of the topics: drops every message and every last value.
    pub fn discard(mut self, store: &mut Store) {
        self.retained.clear(&mut self.runs, store);
        let subscriptions: Vec<Key> = self.subscribers.iter().map(|subscriber| subscriber.subscription).collect();
        for subscription in subscriptions {
            self.end_subscription(store, subscription);
        }
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.subscribers.len()
    }

    /// How many topics are open, have a message, or were published on lately.
    pub fn topics(&self) -> usize {
        self.runs.topics.len()
    }

    /// How often topics are open.
    pub fn open_topics(&self) -> usize {
        self.open
    }

    /// How many matches there is room for in the lists that are kept with topics.
    pub fn matches(&self) -> usize {
        self.runs.topics.matches()
    }

    /// Bytes of all messages that wait or are kept, each counted once.
    pub fn bytes(&self) -> usize {
        self.runs.bytes()
    }

    /// Every subscription.
    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionInfo<'_>> {
        self.subscriptions.iter().map(|subscription| SubscriptionInfo {
            filter: subscription.filter(),
            group: subscription.group.as_deref(),
            members: subscription.members().len(),
            waiting: subscription.buffer.len(),
            bytes: subscription.buffer.bytes(),
            delivered: subscription.delivered,
            lost: subscription.lost,
        })
    }

    /// What became of every message so far.
    pub fn ledger(&self) -> TopicLedger {
        self.ledger
    }

    fn bound(&self, options: &SubscribeOptions<'_>) -> Bound {
        let most = self.config.buffer_messages.max(1);
        let messages = options.buffer.map_or(most, |messages| most.min(messages as usize).max(1));
        Bound { messages, bytes: self.config.buffer_bytes, overflow: options.overflow }
    }

    fn add_subscription(&mut self, filter: TopicFilter<'_>, options: &SubscribeOptions<'_>, bound: Bound) -> Key {
        let cursor = options.retained.then(|| self.retained.cursor(filter)).flatten();
        let trie = &mut self.trie;
        let key = self.subscriptions.insert_with(|key| {
            let place = trie.insert(filter, key);
            Subscription::new(filter, options.group, place, Buffer::new(bound))
        });
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.cursor = cursor;
        }
        key
    }

    fn end_subscription(&mut self, store: &mut Store, key: Key) {
        let Some(ended) = self.subscriptions.remove(key) else { return };
        let filter = TopicFilter::trusted(&ended.filter);
        let moved = self.trie.remove(filter, ended.place).and_then(|moved| self.subscriptions.get_mut(moved));
        if let Some(moved) = moved {
            moved.place = ended.place;
        }
        if let Some(group) = ended.group {
            self.groups.remove(&(ended.filter, group));
        }
        let abandoned = ended.buffer.clear(&mut self.runs, store);
        self.ledger.waiting -= abandoned;
        self.ledger.abandoned += abandoned;
        if ended.is_listed {
            self.stale += 1;
            // Subscriptions that come and go must not pile up while nobody dispatches.
            if self.stale * 2 > self.ready.len() {
                self.ready.retain(|key| self.subscriptions.get(*key).is_some());
                self.stale = 0;
            }
        }
    }

    fn list_subscriber(&mut self, id: Key) {
        let Some(subscriber) = self.subscribers.get_mut(id) else { return };
        let key = subscriber.subscription;
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.list(id, subscriber);
        }
        self.list(key);
    }

    /// Puts a subscription into the order of turns if it has something for somebody and is not there yet.
    fn list(&mut self, key: Key) {
        if let Some(subscription) = self.subscriptions.get_mut(key)
            && !subscription.is_listed
            && subscription.can_turn()
        {
            subscription.is_listed = true;
            self.ready.push_back(key);
        }
    }
}

/// Gives back most of a ring that is nearly empty, far enough from the next growth to cost nothing on average.
fn relax<T>(ring: &mut VecDeque<T>) {
    const SMALL: usize = 1024;
    if ring.capacity() > SMALL && ring.len() < ring.capacity() / 8 {
        ring.shrink_to(ring.capacity() / 4);
    }
}
