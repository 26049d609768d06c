//! The messages of a queue that have more to them than a payload and a place in line.

use super::cause::Cause;
use super::departed::{Departed, Fate};
use super::index::Index;
use super::keys::{KeyId, Keys};
use super::message::MessageId;
use super::store::Stored;
use msglib_proto::Instant;

/// Names one message of a queue for as long as it is there; then the number can come back for another message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub(super) u32);

impl Ticket {
    /// Small numbers, so that a table by ticket can be a `Vec`: below the number of messages that were there at once.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What an [`Order`](super::Order) may look at of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Waiting {
    /// Its name: lower ones were accepted before.
    pub id: MessageId,
    /// Its priority.
    pub priority: u32,
    /// Its key; the same number for the same bytes as long as the queue has a message with them.
    pub key: Option<KeyId>,
    /// How often it was delivered: 0 unless it has come back.
    pub deliveries: u32,
    /// What it counts for, in bytes: payload, key and [`OVERHEAD`](super::OVERHEAD).
    pub size: usize,
}

/// The messages of a queue that an [`Order`](super::Order) has in its hands: a table by [`Ticket`].
///
/// In the plain case, a first-in-first-out queue of payloads, a message that waits is nothing but its payload. One that has a key, a
/// priority, a time, or that was delivered before, is here, with 56 bytes.
#[derive(Debug)]
pub struct Messages {
    records: Vec<Record>,
    /// The first of the free ones, chained by their place.
    free: u32,
    live: usize,
    keys: Keys,
    /// By their ids, if somebody wants to name them.
    index: Option<Index>,
}

/// One message.
#[derive(Debug)]
pub(super) struct Record {
    /// `None` when nobody has this record.
    pub(super) payload: Option<Stored>,
    pub(super) id: MessageId,
    pub(super) expires: Instant,
    /// What it means depends on the state.
    place: u64,
    pub(super) cause: Option<Box<Cause>>,
    pub(super) deliveries: u32,
    pub(super) key: Option<KeyId>,
    pub(super) priority: u32,
    /// Two things in one, so that there is room for the priority: see [`state`](Record::state) and [`wake`](Record::wake).
    wake_and_state: u32,
}

/// The bits of a record's state; those below are its wake's.
const STATE: u32 = 3 << WAKE_BITS;
/// How many bits the number of an entry in the agenda has.
pub(super) const WAKE_BITS: u32 = 30;

/// Where the message of a record is, and what its place is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Delivered. The place is the number of the [extension](super::extensions) that its lease has, if it was extended, else 0.
    InFlight,
    /// In the order of what is next. The place belongs to the lists that the order is made of.
    Ready,
    /// Not before a time, which is the place.
    Delayed,
}

/// No record.
const NONE: u32 = u32::MAX;

impl Record {
    pub(super) fn new(payload: Stored, id: MessageId) -> Record {
        Record {
            payload: Some(payload),
            id,
            expires: Instant::MAX,
            place: 0,
            cause: None,
            deliveries: 0,
            key: None,
            priority: 0,
            wake_and_state: 0,
        }
    }

    /// Whether there is nothing more to it than a payload and deliveries.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.priority == 0 && self.key.is_none() && self.cause.is_none()
    }

    /// When a delayed message is ready.
    pub(super) fn until(&self) -> Instant {
        Instant::from_nanos(self.place)
    }

    /// The extension that the lease of one in flight has; 0 if it was not extended.
    pub(super) fn extension(&self) -> u32 {
        self.place as u32
    }

    pub(super) fn set_extension(&mut self, number: u32) {
        self.place = number.into();
    }

    pub(super) fn state(&self) -> State {
        match self.wake_and_state >> WAKE_BITS {
            0 => State::InFlight,
            1 => State::Ready,
            _ => State::Delayed,
        }
    }

    pub(super) fn set_state(&mut self, state: State, until: Instant) {
        self.wake_and_state = self.wake() | (state as u32) << WAKE_BITS;
        self.place = until.as_nanos();
    }

    /// The number of its entry in the agenda; 0 if it has none, and others that name it mean something else.
    pub(super) fn wake(&self) -> u32 {
        self.wake_and_state & !STATE
    }

    /// `number` has [`WAKE_BITS`].
    pub(super) fn set_wake(&mut self, number: u32) {
        self.wake_and_state = (self.wake_and_state & STATE) | number;
    }

    /// When something happens to it while it waits.
    pub(super) fn wakes(&self) -> Instant {
        match self.state() {
            State::Ready => self.expires,
            State::Delayed => self.expires.min(self.until()),
            State::InFlight => Instant::MAX,
        }
    }
}

