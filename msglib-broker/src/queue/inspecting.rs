//! Looking at what is in a queue.

use super::Queue;
use super::cause::Cause;
use super::consumer::Consumer;
use super::dispatching::Candidate;
use super::history::HistoryEvent;
use super::message::{MessageId, MessageInfo, Place};
use super::messages::{Messages, Record, State, Ticket};
use super::store::{Store, Stored};
use msglib_proto::{Instant, Payload};

impl<C> Queue<C> {
    /// Every message in the queue, without a copy of its payload. First those that wait and have nothing but their payload, from
    /// the one that is next; then the others that wait or are delayed; then those in flight. `store` must be the one that their
    /// payloads lie in.
    pub fn messages<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = MessageInfo<'a>> {
        let records = self.special.iter().flat_map(move |special| special.messages.waiting(store));
        self.fresh(store).chain(records).chain(self.in_flight(store))
    }

    /// One message. Quick for those that wait, if they have nothing but their payload or the queue has an
    /// [index](super::QueueConfig::is_indexed); else it looks at all of them.
    pub fn message<'a>(&'a self, store: &'a Store, id: MessageId) -> Option<MessageInfo<'a>> {
        let fresh = id.value().checked_sub(self.first_fresh()).and_then(|index| self.fresh.get(index as usize));
        if let Some(payload) = fresh {
            return Some(MessageInfo::fresh(id, store.get(payload), Place::Ready));
        }
        if let Some(waiting) = self.indexed(store, id) {
            return Some(waiting);
        }
        let mut waiting = self.special.iter().flat_map(move |special| special.messages.waiting(store));
        waiting.find(|message| message.id == id).or_else(|| self.in_flight(store).find(|message| message.id == id))
    }

    /// Every consumer, what it holds and what it can have, in an order that stays the same.
    pub fn each_consumer(&self) -> impl Iterator<Item = Candidate<'_, C>> {
        self.consumers.iter().map(|(id, consumer)| {
            let Consumer { key, in_flight, .. } = consumer;
            let room = consumer.room(self.config.max_in_flight);
            Candidate { id, consumer: key, in_flight: in_flight.held(), credit: consumer.credit(), room }
        })
    }

    /// What happened to a message, from the oldest event that is [kept](super::QueueConfig::history).
    pub fn explain(&self, id: MessageId) -> impl Iterator<Item = &HistoryEvent> {
        let history = self.special.as_ref().and_then(|special| special.history.as_deref());
        history.into_iter().flat_map(move |history| history.of(id))
    }

    fn fresh<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = MessageInfo<'a>> {
        let numbered = (self.first_fresh()..).zip(&self.fresh);
        numbered.map(|(id, payload)| MessageInfo::fresh(MessageId::new(id), store.get(payload), Place::Ready))
    }

    fn in_flight<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = MessageInfo<'a>> {
        self.consumers.iter().flat_map(move |(consumer, it)| {
            it.in_flight.iter().filter_map(move |(tag, held)| {
                let place = Place::InFlight { consumer, tag };
                let plain = |(payload, id): (&Stored, u64)| {
                    let fresh = MessageInfo::fresh(MessageId::new(id), store.get(payload), place);
                    Some(MessageInfo { deliveries: 1, ..fresh })
                };
                held.map_or_else(plain, |ticket| Some(self.special.as_ref()?.messages.info(store, ticket, place)))
            })
        })
    }
}

impl Messages {
    /// A message as it is looked at, at this place.
    pub(super) fn info<'a>(&'a self, store: &'a Store, ticket: Ticket, place: Place) -> MessageInfo<'a> {
        let record = self.record(ticket);
        let payload = record.payload.as_ref().map_or(Payload::from(&[]), |payload| store.get(payload));
        let &Record { id, priority, deliveries, expires, .. } = record;
        let (key, cause) = (record.key.map(|key| self.key(key)), record.cause.as_deref());
        MessageInfo { id, payload, priority, key, deliveries, expires, place, cause }
    }

    /// Those that wait or are delayed, in the order of their tickets.
    fn waiting<'a>(&'a self, store: &'a Store) -> impl Iterator<Item = MessageInfo<'a>> {
        self.iter().filter_map(move |(ticket, record)| match record.state() {
            State::Ready => Some(self.info(store, ticket, Place::Ready)),
            State::Delayed => Some(self.info(store, ticket, Place::Delayed(record.until()))),
            State::InFlight => None,
        })
    }
}

impl<'a> MessageInfo<'a> {
    /// A message that was never delivered and has nothing but its payload.
    pub(super) fn fresh(id: MessageId, payload: Payload<'a>, place: Place) -> MessageInfo<'a> {
        let (key, cause): (_, Option<&Cause>) = (None, None);
        MessageInfo { id, payload, priority: 0, key, deliveries: 0, expires: Instant::MAX, place, cause }
    }
}
