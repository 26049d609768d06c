//! The messages that wait, each once, however many they wait for: in runs of those that were published on a topic one after the other.
//!
//! Whoever is meant by one of a run is meant by all of it, so what a fan-out does for each subscription it does for a run, and not for each
//! message: on the way in, and when it is over. The price is that a run's payloads go together, when the last of them is delivered to
//! everyone.

use super::topics::{TopicKey, TopicTable};
use crate::queue::{Store, Stored};
use msglib_proto::Payload;

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RunIndex(u32);

impl RunIndex {
    /// No run; never looked up.
    pub(super) const NONE: RunIndex = RunIndex(u32::MAX);
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) topic: TopicKey,
    pub(super) messages: Vec<Stored>,
    /// What each message counts for beyond its payload, in bytes.
    overhead: usize,
    /// What all of them count for.
    pub(super) bytes: usize,
    /// How many hold it: what waits, the topic whose last value it is, whoever is still adding to it. Nobody holds a run that is free.
    holders: u32,
}

/// What a message counts for beyond its payload and its topic's name, in bytes.
pub(super) const OVERHEAD: usize = 128;

/// Messages of a run, at most: what goes together must not be much.
pub(super) const LENGTH: usize = 64;

/// The runs, and the topics that they were published on.
#[derive(Debug)]
pub(super) struct Runs {
    slots: Vec<Run>,
    free: Vec<u32>,
    pub(super) topics: TopicTable,
    /// What all messages count for.
    bytes: usize,
}

impl Run {
    /// What a message counts for.
    #[inline]
    pub(super) fn size(&self, at: usize) -> usize {
        self.messages[at].len() + self.overhead
    }

    /// Whether more than one hold it.
    pub(super) fn is_shared(&self) -> bool {
        self.holders > 1
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }
}

impl Runs {
    pub(super) fn new() -> Runs {
        Runs { slots: Vec::new(), free: Vec::new(), topics: TopicTable::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a message would count for.
    pub(super) fn size(&self, topic: TopicKey, payload: usize) -> usize {
        payload + self.topics.name(topic).as_str().len() + OVERHEAD
    }

    /// A new run, which one holds: whoever adds to it.
    pub(super) fn begin(&mut self, topic: TopicKey) -> RunIndex {
        self.topics.hold(topic);
        let overhead = self.size(topic, 0);
        if let Some(index) = self.free.pop() {
            let run = &mut self.slots[index as usize];
            (run.topic, run.overhead, run.holders) = (topic, overhead, 1);
            return RunIndex(index);
        }
        self.slots.push(Run { topic, messages: Vec::new(), overhead, bytes: 0, holders: 1 });
        RunIndex((self.slots.len() - 1) as u32)
    }

    #[inline]
    pub(super) fn add(&mut self, store: &mut Store, index: RunIndex, payload: Payload<'_>) {
        let run = &mut self.slots[index.0 as usize];
        let size = payload.len() + run.overhead;
        run.messages.push(store.put(payload));
        run.bytes += size;
        self.bytes += size;
    }

    #[inline]
    pub(super) fn get(&self, index: RunIndex) -> &Run {
        &self.slots[index.0 as usize]
    }

    /// One more holds it.
    #[inline]
    pub(super) fn hold(&mut self, index: RunIndex) {
        self.slots[index.0 as usize].holders += 1;
    }

    /// One less holds it; the last one takes it with it.
    pub(super) fn release(&mut self, store: &mut Store, index: RunIndex) {
        /// Free runs that keep the memory that they have grown.
        const SPARE: usize = 256;
        let run = &mut self.slots[index.0 as usize];
        run.holders -= 1;
        if run.holders > 0 {
            return;
        }
        self.bytes -= core::mem::take(&mut run.bytes);
        run.messages.drain(..).for_each(|message| store.remove(message));
        if self.free.len() >= SPARE {
            run.messages = Vec::new();
        }
        self.topics.release(run.topic);
        self.free.push(index.0);
    }

    /// Whether nothing is left, for tests of what is left.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }
}
