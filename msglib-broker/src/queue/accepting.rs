//! Messages come in, as long as there is room for them.

use super::config::Overflow;
use super::departed::{Departed, Fate};
use super::history::What;
use super::message::{MessageId, NewMessage};
use super::messages::Record;
use super::special::{Env, Special, Waits};
use super::store::{Store, Stored};
use super::{OVERHEAD, Queue};
use msglib_proto::{Instant, Payload};
use std::collections::VecDeque;
use thiserror::Error;

/// Why a queue did not take a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// It is at its limit. It may have room later.
    #[error("the queue is full: {messages} messages, {bytes} bytes with their overhead")]
    QueueFull {
        /// Messages in it.
        messages: usize,
        /// Bytes that they count for.
        bytes: usize,
    },
    /// All queues together are at the limit of their [`Store`]. There may be room later.
    #[error("the queues are full, all together: {messages} messages, {bytes} bytes with their overhead")]
    StoreFull {
        /// Messages in it.
        messages: usize,
        /// Bytes that they count for.
        bytes: usize,
    },
    /// It would not fit if the queue were empty.
    #[error("the message counts for {size} bytes with its overhead, and the queue takes {max}")]
    TooLarge {
        /// What it counts for.
        size: usize,
        /// The queue's limit.
        max: usize,
    },
}

/// How many messages are dropped for one at most, so that one large message is no endless work.
const DROPPED_FOR_ONE: usize = 1024;

impl<C> Queue<C> {
    /// Takes a message, and returns its number. Where there is no room for it, what the queue's
    /// [`overflow`](super::QueueConfig::overflow) says happens.
    ///
    /// # Errors
    ///
    /// [`PushError`]; the message was not taken.
    #[inline]
    pub fn push<'m>(
        &mut self,
        store: &mut Store,
        now: Instant,
        message: impl Into<NewMessage<'m>>,
    ) -> Result<MessageId, PushError> {
        let message = message.into();
        if message.is_plain()
            && let Some(id) = self.push_plain(store, message.payload)
        {
            return Ok(id);
        }
        self.push_special(store, now, &message)
    }

    /// Takes a message that is nothing but its payload, if that is all that there is to be done.
    #[inline]
    pub(crate) fn push_plain(&mut self, store: &mut Store, payload: Payload<'_>) -> Option<MessageId> {
        let size = payload.len() + OVERHEAD;
        if !self.is_plain || !self.has_room(store, size) {
            return None;
        }
        let id = self.number(size);
        self.fresh.push_back(store.put(payload));
        self.audit();
        Some(id)
    }

    /// Takes a message that has left another queue, as new: with its payload, key, priority and cause, and without a time. The store
    /// must be the one that it lies in.
    ///
    /// # Errors
    ///
    /// [`PushError`], and the message.
    pub fn admit(
        &mut self,
        store: &mut Store,
        now: Instant,
        mut departed: Departed,
    ) -> Result<MessageId, (PushError, Departed)> {
        let size = departed.size();
        let is_ready = self.config.delay.is_zero();
        let is_taken = match self.make_room(store, now, size, departed.key(), (is_ready, true)) {
            Ok(is_taken) => is_taken,
            Err(error) => return Err((error, departed)),
        };
        let id = self.number(size);
        let is_ring_used = !self.fresh.is_empty();
        let (special, mut env) = self.parts(store, now);
        special.skip_number(is_ring_used);
        (departed.id, departed.deliveries) = (id, 0);
        if departed.fate == Fate::Redriven {
            departed.cause = None;
        }
        departed.is_dead_letter = false;
        if !is_taken {
            departed.fate = Fate::DroppedNewest;
            special.depart(&mut env, size, departed);
        } else {
            let mut record = Record::new(departed.payload, id);
            (record.priority, record.cause) = (departed.priority, departed.cause);
            record.expires = env.config.ttl.map_or(Instant::MAX, |ttl| now + ttl);
            let ticket = special.messages.insert(record, departed.key.as_deref());
            special.note(&env, ticket, What::Accepted);
            let delay = env.config.delay;
            special.wait(&mut env, ticket, delay);
        }
        self.update_plain();
        Ok(id)
    }

    #[cold]
    fn push_special(
        &mut self,
        store: &mut Store,
        now: Instant,
        message: &NewMessage<'_>,
    ) -> Result<MessageId, PushError> {
        let size = message.size();
        let is_ready = message.delay.unwrap_or(self.config.delay).is_zero();
        let is_taken = self.make_room(store, now, size, message.key, (is_ready, false))?;
        let id = self.number(size);
        if is_taken && message.is_plain() && self.is_ring_open() {
            self.fresh.push_back(store.put(message.payload));
        } else {
            let is_ring_used = !self.fresh.is_empty();
            let (special, mut env) = self.parts(store, now);
            special.skip_number(is_ring_used);
            match is_taken {
                true => special.accept(&mut env, id, message),
                false => special.drop_new(&mut env, id, message),
            }
        }
        self.update_plain();
        Ok(id)
    }

    /// Whether a plain message that comes now is behind those in the ring, and its number follows theirs.
    fn is_ring_open(&self) -> bool {
        let config = &self.config;
        if !config.is_plain() {
            return false;
        }
        self.special.as_ref().is_none_or(|special| match &special.waits {
            Waits::Fifo(line) => line.new_ones().is_empty() && special.gap == 0,
            Waits::Ordered(_) => false,
        })
    }

    /// One more message of this size.
    #[inline]
    fn number(&mut self, size: usize) -> MessageId {
        self.books.one_more(size);
        self.books.accepted += 1;
        MessageId::new(self.books.accepted)
    }

    #[inline]
    fn has_room(&self, store: &Store, size: usize) -> bool {
        self.books.room > 0 && size as isize <= self.books.room_bytes && store.has_room(size)
    }

    /// Whether there is room in the queue; the message that gives way to one with this key makes some.
    fn has_room_for(&self, size: usize, key: Option<&[u8]>) -> bool {
        if self.books.room > 0 && size as isize <= self.books.room_bytes {
            return true;
        }
        let replaced = key.zip(self.special.as_ref()).and_then(|(key, special)| {
            let Waits::Ordered(order) = &special.waits else { return None };
            let ticket = order.replaced_by(&special.messages, special.messages.find_key(key)?)?;
            Some(special.messages.size(ticket))
        });
        replaced.is_some_and(|bytes| size as isize <= self.books.room_bytes + bytes as isize)
    }

    /// Makes room for a message, if the overflow is so; whether the message can be taken, or is to be dropped.
    fn make_room(
        &mut self,
        store: &mut Store,
        now: Instant,
        size: usize,
        key: Option<&[u8]>,
        (is_ready, is_stored): (bool, bool),
    ) -> Result<bool, PushError> {
        let config = &self.config;
        let max = config.max_bytes;
        if size > max {
            self.special().tallies.turned_away += 1;
            return Err(PushError::TooLarge { size, max });
        }
        if !is_stored && !store.has_room(size) {
            let (messages, bytes) = (store.payloads(), store.bytes());
            self.special().tallies.turned_away += 1;
            return Err(PushError::StoreFull { messages, bytes });
        }
        let mut dropped = 0;
        loop {
            if self.has_room_for(size, key.filter(|_| is_ready)) {
                return Ok(true);
            }
            let (messages, bytes) = (self.len(), self.bytes());
            let makes_room = match self.config.overflow {
                Overflow::RefuseNew => false,
                Overflow::DropNewest => return Ok(false),
                Overflow::DropOldest | Overflow::DeadLetterOldest => {
                    dropped < DROPPED_FOR_ONE && self.drop_oldest(store, now, key)
                }
            };
            if !makes_room {
                self.special().tallies.turned_away += 1;
                return Err(PushError::QueueFull { messages, bytes });
            }
            dropped += 1;
        }
    }

    /// Drops the message that the order would miss least; false if none is ready.
    fn drop_oldest(&mut self, store: &mut Store, now: Instant, key: Option<&[u8]>) -> bool {
        let first = self.first_fresh();
        let fresh = &mut self.fresh;
        let special = self.special.get_or_insert_with(|| Box::new(Special::new(&self.config)));
        let mut env = Env { config: &self.config, books: &mut self.books, store, now };
        let victim = match &mut special.waits {
            Waits::Fifo(line) if line.has_returned() || fresh.is_empty() => line.front(),
            Waits::Fifo(_) => None,
            Waits::Ordered(order) => order.victim(&special.messages, key),
        };
        match victim {
            Some(ticket) => {
                special.take_out(ticket);
                special.leave(&mut env, ticket, Fate::DroppedOldest);
                true
            }
            None => special.drop_fresh(&mut env, fresh, first),
        }
    }

    /// The number of the first in the ring.
    pub(super) fn first_fresh(&self) -> u64 {
        let gap = self.special.as_ref().map_or(0, |special| special.gap);
        self.books.accepted + 1 - gap - self.fresh.len() as u64
    }
}

