//! The queue as a value.

mod basics;
mod by_id;
mod dead_letters;
mod dispatching;
mod limits;
mod looking;
mod naive;
mod orders;
mod redelivery;
mod timing;

use super::*;
use core::ops::{Deref, DerefMut, RangeInclusive};
use core::time::Duration;
use msglib_proto::Verdict;

const SECOND: Duration = Duration::from_secs(1);

/// A queue with a store and a clock of its own.
struct Fixture {
    store: Store,
    queue: Queue<char>,
    now: Instant,
}

impl Fixture {
    fn new(config: QueueConfig) -> Fixture {
        Fixture { store: Store::new(), queue: Queue::new(config), now: Instant::ZERO }
    }

    fn redelivering(redelivery: Redelivery) -> Fixture {
        Fixture::new(QueueConfig::default().with_redelivery(redelivery))
    }

    fn push<'m>(&mut self, message: impl Into<NewMessage<'m>>) -> Result<MessageId, PushError> {
        self.queue.push(&mut self.store, self.now, message)
    }

    fn push_all(&mut self, messages: &[&str]) {
        for message in messages {
            self.push(*message).unwrap();
        }
    }

    /// Each with a key: what is before the first digit of it.
    fn push_keyed(&mut self, messages: &[&str]) {
        for message in messages {
            let key = message.trim_end_matches(|c: char| c.is_ascii_digit());
            self.push(NewMessage::new(*message).with_key(key.as_bytes())).unwrap();
        }
    }

    /// A new consumer that allows so many deliveries.
    fn consumer(&mut self, name: char, credit: u64) -> ConsumerId {
        let id = self.queue.add_consumer(name);
        self.queue.allow(id, credit);
        id
    }

    fn ack(&mut self, id: ConsumerId, tags: RangeInclusive<u64>) -> usize {
        self.queue.ack(&mut self.store, self.now, id, tags)
    }

    fn settle(&mut self, id: ConsumerId, tags: RangeInclusive<u64>, settling: Settling) -> usize {
        self.queue.settle(&mut self.store, self.now, id, tags, settling)
    }

    fn again(&mut self, id: ConsumerId, tags: RangeInclusive<u64>) -> usize {
        self.settle(id, tags, Settling::Again(Again::default()))
    }

    fn refuse(&mut self, id: ConsumerId, tags: RangeInclusive<u64>, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Again => self.again(id, tags),
            Verdict::ForGood => self.settle(id, tags, Settling::ForGood),
        }
    }

    fn extend(&mut self, id: ConsumerId, tags: RangeInclusive<u64>, lease: Option<Duration>) -> usize {
        self.queue.extend(self.now, id, tags, lease)
    }

    fn remove(&mut self, id: ConsumerId) -> usize {
        self.queue.remove_consumer(&mut self.store, self.now, id)
    }

    fn dispatch(&mut self, budget: usize, deliver: impl FnMut(Offer<'_, char>) -> Result<(), Undeliverable>) -> usize {
        self.queue.dispatch(&mut self.store, self.now, budget, deliver)
    }

    /// Moves the clock, and does all that is due.
    fn advance(&mut self, by: Duration) {
        self.now += by;
        while self.queue.next_due().is_some_and(|due| due <= self.now) {
            assert!(self.queue.advance(&mut self.store, self.now, 1000) > 0, "what is due can be done");
        }
    }

    /// Dispatches all that can be and lists what went where: consumer, tag, count, payload.
    fn deliveries(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        self.dispatch(usize::MAX, |offer| {
            let payload = core::str::from_utf8(&offer.payload).unwrap();
            seen.push(format!("{}{}×{} {payload}", offer.consumer, offer.tag, offer.count));
            Ok(())
        });
        self.check();
        seen
    }

    /// As [`deliveries`](Self::deliveries), but the payloads alone, each done with at once.
    fn drain(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        let id = self.consumer('z', u64::MAX);
        loop {
            let before = seen.len();
            self.dispatch(1, |offer| {
                seen.push(String::from_utf8(offer.payload.to_vec()).unwrap());
                Ok(())
            });
            if seen.len() == before {
                break;
            }
            self.ack(id, 0..=u64::MAX);
        }
        self.remove(id);
        self.check();
        seen
    }

    /// The books add up, and say what is there.
    fn check(&self) {
        let ledger = self.queue.ledger();
        assert!(ledger.is_balanced(), "{ledger:?}");
        let count = |is: fn(&Place) -> bool| self.queue.messages(&self.store).filter(|m| is(&m.place)).count() as u64;
        assert_eq!(count(|place| *place == Place::Ready), ledger.ready, "{ledger:?}");
        assert_eq!(count(|place| matches!(place, Place::Delayed(_))), ledger.delayed, "{ledger:?}");
        assert_eq!(count(|place| matches!(place, Place::InFlight { .. })), ledger.in_flight, "{ledger:?}");
        let bytes = |m: MessageInfo<'_>| m.payload.len() + m.key.map_or(0, <[u8]>::len) + OVERHEAD;
        assert_eq!(self.queue.messages(&self.store).map(bytes).sum::<usize>(), self.queue.bytes());
        assert_eq!(self.queue.messages(&self.store).count(), self.queue.len());
    }
}

impl Deref for Fixture {
    type Target = Queue<char>;
    fn deref(&self) -> &Queue<char> {
        &self.queue
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Queue<char> {
        &mut self.queue
    }
}

fn queue_of(messages: &[&str]) -> Fixture {
    let mut queue = Fixture::new(QueueConfig::default());
    queue.push_all(messages);
    queue
}

fn deliveries(queue: &mut Fixture) -> Vec<String> {
    queue.deliveries()
}
