//! What becomes of deliveries, and what happens by itself.

use super::message::{At, Message};
use super::queue::QueueModel;
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_broker::queue::{Again, Fate, Settling};
use msglib_proto::Instant;

impl QueueModel {
    /// The numbers of what a consumer holds under these tags, in the order of the tags.
    fn held_under(&self, number: u32, tags: &RangeInclusive<u64>) -> Vec<u64> {
        let tag = |message: &Message| match message.at {
            At::InFlight { consumer, tag } if consumer == number && tags.contains(&tag) => Some(tag),
            _ => None,
        };
        let mut held: Vec<(u64, u64)> = self.messages.iter().filter_map(|m| Some((tag(m)?, m.id))).collect();
        held.sort_unstable();
        held.into_iter().map(|(_, id)| id).collect()
    }

    /// The deliveries with these tags are settled; how many were in flight.
    pub fn settle(&mut self, number: u32, tags: &RangeInclusive<u64>, settling: Settling) -> usize {
        let held = self.held_under(number, tags);
        for id in &held {
            match settling {
                Settling::Ack => {
                    let at = self.place(*id);
                    self.messages.remove(at);
                    self.ledger.acked += 1;
                }
                Settling::Again(Again { delay, priority, .. }) => {
                    let message = self.get(*id);
                    message.priority = priority.unwrap_or(message.priority);
                    let backoff = self.backoff(*id);
                    self.give_back(*id, delay.unwrap_or(backoff));
                }
                _ => self.leave(*id, Fate::Refused),
            }
        }
        self.tidy();
        held.len()
    }

    /// The deliveries with these tags are held for longer; how many.
    pub fn extend(&mut self, number: u32, tags: &RangeInclusive<u64>, lease: Option<Duration>) -> usize {
        let Some(lease) = lease.or(self.config.redelivery.lease) else { return 0 };
        let (held, until) = (self.held_under(number, tags), self.now + lease);
        held.iter().for_each(|id| self.get(*id).lease = until);
        held.len()
    }

    /// A consumer goes; what it held comes back at once. How many that were.
    pub fn part(&mut self, number: u32) -> usize {
        let held = self.held_under(number, &(0..=u64::MAX));
        held.iter().for_each(|id| self.give_back(*id, Duration::ZERO));
        self.consumers.retain(|consumer| consumer.number != number);
        self.tidy();
        held.len()
    }

    fn backoff(&mut self, id: u64) -> Duration {
        let deliveries = self.get(id).deliveries;
        let Some(backoff) = self.config.redelivery.backoff else { return Duration::ZERO };
        // Twice as long after each further one.
        let doubled = (1..deliveries).try_fold(backoff.first, |wait, _| wait.checked_mul(2));
        doubled.unwrap_or(Duration::MAX).min(backoff.most)
    }

    fn give_back(&mut self, id: u64, delay: Duration) {
        self.ledger.given_back += 1;
        let &mut Message { deliveries, expires, .. } = self.get(id);
        if self.config.redelivery.max_deliveries.is_some_and(|most| deliveries >= most) {
            self.leave(id, Fate::TooManyDeliveries);
        } else if expires <= self.now {
            self.leave(id, Fate::Expired);
        } else {
            self.wait(id, delay);
        }
    }

    /// The next thing that happens by itself: when, of which kind (leases end, then messages expire, then delays are over), and to
    /// which message.
    fn next(&self) -> Option<(Instant, u8, i64, u64)> {
        let due = self.messages.iter().map(|message| match message.at {
            At::InFlight { tag, .. } => (message.lease, 0, tag as i64, message.id),
            At::Delayed(until) if until < message.expires => (until, 2, message.turn, message.id),
            At::Delayed(_) | At::Ready => (message.expires, 1, 0, message.id),
        });
        due.filter(|due| due.0 != Instant::MAX).min()
    }

    /// When something happens by itself.
    pub fn next_due(&self) -> Option<Instant> {
        self.next().map(|due| due.0)
    }

    /// It is so late, and everything that is due has happened, in the order of time.
    pub fn advance(&mut self, now: Instant) {
        self.now = now;
        while let Some((at, kind, _, id)) = self.next()
            && at <= now
        {
            match kind {
                0 => {
                    self.ledger.lapsed += 1;
                    let backoff = self.backoff(id);
                    self.give_back(id, backoff);
                }
                1 => self.leave(id, Fate::Expired),
                _ => self.make_it_ready(id),
            }
        }
        self.tidy();
    }
}
