//! One message, named by its id: for protocols whose clients name messages, and for whoever looks after a queue by hand.
//!
//! For queues with an [index](super::QueueConfig::is_indexed). In others nothing is found.

use super::dispatching::Source;
use super::history::What;
use super::in_flight::Held;
use super::message::{MessageId, MessageInfo, Place};
use super::messages::{State, Ticket};
use super::store::Store;
use super::turn::Offer;
use super::{ConsumerId, Queue};
use msglib_proto::Instant;

impl<C> Queue<C> {
    /// The message that is next, whoever may have it. Whoever chooses among several queues compares what they have.
    pub fn peek<'a>(&'a mut self, store: &'a Store) -> Option<MessageInfo<'a>> {
        if !self.config.is_indexed {
            return None;
        }
        let special = self.special.as_mut()?;
        // Where there is an index, nothing is in the ring.
        let (Source::Record(ticket), _) = special.next(false)? else { return None };
        Some(special.messages.info(store, ticket, Place::Ready))
    }

    /// Delivers a message that waits, ready or delayed, to this consumer: out of turn, also when the queue is
    /// [paused](Queue::pause), and whether or not the consumer has allowed one. It is in flight then, and the offer says under which
    /// tag; where keys are sticky, its key goes to this consumer from now on. `None` if there is no such message that waits, or no such
    /// consumer, or it holds as much as it may
    /// ([`max_in_flight`](super::QueueConfig::max_in_flight)).
    ///
    /// ```
    /// use msglib_broker::{Instant, Queue, QueueConfig, Store};
    ///
    /// let (mut store, now) = (Store::new(), Instant::ZERO);
    /// let mut queue = Queue::new(QueueConfig::default().with_index());
    /// queue.push(&mut store, now, "first")?;
    /// let second = queue.push(&mut store, now, "second")?;
    /// let alice = queue.add_consumer("alice");
    ///
    /// let offer = queue.deliver(&mut store, now, second, alice).expect("it waits");
    /// assert_eq!((offer.tag, &offer.payload[..]), (1, &b"second"[..]));
    /// assert!(queue.deliver(&mut store, now, second, alice).is_none(), "it is in flight");
    /// assert_eq!(queue.ack(&mut store, now, alice, 1..=1), 1);
    /// # Ok::<(), msglib_broker::queue::PushError>(())
    /// ```
    pub fn deliver<'a>(
        &'a mut self,
        store: &'a mut Store,
        now: Instant,
        id: MessageId,
        to: ConsumerId,
    ) -> Option<Offer<'a, C>> {
        let in_flight = &self.consumers.get(to)?.in_flight;
        if in_flight.span() >= self.config.max_in_flight {
            return None;
        }
        let tag = in_flight.next_tag();
        self.make_ready(store, now, id);
        let (ticket, State::Ready) = self.waiting(id)? else { return None };
        let (special, mut env) = self.parts(store, now);
        if special.messages.record(ticket).expires <= now {
            special.expire(&mut env, ticket);
            self.audit();
            return None;
        }
        special.deliver(&mut env, ticket, to, tag);
        let consumer = self.consumers.get_mut(to)?;
        consumer.in_flight.push(Held::Record(ticket));
        // Its credit goes on from what it has.
        consumer.allowed = consumer.allowed.max(tag);
        self.books.in_flight += 1;
        self.lease(now, to, tag, tag);
        self.audit();
        self.changed(to);
        let messages = &self.special.as_ref()?.messages;
        let MessageInfo { payload, deliveries: count, .. } = messages.info(store, ticket, Place::Ready);
        let consumer = &self.consumers.get(to)?.key;
        Some(Offer { consumer, tag, count, payload, id, record: Some((messages, ticket)) })
    }

    /// A message that is delayed is ready now. False if there is no such message that is delayed.
    pub fn make_ready(&mut self, store: &mut Store, now: Instant, id: MessageId) -> bool {
        let Some((ticket, State::Delayed)) = self.waiting(id) else { return false };
        let (special, mut env) = self.parts(store, now);
        special.delayed -= 1;
        // Its entry in the agenda is for the end of the delay.
        special.messages.record_mut(ticket).set_wake(0);
        special.note(&env, ticket, What::Ready);
        special.make_ready(&mut env, ticket);
        self.audit();
        true
    }

    /// Drops a message that waits, ready or delayed, and counts it as [purged](super::Ledger::purged). False if there is none.
    pub fn remove(&mut self, store: &mut Store, now: Instant, id: MessageId) -> bool {
        let Some((ticket, _)) = self.waiting(id) else { return false };
        let (special, mut env) = self.parts(store, now);
        special.purge(&mut env, ticket);
        self.audit();
        true
    }

    /// The message that is in flight to this consumer with this tag.
    pub fn held<'a>(&'a self, store: &'a Store, consumer: ConsumerId, tag: u64) -> Option<MessageInfo<'a>> {
        let ticket = self.consumers.get(consumer)?.in_flight.get(tag)??;
        Some(self.special.as_ref()?.messages.info(store, ticket, Place::InFlight { consumer, tag }))
    }

    /// A message that waits.
    fn waiting(&self, id: MessageId) -> Option<(Ticket, State)> {
        let messages = &self.special.as_ref()?.messages;
        let ticket = messages.by_id(id)?;
        let state = messages.record(ticket).state();
        (state != State::InFlight).then_some((ticket, state))
    }

    /// A message that waits, as it is looked at.
    pub(super) fn indexed<'a>(&'a self, store: &'a Store, id: MessageId) -> Option<MessageInfo<'a>> {
        let (ticket, state) = self.waiting(id)?;
        let messages = &self.special.as_ref()?.messages;
        let place = match state {
            State::Delayed => Place::Delayed(messages.record(ticket).until()),
            _ => Place::Ready,
        };
        Some(messages.info(store, ticket, place))
    }
}
