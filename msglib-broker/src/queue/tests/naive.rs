//! Random operations, beside a model that is as simple as can be: a list, searched from one end to the other.

use super::*;
use crate::random::Random;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Eq, Debug)]
enum At {
    Ready,
    Delayed(Instant),
    InFlight(ConsumerId, u64, Instant),
}

#[derive(Clone, Debug)]
struct Known {
    id: u64,
    key: Option<u8>,
    priority: u32,
    expires: Instant,
    deliveries: u32,
    at: At,
    /// When it was made ready, or delayed, in the model's own count.
    turn: i64,
}

/// What the queue is to do, in the order of its line.
struct Model {
    config: QueueConfig,
    now: Instant,
    accepted: u64,
    turns: i64,
    line: Vec<Known>,
    ends: BTreeMap<&'static str, u64>,
}

impl Model {
    fn end(&mut self, place: usize, how: &'static str) {
        self.line.remove(place);
        *self.ends.entry(how).or_default() += 1;
    }

    fn place(&self, id: u64) -> usize {
        self.line.iter().position(|known| known.id == id).unwrap()
    }

    fn bytes(&self) -> usize {
        self.line.iter().map(|known| 8 + usize::from(known.key.is_some()) + OVERHEAD).sum()
    }

    /// The places of those that are ready, the next one first.
    fn ready(&self) -> Vec<usize> {
        let mut ready: Vec<usize> = (0..self.line.len()).filter(|place| self.line[*place].at == At::Ready).collect();
        ready.sort_by_key(|place| {
            let known = &self.line[*place];
            let rank = if self.config.order == OrderKind::Priority { u32::MAX - known.priority } else { 0 };
            let (class, turn) = if known.deliveries > 0 { (0, known.id as i64) } else { (1, known.turn) };
            (rank, class, turn)
        });
        ready
    }

    fn wait(&mut self, id: u64, delay: Duration) {
        let place = self.place(id);
        self.turns += 1;
        self.line[place].turn = self.turns;
        if !delay.is_zero() {
            self.line[place].at = At::Delayed(self.now + delay);
            return;
        }
        let (key, deliveries) = (self.line[place].key, self.line[place].deliveries);
        let same = |known: &Known| known.key.is_some() && known.key == key && known.at == At::Ready && known.id != id;
        if self.config.order == OrderKind::LastValue
            && let Some(other) = self.line.iter().position(same)
        {
            if self.line[other].id > id {
                return self.end(place, "replaced");
            }
            if deliveries == 0 {
                // In the other's place; before all others if that one came back.
                let first = self.line.iter().filter(|k| k.at == At::Ready && k.deliveries == 0).map(|k| k.turn).min();
                self.line[place].turn = match self.line[other].deliveries {
                    0 => self.line[other].turn,
                    _ => first.unwrap_or(1) - 1,
                };
            }
            self.line[place].at = At::Ready;
            let other = self.place(self.line[other].id);
            return self.end(other, "replaced");
        }
        self.line[place].at = At::Ready;
    }

    fn push(&mut self, key: Option<u8>, priority: u32, ttl: Option<Duration>, delay: Duration) -> bool {
        let size = 8 + usize::from(key.is_some()) + OVERHEAD;
        let replaces = self.config.order == OrderKind::LastValue
            && delay.is_zero()
            && key.is_some()
            && self.line.iter().any(|known| known.key == key && known.at == At::Ready);
        while !replaces && (self.line.len() >= self.config.max_messages || self.bytes() + size > self.config.max_bytes)
        {
            if self.config.overflow == Overflow::DropNewest {
                self.accepted += 1;
                *self.ends.entry("newest").or_default() += 1;
                return true;
            }
            let ready = self.ready();
            let lowest = ready.iter().map(|place| self.line[*place].priority).min();
            let of_lowest = |place: &&usize| Some(self.line[**place].priority) == lowest;
            let victim = match self.config.order {
                OrderKind::Priority => ready.iter().find(of_lowest).copied(),
                _ => ready.first().copied(),
            };
            match victim {
                Some(place) if self.config.overflow == Overflow::DropOldest => self.end(place, "oldest"),
                _ => return false,
            }
        }
        self.accepted += 1;
        let ttl = [ttl, self.config.ttl].into_iter().flatten().min();
        let expires = ttl.map_or(Instant::MAX, |ttl| self.now + ttl);
        let known = Known { id: self.accepted, key, priority, expires, deliveries: 0, at: At::Ready, turn: 0 };
        // Not ready before it has waited.
        self.line.push(Known { at: At::Delayed(Instant::MAX), ..known });
        self.wait(self.accepted, delay);
        true
    }

