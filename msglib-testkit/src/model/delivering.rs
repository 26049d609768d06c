//! Deliveries, and those who get them.

use super::difference::{Difference, ensure, same};
use super::message::{At, Delivery, Message};
use super::queue::{Consumer, QueueModel};
use msglib_broker::queue::{DispatchKind, OrderKind};
use msglib_proto::Instant;

/// Deliveries that a consumer may have before the next has its turn.
const TURN: usize = 16;
/// Bytes that a key may have before the next has its turn.
const SHARE: usize = 4096;

impl QueueModel {
    /// A consumer comes, and has allowed nothing yet.
    pub fn join(&mut self, number: u32) {
        self.consumers.push(Consumer { number, allowed: 0, last_tag: 0, is_blocked: false, served: 0 });
    }

    /// It allows deliveries up to this tag.
    pub fn allow(&mut self, number: u32, upto: u64) {
        if let Some(consumer) = self.consumer(number) {
            consumer.allowed = consumer.allowed.max(upto);
        }
    }

    /// There was no room on the way to it.
    pub fn block(&mut self, number: u32) {
        if let Some(consumer) = self.consumer(number) {
            consumer.is_blocked = true;
        }
        self.has_had_its_turn(number);
        self.tidy();
    }

    /// There is again.
    pub fn unblock(&mut self, number: u32) {
        if let Some(consumer) = self.consumer(number) {
            consumer.is_blocked = false;
        }
    }

    /// Nothing is delivered from now on.
    pub fn pause(&mut self) {
        self.is_paused = true;
    }

    /// Deliveries go on.
    pub fn resume(&mut self) {
        self.is_paused = false;
    }

