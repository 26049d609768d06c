//! The way of messages to all whom they are for: one message, or a run of them.

use super::buffer::Pushed;
use super::name::TopicName;
use super::runs::{LENGTH, RunIndex};
use super::topics::Matches;
use super::{Topics, TopicsFull};
use crate::owners::Who;
use crate::queue::Store;
use crate::table::Key;
use core::fmt;
use msglib_proto::Payload;

/// Messages on one topic, one after the other; see [`Topics::run`].
pub struct TopicRun<'a, S> {
    topics: &'a mut Topics<S>,
    store: &'a mut Store,
    topic: Key,
    /// Taken from the topic, and given back in the end.
    matches: Matches,
    run: Option<RunIndex>,
    /// Messages and bytes that the fullest of those buffers has room for whose subscribers could take what is in them.
    room: (usize, usize),
}

impl<'a, S> TopicRun<'a, S> {
    pub(super) fn new(topics: &'a mut Topics<S>, store: &'a mut Store, topic: Key) -> TopicRun<'a, S> {
        let matches = topics.find(topic);
        TopicRun { topics, store, topic, matches, run: None, room: (usize::MAX, usize::MAX) }
    }

    /// For several messages: it knows when it is full.
    pub(super) fn with_room(topics: &'a mut Topics<S>, store: &'a mut Store, topic: Key) -> TopicRun<'a, S> {
        let mut run = TopicRun::new(topics, store, topic);
        for subscription in &run.matches.subscriptions {
            let subscription = run.topics.subscriptions.get(*subscription);
            if let Some(buffer) = subscription.filter(|it| it.has_takers()).map(|it| &it.buffer) {
                let (messages, bytes) = buffer.room();
                run.room = (run.room.0.min(messages), run.room.1.min(bytes));
            }
        }
        run
    }

    /// Whether somebody's buffer is about to be full who could take what is in it: the run should end, and go on after a dispatch, so
    /// that nothing is lost for want of a turn.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.room.0 == 0 || self.room.1 == 0
    }

    /// The next message; returns how many subscriptions it is for.
    ///
    /// # Errors
    ///
    /// [`TopicsFull`]; the message was not taken.
    #[inline]
    pub fn publish<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<usize, TopicsFull> {
        let payload = payload.into();
        self.topics.check_room(self.topic, payload.len())?;
        let copies = self.matches.subscriptions.len();
        self.topics.ledger.published += 1;
        if copies == 0 {
            self.topics.ledger.unmatched += 1;
            return Ok(0);
        }
        let (runs, topic) = (&mut self.topics.runs, self.topic);
        let run = *self.run.get_or_insert_with(|| runs.begin(topic));
        let before = runs.get(run).bytes;
        runs.add(self.store, run, payload);
        // Twice what it counts for, for the next one may be larger than what is left then.
        let bytes = 2 * (runs.get(run).bytes - before);
        self.room = (self.room.0.saturating_sub(1), self.room.1.saturating_sub(bytes));
        if runs.get(run).len() == LENGTH {
            self.give();
        }
        Ok(copies)
    }

    fn give(&mut self) {
        if let Some(run) = self.run.take() {
            let too_slow = self.topics.give(self.store, run, &self.matches.subscriptions);
            self.topics.runs.release(self.store, run);
            if !too_slow.is_empty() {
                self.topics.disconnect(self.store, too_slow);
                self.matches = self.topics.find(self.topic);
            }
        }
    }
}

impl<S> Drop for TopicRun<'_, S> {
    fn drop(&mut self) {
        self.give();
        self.topics.runs.topics.give_matches(self.topic, core::mem::take(&mut self.matches));
    }
}

impl<S> fmt::Debug for TopicRun<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicRun").field("subscriptions", &self.matches.subscriptions.len()).finish_non_exhaustive()
    }
}

impl<S> Topics<S> {
    pub(super) fn publish_one(
        &mut self,
        store: &mut Store,
        topic: Key,
        payload: Payload<'_>,
        retain: bool,
        who: Who<'_>,
    ) -> Result<usize, TopicsFull> {
        if !retain {
            return TopicRun::new(self, store, topic).publish(payload);
        }
        self.check_room(topic, payload.len())?;
        match payload.is_empty() {
            true => {
                let name = Box::<str>::from(self.runs.topics.name(topic).as_str());
                let copies = TopicRun::new(self, store, topic).publish(payload);
                let owner = self.retained.remove(&mut self.runs, store, TopicName::trusted(&name));
                owner.into_iter().for_each(|owner| self.owners.leave(owner));
                copies
            }
            false => self.keep(store, topic, payload, who),
        }
    }

