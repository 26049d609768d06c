//! Messages go out: which is next, to whom, and how many.

use super::consumer::{Consumer, Consumers};
use super::message::{MessageId, MessageInfo, Place};
use super::messages::Ticket;
use super::special::{Special, Waits};
use super::store::Store;
use super::turn::{Looked, Offer, Turn};
use super::{ConsumerId, Queue, relax};
use core::fmt;
use msglib_proto::Instant;

/// Why a delivery was not taken off the queue's hands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undeliverable {
    /// There is no room on the way to this consumer; it gets nothing until [`Queue::unblock`].
    Full,
    /// The consumer is gone, or cannot take this message. It is removed, and what it held comes back.
    Gone,
}

/// Who gets a message, when no [`DispatchKind`](super::DispatchKind) will do; see [`Queue::dispatch_by`].
pub trait Dispatch<C> {
    /// Picks the consumer for the message that is next. It is asked for each message, and again for one that nobody took.
    fn pick(&mut self, message: &MessageInfo<'_>, candidates: &Candidates<'_, C>) -> Pick;
}

/// Whom a [`Dispatch`] has picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pick {
    /// This one. If it can have nothing now, that is as good as nobody.
    To(ConsumerId),
    /// Whoever the queue's own dispatch says.
    Default,
    /// Nobody, for now: this message, and those behind it, wait for the next dispatch.
    Nobody,
}

/// The consumers that can have a message now.
pub struct Candidates<'a, C> {
    consumers: &'a Consumers<C>,
    max_in_flight: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Candidate<'a, C> {
    /// Its name in the queue.
    pub id: ConsumerId,
    /// What was given to [`Queue::add_consumer`].
    pub consumer: &'a C,
    /// How many deliveries it has not settled.
    pub in_flight: usize,
    /// How many more it has allowed.
    pub credit: u64,
    /// How many more it can have now: as far as its credit and the queue's
    /// [`max_in_flight`](super::QueueConfig::max_in_flight) go.
    pub room: u64,
}

impl<'a, C> Candidates<'a, C> {
    /// In an order that stays the same.
    pub fn iter(&self) -> impl Iterator<Item = Candidate<'a, C>> {
        let (consumers, max_in_flight) = (self.consumers, self.max_in_flight);
        consumers.iter().filter_map(move |(id, consumer)| {
            let room = consumer.room(max_in_flight);
            let Consumer { key, in_flight, .. } = consumer;
            let candidate =
                Candidate { id, consumer: key, in_flight: in_flight.held(), credit: consumer.credit(), room };
            (room > 0).then_some(candidate)
        })
    }
}

impl<C: fmt::Debug> fmt::Debug for Candidates<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Where the next message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The first of the ring.
    Fresh,
    Record(Ticket),
}

impl<C> Queue<C> {
    /// Whether [`dispatch`](Queue::dispatch) would have something to offer.
    #[inline]
    pub fn can_dispatch(&self) -> bool {
        !self.turns.is_empty() && self.has_next() && !self.is_paused
    }

