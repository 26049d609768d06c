//! Messages leave a queue other than by a delivery.

use super::cause::Cause;
use super::departed::{Departed, Fate};
use super::in_flight::Held;
use super::message::MessageId;
use super::messages::{Record, State, Ticket};
use super::special::{Env, Special};
use super::store::Store;
use super::{Books, Queue};
use msglib_proto::Instant;

/// A purge under way; see [`Queue::begin_purge`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purge {
    /// Messages that were accepted later stay.
    upto: MessageId,
    /// How many records were looked at.
    at: usize,
}

impl<C> Queue<C> {
    /// From now on every message that leaves otherwise than by an ack is kept for [`take_departed`](Queue::take_departed), and must be
    /// taken from there; without it only dead letters are.
    pub fn watch(&mut self) {
        self.special().is_watched = true;
    }

    /// Whether there is more to it than a ring of payloads and consumers: only then can there be something due, or departed.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.special.is_some()
    }

    /// The next message that has left the queue: a dead letter on its way, or whatever it was if the queue is
    /// [watched](Queue::watch). To be asked after each call in which a message can leave: all but those that only look.
    pub fn take_departed(&mut self) -> Option<Departed> {
        let special = self.special.as_mut()?;
        let departed = special.departed.pop_front();
        super::relax(&mut special.departed);
        departed
    }

    /// Whether there are some to be taken.
    pub(crate) fn has_departed(&self) -> bool {
        self.special.as_ref().is_some_and(|special| !special.departed.is_empty())
    }

    /// A dead letter that was taken finds no room where it should go: it counts as dropped, and the caller
    /// [discards](Departed::discard) it.
    pub fn lost_dead_letter(&mut self, departed: &mut Departed) {
        let tallies = &mut self.special().tallies;
        tallies.dead_lettered -= 1;
        tallies.dropped.undeliverable += 1;
        (departed.fate, departed.is_dead_letter) = (Fate::NoRoomForDeadLetter, false);
        self.audit();
    }

    /// Drops every message that waits, ready or delayed; those in flight stay. Returns how many. Takes as long as there are messages.
    pub fn purge(&mut self, store: &mut Store, now: Instant) -> usize {
        let before = self.ledger().purged;
        let mut purge = self.begin_purge();
        self.go_on_with_purge(store, now, &mut purge, usize::MAX);
        (self.ledger().purged - before) as usize
    }

    /// A purge of what waits now, to be done in steps.
    pub(crate) fn begin_purge(&self) -> Purge {
        Purge { upto: MessageId::new(self.books.accepted), at: 0 }
    }

    /// Looks at so many messages at most; at how many it has looked, and whether that was all.
    pub(crate) fn go_on_with_purge(
        &mut self,
        store: &mut Store,
        now: Instant,
        purge: &mut Purge,
        most: usize,
    ) -> (usize, bool) {
        let mut looked = 0;
        while looked < most && !self.fresh.is_empty() && self.first_fresh() <= purge.upto.value() {
            let id = MessageId::new(self.first_fresh());
            let Some(payload) = self.fresh.pop_front() else { break };
            let (special, mut env) = self.parts(store, now);
            special.depart_plain(&mut env, payload, id, Fate::Purged);
            looked += 1;
        }
        let is_ring_used = !self.fresh.is_empty();
        let (special, mut env) = self.parts(store, now);
        special.ring_shrunk(is_ring_used);
        while looked < most && purge.at < special.messages.slots() {
            let ticket = Ticket(purge.at as u32);
            let is_meant = |record: &&Record| record.state() != State::InFlight && record.id <= purge.upto;
            if special.messages.find(ticket).filter(is_meant).is_some() {
                special.purge(&mut env, ticket);
            }
            (looked, purge.at) = (looked + 1, purge.at + 1);
        }
        let is_done = looked < most;
        self.update_plain();
        super::relax(&mut self.fresh);
        (looked, is_done)
    }

    /// Takes out dead letters that wait, at most so many, those that were accepted first, as far as `is_wanted` says. They are to go
    /// back to where they came from: the caller [admits](Queue::admit) them there, or [puts them back](Queue::put_back). Looks at all
    /// messages that have a record.
    pub fn redrive(&mut self, most: usize, mut is_wanted: impl FnMut(&Cause) -> bool) -> Vec<Departed> {
        let Some(special) = &mut self.special else { return Vec::new() };
        let mut is_meant =
            |record: &Record| record.state() != State::InFlight && record.cause.as_deref().is_some_and(&mut is_wanted);
        let all = special.messages.iter().filter(|(_, record)| is_meant(record));
        let mut tickets: Vec<(MessageId, Ticket)> = all.map(|(ticket, record)| (record.id, ticket)).collect();
        tickets.sort_unstable();
        let tickets = tickets.into_iter().take(most);
        let redriven = tickets.filter_map(|(_, ticket)| special.redrive(&mut self.books, ticket)).collect();
        self.update_plain();
        redriven
    }

    /// A message that was taken out by [`redrive`](Queue::redrive) stays after all: it waits again, as long as it would have, and behind the
    /// others if it was never delivered.
    pub fn put_back(&mut self, store: &mut Store, now: Instant, departed: Departed) {
        self.books.one_more(departed.size());
        let (special, mut env) = self.parts(store, now);
        special.tallies.redriven -= 1;
        let mut record = Record::new(departed.payload, departed.id);
        (record.priority, record.cause, record.deliveries) = (departed.priority, departed.cause, departed.deliveries);
        record.expires = departed.expires;
        let ticket = special.messages.insert(record, departed.key.as_deref());
        special.wait(&mut env, ticket, departed.ready.since(now));
        self.update_plain();
    }

    /// The end of the queue: drops every message, waiting or in flight. Takes as long as there are messages.
    pub fn discard(self, store: &mut Store) {
        self.into_departed().for_each(|departed| departed.discard(store));
    }

    /// The messages of a queue that is no more, and those that had left it and were not taken.
    pub(crate) fn into_departed(self) -> impl Iterator<Item = Departed> {
        let first = self.first_fresh();
        let fresh =
            (first..).zip(self.fresh).map(|(id, payload)| Departed::plain(payload, MessageId::new(id), Fate::Purged));
        let held = self.consumers.into_consumers().flat_map(|consumer| consumer.in_flight.into_held());
        let plain = held.filter_map(|held| match held {
            Held::Plain(payload, id) => {
                Some(Departed { deliveries: 1, ..Departed::plain(payload, MessageId::new(id), Fate::Purged) })
            }
            Held::Record(_) => None,
        });
        let special = self.special.into_iter().flat_map(|special| {
            let Special { messages, departed, .. } = *special;
            departed.into_iter().chain(messages.into_departed(Fate::Purged))
        });
        fresh.chain(plain).chain(special)
    }
}

impl Special {
    /// Drops a message that waits.
    pub(super) fn purge(&mut self, env: &mut Env<'_>, ticket: Ticket) {
        self.wait_no_longer(ticket);
        self.leave(env, ticket, Fate::Purged);
    }

    fn redrive(&mut self, books: &mut Books, ticket: Ticket) -> Option<Departed> {
        self.wait_no_longer(ticket);
        books.one_less(self.messages.size(ticket));
        self.tallies.count(Fate::Redriven, false, 1);
        self.messages.depart(ticket, Fate::Redriven)
    }

    /// Takes a message out that is ready or delayed.
    fn wait_no_longer(&mut self, ticket: Ticket) {
        match self.messages.record(ticket).state() {
            State::Ready => self.take_out(ticket),
            State::Delayed => self.delayed -= 1,
            State::InFlight => {}
        }
    }
}