    fn give_back(&mut self, id: u64, delay: Option<Duration>, has_backoff: bool) {
        let known = &self.line[self.place(id)];
        let redelivery = &self.config.redelivery;
        if redelivery.max_deliveries.is_some_and(|most| known.deliveries >= most) {
            return self.end(self.place(id), "exhausted");
        }
        if known.expires <= self.now {
            return self.end(self.place(id), "expired");
        }
        let backoff = redelivery.backoff.filter(|_| has_backoff).map(|backoff| backoff.after(known.deliveries));
        self.wait(id, delay.or(backoff).unwrap_or_default());
    }

    /// What is due, one after the other.
    fn advance(&mut self) {
        loop {
            let due = self.line.iter().map(|known| match known.at {
                At::InFlight(consumer, tag, until) => (until, 0, (consumer.slot, tag as i64), known.id),
                At::Delayed(until) if until < known.expires => (until, 2, (0, known.turn), known.id),
                At::Delayed(_) => (known.expires, 1, (0, 0), known.id),
                At::Ready => (known.expires, 1, (0, 0), known.id),
            });
            let Some((at, .., id)) = due.filter(|due| due.0 <= self.now && due.0 != Instant::MAX).min() else { return };
            let place = self.place(id);
            match self.line[place].at {
                At::InFlight(..) => self.give_back(id, None, true),
                _ if self.line[place].expires <= at => self.end(place, "expired"),
                _ => self.wait(id, Duration::ZERO),
            }
        }
    }
}

struct Run {
    random: Random,
    queue: Fixture,
    model: Model,
    consumers: Vec<ConsumerId>,
    name: char,
}

impl Run {
    fn below(&mut self, n: u64) -> u64 {
        self.random.next() % n
    }

    fn seconds(&mut self, n: u64) -> Duration {
        self.below(n) as u32 * SECOND
    }

    fn new(seed: u64) -> Run {
        let mut random = Random::new(seed);
        let mut pick = |n: usize| random.next() as usize % n;
        let mut redelivery = Redelivery::default();
        if pick(2) == 0 {
            redelivery = redelivery.with_lease((1 + pick(9) as u32) * SECOND);
        }
        if pick(3) == 0 {
            redelivery = redelivery.with_max_deliveries(1 + pick(4) as u32);
        }
        if pick(3) == 0 {
            redelivery = redelivery.with_backoff(SECOND, 5 * SECOND);
        }
        let orders =
            [OrderKind::Fifo, OrderKind::Priority, OrderKind::LastValue, OrderKind::FairByKey, OrderKind::StickyByKey];
        let overflows = [Overflow::RefuseNew, Overflow::DropOldest, Overflow::DropNewest];
        let dispatches = [DispatchKind::RoundRobin, DispatchKind::LeastLoaded, DispatchKind::Exclusive];
        let mut config = QueueConfig::default()
            .with_order(orders[pick(5)])
            .with_dispatch(dispatches[pick(3)])
            .with_redelivery(redelivery)
            .with_history(pick(2) * 50)
            .with_max_in_flight([3, 100][pick(2)]);
        if pick(3) == 0 {
            config = config.with_ttl((5 + pick(20) as u32) * SECOND);
        }
        // Whom the orders by key drop is not in the model.
        if pick(2) == 0 {
            let by_key = matches!(config.order, OrderKind::FairByKey | OrderKind::StickyByKey);
            let overflow = overflows[pick(3)];
            let overflow = if by_key && overflow == Overflow::DropOldest { Overflow::RefuseNew } else { overflow };
            config = config.with_overflow(overflow).with_max_messages(1 + pick(10)).with_max_bytes(500 + pick(500));
        }
        let model = Model {
            config: config.clone(),
            now: Instant::ZERO,
            accepted: 0,
            turns: 0,
            line: Vec::new(),
            ends: BTreeMap::new(),
        };
        Run { random, queue: Fixture::new(config), model, consumers: Vec::new(), name: 'a' }
    }

    fn operate(&mut self) {
        match self.below(20) {
            0..=6 => self.push(),
            7..=10 => self.dispatch(),
            11..=14 => self.settle(),
            15 => self.extend(),
            16 => self.advance(),
            17 => self.allow(),
            18 if self.consumers.len() < 4 => self.join(),
            18 | 19 => self.leave(),
            _ => {}
        }
        self.compare();
    }