    /// Offers what waits to those who may have it, at most `budget` messages, and returns how many of the budget were used up: for
    /// messages that were taken, and for those whose time was over. What `deliver` takes is in flight.
    pub fn dispatch(
        &mut self,
        store: &mut Store,
        now: Instant,
        budget: usize,
        mut deliver: impl FnMut(Offer<'_, C>) -> Result<(), Undeliverable>,
    ) -> usize {
        self.dispatch_turns(store, now, budget, |turn| {
            while let Some(offer) = turn.next() {
                deliver(offer)?;
            }
            Ok(())
        })
    }

    /// As [`dispatch`](Queue::dispatch), one call for each consumer's turn of up to 16 messages, for whoever has something to look up for
    /// each consumer. After an error the last offer counts as not taken. A turn in which nothing is taken of what was on offer, or that is
    /// not asked what is, blocks the consumer as [`Full`](Undeliverable::Full) does.
    pub fn dispatch_turns(
        &mut self,
        store: &mut Store,
        now: Instant,
        budget: usize,
        mut deliver: impl FnMut(&mut Turn<'_, C>) -> Result<(), Undeliverable>,
    ) -> usize {
        let mut left = budget;
        'rounds: while left > 0 && self.can_dispatch() {
            let (turns, share) = self.turns.round(self.ready());
            for _ in 0..turns {
                // Whose turn did not come is first the next time.
                if left == 0 || !self.has_next() {
                    break;
                }
                let Some(id) = self.next_consumer() else { break 'rounds };
                let Some(used) = self.turn(store, now, id, share.min(left), &mut deliver) else { break 'rounds };
                left -= used;
            }
        }
        self.dispatched();
        budget - left
    }

    /// As [`dispatch_turns`](Queue::dispatch_turns), but `dispatch` picks the consumer for each message.
    pub fn dispatch_by(
        &mut self,
        dispatch: &mut dyn Dispatch<C>,
        store: &mut Store,
        now: Instant,
        budget: usize,
        mut deliver: impl FnMut(&mut Turn<'_, C>) -> Result<(), Undeliverable>,
    ) -> usize {
        let mut left = budget;
        while left > 0 && self.can_dispatch() {
            let Some(id) = self.next_consumer_by(dispatch, store) else { break };
            let Some(used) = self.turn(store, now, id, 1, &mut deliver) else { break };
            left -= used;
        }
        self.dispatched();
        budget - left
    }

    #[inline]
    fn has_next(&self) -> bool {
        !self.fresh.is_empty() || (!self.is_plain && self.special.as_ref().is_some_and(|special| special.has_next()))
    }

    fn dispatched(&mut self) {
        relax(&mut self.fresh);
        match self.is_plain {
            true => self.audit(),
            false => self.update_plain(),
        }
    }

    /// Who gets the message that is next.
    fn next_consumer(&mut self) -> Option<ConsumerId> {
        match self.bound_consumer()? {
            Some(only) => Some(only),
            None => self.turns.next(&mut self.consumers, self.config.max_in_flight),
        }
    }

    fn next_consumer_by(&mut self, dispatch: &mut dyn Dispatch<C>, store: &Store) -> Option<ConsumerId> {
        if let Some(only) = self.bound_consumer()? {
            return Some(only);
        }
        let first = self.first_fresh();
        let source = match &mut self.special {
            Some(special) => special.next(!self.fresh.is_empty())?.0,
            None => Source::Fresh,
        };
        let message = match (source, &self.special) {
            (Source::Record(ticket), Some(special)) => special.messages.info(store, ticket, Place::Ready),
            _ => MessageInfo::fresh(MessageId::new(first), store.get(self.fresh.front()?), Place::Ready),
        };
        let max_in_flight = self.config.max_in_flight;
        match dispatch.pick(&message, &Candidates { consumers: &self.consumers, max_in_flight }) {
            Pick::Nobody => None,
            Pick::To(id) => self.consumers.get(id).filter(|consumer| consumer.room(max_in_flight) > 0).map(|_| id),
            Pick::Default => self.turns.next(&mut self.consumers, max_in_flight),
        }
    }

    /// The only consumer that may have the message that is next, if there is one; messages whose only consumer can have none now are put
    /// aside. `None` if nothing else waits.
    fn bound_consumer(&mut self) -> Option<Option<ConsumerId>> {
        if self.is_plain {
            return Some(None);
        }
        let Some(special) = &mut self.special else { return Some(None) };
        loop {
            let (_, Some(only)) = special.next(!self.fresh.is_empty())? else { return Some(None) };
            let max_in_flight = self.config.max_in_flight;
            match self.consumers.get(only) {
                Some(consumer) if consumer.room(max_in_flight) > 0 => return Some(Some(only)),
                Some(_) => special.park(only),
                None => special.gone(only),
            }
        }
    }

    /// One consumer's turn; how much of the budget it has used up. `None` if there was nothing for it, against all that the order said.
    fn turn(
        &mut self,
        store: &mut Store,
        now: Instant,
        id: ConsumerId,
        quantum: usize,
        deliver: &mut impl FnMut(&mut Turn<'_, C>) -> Result<(), Undeliverable>,
    ) -> Option<usize> {
        let first = self.first_fresh();
        let Queue { config, fresh, books, consumers, special, is_plain, .. } = self;
        let consumer = consumers.get_mut(id)?;
        let most = consumer.room(config.max_in_flight).min(quantum as u64) as usize;
        let tag = consumer.in_flight.next_tag();
        let special = if *is_plain { None } else { special.as_deref_mut() };
        let mut turn = Turn {
            id,
            consumer,
            store,
            now,
            fresh,
            first,
            tag,
            special,
            config,
            books,
            most,
            taken: 0,
            offered: None,
            looked: Looked::default(),
        };
        let failed = deliver(&mut turn).err();
        turn.end(failed.is_some());
        let Turn { taken, looked: Looked { was_asked, has_offered, expired }, .. } = turn;
        // Where all is fresh, something was on offer.
        let is_idle = taken == 0 && (*is_plain || has_offered || !was_asked);
        let is_over = failed.is_some() || is_idle;
        consumer.is_blocked = is_over;
        books.in_flight += taken as u64;
        self.turns.served(id, consumer);
        if let Some(special) = &mut self.special {
            special.ring_shrunk(!self.fresh.is_empty());
        }
        if taken > 0 {
            self.lease(now, id, tag, tag + taken as u64 - 1);
        }
        match failed {
            Some(Undeliverable::Gone) => {
                self.remove_consumer(store, now, id);
            }
            _ => self.changed(id),
        }
        (taken + expired > 0 || is_over).then_some(taken + expired)
    }
}

impl Special {
    /// The message that is next, and the only consumer that may have it, if there is one.
    pub(super) fn next(&mut self, is_ring_used: bool) -> Option<(Source, Option<ConsumerId>)> {
        match &mut self.waits {
            Waits::Fifo(line) if is_ring_used && !line.has_returned() => Some((Source::Fresh, None)),
            Waits::Fifo(line) => line.front().map(|ticket| (Source::Record(ticket), None)),
            Waits::Ordered(order) => {
                let next = order.next(&self.messages)?;
                Some((Source::Record(next.ticket), next.only))
            }
        }
    }

    fn park(&mut self, consumer: ConsumerId) {
        if let Waits::Ordered(order) = &mut self.waits {
            order.park(consumer);
        }
    }

    fn gone(&mut self, consumer: ConsumerId) {
        if let Waits::Ordered(order) = &mut self.waits {
            order.gone(consumer);
        }
    }
}
