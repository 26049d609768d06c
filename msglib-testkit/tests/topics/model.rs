//! What topics promise, done in the simplest way: every subscription has its own list of all that is to come.

use msglib_broker::{SubscribeOptions, TopicOverflow, TopicsConfig};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

/// What a subscriber is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Message { tag: u64, topic: String, payload: Vec<u8>, is_retained: bool },
    Gap(u64),
}

#[derive(Debug)]
struct Message {
    topic: String,
    payload: Vec<u8>,
    run: usize,
}

pub struct Model {
    config: TopicsConfig,
    overhead: usize,
    means: fn(&str, &str) -> bool,
    subscriptions: Vec<Subscription>,
    retained: BTreeMap<String, (Rc<Message>, u64)>,
    sequence: u64,
    /// What was published together; it goes together.
    runs: Vec<Vec<Rc<Message>>>,
    pub lost: u64,
    pub announced: u64,
}

struct Subscription {
    filter: String,
    group: Option<Vec<u8>>,
    overflow: TopicOverflow,
    buffer: usize,
    members: Vec<Member>,
    /// Names of last values, and when they were kept.
    initial: VecDeque<(String, u64)>,
    waiting: VecDeque<Entry>,
}

struct Entry {
    message: Option<Rc<Message>>,
    /// In front of the message, or at the end.
    lost: u64,
}

struct Member {
    number: usize,
    tag: u64,
    allowed: u64,
    is_blocked: bool,
}

impl Subscription {
    fn messages(&self) -> impl Iterator<Item = &Rc<Message>> {
        self.waiting.iter().filter_map(|entry| entry.message.as_ref())
    }

    /// Takes out the message at an index; what was lost before it, and the message if it is, is lost before the next.
    fn take_out(&mut self, index: usize, is_lost: bool) -> Option<Rc<Message>> {
        let entry = self.waiting.remove(index)?;
        self.lose_at(index, entry.lost + u64::from(is_lost));
        entry.message
    }

    fn lose_at(&mut self, index: usize, lost: u64) {
        if lost == 0 {
            return;
        }
        if index == self.waiting.len() {
            self.waiting.push_back(Entry { message: None, lost: 0 });
        }
        self.waiting[index].lost += lost;
    }

    fn append(&mut self, message: Rc<Message>) {
        match self.waiting.back_mut() {
            Some(end) if end.message.is_none() => end.message = Some(message),
            _ => self.waiting.push_back(Entry { message: Some(message), lost: 0 }),
        }
    }
}

impl Model {
    pub fn new(config: TopicsConfig, overhead: usize, means: fn(&str, &str) -> bool) -> Model {
        let (subscriptions, retained) = (Vec::new(), BTreeMap::new());
        let (sequence, runs) = (0, Vec::new());
        Model { config, overhead, means, subscriptions, retained, sequence, runs, lost: 0, announced: 0 }
    }

    fn size(&self, message: &Message) -> usize {
        message.topic.len() + message.payload.len() + self.overhead
    }

    pub fn subscribe(&mut self, number: usize, filter: &str, options: &SubscribeOptions<'_>) -> bool {
        let members: usize = self.subscriptions.iter().map(|subscription| subscription.members.len()).sum();
        if members >= self.config.max_subscribers {
            return false;
        }
        let (overflow, buffer) = (options.overflow, options.buffer.unwrap() as usize);
        let group = options.group.map(<[u8]>::to_vec);
        let member = Member { number, tag: 0, allowed: 0, is_blocked: false };
        let existing = self.subscriptions.iter_mut().find(|other| other.filter == filter && other.group == group);
        if let Some(existing) = existing.filter(|_| group.is_some()) {
            let is_alike = (existing.overflow, existing.buffer) == (overflow, buffer);
            existing.members.extend(is_alike.then_some(member));
            return is_alike;
        }
        let values = self.retained.iter().filter(|(name, _)| options.retained && (self.means)(filter, name));
        let initial = values.map(|(name, (_, sequence))| (name.clone(), *sequence)).collect();
        let (filter, waiting, members) = (filter.to_owned(), VecDeque::new(), vec![member]);
        self.subscriptions.push(Subscription { filter, group, overflow, buffer, members, initial, waiting });
        true
    }

    pub fn unsubscribe(&mut self, number: usize) {
        self.subscriptions.iter_mut().for_each(|subscription| {
            subscription.members.retain(|member| member.number != number);
        });
        self.subscriptions.retain(|subscription| !subscription.members.is_empty());
    }

