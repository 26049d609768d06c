//! What the queue has, what comes in, and what becomes of it: one list, searched from one end to the other.

use super::difference::{Difference, ensure};
use super::message::{At, Death, Departure, Message, Publish};
use bytes::Bytes;
use core::time::Duration;
use msglib_broker::queue::{Fate, Ledger, OVERHEAD, OrderKind, Overflow, QueueConfig};
use msglib_proto::Instant;
use std::collections::BTreeMap;

/// What a queue promises, done in the simplest way. See the [module](super).
///
/// Consumers have numbers of the caller's choice, which are not used twice. Where the promise leaves a choice (whose turn it is, which
/// of several messages makes room), the model is told what the queue has chosen, and says whether it may.
#[derive(Debug)]
pub struct QueueModel {
    pub(super) config: QueueConfig,
    pub(super) now: Instant,
    pub(super) messages: Vec<Message>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) ledger: Ledger,
    pub(super) is_paused: bool,
    /// Those that have left since they were asked for.
    pub(super) departures: Vec<Departure>,
    /// Dead letters that are on their way to where they go, the first to leave first.
    pub(super) dead: Vec<Message>,
    turns: i64,
    /// Who got the last message of a key.
    pub(super) bound: BTreeMap<Bytes, u32>,
    /// Bytes that the first key had in its turns, beyond what the second had, while both had messages that were ready.
    pub(super) ahead: BTreeMap<(Option<Bytes>, Option<Bytes>), usize>,
    /// Messages that the first consumer had in its turns, while the second could have had them.
    pub(super) passed: BTreeMap<(u32, u32), usize>,
    pub(super) served: u64,
    /// The largest message so far.
    pub(super) largest: usize,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) number: u32,
    pub(super) allowed: u64,
    pub(super) last_tag: u64,
    pub(super) is_blocked: bool,
    pub(super) served: u64,
}

impl Message {
    /// What it counts for.
    pub(super) fn size(&self) -> usize {
        self.payload.len() + self.key.as_ref().map_or(0, Bytes::len) + OVERHEAD
    }
}

impl QueueModel {
    /// An empty queue at the beginning of time.
    pub fn new(config: QueueConfig) -> QueueModel {
        QueueModel {
            config,
            now: Instant::ZERO,
            messages: Vec::new(),
            consumers: Vec::new(),
            ledger: Ledger::default(),
            is_paused: false,
            departures: Vec::new(),
            dead: Vec::new(),
            turns: 0,
            bound: BTreeMap::new(),
            ahead: BTreeMap::new(),
            passed: BTreeMap::new(),
            served: 0,
            largest: 0,
        }
    }

    /// How it is configured.
    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// The books.
    pub fn ledger(&self) -> Ledger {
        let count = |is: fn(&At) -> bool| self.messages.iter().filter(|message| is(&message.at)).count() as u64;
        let mut ledger = self.ledger;
        ledger.ready = count(|at| *at == At::Ready);
        ledger.delayed = count(|at| matches!(at, At::Delayed(_)));
        ledger.in_flight = count(|at| matches!(at, At::InFlight { .. }));
        ledger
    }

    /// Every message in the queue, by its number: where it is, and how often it was delivered.
    pub fn messages(&self) -> Vec<(u64, At, u32)> {
        let mut messages: Vec<_> = self.messages.iter().map(|m| (m.id, m.at, m.deliveries)).collect();
        messages.sort_unstable();
        messages
    }

    /// Bytes that the messages count for.
    pub fn bytes(&self) -> usize {
        self.messages.iter().map(Message::size).sum()
    }

    /// How many dead letters are on their way: not [admitted](QueueModel::admit) anywhere yet.
    pub fn dead_letters(&self) -> usize {
        self.dead.len()
    }

    /// A message comes. `victims` are those that the queue has dropped to make room for it, in this order; the number that the message
    /// has got, or `None` if it must have been refused.
    ///
    /// # Errors
    ///
    /// A victim that may not be one, or that is not needed, or is missing.
    pub fn publish(&mut self, message: &Publish, victims: &[u64]) -> Result<Option<u64>, Difference> {
        let Publish { payload, priority, key, ttl, delay } = message.clone();
        let delay = delay.unwrap_or(self.config.delay);
        let ttl = [ttl, self.config.ttl].into_iter().flatten().min();
        let expires = ttl.map_or(Instant::MAX, |ttl| self.now + ttl);
        let message =
            Message { id: 0, payload, key, priority, expires, deliveries: 0, death: None, ..Message::blank() };
        self.accept(message, delay, victims)
    }

    /// The first of the dead letters on their way comes into this queue, as a new message. As [`publish`](QueueModel::publish);
    /// if it is refused, it is gone.
    ///
    /// # Errors
    ///
    /// As for `publish`.
    pub fn admit(&mut self, victims: &[u64]) -> Result<Option<u64>, Difference> {
        ensure(!self.dead.is_empty(), || "no dead letter is on its way".into())?;
        let message = self.dead.remove(0);
        self.accept_again(message, victims)
    }

