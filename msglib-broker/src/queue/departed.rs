//! Messages that have left a queue, and are on their way to another, or to whoever wants to know.

use super::cause::{Cause, DeathReason};
use super::message::MessageId;
use super::store::{Store, Stored};
use msglib_proto::{Instant, Payload};
use std::sync::Arc;

/// A message that has left its queue, and not by an ack. Its payload is still in the store: it must be put into another queue
/// ([`Queue::admit`](super::Queue::admit)) or [discarded](Departed::discard), else it stays there.
#[derive(Debug)]
#[must_use = "its payload stays in the store until it is put into another queue, or discarded"]
pub struct Departed {
    pub(super) payload: Stored,
    pub(super) id: MessageId,
    pub(super) deliveries: u32,
    pub(super) priority: u32,
    pub(super) key: Option<Arc<[u8]>>,
    /// When its time was over, and its delay, for one that may come back.
    pub(super) expires: Instant,
    pub(super) ready: Instant,
    /// Of a dead letter; and of a message that has come to its end in a queue of dead letters.
    pub(super) cause: Option<Box<Cause>>,
    pub(super) fate: Fate,
    pub(super) is_dead_letter: bool,
}

/// How a message has left its queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// Its time was over.
    Expired,
    /// A consumer refused it for good.
    Refused,
    /// It was delivered as often as the queue allows.
    TooManyDeliveries,
    /// It made room for another.
    DroppedOldest,
    /// There was no room for it, and the queue drops what is new then.
    DroppedNewest,
    /// A message with the same key came behind it.
    Replaced,
    /// It should have become a dead letter, once too often.
    TooManyHops,
    /// It was a dead letter, and there was no room for it where it should have gone.
    NoRoomForDeadLetter,
    /// It was a dead letter, and goes back to where it came from.
    Redriven,
    /// It was purged, or its queue deleted.
    Purged,
}

impl Fate {
    /// The same, as the cause of a dead letter.
    pub(super) fn as_cause(self) -> Option<DeathReason> {
        match self {
            Fate::Expired => Some(DeathReason::Expired),
            Fate::Refused => Some(DeathReason::RefusedForGood),
            Fate::TooManyDeliveries => Some(DeathReason::TooManyDeliveries),
            Fate::DroppedOldest => Some(DeathReason::Dropped),
            _ => None,
        }
    }
}

impl Departed {
    /// A message that was never delivered and has nothing but its payload.
    pub(super) fn plain(payload: Stored, id: MessageId, fate: Fate) -> Departed {
        let (expires, ready) = (Instant::MAX, Instant::ZERO);
        let (deliveries, priority, key, cause, is_dead_letter) = (0, 0, None, None, false);
        Departed { payload, id, deliveries, priority, key, expires, ready, cause, fate, is_dead_letter }
    }

    /// What it counts for, in bytes.
    pub(super) fn size(&self) -> usize {
        self.payload.len() + self.key().map_or(0, <[u8]>::len) + super::OVERHEAD
    }

    /// The number that it had in its queue.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// How it left its queue.
    pub fn fate(&self) -> Fate {
        self.fate
    }

    /// Whether it is to go to the queue of dead letters.
    pub fn is_dead_letter(&self) -> bool {
        self.is_dead_letter
    }

    /// How often it was delivered.
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Its priority.
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Its key.
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// Why it is a dead letter, if it is one.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
    }

    /// As [`cause`](Departed::cause), to be changed: a queue does not know its own name, so whoever does puts it there.
    pub fn cause_mut(&mut self) -> Option<&mut Cause> {
        self.cause.as_deref_mut()
    }

    /// The message itself, in the store that it was put into.
    pub fn payload<'s>(&self, store: &'s Store) -> Payload<'s> {
        store.get(&self.payload)
    }

    /// The end of it.
    pub fn discard(self, store: &mut Store) {
        store.remove(self.payload);
    }
}
