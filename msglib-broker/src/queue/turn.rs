//! One consumer's turn: what it is offered, one after the other.

use super::consumer::Consumer;
use super::store::Store;
use super::{Message, Offer};
use core::fmt;
use std::collections::VecDeque;

/// One consumer's turn in a dispatch; see [`Queue::dispatch_turns`](super::Queue::dispatch_turns).
pub struct Turn<'a, C> {
    pub(super) store: &'a Store,
    pub(super) ready: &'a mut VecDeque<Message>,
    pub(super) consumer: &'a mut Consumer<C>,
    pub(super) left: usize,
    pub(super) taken: usize,
    /// How many of the taken ones were delivered before.
    pub(super) redelivered: u64,
    /// The first message that waits is on offer, and taken unless an error follows.
    pub(super) is_offered: bool,
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
        self.take_offered();
        if self.taken == self.left {
            return None;
        }
        let message = self.ready.front()?;
        self.is_offered = true;
        Some(Offer {
            consumer: &self.consumer.key,
            tag: self.consumer.in_flight.next_tag(),
            count: message.deliveries.saturating_add(1),
            payload: self.store.get(&message.payload),
        })
    }

    #[inline]
    pub(super) fn take_offered(&mut self) {
        if self.is_offered
            && let Some(mut message) = self.ready.pop_front()
        {
            self.is_offered = false;
            self.redelivered += u64::from(message.deliveries > 0);
            message.deliveries = message.deliveries.saturating_add(1);
            self.consumer.in_flight.push(message);
            self.taken += 1;
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Turn<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("consumer", &self.consumer.key)
            .field("taken", &self.taken)
            .field("left", &(self.left - self.taken))
            .finish_non_exhaustive()
    }
}
