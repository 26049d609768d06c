//! A queue and the model, side by side.

use super::difference::{Difference, ensure, same};
use super::message::{At, Delivery, Departure, Publish};
use super::operation::{Answer, Operation};
use super::queue::QueueModel;
use bytes::Bytes;
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_broker::queue::{DispatchKind, Fate, Ledger, QueueConfig, Settling};
use msglib_proto::Instant;
use std::collections::BTreeMap;

/// A queue that can be compared with the [`QueueModel`]. [`StockQueue`](super::StockQueue) is the library's own.
///
/// Consumers are numbered by the caller. A queue that does not have one of these things leaves the operation out of its test.
pub trait QueueUnderTest {
    /// A message comes; the number that it has got, or `None` if it was refused.
    fn publish(&mut self, now: Instant, message: &Publish) -> Option<u64>;
    /// A consumer comes.
    fn join(&mut self, number: u32);
    /// A consumer goes; how many deliveries it held.
    fn part(&mut self, now: Instant, number: u32) -> usize;
    /// A consumer allows deliveries up to this tag.
    fn allow(&mut self, number: u32, upto: u64);
    /// There is room again on the way to a consumer that was full.
    fn unblock(&mut self, number: u32);
    /// Offers what waits, at most `budget` messages; `answer` says what becomes of each offer. How many were taken.
    fn dispatch(&mut self, now: Instant, budget: usize, answer: &mut dyn FnMut(&Delivery) -> Answer) -> usize;
    /// Deliveries are settled; how many were in flight.
    fn settle(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, settling: Settling) -> usize;
    /// Deliveries are held for longer; how many were in flight.
    fn extend(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, lease: Option<Duration>) -> usize;
    /// What is due by now happens.
    fn advance(&mut self, now: Instant);
    /// When something is due.
    fn next_due(&mut self) -> Option<Instant>;
    /// Nothing is delivered from now on.
    fn pause(&mut self);
    /// Deliveries go on.
    fn resume(&mut self);
    /// Drops what waits; how many.
    fn purge(&mut self, now: Instant) -> usize;
    /// The first of the dead letters that have left comes back as a new message; as [`publish`](QueueUnderTest::publish).
    fn admit(&mut self, now: Instant) -> Option<u64>;
    /// Dead letters that wait come back as new messages without a cause, at most so many; how many. Or they stay after all,
    /// for there is no room where they should go.
    fn redrive(&mut self, now: Instant, most: usize, stay: bool) -> usize;
    /// The end of the queue, and an empty one instead, of the same configuration.
    fn delete(&mut self);
    /// Delivers one message to a consumer.
    fn deliver(&mut self, now: Instant, id: u64, to: u32) -> Option<Delivery>;
    /// A delayed message is ready; whether there was one.
    fn make_ready(&mut self, now: Instant, id: u64) -> bool;
    /// Drops one message that waits; whether there was one.
    fn remove(&mut self, now: Instant, id: u64) -> bool;
    /// What has left, and not by an ack, since the last call, in this order. Dead letters among them wait for
    /// [`admit`](QueueUnderTest::admit), also through a [`delete`](QueueUnderTest::delete).
    fn departed(&mut self) -> Vec<Departure>;
    /// The books.
    fn ledger(&self) -> Ledger;
    /// Every message, as [`QueueModel::messages`].
    fn messages(&self) -> Vec<(u64, At, u32)>;
    /// What it has as [bytes](QueueModel::bytes).
    fn bytes(&self) -> usize;
}

/// A queue, and the model of it.
#[derive(Debug)]
pub struct Comparison<Q> {
    queue: Q,
    model: QueueModel,
    now: Instant,
    /// Those that are there, in the order in which they came, and the last tag that each has allowed.
    consumers: Vec<(u32, u64)>,
    answers: BTreeMap<u32, Answer>,
    joined: u32,
    published: u64,
    departed: Vec<Departure>,
}

impl<Q: QueueUnderTest> Comparison<Q> {
    /// Of an empty queue that is configured like this.
    pub fn new(queue: Q, config: QueueConfig) -> Comparison<Q> {
        Comparison {
            queue,
            model: QueueModel::new(config),
            now: Instant::ZERO,
            consumers: Vec::new(),
            answers: BTreeMap::new(),
            joined: 0,
            published: 0,
            departed: Vec::new(),
        }
    }