    /// How many it is for, and who was too slow. Whether there was room is up to what is modelled, within its limits.
    pub fn publish(&mut self, name: &str, payload: &[u8], retain: bool, taken: bool) -> (Option<usize>, Vec<usize>) {
        let message = self.message(name, payload, self.runs.len());
        let size = self.size(&message);
        let keep = retain && !payload.is_empty();
        let has_room = self.bytes() + size <= self.config.max_bytes && (!keep || self.has_room_to_keep(name, size));
        if !has_room {
            return (None, Vec::new());
        }
        assert!(taken, "there is room");
        self.runs.push(vec![message.clone()]);
        if keep {
            self.sequence += 1;
            self.retained.insert(name.to_owned(), (message.clone(), self.sequence));
        } else if retain {
            self.retained.remove(name);
        }
        let mut too_slow = Vec::new();
        let mut copies = 0;
        for index in 0..self.subscriptions.len() {
            if (self.means)(&self.subscriptions[index].filter, name) {
                copies += 1;
                if !self.give(index, &message) {
                    too_slow.extend(self.subscriptions[index].members.iter().map(|member| member.number));
                }
            }
        }
        too_slow.sort_unstable();
        too_slow.iter().for_each(|number| self.unsubscribe(*number));
        (Some(copies), too_slow)
    }

    /// A run of messages, each of which was taken or not; returns how many each was for.
    pub fn publish_run(&mut self, name: &str, payloads: &[Vec<u8>]) -> (Vec<Option<usize>>, Vec<usize>) {
        let meant: Vec<usize> =
            (0..self.subscriptions.len()).filter(|at| (self.means)(&self.subscriptions[*at].filter, name)).collect();
        let mut copies = Vec::new();
        let mut run: Vec<Rc<Message>> = Vec::new();
        let before = self.bytes();
        for payload in payloads {
            let message = self.message(name, payload, self.runs.len());
            let waits: usize = run.iter().map(|other| self.size(other)).sum();
            let has_room = before + waits + self.size(&message) <= self.config.max_bytes;
            copies.push(has_room.then_some(meant.len()));
            run.extend((has_room && !meant.is_empty()).then_some(message));
        }
        self.runs.push(run.clone());
        let mut too_slow = Vec::new();
        for at in meant {
            // Of one topic only the last can stay.
            let latest = self.subscriptions[at].overflow == TopicOverflow::KeepLatest;
            let skipped = if latest { run.len().saturating_sub(1) } else { 0 };
            self.lost += skipped as u64;
            if skipped > 0 {
                let subscription = &mut self.subscriptions[at];
                let same = |entry: &Entry| entry.message.as_ref().is_some_and(|other| other.topic == name);
                let place = subscription.waiting.iter().position(same).unwrap_or(subscription.waiting.len());
                subscription.lose_at(place, skipped as u64);
            }
            for (number, message) in run.iter().enumerate().skip(skipped) {
                if !self.give(at, message) {
                    self.lost += (run.len() - number - 1) as u64;
                    too_slow.extend(self.subscriptions[at].members.iter().map(|member| member.number));
                    break;
                }
            }
        }
        too_slow.sort_unstable();
        too_slow.iter().for_each(|number| self.unsubscribe(*number));
        (copies, too_slow)
    }

    fn message(&self, name: &str, payload: &[u8], run: usize) -> Rc<Message> {
        Rc::new(Message { topic: name.to_owned(), payload: payload.to_vec(), run })
    }

    fn has_room_to_keep(&self, name: &str, size: usize) -> bool {
        let (values, bytes) = self.retained_size();
        let old = self.retained.get(name).map(|(old, _)| self.size(old));
        (old.is_some() || values < self.config.max_retained)
            && bytes - old.unwrap_or(0) + size <= self.config.max_retained_bytes
    }

