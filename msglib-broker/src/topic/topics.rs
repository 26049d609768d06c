//! The topics that somebody publishes on, or that have a message: names to small keys, and who is meant by each.

use super::name::TopicName;
use crate::table::{Key, Table};
use std::collections::{BTreeMap, VecDeque};

/// Names a topic for as long as somebody holds it.
pub(super) type TopicKey = Key;

/// Topics that nobody holds and that are kept, so that one that is published on by its name, again and again, is not matched each time.
const IDLE: usize = 1_024;

#[derive(Debug)]
pub(super) struct TopicTable {
    topics: Table<Topic>,
    /// Ordered, not hashed: nobody can choose names that make it slow.
    names: BTreeMap<Box<str>, TopicKey>,
    /// Those that nobody holds, or held for a while, each once; the longest first.
    idle: VecDeque<TopicKey>,
    /// Those with a list of matches, by when it was found.
    found: BTreeMap<u64, TopicKey>,
    /// How often one was found.
    finds: u64,
    /// Matches that there is room for in all these lists.
    matches: usize,
}

#[derive(Debug)]
struct Topic {
    name: Box<str>,
    /// Publishers and messages that hold it.
    holders: u32,
    is_idle: bool,
    matches: Matches,
    /// When they were found, and how many there is room for; zeros for never.
    found: (u64, usize),
}

/// The subscriptions that mean a topic, as long as none of them changes.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Too many to be kept.
    pub(super) is_too_long: bool,
    /// The version of the trie that this was found in; 0 for none.
    pub(super) version: u64,
    pub(super) subscriptions: Vec<Key>,
}

impl TopicTable {
    pub(super) fn new() -> TopicTable {
        TopicTable {
            topics: Table::new(),
            names: BTreeMap::new(),
            idle: VecDeque::new(),
            found: BTreeMap::new(),
            finds: 0,
            matches: 0,
        }
    }

    /// The topic of that name, which is made if it is not there.
    pub(super) fn find_or_make(&mut self, name: TopicName<'_>) -> TopicKey {
        if let Some(key) = self.names.get(name.as_str()) {
            return *key;
        }
        let (name, matches): (Box<str>, _) = (name.as_str().into(), Matches::default());
        let key = self.topics.insert(Topic { name: name.clone(), holders: 0, is_idle: false, matches, found: (0, 0) });
        self.names.insert(name, key);
        key
    }

    pub(super) fn contains(&self, key: TopicKey) -> bool {
        self.topics.get(key).is_some()
    }

    #[inline]
    pub(super) fn name(&self, key: TopicKey) -> TopicName<'_> {
        TopicName::trusted(self.topics.get(key).map_or("", |topic| &topic.name))
    }

    pub(super) fn hold(&mut self, key: TopicKey) {
        if let Some(topic) = self.topics.get_mut(key) {
            topic.holders += 1;
        }
    }

    pub(super) fn release(&mut self, key: TopicKey) {
        if let Some(topic) = self.topics.get_mut(key) {
            topic.holders = topic.holders.saturating_sub(1);
        }
        self.rest(key);
    }

    /// A topic that nobody holds is kept for a while.
    pub(super) fn rest(&mut self, key: TopicKey) {
        let Some(topic) = self.topics.get_mut(key).filter(|topic| topic.holders == 0 && !topic.is_idle) else { return };
        topic.is_idle = true;
        self.idle.push_back(key);
        if self.idle.len() > IDLE {
            self.forget_one();
        }
    }

    /// What was found for the topic; to be given back.
    pub(super) fn take_matches(&mut self, key: TopicKey) -> Matches {
        self.topics.get_mut(key).map(|topic| core::mem::take(&mut topic.matches)).unwrap_or_default()
    }

    pub(super) fn give_matches(&mut self, key: TopicKey, matches: Matches) {
        if let Some(topic) = self.topics.get_mut(key).filter(|_| !matches.is_too_long) {
            topic.matches = matches;
        }
    }

    /// Those of a topic were found anew, and are still to be given back. With more than `most` in all, those of others are forgotten that
    /// were found first; or these, if they are more by themselves. Returns how many lists that were.
    ///
    /// What is forgotten was no more than what has just been found, or will be found again before it is forgotten again: so this costs no
    /// more than the finding.
    pub(super) fn found_matches(&mut self, key: TopicKey, matches: &mut Matches, most: usize) -> u64 {
        self.forget_matches(key);
        let room = matches.subscriptions.capacity();
        matches.is_too_long = room > most;
        if matches.is_too_long {
            return 1;
        }
        if let Some(topic) = self.topics.get_mut(key).filter(|_| room > 0) {
            self.finds += 1;
            topic.found = (self.finds, room);
            self.found.insert(self.finds, key);
            self.matches += room;
        }
        let mut forgotten = 0;
        while self.matches > most
            && let Some(first) = self.found.first_key_value().map(|(_, first)| *first)
        {
            self.forget_matches(first);
            forgotten += 1;
        }
        forgotten
    }

    /// How many matches there is room for in all lists.
    pub(super) fn matches(&self) -> usize {
        self.matches
    }

    fn forget_matches(&mut self, key: TopicKey) {
        let Some(topic) = self.topics.get_mut(key) else { return };
        let (when, room) = core::mem::take(&mut topic.found);
        topic.matches = Matches::default();
        self.found.remove(&when);
        self.matches -= room;
    }

    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    fn forget_one(&mut self) {
        let Some(key) = self.idle.pop_front() else { return };
        let Some(topic) = self.topics.get_mut(key) else { return };
        topic.is_idle = false;
        if topic.holders > 0 {
            return;
        }
        self.forget_matches(key);
        if let Some(topic) = self.topics.remove(key) {
            self.names.remove(&topic.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_leave_a_thousand_behind_and_those_that_are_held() {
        let mut topics = TopicTable::new();
        let held = topics.find_or_make(TopicName::trusted("held"));
        topics.hold(held);
        for n in 0..10_000 {
            let name = n.to_string();
            let key = topics.find_or_make(TopicName::trusted(&name));
            topics.hold(key);
            topics.release(key);
        }
        assert_eq!((topics.len(), topics.names.len()), (IDLE + 1, IDLE + 1));
        assert_eq!(topics.find_or_make(TopicName::trusted("held")), held);
        topics.release(held);
        assert_eq!(topics.len(), IDLE);
    }

    #[test]
    fn one_that_is_used_again_while_it_is_idle_is_not_forgotten() {
        let mut topics = TopicTable::new();
        let again = topics.find_or_make(TopicName::trusted("again"));
        topics.rest(again);
        topics.hold(again);
        for n in 0..2 * IDLE {
            let key = topics.find_or_make(TopicName::trusted(&n.to_string()));
            topics.rest(key);
        }
        assert!(topics.contains(again));
        topics.release(again);
        assert!(topics.contains(again), "and it is idle once more");
    }
}