    /// Does all of it, one after the other, and compares after each.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn run(&mut self, operations: &[Operation]) -> Result<(), Difference> {
        operations.iter().try_for_each(|operation| self.apply(operation))
    }

    /// Does it with both, and compares.
    ///
    /// # Errors
    ///
    /// What differs.
    pub fn apply(&mut self, operation: &Operation) -> Result<(), Difference> {
        self.operate(operation).and_then(|()| self.compare()).map_err(|difference| difference.during(operation))
    }

    /// The model.
    pub fn model(&self) -> &QueueModel {
        &self.model
    }

    fn operate(&mut self, operation: &Operation) -> Result<(), Difference> {
        let now = self.now;
        match operation {
            Operation::Publish { count, size, message } => (0..*count).try_for_each(|_| self.publish(*size, message)),
            Operation::Join { credit } => {
                self.join(*credit);
                Ok(())
            }
            Operation::Leave { consumer } => self.part(*consumer),
            Operation::Allow { consumer, more } => {
                self.allow(*consumer, *more);
                Ok(())
            }
            Operation::Answer { consumer, with } => {
                self.answer(*consumer, *with);
                Ok(())
            }
            Operation::Dispatch { budget } => self.dispatch(*budget),
            Operation::Settle { consumer, back, count, settling } => {
                let Some((number, tags)) = self.range(*consumer, *back, *count) else { return Ok(()) };
                let settled = self.queue.settle(now, number, tags.clone(), *settling);
                same("settled (I8)", &settled, &self.model.settle(number, &tags, *settling))
            }
            Operation::Extend { consumer, back, count, lease } => {
                let Some((number, tags)) = self.range(*consumer, *back, *count) else { return Ok(()) };
                let extended = self.queue.extend(now, number, tags.clone(), *lease);
                same("extended", &extended, &self.model.extend(number, &tags, *lease))
            }
            Operation::Advance { by } => {
                self.now += *by;
                Ok(())
            }
            Operation::Pause => {
                self.queue.pause();
                self.model.pause();
                Ok(())
            }
            Operation::Resume => {
                self.queue.resume();
                self.model.resume();
                Ok(())
            }
            Operation::Purge => same("purged", &self.queue.purge(now), &self.model.purge()),
            Operation::Admit => self.admit(),
            Operation::Redrive { most, stay } => {
                same("redriven", &self.queue.redrive(now, *most, *stay), &self.model.redrive(*most, *stay)?)
            }
            Operation::Delete => {
                self.delete();
                Ok(())
            }
            by_id => self.by_id(by_id),
        }
    }

    fn publish(&mut self, size: usize, message: &Publish) -> Result<(), Difference> {
        self.published += 1;
        let mut payload = self.published.to_be_bytes().to_vec();
        payload.resize(size.max(8), self.published as u8);
        let message = Publish { payload: payload.into(), ..message.clone() };
        let id = self.queue.publish(self.now, &message);
        let victims = self.victims();
        same("number", &id, &self.model.publish(&message, &victims)?)?;
        self.follow()
    }

    fn admit(&mut self) -> Result<(), Difference> {
        if self.model.dead_letters() == 0 {
            return Ok(());
        }
        let id = self.queue.admit(self.now);
        let victims = self.victims();
        same("number", &id, &self.model.admit(&victims)?)
    }

    /// What the queue has dropped to make room.
    fn victims(&mut self) -> Vec<u64> {
        let departed = self.queue.departed();
        let of_room = |departure: &&Departure| matches!(departure.fate, Fate::DroppedOldest | Fate::TooManyHops);
        let victims = departed.iter().filter(of_room).map(|departure| departure.id).collect();
        self.departed.extend(departed);
        victims
    }

    fn join(&mut self, credit: u64) {
        const MOST: usize = 5;
        if self.consumers.len() == MOST {
            return;
        }
        self.joined += 1;
        let number = self.joined;
        self.queue.join(number);
        self.model.join(number);
        self.consumers.push((number, 0));
        self.allow(self.consumers.len() - 1, credit);
    }

    fn part(&mut self, consumer: usize) -> Result<(), Difference> {
        let Some(number) = self.pick(consumer) else { return Ok(()) };
        self.consumers.retain(|(there, _)| *there != number);
        same("given back", &self.queue.part(self.now, number), &self.model.part(number))
    }

    fn allow(&mut self, consumer: usize, more: u64) {
        let Some(number) = self.pick(consumer) else { return };
        let allowed = self.consumers.iter_mut().find(|(there, _)| *there == number);
        let Some((_, allowed)) = allowed else { return };
        *allowed += more;
        let upto = *allowed;
        self.queue.allow(number, upto);
        self.model.allow(number, upto);
    }

    fn answer(&mut self, consumer: usize, with: Answer) {
        let Some(number) = self.pick(consumer) else { return };
        self.answers.insert(number, with);
        if with == Answer::Takes {
            self.queue.unblock(number);
            self.model.unblock(number);
        }
    }

    fn dispatch(&mut self, budget: usize) -> Result<(), Difference> {
        let Comparison { queue, model, answers, consumers, now, .. } = self;
        let (mut taken, mut result) = (0, Ok(()));
        let told = queue.dispatch(*now, budget, &mut |delivery| {
            if result.is_ok() {
                result = model.offered(delivery);
            }
            let answer = if result.is_err() {
                Answer::Full
            } else {
                answers.get(&delivery.consumer).copied().unwrap_or_default()
            };
            match answer {
                Answer::Takes => {
                    taken += 1;
                    result = model.taken(delivery);
                }
                Answer::Full => model.block(delivery.consumer),
                Answer::Gone => {
                    model.part(delivery.consumer);
                    consumers.retain(|(there, _)| *there != delivery.consumer);
                }
            }
            answer
        });
        result?;
        same("taken", &told, &taken)?;
        ensure(taken <= budget, || format!("{taken} of {budget} deliveries (I25)"))?;
        let rest = self.model.can_deliver().filter(|_| taken < budget);
        ensure(rest.is_none(), || format!("{rest:?}: a message waits, and somebody could have it (I12)"))
    }

    fn by_id(&mut self, operation: &Operation) -> Result<(), Difference> {
        let now = self.now;
        if !self.model.config().is_indexed {
            return Ok(());
        }
        match operation {
            Operation::DeliverById { message, consumer } => {
                let (Some(id), Some(to)) = (self.pick_message(*message), self.pick(*consumer)) else { return Ok(()) };
                // Whoever came first gets all; to give another one something would be two promises against each other.
                if self.model.config().dispatch == DispatchKind::Exclusive && self.pick(0) != Some(to) {
                    return Ok(());
                }
                let delivery = self.queue.deliver(now, id, to);
                self.model.delivered_by_id(id, to, delivery.as_ref())
            }
            Operation::MakeReady { message } => {
                let Some(id) = self.pick_message(*message) else { return Ok(()) };
                same("made ready", &self.queue.make_ready(now, id), &self.model.make_ready(id))
            }
            Operation::Remove { message } => {
                let Some(id) = self.pick_message(*message) else { return Ok(()) };
                same("removed", &self.queue.remove(now, id), &self.model.remove(id))
            }
            _ => Ok(()),
        }
    }

    fn delete(&mut self) {
        self.queue.delete();
        self.model.delete();
        self.consumers.clear();
    }

    fn pick(&self, consumer: usize) -> Option<u32> {
        self.consumers.get(consumer.checked_rem(self.consumers.len())?).map(|(number, _)| *number)
    }

    fn pick_message(&self, message: usize) -> Option<u64> {
        let messages = self.model.messages();
        messages.get(message.checked_rem(messages.len())?).map(|(id, ..)| *id)
    }

    fn range(&self, consumer: usize, back: u64, count: u64) -> Option<(u32, RangeInclusive<u64>)> {
        let number = self.pick(consumer)?;
        let first = self.model.last_tag(number).saturating_sub(back);
        // An empty range, too.
        Some((number, first..=first.saturating_add(count).saturating_sub(1)))
    }

    /// What is due happens, then all must be the same.
    fn compare(&mut self) -> Result<(), Difference> {
        self.follow()?;
        same("bytes (I23)", &self.queue.bytes(), &self.model.bytes())?;
        same("messages", &self.queue.messages(), &self.model.messages())?;
        same("ledger (I1)", &self.queue.ledger(), &self.model.ledger())?;
        ensure(self.model.ledger().is_balanced(), || format!("{:?} is not balanced", self.model.ledger()))?;
        // The end of time is never.
        let due = self.queue.next_due().filter(|due| *due != Instant::MAX);
        same("next due", &due, &self.model.next_due())
    }

    fn follow(&mut self) -> Result<(), Difference> {
        self.queue.advance(self.now);
        self.model.advance(self.now);
        self.departed.extend(self.queue.departed());
        let mut departed = core::mem::take(&mut self.departed);
        let dead = departed.iter().filter(|departure| departure.dead_letter.is_some());
        self.model.dead_letters_left_as(&dead.map(|departure| departure.id).collect::<Vec<_>>());
        departed.sort_by_key(|departure| departure.id);
        same("departed", &departed, &self.model.take_departures())
    }
}

/// Bytes of a payload, as they are offered.
pub(super) fn copied(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
