//! The way of a message to all whom it is for.

use super::buffer::Pushed;
use super::message::MessageIndex;
use super::name::TopicName;
use super::{Topics, TopicsFull};
use crate::queue::Store;
use crate::table::Key;
use msglib_proto::Payload;

impl<S> Topics<S> {
    pub(super) fn publish_at(
        &mut self,
        store: &mut Store,
        topic: Key,
        payload: Payload<'_>,
        retain: bool,
    ) -> Result<usize, TopicsFull> {
        let keep = retain && !payload.is_empty();
        self.check_room(topic, payload.len(), keep).inspect_err(|_| self.ledger.turned_away += 1)?;
        let mut matches = self.messages.topics.take_matches(topic);
        if matches.version != self.trie.version() {
            matches.version = self.trie.version();
            matches.subscriptions.clear();
            self.trie.find(self.messages.topics.name(topic), &mut matches.subscriptions);
        }
        let copies = matches.subscriptions.len();
        self.ledger.published += 1;
        self.ledger.unmatched += u64::from(copies == 0);
        if copies > 0 || keep {
            let message = self.messages.insert(store, topic, payload);
            if keep {
                self.retained.set(&mut self.messages, store, message);
            }
            self.give(store, message, &matches.subscriptions);
            self.messages.release(store, message);
        }
        if retain && !keep {
            let name = Box::<str>::from(self.messages.topics.name(topic).as_str());
            self.retained.remove(&mut self.messages, store, TopicName::trusted(&name));
        }
        self.messages.topics.give_matches(topic, matches);
        Ok(copies)
    }

    fn check_room(&self, topic: Key, payload: usize, keep: bool) -> Result<(), TopicsFull> {
        let (size, bytes) = (self.messages.size(topic, payload), self.messages.bytes());
        if bytes.saturating_add(size) > self.config.max_bytes {
            return Err(TopicsFull::Bytes { bytes });
        }
        if keep {
            let (values, bytes) = self.retained_size();
            let old = self.retained.get(self.messages.topics.name(topic)).map(|old| self.messages.get(old).size);
            let has_place = old.is_some() || values < self.config.max_retained;
            if !has_place || bytes - old.unwrap_or(0) + size > self.config.max_retained_bytes {
                return Err(TopicsFull::Retained { values, bytes });
            }
        }
        Ok(())
    }

    /// A copy for each of the subscriptions.
    fn give(&mut self, store: &mut Store, message: MessageIndex, subscriptions: &[Key]) {
        let mut too_slow = Vec::new();
        let (mut waiting, mut lost) = (0, 0);
        for key in subscriptions {
            let Some(subscription) = self.subscriptions.get_mut(*key) else { continue };
            let pushed = subscription.buffer.push(&mut self.messages, store, message);
            let gone = match pushed {
                Pushed::Waits { lost } => {
                    waiting += 1;
                    waiting -= lost as i64;
                    lost
                }
                Pushed::Lost => 1,
                Pushed::TooSlow => {
                    too_slow.push(*key);
                    1
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
        self.ledger.copies += subscriptions.len() as u64;
        self.ledger.lost += lost;
        self.ledger.waiting = self.ledger.waiting.saturating_add_signed(waiting);
        for key in too_slow {
            self.disconnect(store, key);
        }
    }

    /// All who share a subscription are too slow for it.
    fn disconnect(&mut self, store: &mut Store, key: Key) {
        let members = self.subscriptions.get(key).map(|subscription| subscription.members().to_vec());
        for member in members.into_iter().flatten().filter_map(|member| self.subscribers.remove(member)) {
            self.ledger.disconnected += 1;
            self.disconnected.push(member.key);
        }
        self.end_subscription(store, key);
    }
}