    /// False for one that is too slow.
    fn give(&mut self, index: usize, message: &Rc<Message>) -> bool {
        let (overhead, most) = (self.overhead, self.config.buffer_bytes);
        let size = |message: &Message| message.topic.len() + message.payload.len() + overhead;
        let subscription = &mut self.subscriptions[index];
        if subscription.overflow == TopicOverflow::KeepLatest {
            let same = |entry: &Entry| entry.message.as_ref().is_some_and(|other| other.topic == message.topic);
            if let Some(at) = subscription.waiting.iter().position(same) {
                subscription.waiting[at].message = Some(message.clone());
                subscription.waiting[at].lost += 1;
                self.lost += 1;
                while subscription.messages().map(|message| size(message)).sum::<usize>() > most
                    && subscription.messages().count() > 1
                {
                    let is_newest = subscription.messages().next().is_some_and(|first| Rc::ptr_eq(first, message));
                    let out = subscription.take_out(0, !is_newest);
                    match is_newest {
                        true => subscription.append(out.unwrap()),
                        false => self.lost += 1,
                    }
                }
                return true;
            }
        }
        loop {
            let count = subscription.messages().count();
            let bytes: usize = subscription.messages().map(|message| size(message)).sum();
            if count == 0 || (count < subscription.buffer && bytes + size(message) <= most) {
                subscription.append(message.clone());
                return true;
            }
            self.lost += 1;
            match subscription.overflow {
                TopicOverflow::Disconnect => return false,
                TopicOverflow::DropNewest => {
                    match subscription.waiting.back_mut() {
                        Some(end) if end.message.is_none() => end.lost += 1,
                        _ => subscription.lose_at(subscription.waiting.len(), 1),
                    }
                    return true;
                }
                TopicOverflow::DropOldest | TopicOverflow::KeepLatest => drop(subscription.take_out(0, true)),
            }
        }
    }

    /// What a subscriber is to be told next; it is told.
    pub fn next(&mut self, number: usize) -> Option<Item> {
        let subscription = self.subscriptions.iter_mut().find(|s| s.members.iter().any(|m| m.number == number))?;
        while let Some((name, sequence)) = subscription.initial.pop_front() {
            if let Some((value, _)) = self.retained.get(&name).filter(|(_, current)| *current == sequence) {
                return Some(message(subscription, number, value.clone(), true));
            }
        }
        let first = subscription.waiting.front_mut()?;
        if first.lost > 0 {
            let lost = std::mem::take(&mut first.lost);
            if first.message.is_none() {
                subscription.waiting.pop_front();
            }
            self.announced += lost;
            return Some(Item::Gap(lost));
        }
        let value = subscription.waiting.pop_front()?.message?;
        Some(message(subscription, number, value, false))
    }

    pub fn allow(&mut self, number: usize, more: u64) -> u64 {
        let member = self.member(number);
        member.allowed += more;
        member.allowed
    }

    pub fn block(&mut self, number: usize) {
        self.member(number).is_blocked = true;
    }

    pub fn unblock(&mut self, number: usize) {
        self.member(number).is_blocked = false;
    }

    /// Somebody who has room, and a subscription with something for them.
    pub fn who_waits_in_vain(&self) -> Option<usize> {
        let is_current =
            |(name, sequence): &(String, u64)| self.retained.get(name).is_some_and(|(_, current)| current == sequence);
        let has_something = |s: &&Subscription| !s.waiting.is_empty() || s.initial.iter().any(is_current);
        let members = self.subscriptions.iter().filter(has_something).flat_map(|s| &s.members);
        members.filter(|member| !member.is_blocked && member.allowed > member.tag).map(|member| member.number).next()
    }

    pub fn waiting(&self) -> u64 {
        self.subscriptions.iter().map(|subscription| subscription.messages().count() as u64).sum()
    }

    /// Each message once, with those that were published together.
    fn all(&self) -> impl Iterator<Item = &Message> {
        let waiting = self.subscriptions.iter().flat_map(Subscription::messages);
        let kept = self.retained.values().map(|(message, _)| message);
        let runs: BTreeSet<usize> = waiting.chain(kept).map(|message| message.run).collect();
        runs.into_iter().flat_map(|run| &self.runs[run]).map(|message| &**message)
    }

    pub fn bytes(&self) -> usize {
        self.all().map(|message| self.size(message)).sum()
    }

    pub fn payloads(&self) -> usize {
        self.all().count()
    }

    pub fn retained_size(&self) -> (usize, usize) {
        (self.retained.len(), self.retained.values().map(|(message, _)| self.size(message)).sum())
    }

    fn member(&mut self, number: usize) -> &mut Member {
        let mut members = self.subscriptions.iter_mut().flat_map(|subscription| &mut subscription.members);
        members.find(|member| member.number == number).unwrap()
    }
}

fn message(subscription: &mut Subscription, number: usize, value: Rc<Message>, is_retained: bool) -> Item {
    let member = subscription.members.iter_mut().find(|member| member.number == number).unwrap();
    member.tag += 1;
    let Message { topic, payload, .. } = &*value;
    Item::Message { tag: member.tag, topic: topic.clone(), payload: payload.clone(), is_retained }
}
