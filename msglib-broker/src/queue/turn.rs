//! One consumer's turn: what it is offered, one after the other.

use super::cause::Cause;
use super::config::QueueConfig;
use super::consumer::Consumer;
use super::dispatching::Source;
use super::in_flight::Held;
use super::message::{MessageId, MessageInfo, Place};
use super::messages::{Messages, Ticket};
use super::special::{Env, Special};
use super::store::{Store, Stored};
use super::{Books, ConsumerId};
use core::fmt;
use msglib_proto::{Instant, Payload};
use std::collections::VecDeque;

/// One delivery on offer.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Offer<'a, C> {
    /// Whose it is: what was given to [`Queue::add_consumer`](super::Queue::add_consumer).
    pub consumer: &'a C,
    /// The consumer's tags are 1, 2, 3 ….
    pub tag: u64,
    /// 1 for the first attempt to deliver the message to anyone, and one more for each further one.
    pub count: u32,
    /// The message.
    pub payload: Payload<'a>,
    /// Its number in the queue.
    pub id: MessageId,
    pub(super) record: Option<(&'a Messages, Ticket)>,
}

impl<'a, C> Offer<'a, C> {
    /// The priority of the message.
    pub fn priority(&self) -> u32 {
        self.record.map_or(0, |(messages, ticket)| messages.record(ticket).priority)
    }

    /// The key of the message, if it has one.
    pub fn key(&self) -> Option<&'a [u8]> {
        let (messages, ticket) = self.record?;
        messages.record(ticket).key.map(|key| messages.key(key))
    }

    /// Why the message is a dead letter, if it is one.
    pub fn cause(&self) -> Option<&'a Cause> {
        let (messages, ticket) = self.record?;
        messages.record(ticket).cause.as_deref()
    }

    /// Whether there is more to the message than a payload and deliveries.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.record.is_none_or(|(messages, ticket)| messages.record(ticket).is_plain())
    }
}

/// One consumer's turn in a dispatch; see [`Queue::dispatch_turns`](super::Queue::dispatch_turns).
pub struct Turn<'a, C> {
    pub(super) id: ConsumerId,
    pub(super) consumer: &'a mut Consumer<C>,
    pub(super) store: &'a mut Store,
    pub(super) now: Instant,
    pub(super) fresh: &'a mut VecDeque<Stored>,
    /// The number of the first of them.
    pub(super) first: u64,
    /// The tag of the first delivery.
    pub(super) tag: u64,
    /// `None` if all that waits is fresh.
    pub(super) special: Option<&'a mut Special>,
    pub(super) config: &'a QueueConfig,
    pub(super) books: &'a mut Books,
    /// How many messages it may take, or find too late to be delivered.
    pub(super) most: usize,
    pub(super) taken: usize,
    /// What is on offer, and taken unless an error follows.
    pub(super) offered: Option<Source>,
    /// What only matters where there is more than fresh ones.
    pub(super) looked: Looked,
}

/// What a turn has seen of messages that are not all fresh.
#[derive(Default, Debug)]
pub(super) struct Looked {
    /// It was asked for a message.
    pub(super) was_asked: bool,
    /// It had one.
    pub(super) has_offered: bool,
    /// Messages whose time was over.
    pub(super) expired: usize,
}

impl<C> Turn<'_, C> {
    /// Whose turn it is: what was given to [`Queue::add_consumer`](super::Queue::add_consumer).
    pub fn consumer(&self) -> &C {
        &self.consumer.key
    }

    /// The next message on offer; the one before is taken.
    // Not an iterator: an offer lives no longer than until the next.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Option<Offer<'_, C>> {
        match self.is_plain() {
            true => self.next_plain(),
            false => self.next_special(),
        }
    }

    /// Whether all that waits is nothing but payloads that were never delivered; it stays so for the whole turn.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.special.is_none()
    }

    /// What time it is for the queue.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Whether the messages can be named by their ids.
    pub(crate) fn are_named(&self) -> bool {
        self.config.is_indexed
    }

    /// As [`next`](Turn::next), where the turn [is plain](Turn::is_plain): for whoever has looked at that before.
    #[inline(always)]
    pub(crate) fn next_plain(&mut self) -> Option<Offer<'_, C>> {
        self.taken += usize::from(self.offered.take().is_some());
        if self.taken == self.most {
            return None;
        }
        let payload = self.fresh.get(self.taken)?;
        self.offered = Some(Source::Fresh);
        let taken = self.taken as u64;
        Some(Offer {
            consumer: &self.consumer.key,
            tag: self.tag + taken,
            count: 1,
            payload: self.store.get(payload),
            id: MessageId::new(self.first + taken),
            record: None,
        })
    }

    /// The turn is over: what was taken is in flight. Fresh ones all at once, which is less work than one by one.
    pub(super) fn end(&mut self, failed: bool) {
        if self.special.is_some() {
            if !failed {
                self.take_offered();
            }
            return;
        }
        self.taken += usize::from(!failed && self.offered.is_some());
        self.consumer.in_flight.push_plain(self.fresh, self.taken, self.first);
    }

    fn take_offered(&mut self) {
        match self.offered.take() {
            None => return,
            Some(Source::Fresh) => {
                let Some(payload) = self.fresh.pop_front() else { return };
                self.consumer.in_flight.push(Held::Plain(payload, self.first));
                self.first += 1;
            }
            Some(Source::Record(ticket)) => self.take_record(ticket),
        }
        self.taken += 1;
    }

    #[cold]
    fn next_special(&mut self) -> Option<Offer<'_, C>> {
        self.take_offered();
        self.looked.was_asked = true;
        let special = self.special.as_deref_mut()?;
        let mut env = Env { config: self.config, books: self.books, store: self.store, now: self.now };
        special.ring_shrunk(!self.fresh.is_empty());
        let source = loop {
            if self.taken + self.looked.expired >= self.most {
                return None;
            }
            let (source, only) = special.next(!self.fresh.is_empty())?;
            if only.is_some_and(|only| only != self.id) {
                return None;
            }
            let Source::Record(ticket) = source else { break source };
            if special.messages.record(ticket).expires > self.now {
                break source;
            }
            special.expire(&mut env, ticket);
            self.looked.expired += 1;
        };
        (self.offered, self.looked.has_offered) = (Some(source), true);
        let tag = self.consumer.in_flight.next_tag();
        let place = Place::InFlight { consumer: self.id, tag };
        let info = match source {
            Source::Fresh => MessageInfo::fresh(MessageId::new(self.first), self.store.get(self.fresh.front()?), place),
            Source::Record(ticket) => special.messages.info(self.store, ticket, place),
        };
        Some(Offer {
            consumer: &self.consumer.key,
            tag,
            count: info.deliveries.saturating_add(1),
            payload: info.payload,
            id: info.id,
            record: match source {
                Source::Fresh => None,
                Source::Record(ticket) => Some((&special.messages, ticket)),
            },
        })
    }

    #[cold]
    fn take_record(&mut self, ticket: Ticket) {
        let Some(special) = self.special.as_deref_mut() else { return };
        let mut env = Env { config: self.config, books: self.books, store: self.store, now: self.now };
        special.deliver(&mut env, ticket, self.id, self.consumer.in_flight.next_tag());
        self.consumer.in_flight.push(Held::Record(ticket));
    }
}

impl<C: fmt::Debug> fmt::Debug for Turn<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("consumer", &self.consumer.key)
            .field("taken", &self.taken)
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