impl Messages {
    pub(super) const fn new() -> Messages {
        Messages { records: Vec::new(), free: NONE, live: 0, keys: Keys::new(), index: None }
    }

    /// From now on messages are found by their ids. While there are none.
    pub(super) fn with_index(mut self) -> Messages {
        self.index = Some(Index::default());
        self
    }

    /// The message with this id, if there is an index and it is there.
    pub(super) fn by_id(&self, id: MessageId) -> Option<Ticket> {
        self.index.as_ref()?.get(id)
    }

    /// What there is to know of a message; see [`Waiting`].
    ///
    /// # Panics
    ///
    /// When there is no such message.
    pub fn get(&self, ticket: Ticket) -> Waiting {
        let Record { id, priority, key, deliveries, .. } = *self.record(ticket);
        Waiting { id, priority, key, deliveries, size: self.size(ticket) }
    }

    /// The bytes of a key that a message has; empty if none has it.
    pub fn key(&self, key: KeyId) -> &[u8] {
        self.keys.get(key)
    }

    /// How many there are, waiting or in flight.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// What a message counts for, in bytes.
    pub(super) fn size(&self, ticket: Ticket) -> usize {
        let record = self.record(ticket);
        let payload = record.payload.as_ref().map_or(0, Stored::len);
        payload + record.key.map_or(0, |key| self.keys.get(key).len()) + super::OVERHEAD
    }

    /// The key with these bytes, if a message has it.
    pub fn find_key(&self, bytes: &[u8]) -> Option<KeyId> {
        self.keys.find(bytes)
    }

    /// The record of a ticket that may be out of date.
    pub(super) fn find(&self, ticket: Ticket) -> Option<&Record> {
        self.records.get(ticket.index()).filter(|record| record.payload.is_some())
    }

    pub(super) fn record(&self, Ticket(index): Ticket) -> &Record {
        &self.records[index as usize]
    }

    pub(super) fn record_mut(&mut self, Ticket(index): Ticket) -> &mut Record {
        &mut self.records[index as usize]
    }

    pub(super) fn insert(&mut self, mut record: Record, key: Option<&[u8]>) -> Ticket {
        record.key = key.map(|bytes| self.keys.take(bytes));
        self.live += 1;
        let id = record.id;
        let ticket = self.put(record);
        if let Some(index) = &mut self.index {
            index.insert(id, ticket);
        }
        ticket
    }

    fn put(&mut self, record: Record) -> Ticket {
        if self.free != NONE {
            let ticket = Ticket(self.free);
            let slot = &mut self.records[ticket.index()];
            self.free = slot.place as u32;
            *slot = record;
            return ticket;
        }
        if self.records.len() == self.records.capacity() {
            // Less than twice as much, for a record is large.
            self.records.reserve_exact((self.records.len() / 8).max(4));
        }
        self.records.push(record);
        Ticket(self.records.len() as u32 - 1)
    }