    fn accept_again(&mut self, mut message: Message, victims: &[u64]) -> Result<Option<u64>, Difference> {
        (message.deliveries, message.expires) = (0, self.config.ttl.map_or(Instant::MAX, |ttl| self.now + ttl));
        let delay = self.config.delay;
        self.accept(message, delay, victims)
    }

    fn accept(&mut self, mut message: Message, delay: Duration, victims: &[u64]) -> Result<Option<u64>, Difference> {
        self.largest = self.largest.max(message.size());
        let mut victims = victims.iter();
        let is_taken = loop {
            if message.size() > self.config.max_bytes {
                break Err("it is too large");
            }
            if self.has_room_for(&message, delay) {
                break Ok(true);
            }
            match self.config.overflow {
                Overflow::DropNewest => break Ok(false),
                Overflow::DropOldest | Overflow::DeadLetterOldest => {}
                _ => break Err("there is no room"),
            }
            let may_be = self.victims(message.key.as_ref());
            if may_be.is_empty() {
                break Err("there is no room, and nothing to drop");
            }
            let victim = victims.next().copied();
            let victim = victim.filter(|victim| may_be.contains(victim));
            let Some(victim) = victim else {
                return Err(Difference::new(format!("it was taken, or one of {may_be:?} had to make room")));
            };
            self.leave(victim, Fate::DroppedOldest);
        };
        if let Some(unneeded) = victims.next() {
            return Err(Difference::new(format!("message {unneeded} did not have to make room")));
        }
        let is_taken = match is_taken {
            Ok(is_taken) => is_taken,
            Err(_) => {
                self.ledger.turned_away += 1;
                return Ok(None);
            }
        };
        self.ledger.accepted += 1;
        let id = self.ledger.accepted;
        message.id = id;
        message.at = At::Delayed(Instant::MAX);
        self.messages.push(message);
        match is_taken {
            true => self.wait(id, delay),
            false => self.leave(id, Fate::DroppedNewest),
        }
        Ok(Some(id))
    }

    fn has_room_for(&self, message: &Message, delay: Duration) -> bool {
        let replaced = match delay.is_zero() {
            true => self.replaced_by(message).map(|at| &self.messages[at]),
            false => None,
        };
        let count = self.messages.len() - usize::from(replaced.is_some());
        let bytes = self.bytes() - replaced.map_or(0, Message::size);
        count < self.config.max_messages && bytes + message.size() <= self.config.max_bytes
    }

    /// Which message gives way to this one as soon as it is ready.
    fn replaced_by(&self, message: &Message) -> Option<usize> {
        let is_same = |other: &Message| {
            other.key.is_some() && other.key == message.key && other.at == At::Ready && other.id != message.id
        };
        (self.config.order == OrderKind::LastValue).then(|| self.messages.iter().position(is_same))?
    }

    /// The message waits from now on, after a delay.
    pub(super) fn wait(&mut self, id: u64, delay: Duration) {
        if delay.is_zero() {
            return self.make_it_ready(id);
        }
        self.turns += 1;
        let (turn, until) = (self.turns, self.now + delay);
        let message = self.get(id);
        (message.at, message.turn) = (At::Delayed(until), turn);
    }

    /// The message can be delivered from now on. Of two of one key the one that was accepted last stays, in the place of the other.
    pub(super) fn make_it_ready(&mut self, id: u64) {
        self.turns += 1;
        let turn = self.turns;
        self.get(id).turn = turn;
        let at = self.place(id);
        let Some(other) = self.replaced_by(&self.messages[at]) else {
            self.messages[at].at = At::Ready;
            return;
        };
        let Message { id: other, deliveries, turn, .. } = self.messages[other];
        if other > id {
            return self.leave(id, Fate::Replaced);
        }
        if self.messages[at].deliveries == 0 {
            // The place of one that had come back is before all that have not.
            let new = self.messages.iter().filter(|m| m.at == At::Ready && m.deliveries == 0);
            let first = new.map(|m| m.turn).min().unwrap_or(0);
            self.messages[at].turn = if deliveries == 0 { turn } else { first - 1 };
        }
        self.messages[at].at = At::Ready;
        self.leave(other, Fate::Replaced);
    }

    /// The message leaves the queue.
    pub(super) fn leave(&mut self, id: u64, mut fate: Fate) {
        let at = self.place(id);
        let mut message = self.messages.remove(at);
        let may_die = match fate {
            Fate::Expired | Fate::Refused | Fate::TooManyDeliveries => true,
            Fate::DroppedOldest => self.config.overflow == Overflow::DeadLetterOldest,
            _ => false,
        };
        let mut is_dead = may_die && self.config.redelivery.dead_letter.is_some();
        let Death { hops, first } = message.death.unwrap_or(Death { hops: 0, first: self.now });
        if is_dead && hops >= self.config.redelivery.max_hops {
            (is_dead, fate) = (false, Fate::TooManyHops);
        }
        self.count(fate, is_dead);
        let dead_letter = is_dead.then_some((hops.saturating_add(1), first));
        self.departures.push(Departure { id, fate, deliveries: message.deliveries, dead_letter });
        if let Some((hops, first)) = dead_letter {
            message.death = Some(Death { hops, first });
            self.dead.push(message);
        }
        self.tidy();
    }

