//! What one consumer holds: a ring of dense tags.

use super::{Message, relax};
use core::ops::RangeInclusive;
use std::collections::VecDeque;

/// The deliveries in flight to one consumer, by tag. Tags are dense, so that a look-up is an index.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The tags before the first slot.
    before: u64,
    /// From the oldest delivery that is not settled to the newest; `None` is settled.
    slots: VecDeque<Option<Message>>,
}

impl InFlight {
    pub(super) fn last_tag(&self) -> u64 {
        self.before + self.slots.len() as u64
    }

    pub(super) fn next_tag(&self) -> u64 {
        self.last_tag() + 1
    }

    /// From the oldest delivery that is not settled to the newest.
    pub(super) fn span(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// The message is delivered with the next tag.
    pub(super) fn push(&mut self, message: Message) {
        self.slots.push_back(Some(message));
    }

    /// Takes out those of `tags` that are in flight.
    pub(super) fn take(&mut self, tags: RangeInclusive<u64>, settle: impl FnMut(Message)) {
        let first = (*tags.start()).max(self.before + 1);
        let last = (*tags.end()).min(self.last_tag());
        if first > last {
            return;
        }
        let (first, last) = ((first - self.before - 1) as usize, (last - self.before - 1) as usize);
        if first == 0 {
            self.before += last as u64 + 1;
            self.slots.drain(..=last).flatten().for_each(settle);
        } else {
            self.slots.range_mut(first..=last).filter_map(Option::take).for_each(settle);
        }
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.before += 1;
        }
        relax(&mut self.slots);
    }

    /// All that is in flight, in the order of the tags.
    pub(super) fn into_messages(self) -> Vec<Message> {
        self.slots.into_iter().flatten().collect()
    }
}