    /// The message is no more; its payload is the caller's.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<Stored> {
        let free = self.free;
        let record = self.record_mut(ticket);
        let payload = record.payload.take()?;
        record.place = u64::from(free);
        record.cause = None;
        let (id, key) = (record.id, record.key.take());
        self.free = ticket.0;
        self.live -= 1;
        if let Some(key) = key {
            self.keys.give(key);
        }
        if let Some(index) = &mut self.index {
            index.remove(id);
        }
        self.relax();
        Some(payload)
    }

    /// The message is no more here, but on its way to elsewhere.
    pub(super) fn depart(&mut self, ticket: Ticket, fate: Fate) -> Option<Departed> {
        let record = self.record_mut(ticket);
        let (id, deliveries, priority, cause) = (record.id, record.deliveries, record.priority, record.cause.take());
        let expires = record.expires;
        let ready = if record.state() == State::Delayed { record.until() } else { Instant::ZERO };
        let key = record.key.map(|key| self.keys.share(key));
        let payload = self.remove(ticket)?;
        Some(Departed { payload, id, deliveries, priority, key, expires, ready, cause, fate, is_dead_letter: false })
    }

    /// All of them leave, for the queue is no more.
    pub(super) fn into_departed(mut self, fate: Fate) -> impl Iterator<Item = Departed> {
        (0..self.records.len() as u32).map(Ticket).filter_map(move |ticket| {
            self.find(ticket)?;
            self.depart(ticket, fate)
        })
    }

    /// Tickets are below this number.
    pub(super) fn slots(&self) -> usize {
        self.records.len()
    }

    /// Those that are there, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &Record)> {
        let records = self.records.iter().enumerate().filter(|(_, record)| record.payload.is_some());
        records.map(|(index, record)| (Ticket(index as u32), record))
    }

    /// The neighbours in a list.
    pub(super) fn links(&self, ticket: Ticket) -> (Option<Ticket>, Option<Ticket>) {
        let place = self.record(ticket).place;
        let neighbour = |index: u32| (index != NONE).then_some(Ticket(index));
        (neighbour((place >> 32) as u32), neighbour(place as u32))
    }

    pub(super) fn set_links(&mut self, ticket: Ticket, (before, behind): (Option<Ticket>, Option<Ticket>)) {
        let index = |neighbour: Option<Ticket>| u64::from(neighbour.map_or(NONE, |Ticket(index)| index));
        self.record_mut(ticket).place = index(before) << 32 | index(behind);
    }

    /// What a burst took goes back when it is over.
    fn relax(&mut self) {
        const SMALL: usize = 1024;
        if self.live == 0 && self.records.capacity() > SMALL {
            self.records = Vec::new();
            self.free = NONE;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::store::Store;
    use super::*;

    pub(in super::super) fn message(messages: &mut Messages, store: &mut Store, id: u64) -> Ticket {
        let mut record = Record::new(store.put("x".into()), MessageId::new(id));
        record.set_state(State::Ready, Instant::ZERO);
        messages.insert(record, None)
    }

    #[test]
    fn a_record_has_56_bytes() {
        assert_eq!(size_of::<Record>(), 56);
    }

    #[test]
    fn tickets_come_back_and_nothing_grows() {
        let (mut messages, mut store) = (Messages::new(), Store::new());
        let a = message(&mut messages, &mut store, 1);
        let b = message(&mut messages, &mut store, 2);
        for id in 3..100 {
            let c = message(&mut messages, &mut store, id);
            assert_eq!((messages.get(c).id.value(), messages.len()), (id, 3));
            store.remove(messages.remove(c).unwrap());
        }
        assert_eq!(messages.records.len(), 3);
        for ticket in [a, b] {
            store.remove(messages.remove(ticket).unwrap());
            assert!(messages.remove(ticket).is_none(), "once");
        }
        assert_eq!((messages.len(), store.payloads()), (0, 0));
    }

    #[test]
    fn a_burst_leaves_no_table_behind() {
        let (mut messages, mut store) = (Messages::new(), Store::new());
        let tickets: Vec<_> = (1..=10_000).map(|id| message(&mut messages, &mut store, id)).collect();
        let slack = messages.records.capacity() - messages.records.len();
        assert!(slack <= 10_000 / 8, "{slack} of 10,000");
        tickets.into_iter().for_each(|ticket| store.remove(messages.remove(ticket).unwrap()));
        assert_eq!(messages.records.capacity(), 0);
    }
}
