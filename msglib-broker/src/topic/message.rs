//! The messages that wait, each once, however many they wait for.

use super::topics::{TopicKey, TopicTable};
use crate::queue::{Store, Stored};
use msglib_proto::Payload;

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MessageIndex(u32);

#[derive(Debug)]
pub(super) struct Message {
    pub(super) payload: Stored,
    pub(super) topic: TopicKey,
    /// What it counts for, in bytes.
    pub(super) size: usize,
    /// How many hold it: those that it waits for, and its topic, whose last value it is.
    holders: u32,
}

/// What a message counts for beyond its payload and its topic's name, in bytes.
pub(super) const OVERHEAD: usize = 128;

/// The messages, and the topics that they were published on.
#[derive(Debug)]
pub(super) struct Messages {
    slots: Vec<Option<Message>>,
    free: Vec<u32>,
    pub(super) topics: TopicTable,
    /// What all of them count for.
    bytes: usize,
}

impl Messages {
    pub(super) fn new() -> Messages {
        Messages { slots: Vec::new(), free: Vec::new(), topics: TopicTable::new(), bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a message would count for.
    pub(super) fn size(&self, topic: TopicKey, payload: usize) -> usize {
        payload + self.topics.name(topic).as_str().len() + OVERHEAD
    }

    /// A message that one holds: whoever puts it here, until it has given it to all who are to have it.
    #[inline]
    pub(super) fn insert(&mut self, store: &mut Store, topic: TopicKey, payload: Payload<'_>) -> MessageIndex {
        let size = self.size(topic, payload.len());
        self.bytes += size;
        self.topics.hold(topic);
        let message = Message { payload: store.put(payload), topic, size, holders: 1 };
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(message);
            return MessageIndex(index);
        }
        self.slots.push(Some(message));
        MessageIndex((self.slots.len() - 1) as u32)
    }

    #[inline]
    pub(super) fn get(&self, index: MessageIndex) -> &Message {
        self.slots[index.0 as usize].as_ref().expect("whoever has an index holds the message")
    }

    /// One more holds it.
    #[inline]
    pub(super) fn hold(&mut self, index: MessageIndex) {
        if let Some(message) = &mut self.slots[index.0 as usize] {
            message.holders += 1;
        }
    }

    /// One less holds it; the last one takes it with it.
    #[inline]
    pub(super) fn release(&mut self, store: &mut Store, index: MessageIndex) {
        let slot = &mut self.slots[index.0 as usize];
        let Some(message) = slot else { return };
        message.holders -= 1;
        if message.holders > 0 {
            return;
        }
        if let Some(message) = slot.take() {
            self.bytes -= message.size;
            self.topics.release(message.topic);
            store.remove(message.payload);
            self.free.push(index.0);
        }
    }

    /// Whether nothing is left, for tests of what is left.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }
}
