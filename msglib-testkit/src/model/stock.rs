//! The library's own queue, to be compared.

use super::comparison::{QueueUnderTest, copied};
use super::message::{At, Delivery, Departure, Publish};
use super::operation::Answer;
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_broker::queue::{Departed, Ledger, MessageId, Place, QueueConfig, Settling};
use msglib_broker::{ConsumerId, Offer, Queue, Store, Undeliverable};
use msglib_proto::Instant;
use std::collections::{BTreeMap, VecDeque};

/// A [`Queue`] with its store.
#[derive(Debug)]
pub struct StockQueue {
    /// The queue itself.
    pub queue: Queue<u32>,
    store: Store,
    consumers: BTreeMap<u32, ConsumerId>,
    dead: VecDeque<Departed>,
    /// How much of what is due is done at once.
    at_once: usize,
}

impl StockQueue {
    /// An empty one.
    pub fn new(config: QueueConfig) -> StockQueue {
        StockQueue::of(Queue::new(config))
    }

    /// One that is put together otherwise, say with an order of your own; it must be empty.
    pub fn of(mut queue: Queue<u32>) -> StockQueue {
        queue.watch();
        StockQueue { queue, store: Store::new(), consumers: BTreeMap::new(), dead: VecDeque::new(), at_once: 3 }
    }

    fn id(&self, number: u32) -> Option<ConsumerId> {
        self.consumers.get(&number).copied()
    }
}

impl From<&Offer<'_, u32>> for Delivery {
    fn from(offer: &Offer<'_, u32>) -> Delivery {
        Delivery {
            consumer: *offer.consumer,
            tag: offer.tag,
            count: offer.count,
            id: offer.id.value(),
            payload: copied(&offer.payload),
            priority: offer.priority(),
            key: offer.key().map(copied),
        }
    }
}

impl QueueUnderTest for StockQueue {
    fn publish(&mut self, now: Instant, message: &Publish) -> Option<u64> {
        self.queue.push(&mut self.store, now, message.to_new()).ok().map(MessageId::value)
    }

    fn join(&mut self, number: u32) {
        let id = self.queue.add_consumer(number);
        self.consumers.insert(number, id);
    }

    fn part(&mut self, now: Instant, number: u32) -> usize {
        self.consumers.remove(&number).map_or(0, |id| self.queue.remove_consumer(&mut self.store, now, id))
    }

    fn allow(&mut self, number: u32, upto: u64) {
        if let Some(id) = self.id(number) {
            self.queue.allow(id, upto);
        }
    }

    fn unblock(&mut self, number: u32) {
        if let Some(id) = self.id(number) {
            self.queue.unblock(id);
        }
    }

    fn dispatch(&mut self, now: Instant, budget: usize, answer: &mut dyn FnMut(&Delivery) -> Answer) -> usize {
        let mut taken = 0;
        self.queue.dispatch(&mut self.store, now, budget, |offer| match answer(&Delivery::from(&offer)) {
            Answer::Takes => {
                taken += 1;
                Ok(())
            }
            Answer::Full => Err(Undeliverable::Full),
            Answer::Gone => Err(Undeliverable::Gone),
        });
        taken
    }

    fn settle(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, settling: Settling) -> usize {
        self.id(number).map_or(0, |id| self.queue.settle(&mut self.store, now, id, tags, settling))
    }

    fn extend(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, lease: Option<Duration>) -> usize {
        self.id(number).map_or(0, |id| self.queue.extend(now, id, tags, lease))
    }

    fn advance(&mut self, now: Instant) {
        while self.queue.next_due().is_some_and(|due| due <= now) {
            self.queue.advance(&mut self.store, now, self.at_once);
        }
    }

    fn next_due(&mut self) -> Option<Instant> {
        self.queue.next_due()
    }

    fn pause(&mut self) {
        self.queue.pause();
    }

    fn resume(&mut self) {
        self.queue.resume();
    }

    fn purge(&mut self, now: Instant) -> usize {
        self.queue.purge(&mut self.store, now)
    }

    fn admit(&mut self, now: Instant) -> Option<u64> {
        let admitted = self.queue.admit(&mut self.store, now, self.dead.pop_front()?);
        admitted.map_err(|(_, departed)| departed.discard(&mut self.store)).ok().map(MessageId::value)
    }

    fn redrive(&mut self, now: Instant, most: usize, stay: bool) -> usize {
        let redriven = self.queue.redrive(most, |_| true);
        let count = redriven.len();
        for departed in redriven {
            if stay {
                self.queue.put_back(&mut self.store, now, departed);
                continue;
            }
            if let Err((_, departed)) = self.queue.admit(&mut self.store, now, departed) {
                departed.discard(&mut self.store);
            }
        }
        count
    }

    fn delete(&mut self) {
        let mut queue = Queue::new(self.queue.config().clone());
        queue.watch();
        core::mem::replace(&mut self.queue, queue).discard(&mut self.store);
        self.consumers.clear();
        assert_eq!(self.store.payloads(), self.dead.len(), "a queue that is no more has nothing in the store");
    }

    fn deliver(&mut self, now: Instant, id: u64, to: u32) -> Option<Delivery> {
        let to = self.id(to)?;
        let offer = self.queue.deliver(&mut self.store, now, MessageId::new(id), to)?;
        Some(Delivery::from(&offer))
    }

    fn make_ready(&mut self, now: Instant, id: u64) -> bool {
        self.queue.make_ready(&mut self.store, now, MessageId::new(id))
    }

    fn remove(&mut self, now: Instant, id: u64) -> bool {
        self.queue.remove(&mut self.store, now, MessageId::new(id))
    }

    fn departed(&mut self) -> Vec<Departure> {
        let mut departures = Vec::new();
        while let Some(departed) = self.queue.take_departed() {
            let is_dead = departed.is_dead_letter();
            let cause = departed.cause().filter(|_| is_dead);
            departures.push(Departure {
                id: departed.id().value(),
                fate: departed.fate(),
                deliveries: departed.deliveries(),
                dead_letter: cause.map(|cause| (cause.hops, cause.first)),
            });
            match is_dead {
                true => self.dead.push_back(departed),
                false => departed.discard(&mut self.store),
            }
        }
        departures
    }

    fn ledger(&self) -> Ledger {
        self.queue.ledger()
    }

    fn messages(&self) -> Vec<(u64, At, u32)> {
        let messages = self.queue.messages(&self.store).map(|message| {
            let at = match message.place {
                Place::Ready => At::Ready,
                Place::Delayed(until) => At::Delayed(until),
                Place::InFlight { consumer, tag } => {
                    let number =
                        self.consumers.iter().find(|(_, id)| **id == consumer).map_or(0, |(number, _)| *number);
                    At::InFlight { consumer: number, tag }
                }
            };
            (message.id.value(), at, message.deliveries)
        });
        let mut messages: Vec<_> = messages.collect();
        messages.sort_unstable();
        messages
    }

    fn bytes(&self) -> usize {
        self.queue.bytes()
    }
}