    pub(super) fn consumer(&mut self, number: u32) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.number == number)
    }

    /// A message is on offer: whether it may be, now and to this consumer.
    ///
    /// # Errors
    ///
    /// It may not.
    pub fn offered(&self, delivery: &Delivery) -> Result<(), Difference> {
        let &Delivery { consumer: to, tag, id, .. } = delivery;
        ensure(!self.is_paused, || "the queue is paused".into())?;
        let consumer = self.consumers.iter().find(|consumer| consumer.number == to);
        let consumer = consumer.ok_or_else(|| Difference::new(format!("there is no consumer {to}")))?;
        let message = self.messages.iter().find(|message| message.id == id);
        let message = message.ok_or_else(|| Difference::new(format!("there is no message {id}")))?;
        ensure(message.at == At::Ready, || format!("message {id} is not ready, but {:?}", message.at))?;
        ensure(message.expires > self.now, || format!("the time of message {id} is over (I14)"))?;
        ensure(self.has_room(consumer), || format!("consumer {to} can have none (I11)"))?;
        same("tag", &tag, &(consumer.last_tag + 1))?;
        self.is_as_published(delivery, message)?;
        let nexts: Vec<u64> = self.nexts().iter().map(|message| message.id).collect();
        ensure(nexts.contains(&id), || format!("message {id} is not next, but one of {nexts:?} (I9, I10)"))?;
        let bound = self.bound(message.key.as_ref());
        ensure(bound.is_none_or(|bound| bound == to), || format!("its key goes to {bound:?} only"))?;
        self.is_its_turn(consumer, bound.is_some())
    }

    fn is_as_published(&self, delivery: &Delivery, message: &Message) -> Result<(), Difference> {
        same("count (I5)", &delivery.count, &(message.deliveries + 1))?;
        same("payload (I3)", &delivery.payload, &message.payload)?;
        same("priority", &delivery.priority, &message.priority)?;
        same("key", &delivery.key, &message.key)
    }

    fn is_its_turn(&self, consumer: &Consumer, is_bound: bool) -> Result<(), Difference> {
        if self.config.dispatch != DispatchKind::LeastLoaded || is_bound {
            return Ok(());
        }
        let load = |consumer: &Consumer| (self.held(consumer.number), consumer.served);
        let free = self.consumers.iter().filter(|consumer| self.has_room(consumer));
        let least = free.min_by_key(|consumer| load(consumer));
        ensure(least.is_none_or(|least| load(consumer) <= load(least)), || {
            format!("consumer {} has more than {:?}", consumer.number, least.map(|least| least.number))
        })
    }

    /// What was on offer was taken: it is in flight.
    ///
    /// # Errors
    ///
    /// Somebody has had more than their share.
    pub fn taken(&mut self, delivery: &Delivery) -> Result<(), Difference> {
        let at = self.place(delivery.id);
        let message = self.messages[at].clone();
        let shares = self.share_keys(&message, true).and_then(|()| self.share_turns(delivery.consumer));
        self.follow(delivery);
        self.has_had_its_turn(delivery.consumer);
        shares
    }

    fn has_had_its_turn(&mut self, number: u32) {
        self.served += 1;
        let served = self.served;
        if let Some(consumer) = self.consumer(number) {
            consumer.served = served;
        }
    }

    /// A message was delivered to this consumer out of turn, whatever it has allowed, and though the queue may be paused. `None` if it
    /// must not have been.
    ///
    /// # Errors
    ///
    /// The delivery is not as it should be.
    pub fn delivered_by_id(&mut self, id: u64, to: u32, delivery: Option<&Delivery>) -> Result<(), Difference> {
        let may = self.may_have_by_id(id, to);
        ensure(delivery.is_some() == may, || format!("message {id} to {to}: {delivery:?}, and it should be {may}"))?;
        let Some(delivery) = delivery else { return Ok(()) };
        let message = self.messages[self.place(id)].clone();
        same("number", &delivery.id, &id)?;
        same("consumer", &delivery.consumer, &to)?;
        self.is_as_published(delivery, &message)?;
        self.share_keys(&message, false)?;
        self.follow(delivery);
        Ok(())
    }

    fn may_have_by_id(&mut self, id: u64, to: u32) -> bool {
        let Some(consumer) = self.consumers.iter().find(|consumer| consumer.number == to) else { return false };
        if self.span(consumer) >= self.config.max_in_flight as u64 {
            return false;
        }
        // One that is delayed is ready first: of two of one key the older one goes.
        self.make_ready(id);
        self.waiting(id).is_some()
    }

    fn follow(&mut self, delivery: &Delivery) {
        let &Delivery { consumer: to, tag, id, .. } = delivery;
        if let Some(consumer) = self.consumer(to) {
            consumer.last_tag = tag;
            consumer.allowed = consumer.allowed.max(tag);
        }
        let lease = self.config.redelivery.lease.map_or(Instant::MAX, |lease| self.now + lease);
        let message = self.get(id);
        (message.at, message.lease) = (At::InFlight { consumer: to, tag }, lease);
        message.deliveries += 1;
        let is_again = message.deliveries > 1;
        let key = message.key.clone();
        self.ledger.redelivered += u64::from(is_again);
        if let Some(key) = key {
            self.bound.insert(key, to);
        }
        self.tidy();
    }

    /// While two keys have messages that wait, neither gets more bytes than the other, but for a turn and a message.
    fn share_keys(&mut self, message: &Message, is_in_turn: bool) -> Result<(), Difference> {
        if self.config.order != OrderKind::FairByKey {
            return Ok(());
        }
        let (size, most) = (message.size(), 2 * (SHARE + self.largest));
        let others: Vec<_> = self.nexts().iter().map(|m| m.key.clone()).filter(|key| *key != message.key).collect();
        for other in others {
            let behind = self.ahead.entry((other.clone(), message.key.clone())).or_default();
            *behind = behind.saturating_sub(size);
            let ahead = self.ahead.entry((message.key.clone(), other.clone())).or_default();
            *ahead += if is_in_turn { size } else { 0 };
            let bytes = *ahead;
            ensure(bytes <= most, || format!("{:?} had {bytes} bytes more than {other:?}", message.key))?;
        }
        Ok(())
    }

    /// While a consumer can have messages, none of the others has more than one turn.
    fn share_turns(&mut self, to: u32) -> Result<(), Difference> {
        if self.config.dispatch != DispatchKind::RoundRobin || self.config.order == OrderKind::StickyByKey {
            return Ok(());
        }
        self.passed.retain(|(_, waits), _| *waits != to);
        let others: Vec<u32> = self.consumers.iter().map(|c| c.number).filter(|number| *number != to).collect();
        for other in others {
            let passed = self.passed.entry((to, other)).or_default();
            *passed += 1;
            let times = *passed;
            ensure(times <= TURN, || format!("consumer {to} has had {times} deliveries while {other} waits"))?;
        }
        Ok(())
    }

    /// Who cannot have anything does not wait for a turn.
    pub(super) fn tidy(&mut self) {
        if self.passed.is_empty() && self.ahead.is_empty() {
            return;
        }
        let mut passed = core::mem::take(&mut self.passed);
        passed.retain(|(_, waits), _| {
            self.consumers.iter().any(|consumer| consumer.number == *waits && self.has_room(consumer))
        });
        self.passed = passed;
        let mut ahead = core::mem::take(&mut self.ahead);
        let keys: Vec<_> = self.nexts().iter().map(|message| message.key.clone()).collect();
        ahead.retain(|(first, second), _| keys.contains(first) && keys.contains(second));
        self.ahead = ahead;
    }
}