    fn count(&mut self, fate: Fate, is_dead: bool) {
        let ledger = &mut self.ledger;
        *match fate {
            _ if is_dead => &mut ledger.dead_lettered,
            Fate::Expired => &mut ledger.expired,
            Fate::Refused => &mut ledger.refused,
            Fate::TooManyDeliveries => &mut ledger.dropped.exhausted,
            Fate::DroppedOldest => &mut ledger.dropped.oldest,
            Fate::DroppedNewest => &mut ledger.dropped.newest,
            Fate::Replaced => &mut ledger.dropped.replaced,
            Fate::Redriven => &mut ledger.redriven,
            Fate::Purged => &mut ledger.purged,
            _ => &mut ledger.dropped.undeliverable,
        } += 1;
    }

    /// What has left since the last call and not by an ack, by number.
    pub fn take_departures(&mut self) -> Vec<Departure> {
        let mut departures = core::mem::take(&mut self.departures);
        departures.sort_by_key(|departure| departure.id);
        departures
    }

    /// The dead letters on their way have left in this order: messages may leave at the same time in any.
    pub(super) fn dead_letters_left_as(&mut self, ids: &[u64]) {
        let place = |message: &Message| ids.iter().position(|id| *id == message.id);
        let settled = self.dead.len() - ids.len().min(self.dead.len());
        self.dead[settled..].sort_by_key(place);
    }

    /// The queue is gone with all that it had, and an empty one is there instead. Dead letters that have left stay on their way.
    pub fn delete(&mut self) {
        let (now, dead) = (self.now, core::mem::take(&mut self.dead));
        let departures = core::mem::take(&mut self.departures);
        *self = QueueModel { now, dead, departures, ..QueueModel::new(self.config.clone()) };
    }

    /// The tag of the last delivery to a consumer.
    pub fn last_tag(&self, number: u32) -> u64 {
        self.consumers.iter().find(|consumer| consumer.number == number).map_or(0, |consumer| consumer.last_tag)
    }

    /// Drops all that wait, ready or delayed; how many.
    pub fn purge(&mut self) -> usize {
        let waiting = self.messages.iter().filter(|message| !matches!(message.at, At::InFlight { .. }));
        let ids: Vec<u64> = waiting.map(|message| message.id).collect();
        ids.iter().for_each(|id| self.leave(*id, Fate::Purged));
        ids.len()
    }

    /// Drops one that waits; whether there was one.
    pub fn remove(&mut self, id: u64) -> bool {
        let is_there = self.waiting(id).is_some();
        if is_there {
            self.leave(id, Fate::Purged);
        }
        is_there
    }

    /// One that is delayed is ready at once; whether there was one.
    pub fn make_ready(&mut self, id: u64) -> bool {
        let is_delayed = self.waiting(id).is_some_and(|at| self.messages[at].at != At::Ready);
        if is_delayed {
            self.make_it_ready(id);
        }
        is_delayed
    }

    /// Takes out dead letters that wait, the first to come first, at most so many; how many. They come back as new messages without
    /// a cause, or `stay` after all: then they wait again, behind the others if they were never delivered.
    ///
    /// # Errors
    ///
    /// As for [`publish`](QueueModel::publish).
    pub fn redrive(&mut self, most: usize, stay: bool) -> Result<usize, Difference> {
        let is_meant = |m: &&Message| !matches!(m.at, At::InFlight { .. }) && m.death.is_some();
        let mut ids: Vec<u64> = self.messages.iter().filter(is_meant).map(|m| m.id).collect();
        ids.sort_unstable();
        ids.truncate(most);
        let out: Vec<Message> = ids.iter().map(|id| self.messages.remove(self.place(*id))).collect();
        self.tidy();
        for message in out {
            if stay {
                let (id, at) = (message.id, message.at);
                self.messages.push(Message { at: At::Delayed(Instant::MAX), ..message });
                self.wait(id, if let At::Delayed(until) = at { until.since(self.now) } else { Duration::ZERO });
            } else {
                self.ledger.redriven += 1;
                // There is room for each in its own place.
                self.accept_again(Message { death: None, ..message }, &[])?;
            }
        }
        Ok(ids.len())
    }

    /// The index of a message that waits.
    pub(super) fn waiting(&self, id: u64) -> Option<usize> {
        self.messages.iter().position(|m| m.id == id && !matches!(m.at, At::InFlight { .. }))
    }

    pub(super) fn place(&self, id: u64) -> usize {
        self.messages.iter().position(|message| message.id == id).unwrap_or_else(|| panic!("message {id} is there"))
    }

    pub(super) fn get(&mut self, id: u64) -> &mut Message {
        let at = self.place(id);
        &mut self.messages[at]
    }
}

impl Message {
    fn blank() -> Message {
        Message {
            id: 0,
            payload: Bytes::new(),
            key: None,
            priority: 0,
            expires: Instant::MAX,
            deliveries: 0,
            death: None,
            at: At::Ready,
            lease: Instant::MAX,
            turn: 0,
        }
    }
}