    /// Publishes a message that is the topic's last value from here on, in a run of its own, for it stays longer than others.
    fn keep(&mut self, store: &mut Store, topic: Key, payload: Payload<'_>, who: Who<'_>) -> Result<usize, TopicsFull> {
        self.check_room_to_keep(topic, payload.len(), who)?;
        let is_new = self.retained.get(self.runs.topics.name(topic)).is_none();
        let owner = if is_new { self.owners.enter(who) } else { None };
        let matches = self.find(topic);
        let copies = matches.subscriptions.len();
        self.ledger.published += 1;
        self.ledger.unmatched += u64::from(copies == 0);
        let run = self.runs.begin(topic);
        self.runs.add(store, run, payload);
        self.retained.set(&mut self.runs, store, run, owner);
        let too_slow = self.give(store, run, &matches.subscriptions);
        self.runs.release(store, run);
        self.runs.topics.give_matches(topic, matches);
        self.disconnect(store, too_slow);
        Ok(copies)
    }

    /// The subscriptions that mean a topic, as they were found before if none has come or gone.
    fn find(&mut self, topic: Key) -> Matches {
        let mut matches = self.runs.topics.take_matches(topic);
        if matches.version != self.trie.version() {
            matches.version = self.trie.version();
            matches.subscriptions.clear();
            self.trie.find(self.runs.topics.name(topic), &mut matches.subscriptions);
            let forgotten = self.runs.topics.found_matches(topic, &mut matches, self.config.max_matches);
            self.ledger.matches_forgotten += forgotten;
        }
        matches
    }

    #[inline]
    fn check_room(&mut self, topic: Key, payload: usize) -> Result<(), TopicsFull> {
        let (size, bytes) = (self.runs.size(topic, payload), self.runs.bytes());
        if bytes.saturating_add(size) > self.config.max_bytes {
            self.ledger.turned_away += 1;
            return Err(TopicsFull::Bytes { bytes });
        }
        Ok(())
    }

    fn check_room_to_keep(&mut self, topic: Key, payload: usize, who: Who<'_>) -> Result<(), TopicsFull> {
        let size = self.runs.size(topic, payload);
        let (values, bytes) = self.retained_size();
        let old = self.retained.get(self.runs.topics.name(topic)).map(|old| self.runs.get(old).bytes);
        let has_place = old.is_some() || values < self.config.max_retained;
        if !has_place || bytes - old.unwrap_or(0) + size > self.config.max_retained_bytes {
            self.ledger.turned_away += 1;
            self.ledger.values_turned_away += 1;
            return Err(TopicsFull::Retained { values, bytes });
        }
        if old.is_none() {
            self.check_owner(who).inspect_err(|_| self.ledger.turned_away += 1)?;
        }
        Ok(())
    }

    /// A copy of a run for each of the subscriptions. Returns those that are too slow.
    fn give(&mut self, store: &mut Store, run: RunIndex, subscriptions: &[Key]) -> Vec<Key> {
        let mut too_slow = Vec::new();
        let len = self.runs.get(run).len() as u64;
        let (mut copies, mut lost) = (0, 0);
        for key in subscriptions {
            let Some(subscription) = self.subscriptions.get_mut(*key) else { continue };
            copies += len;
            let gone = match subscription.buffer.push(&mut self.runs, store, run) {
                Pushed::Lost(gone) => gone,
                Pushed::TooSlow(gone) => {
                    too_slow.push(*key);
                    gone
                }
            };
            subscription.lost += gone;
            lost += gone;
            if !subscription.is_listed && subscription.can_turn() {
                subscription.is_listed = true;
                self.ready.push_back(*key);
            }
            self.is_pressed |= subscription.is_listed && subscription.buffer.is_pressed();
        }
        self.ledger.copies += copies;
        self.ledger.lost += lost;
        self.ledger.waiting = self.ledger.waiting + copies - lost;
        too_slow
    }

    /// All who share a subscription are too slow for it.
    fn disconnect(&mut self, store: &mut Store, subscriptions: Vec<Key>) {
        for key in subscriptions {
            let members = self.subscriptions.get(key).map(|subscription| subscription.members().to_vec());
            for member in members.into_iter().flatten().filter_map(|member| self.subscribers.remove(member)) {
                self.ledger.disconnected += 1;
                self.disconnected.push(member.key);
            }
            self.end_subscription(store, key);
        }
    }
}
