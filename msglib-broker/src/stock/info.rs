//! A queue of the stock handler, to be looked at.

use super::consumer_key::ConsumerKey;
use crate::queue::{Candidate, HistoryEvent, Ledger, MessageId, MessageInfo, Queue, QueueConfig, Store};
use core::fmt;
use msglib_proto::ChannelName;

/// One queue, as a person or a test sees it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct QueueInfo<'a> {
    /// Its name.
    pub name: ChannelName<'a>,
    /// Whether it takes messages and gives them out.
    pub state: QueueState,
    /// What became of every message so far.
    pub ledger: Ledger,
    /// How many consumers it has.
    pub consumers: usize,
    /// How many links lead to it, to publish or to consume.
    pub links: usize,
    /// Bytes that its messages take.
    pub bytes: usize,
    queue: &'a Queue<ConsumerKey>,
    store: &'a Store,
}

/// What a queue does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum QueueState {
    /// It takes messages and gives them out.
    Open,
    /// It takes messages, and gives none out.
    Paused,
    /// It takes none, and gives out those that it has.
    Draining,
}

impl<'a> QueueInfo<'a> {
    pub(super) fn new(
        name: ChannelName<'a>,
        state: QueueState,
        links: usize,
        queue: &'a Queue<ConsumerKey>,
        store: &'a Store,
    ) -> QueueInfo<'a> {
        let (ledger, consumers, bytes) = (queue.ledger(), queue.consumers(), queue.bytes());
        QueueInfo { name, state, ledger, consumers, links, bytes, queue, store }
    }

    /// How it behaves.
    pub fn config(&self) -> &'a QueueConfig {
        self.queue.config()
    }

    /// Every message in it, without a copy of its payload; see [`Queue::messages`].
    pub fn messages(&self) -> impl Iterator<Item = MessageInfo<'a>> + use<'a> {
        self.queue.messages(self.store)
    }

    /// One message; see [`Queue::message`].
    pub fn message(&self, id: MessageId) -> Option<MessageInfo<'a>> {
        self.queue.message(self.store, id)
    }

    /// What happened to a message, as far as it is kept; see [`Queue::explain`].
    pub fn explain(&self, id: MessageId) -> impl Iterator<Item = &'a HistoryEvent> + use<'a> {
        self.queue.explain(id)
    }

    /// Every consumer, what it holds and what it can have.
    pub fn each_consumer(&self) -> impl Iterator<Item = Candidate<'a, ConsumerKey>> + use<'a> {
        self.queue.each_consumer()
    }
}

/// Without the messages.
impl fmt::Debug for QueueInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueInfo")
            .field("name", &self.name)
            .field("state", &self.state)
            .field("ledger", &self.ledger)
            .field("consumers", &self.consumers)
            .field("links", &self.links)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
