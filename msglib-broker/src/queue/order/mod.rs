//! Which message is next: a seam, and the orders that are there.

mod fair;
mod last_value;
mod priority;
mod sticky;

use super::ConsumerId;
use super::config::OrderKind;
use super::keys::KeyId;
use super::messages::{Messages, Ticket};

/// Which message of a queue is next.
///
/// A queue tells its order which messages wait, one after the other, and asks which is next. The order knows them by [`Ticket`], and
/// looks at them through [`Messages`]; [`List`](super::List) and [`Line`](super::Line) are what most orders are made of, and a table
/// of its own does as well. A ticket stays with its message until it leaves the queue, through deliveries and back.
///
/// Each call should take about the same time, however many messages wait.
pub trait Order: Send {
    /// A message waits from now on: it is new, or its delay is over, or it has come back (then `deliveries` is not 0).
    ///
    /// Returns a message that has to give way and is dropped for it: one that waits and that the order has already
    /// forgotten, or the new one itself, which it has not taken. In most orders there is none.
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket>;

    /// A message that waits does so no longer: it is delivered, or has come to its end.
    fn remove(&mut self, messages: &mut Messages, ticket: Ticket);

    /// The message that is next. It stays until it is removed; when nothing has changed since, the answer is the same.
    fn next(&mut self, messages: &Messages) -> Option<Next>;

    /// Whether [`next`](Order::next) has an answer.
    fn has_next(&self) -> bool;

    /// The message that is next is delivered, and waits no longer: as [`remove`](Order::remove), which it calls by default.
    fn deliver(&mut self, messages: &mut Messages, ticket: Ticket, to: ConsumerId) {
        let _ = to;
        self.remove(messages, ticket);
    }

    /// A delivery is over, whether its message is done with or comes back.
    fn settle(&mut self, messages: &mut Messages, ticket: Ticket) {
        let _ = (messages, ticket);
    }

    /// The message that is next is for this consumer only, and it can have none now: the order shall name others until
    /// [`unpark`](Order::unpark). Matters to orders only that say [`Next::only_to`].
    fn park(&mut self, consumer: ConsumerId) {
        let _ = consumer;
    }

    /// The message that is next is for this consumer only, and it is not there any more: the order shall name somebody else for it, or
    /// another message. By default the latter, as [`park`](Order::park).
    fn gone(&mut self, consumer: ConsumerId) {
        self.park(consumer);
    }

    /// A consumer can have messages again, or is gone.
    fn unpark(&mut self, consumer: ConsumerId) {
        let _ = consumer;
    }

    /// The message that would give way to a new one with this key, and so makes room for it; `None` in most orders.
    fn replaced_by(&self, messages: &Messages, key: KeyId) -> Option<Ticket> {
        let _ = (messages, key);
        None
    }

    /// Which of those that wait is dropped to make room for one with this key, or without one; by default the one that is next. No message
    /// may have had the key before: see [`Messages::find_key`]. `None` if the new one shall be refused.
    fn victim(&mut self, messages: &Messages, key: Option<&[u8]>) -> Option<Ticket> {
        let _ = key;
        self.next(messages).map(|next| next.ticket)
    }
}

/// What is next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Next {
    pub(super) ticket: Ticket,
    pub(super) only: Option<ConsumerId>,
}

impl Next {
    /// A message for whoever may have it.
    pub const fn to_anyone(ticket: Ticket) -> Next {
        Next { ticket, only: None }
    }

    /// A message for nobody but this consumer.
    pub const fn only_to(consumer: ConsumerId, ticket: Ticket) -> Next {
        Next { ticket, only: Some(consumer) }
    }
}

/// The order of a kind; first-in-first-out is the queue's own.
pub(super) fn of_kind(kind: OrderKind) -> Option<Box<dyn Order>> {
    match kind {
        OrderKind::Fifo => None,
        OrderKind::Priority => Some(Box::new(priority::Priority::default())),
        OrderKind::FairByKey => Some(Box::new(fair::FairByKey::default())),
        OrderKind::StickyByKey => Some(Box::new(sticky::StickyByKey::default())),
        OrderKind::LastValue => Some(Box::new(last_value::LastValue::default())),
    }
}

/// Where an order by key has the messages of a key in its table; the first place is for those without one.
fn group(key: Option<KeyId>) -> usize {
    key.map_or(0, |key| key.index() + 1)
}

/// As [`group`], by the bytes of the key; `None` if no message has it.
fn group_of(messages: &Messages, key: Option<&[u8]>) -> Option<usize> {
    match key {
        None => Some(0),
        Some(bytes) => messages.find_key(bytes).map(|key| group(Some(key))),
    }
}
