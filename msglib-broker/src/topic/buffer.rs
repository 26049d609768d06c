//! What waits for one subscription: a ring with a bound, what to do when it is full, and how much was lost where.

use super::TopicOverflow;
use super::message::{Message, MessageIndex, Messages};
use super::topics::TopicKey;
use crate::queue::Store;
use std::collections::{BTreeMap, VecDeque};

/// How much may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) overflow: TopicOverflow,
}

#[derive(Debug)]
pub(super) struct Buffer {
    bound: Bound,
    ring: VecDeque<Waiting>,
    /// How many have left the front: what is in the ring has numbers from here on.
    before: u64,
    /// Lost behind the last one that waits.
    lost_at_end: u64,
    bytes: usize,
    /// With [`TopicOverflow::KeepLatest`]: the number of the message that waits, by its topic.
    latest: BTreeMap<TopicKey, u64>,
}

/// A message that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) message: MessageIndex,
    /// Lost between it and the one before.
    pub(super) lost_before: u64,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pushed {
    /// It waits; so many that waited are lost for it.
    Waits { lost: u64 },
    /// It is lost.
    Lost,
    /// It is lost, and the subscription is over.
    TooSlow,
}

impl Buffer {
    pub(super) fn new(bound: Bound) -> Buffer {
        let (ring, latest) = (VecDeque::new(), BTreeMap::new());
        Buffer { bound, ring, before: 0, lost_at_end: 0, bytes: 0, latest }
    }

    pub(super) fn bound(&self) -> Bound {
        self.bound
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Bytes that are waiting, each message as if it waited here alone.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is something to say: a message, or that some are lost.
    pub(super) fn is_silent(&self) -> bool {
        self.ring.is_empty() && self.lost_at_end == 0
    }

    /// Whether it is half full.
    pub(super) fn is_pressed(&self) -> bool {
        self.ring.len() >= self.bound.messages.div_ceil(2) || self.bytes >= self.bound.bytes / 2
    }

    /// Takes a message, which is held for it, if its bound and its overflow let it.
    #[inline]
    pub(super) fn push(&mut self, messages: &mut Messages, store: &mut Store, message: MessageIndex) -> Pushed {
        let size = messages.get(message).size;
        let mut lost = 0;
        if self.bound.overflow == TopicOverflow::KeepLatest
            && let Some(lost) = self.replace(messages, store, message)
        {
            return Pushed::Waits { lost };
        }
        while !self.has_room(size) {
            match self.bound.overflow {
                TopicOverflow::DropNewest => {
                    self.lost_at_end += 1;
                    return Pushed::Lost;
                }
                TopicOverflow::Disconnect => return Pushed::TooSlow,
                TopicOverflow::DropOldest | TopicOverflow::KeepLatest => {
                    self.drop_oldest(messages, store);
                    lost += 1;
                }
            }
        }
        messages.hold(message);
        if self.bound.overflow == TopicOverflow::KeepLatest {
            self.latest.insert(messages.get(message).topic, self.before + self.ring.len() as u64);
        }
        self.bytes += size;
        let lost_before = core::mem::take(&mut self.lost_at_end);
        self.ring.push_back(Waiting { message, lost_before });
        Pushed::Waits { lost }
    }

    pub(super) fn front(&self) -> Option<Waiting> {
        self.ring.front().copied()
    }

    /// The front is delivered.
    #[inline]
    pub(super) fn pop(&mut self, messages: &mut Messages, store: &mut Store) {
        if let Some(waiting) = self.take_front(messages) {
            messages.release(store, waiting.message);
        }
        super::relax(&mut self.ring);
    }

    /// How much was lost before what comes next.
    pub(super) fn gap(&self) -> u64 {
        self.ring.front().map_or(self.lost_at_end, |waiting| waiting.lost_before)
    }

    /// Whoever it is for knows of the gap.
    pub(super) fn close_gap(&mut self) {
        match self.ring.front_mut() {
            Some(waiting) => waiting.lost_before = 0,
            None => self.lost_at_end = 0,
        }
    }

    /// Lets go of everything, and returns how many waited.
    pub(super) fn clear(mut self, messages: &mut Messages, store: &mut Store) -> u64 {
        let count = self.ring.len();
        self.ring.drain(..).for_each(|waiting| messages.release(store, waiting.message));
        count as u64
    }

    /// A message that is too large for the bound still waits, alone.
    fn has_room(&self, size: usize) -> bool {
        self.ring.is_empty() || (self.ring.len() < self.bound.messages && self.bytes + size <= self.bound.bytes)
    }

    /// Puts the message in the place of an earlier one of its topic, if one waits, and says how many are lost for it.
    fn replace(&mut self, messages: &mut Messages, store: &mut Store, message: MessageIndex) -> Option<u64> {
        let new = messages.get(message);
        let number = self.latest.get(&new.topic)?;
        let waiting = self.ring.get_mut((number - self.before) as usize)?;
        let old = core::mem::replace(&mut waiting.message, message);
        waiting.lost_before += 1;
        self.bytes = self.bytes - messages.get(old).size + new.size;
        messages.hold(message);
        messages.release(store, old);
        let mut lost = 1;
        // It may be larger than the one before.
        while self.ring.len() > 1 && self.bytes > self.bound.bytes {
            if self.front().is_some_and(|front| front.message == message) {
                self.put_front_last(messages);
            } else {
                self.drop_oldest(messages, store);
                lost += 1;
            }
        }
        Some(lost)
    }

    /// What was lost before it is then lost before the next.
    fn put_front_last(&mut self, messages: &Messages) {
        let Some(moved) = self.take_front(messages) else { return };
        if let Some(front) = self.ring.front_mut() {
            front.lost_before += moved.lost_before;
        }
        let Message { topic, size, .. } = *messages.get(moved.message);
        self.latest.insert(topic, self.before + self.ring.len() as u64);
        self.bytes += size;
        self.ring.push_back(Waiting { lost_before: 0, ..moved });
    }

    fn drop_oldest(&mut self, messages: &mut Messages, store: &mut Store) {
        let Some(dropped) = self.take_front(messages) else { return };
        messages.release(store, dropped.message);
        let lost = dropped.lost_before + 1;
        match self.ring.front_mut() {
            Some(waiting) => waiting.lost_before += lost,
            None => self.lost_at_end += lost,
        }
    }

    #[inline]
    fn take_front(&mut self, messages: &Messages) -> Option<Waiting> {
        let waiting = self.ring.pop_front()?;
        let message = messages.get(waiting.message);
        self.before += 1;
        self.bytes -= message.size;
        if self.bound.overflow == TopicOverflow::KeepLatest {
            self.latest.remove(&message.topic);
        }
        Some(waiting)
    }
}