impl Special {
    /// A number was given to a message that is not in the ring.
    fn skip_number(&mut self, is_ring_used: bool) {
        self.gap += u64::from(is_ring_used);
    }

    /// After something was taken out of the ring.
    pub(super) fn ring_shrunk(&mut self, is_ring_used: bool) {
        if !is_ring_used {
            self.gap = 0;
        }
    }

    /// The first in the ring makes room for another; false if the ring is empty.
    fn drop_fresh(&mut self, env: &mut Env<'_>, fresh: &mut VecDeque<Stored>, id: u64) -> bool {
        let Some(payload) = fresh.pop_front() else { return false };
        self.ring_shrunk(!fresh.is_empty());
        self.depart_plain(env, payload, MessageId::new(id), Fate::DroppedOldest);
        true
    }

    /// A message that is taken and dropped, for there is no room.
    fn drop_new(&mut self, env: &mut Env<'_>, id: MessageId, message: &NewMessage<'_>) {
        let payload = env.store.put(message.payload);
        let departed = Departed {
            priority: message.priority,
            key: message.key.map(Into::into),
            ..Departed::plain(payload, id, Fate::DroppedNewest)
        };
        self.depart(env, message.size(), departed);
    }

    /// A message that was never delivered and has nothing but its payload leaves the queue.
    pub(super) fn depart_plain(&mut self, env: &mut Env<'_>, payload: Stored, id: MessageId, fate: Fate) {
        let size = payload.len() + OVERHEAD;
        self.depart(env, size, Departed::plain(payload, id, fate));
    }
}