    fn push(&mut self) {
        let payload = (self.model.accepted + 1).to_be_bytes();
        let mut message = NewMessage::new(&payload);
        let keys = [b"x", b"y", b"z"];
        let (mut key, mut priority, mut ttl, mut delay) = (None, 0, None, Duration::ZERO);
        if self.below(3) == 0 {
            key = Some(self.below(3) as u8);
            message = message.with_key(keys[key.unwrap_or(0) as usize]);
        }
        if self.below(3) == 0 {
            priority = self.below(3) as u32;
            message = message.with_priority(priority);
        }
        if self.below(5) == 0 {
            let some = self.seconds(20);
            ttl = Some(some);
            message = message.with_ttl(some);
        }
        if self.below(5) == 0 {
            delay = self.seconds(10);
            message = message.with_delay(delay);
        }
        let expected = self.model.push(key, priority, ttl, delay);
        assert_eq!(self.queue.push(message).is_ok(), expected);
        // One that has no time at all is over by now.
        self.tick();
    }

    fn dispatch(&mut self) {
        let mut left = 1 + self.below(5);
        while left > 0 {
            left -= 1;
            let mut got = None;
            self.queue.dispatch(1, |offer| {
                got = Some((offer.id.value(), offer.tag, offer.count, *offer.consumer));
                Ok(())
            });
            let Some((id, tag, count, name)) = got else {
                let can = self.can_be_delivered();
                assert!(!can, "a message waits, and somebody could have it (I12)");
                return;
            };
            let candidate = self.queue.each_consumer().find(|candidate| *candidate.consumer == name).unwrap().id;
            let place = self.model.place(id);
            let known = &self.model.line[place];
            assert_eq!((&known.at, count), (&At::Ready, known.deliveries + 1));
            match self.model.config.order {
                OrderKind::StickyByKey => {
                    let holder = self.holder(known.key);
                    assert!(holder.is_none_or(|holder| holder == candidate), "held by another");
                    let first = self.model.ready().into_iter().find(|p| self.model.line[*p].key == known.key);
                    assert_eq!(first, Some(place), "the first of its key");
                }
                OrderKind::FairByKey => {
                    let first = self.model.ready().into_iter().find(|p| self.model.line[*p].key == known.key);
                    assert_eq!(first, Some(place), "the first of its key");
                }
                _ => assert_eq!(self.model.ready()[0], place),
            }
            let lease = self.model.config.redelivery.lease;
            let until = lease.map_or(Instant::MAX, |lease| self.model.now + lease);
            let known = &mut self.model.line[place];
            known.deliveries += 1;
            known.at = At::InFlight(candidate, tag, until);
        }
    }

    fn holder(&self, key: Option<u8>) -> Option<ConsumerId> {
        key?;
        self.model.line.iter().find_map(|known| match known.at {
            At::InFlight(consumer, ..) if known.key == key => Some(consumer),
            _ => None,
        })
    }

    fn can_be_delivered(&self) -> bool {
        let candidates: Vec<_> = self.queue.each_consumer().filter(|candidate| candidate.room > 0).collect();
        let sticky = self.model.config.order == OrderKind::StickyByKey;
        let exclusive = self.model.config.dispatch == DispatchKind::Exclusive;
        self.model.ready().into_iter().any(|place| {
            let holder = self.holder(self.model.line[place].key).filter(|_| sticky);
            candidates.iter().any(|candidate| {
                let is_active = !exclusive || self.consumers.first() == Some(&candidate.id);
                is_active && holder.is_none_or(|holder| holder == candidate.id)
            })
        })
    }

    /// A consumer, and a range of tags around what it holds.
    fn range(&mut self) -> Option<(ConsumerId, RangeInclusive<u64>)> {
        let place = self.below(self.consumers.len().max(1) as u64) as usize;
        let id = *self.consumers.get(place)?;
        let (first, length) = (self.below(30), self.below(4) * self.below(10));
        Some((id, first..=first + length))
    }

    fn held(&self, id: ConsumerId, tags: &RangeInclusive<u64>) -> Vec<u64> {
        let mut held: Vec<(u64, u64)> = Vec::new();
        for known in &self.model.line {
            if let At::InFlight(consumer, tag, _) = known.at
                && consumer == id
                && tags.contains(&tag)
            {
                held.push((tag, known.id));
            }
        }
        held.sort_unstable();
        held.into_iter().map(|(_, id)| id).collect()
    }

