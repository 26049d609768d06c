//! One subscriber's turn: what it is offered, one after the other.

use super::message::{MessageIndex, Messages};
use super::name::TopicName;
use super::retained::{Found, LOOK, Retained};
use super::subscription::{Subscriber, Subscription};
use super::{SubscriberId, Topics};
use crate::queue::{Store, Undeliverable};
use crate::table::Key;
use core::fmt;
use msglib_proto::Payload;

/// What a subscriber is to be told next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicOffer<'a> {
    /// A message.
    Message {
        /// The subscriber's tags are 1, 2, 3 ….
        tag: u64,
        /// The topic that it was published on.
        topic: TopicName<'a>,
        /// The message.
        payload: Payload<'a>,
        /// It is a last value from before the subscription.
        is_retained: bool,
    },
    /// Between what it was told before and what comes next, so many messages are lost. Takes no tag and no credit.
    Gap {
        /// At least 1.
        lost: u64,
    },
}

/// One subscriber's turn in a dispatch; see [`Topics::dispatch_turns`](super::Topics::dispatch_turns).
pub struct TopicTurn<'a, S> {
    pub(super) store: &'a mut Store,
    pub(super) messages: &'a mut Messages,
    pub(super) retained: &'a Retained,
    pub(super) subscription: &'a mut Subscription,
    pub(super) subscriber: &'a mut Subscriber<S>,
    pub(super) left: usize,
    pub(super) offered: Offered,
    pub(super) done: Done,
}

/// What is on offer, and taken unless an error follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    Nothing,
    Gap,
    Retained,
    Waiting,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) waiting: u64,
    pub(super) retained: u64,
    pub(super) announced: u64,
    /// Looked for last values, and has found none in so many.
    pub(super) looked_at: usize,
    /// There are no last values any more.
    pub(super) has_seen_all: bool,
}

impl Done {
    pub(super) fn taken(&self) -> usize {
        (self.waiting + self.retained) as usize
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.taken() == 0 && self.announced == 0 && self.looked_at == 0 && !self.has_seen_all
    }

    /// What a budget is charged.
    pub(super) fn cost(&self) -> usize {
        self.taken() + self.looked_at / 8
    }
}

impl<S> TopicTurn<'_, S> {
    /// Whose turn it is: what was given to [`Topics::subscribe`](super::Topics::subscribe).
    pub fn subscriber(&self) -> &S {
        &self.subscriber.key
    }

    /// What comes next; what was offered before is taken.
    // Not an iterator: an offer lives no longer than until the next.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Option<TopicOffer<'_>> {
        self.take_offered();
        if self.done.taken() == self.left {
            return None;
        }
        if self.subscription.cursor.is_some()
            && let Some(found) = self.next_retained()
        {
            let Found::Value(message) = found else { return None };
            self.offered = Offered::Retained;
            return Some(self.offer(message, true));
        }
        let lost = self.subscription.buffer.gap();
        if lost > 0 {
            self.offered = Offered::Gap;
            return Some(TopicOffer::Gap { lost });
        }
        let waiting = self.subscription.buffer.front()?;
        self.offered = Offered::Waiting;
        Some(self.offer(waiting.message, false))
    }

    #[inline]
    fn offer(&self, message: MessageIndex, is_retained: bool) -> TopicOffer<'_> {
        let message = self.messages.get(message);
        TopicOffer::Message {
            tag: self.subscriber.delivered + 1,
            topic: self.messages.topics.name(message.topic),
            payload: self.store.get(&message.payload),
            is_retained,
        }
    }

    /// `None` when the last values are all delivered.
    #[cold]
    fn next_retained(&mut self) -> Option<Found> {
        let Subscription { cursor, filter, .. } = &mut *self.subscription;
        let found = self.retained.look(cursor.as_mut()?, super::TopicFilter::trusted(filter));
        match found {
            Found::End => {
                *cursor = None;
                self.done.has_seen_all = true;
                return None;
            }
            Found::NotYet => self.done.looked_at += LOOK,
            Found::Value(_) => {}
        }
        Some(found)
    }

    #[inline]
    pub(super) fn take_offered(&mut self) {
        match core::mem::replace(&mut self.offered, Offered::Nothing) {
            Offered::Nothing => {}
            Offered::Gap => {
                self.done.announced += self.subscription.buffer.gap();
                self.subscription.buffer.close_gap();
            }
            Offered::Retained => {
                if let Some(cursor) = &mut self.subscription.cursor {
                    cursor.step();
                }
                self.subscriber.delivered += 1;
                self.done.retained += 1;
            }
            Offered::Waiting => {
                self.subscription.buffer.pop(self.messages, self.store);
                self.subscriber.delivered += 1;
                self.done.waiting += 1;
            }
        }
    }
}

impl<S> Topics<S> {
    /// The turn of whoever is next in a subscription.
    pub(super) fn turn(
        &mut self,
        store: &mut Store,
        key: Key,
        quantum: usize,
        deliver: &mut impl FnMut(&mut TopicTurn<'_, S>) -> Result<(), Undeliverable>,
    ) -> Done {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Done::default() };
        let Some((id, share)) = subscription.next_turn(quantum) else { return Done::default() };
        let Some(subscriber) = self.subscribers.get_mut(id) else {
            subscription.was_stale();
            return Done::default();
        };
        subscriber.is_listed = false;
        let left = subscriber.room().min(share as u64) as usize;
        let (messages, retained) = (&mut self.messages, &self.retained);
        let (offered, done) = (Offered::Nothing, Done::default());
        let mut turn = TopicTurn { store, messages, retained, subscription, subscriber, left, offered, done };
        let failed = deliver(&mut turn).err();
        if failed.is_none() {
            turn.take_offered();
        }
        let done = turn.done;
        subscriber.is_blocked = failed.is_some() || done.is_nothing();
        subscription.delivered += done.waiting + done.retained;
        self.ledger.waiting -= done.waiting;
        self.ledger.delivered += done.waiting;
        self.ledger.retained_delivered += done.retained;
        self.ledger.announced += done.announced;
        match failed {
            Some(Undeliverable::Gone) => drop(self.unsubscribe(store, SubscriberId(id))),
            _ => subscription.list(id, subscriber),
        }
        done
    }
}

impl<S: fmt::Debug> fmt::Debug for TopicTurn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicTurn")
            .field("subscriber", &self.subscriber.key)
            .field("taken", &self.done.taken())
            .field("left", &(self.left - self.done.taken()))
            .finish_non_exhaustive()
    }
}