    fn settle(&mut self) {
        let Some((id, tags)) = self.range() else { return };
        let held = self.held(id, &tags);
        let count = match self.below(5) {
            0 | 1 => {
                held.iter().for_each(|id| self.model.end(self.model.place(*id), "acked"));
                self.queue.ack(id, tags)
            }
            2 => {
                held.iter().for_each(|id| self.model.end(self.model.place(*id), "refused"));
                self.queue.settle(id, tags, Settling::ForGood)
            }
            _ => {
                let delay = (self.below(2) == 0).then(|| self.seconds(6));
                let priority = (self.below(2) == 0).then(|| self.below(3) as u32);
                for id in &held {
                    let place = self.model.place(*id);
                    self.model.line[place].priority = priority.unwrap_or(self.model.line[place].priority);
                    self.model.give_back(*id, delay, true);
                }
                self.queue.settle(id, tags, Settling::Again(Again { delay, priority }))
            }
        };
        assert_eq!(count, held.len());
    }

    fn extend(&mut self) {
        let Some((id, tags)) = self.range() else { return };
        let lease = (self.below(2) == 0).then(|| SECOND + self.seconds(9));
        let held = self.held(id, &tags);
        let Some(length) = lease.or(self.model.config.redelivery.lease) else {
            return assert_eq!(self.queue.extend(id, tags, lease), 0);
        };
        for id in &held {
            let place = self.model.place(*id);
            if let At::InFlight(_, _, until) = &mut self.model.line[place].at {
                *until = self.model.now + length;
            }
        }
        assert_eq!(self.queue.extend(id, tags, lease), held.len());
    }

    fn advance(&mut self) {
        let by = self.seconds(4);
        self.queue.now += by;
        self.model.now += by;
        self.tick();
    }

    fn tick(&mut self) {
        self.queue.advance(Duration::ZERO);
        self.model.advance();
    }

    fn allow(&mut self) {
        let Some((id, tags)) = self.range() else { return };
        self.queue.allow(id, *tags.end());
    }

    fn join(&mut self) {
        let credit = self.below(20);
        let id = self.queue.consumer(self.name, credit);
        self.name = char::from_u32(self.name as u32 + 1).unwrap();
        self.consumers.push(id);
    }

    fn leave(&mut self) {
        if self.consumers.is_empty() {
            return;
        }
        let place = self.below(self.consumers.len() as u64) as usize;
        let id = self.consumers.remove(place);
        let held = self.held(id, &(0..=u64::MAX));
        held.iter().for_each(|id| self.model.give_back(*id, None, false));
        assert_eq!(self.queue.remove(id), held.len());
    }

    fn compare(&mut self) {
        self.queue.check();
        let mut there: Vec<(u64, Place, u32)> =
            self.queue.messages(&self.queue.store).map(|m| (m.id.value(), m.place, m.deliveries)).collect();
        there.sort_unstable_by_key(|(id, ..)| *id);
        let mut expected: Vec<(u64, Place, u32)> = Vec::new();
        for Known { id, at, deliveries, .. } in &self.model.line {
            let place = match *at {
                At::Ready => Place::Ready,
                At::Delayed(until) => Place::Delayed(until),
                At::InFlight(consumer, tag, _) => Place::InFlight { consumer, tag },
            };
            expected.push((*id, place, *deliveries));
        }
        expected.sort_unstable_by_key(|(id, ..)| *id);
        assert_eq!(there, expected);
        let ledger = self.queue.ledger();
        let end = |how| self.model.ends.get(how).copied().unwrap_or(0);
        assert_eq!((ledger.accepted, ledger.acked), (self.model.accepted, end("acked")));
        assert_eq!((ledger.refused, ledger.expired), (end("refused"), end("expired")));
        let Dropped { oldest, newest, replaced, exhausted, .. } = ledger.dropped;
        assert_eq!(
            [oldest, newest, replaced, exhausted],
            [end("oldest"), end("newest"), end("replaced"), end("exhausted")]
        );
        let due = self.model.line.iter().map(|known| match known.at {
            At::Ready => known.expires,
            At::Delayed(until) => until.min(known.expires),
            At::InFlight(_, _, until) => until,
        });
        assert_eq!(self.queue.next_due(), due.min().filter(|due| *due != Instant::MAX));
        assert_eq!(self.queue.store.payloads(), self.queue.len());
    }
}

#[test]
#[allow(clippy::print_stderr, reason = "says which run has failed")]
fn a_queue_does_what_a_list_does() {
    for seed in 0..100 {
        let mut run = Run::new(seed);
        for operation in 0..150 {
            let before = format!("seed {seed}, operation {operation}, {:?}", run.model.config);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.operate()));
            if let Err(panic) = result {
                eprintln!("{before}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
