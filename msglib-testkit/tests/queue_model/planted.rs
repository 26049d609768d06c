//! Planted bugs, which the comparison must find: the library's queue, configured otherwise than it should be, with an order of its own,
//! or with a wrapper around it that does something wrong. None of them is in production code.

use bytes::Bytes;
use core::cell::Cell;
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_broker::queue::{
    Again, Backoff, DispatchKind, Ledger, List, Messages, Next, Order, OrderKind, Overflow, QueueConfig, Settling,
    Ticket,
};
use msglib_broker::{Instant, Queue};
use msglib_testkit::model::{Answer, At, Delivery, Departure, Publish, QueueUnderTest, StockQueue};

pub enum Bug {
    /// The queue is configured otherwise.
    Policy(fn(&mut QueueConfig)),
    /// What is first-in-first-out is in an order of its own.
    Order,
    /// A wrapper does it.
    Wrapper(Wrong),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    AcksOneMore,
    HasAgainWhatIsRefused,
    ForgetsTheNewPriority,
    ForgetsTheDelayOfAnAgain,
    LosesWhatALeaverHeld,
    AllowsOneMore,
    DeliversWhenPaused,
    ForgetsToPurge,
    ForgetsToExtend,
    IsLate,
    ForgetsKeys,
    ForgetsTimesToLive,
    TakesTwice,
    ChangesAByte,
    NeverRaisesTheCount,
    StaysBlocked,
    ForgetsHops,
    IsDueTooEarly,
    CountsAcksTwice,
    TellsNobodyOfTheDead,
    DeliversAnother,
}

macro_rules! planted {
    ($($name:literal: $bug:expr;)+) => {
        /// All of them.
        pub const PLANTED: &[(&str, Bug)] = &[$(($name, $bug)),+];
    };
}

planted! {
    "leases are a second longer": Bug::Policy(|it| it.redelivery.lease = it.redelivery.lease.map(|lease| lease + SECOND));
    "the backoff is too long": Bug::Policy(|it| it.redelivery.backoff = it.redelivery.backoff.map(longer));
    "one delivery too many": Bug::Policy(|it| it.redelivery.max_deliveries = it.redelivery.max_deliveries.map(|most| most + 1));
    "one hop too many": Bug::Policy(|it| it.redelivery.max_hops += 1);
    "dead letters are dropped": Bug::Policy(|it| it.redelivery.dead_letter = None);
    "no time to live": Bug::Policy(|it| it.ttl = None);
    "no delay": Bug::Policy(|it| it.delay = Duration::ZERO);
    "one message too many": Bug::Policy(|it| it.max_messages += 1);
    "some bytes too many": Bug::Policy(|it| it.max_bytes += 100);
    "one too many in flight": Bug::Policy(|it| it.max_in_flight += 1);
    "the oldest is dropped, not dead": Bug::Policy(|it| overflow(it, Overflow::DeadLetterOldest, Overflow::DropOldest));
    "the oldest stays": Bug::Policy(|it| overflow(it, Overflow::DropOldest, Overflow::DropNewest));
    "what is new is refused": Bug::Policy(|it| overflow(it, Overflow::DropNewest, Overflow::RefuseNew));
    "priorities do not matter": Bug::Policy(|it| order(it, OrderKind::Priority, OrderKind::Fifo));
    "a noisy key starves the others": Bug::Policy(|it| order(it, OrderKind::FairByKey, OrderKind::Fifo));
    "keys are not bound": Bug::Policy(|it| order(it, OrderKind::StickyByKey, OrderKind::FairByKey));
    "values pile up": Bug::Policy(|it| order(it, OrderKind::LastValue, OrderKind::Fifo));
    "the first consumer has all": Bug::Policy(|it| dispatch(it, DispatchKind::RoundRobin, DispatchKind::Exclusive));
    "loads do not matter": Bug::Policy(|it| dispatch(it, DispatchKind::LeastLoaded, DispatchKind::RoundRobin));
    "everybody has something": Bug::Policy(|it| dispatch(it, DispatchKind::Exclusive, DispatchKind::RoundRobin));
    "last in, first out": Bug::Order;
    "acks one more": Bug::Wrapper(Wrong::AcksOneMore);
    "has again what is refused": Bug::Wrapper(Wrong::HasAgainWhatIsRefused);
    "forgets the new priority": Bug::Wrapper(Wrong::ForgetsTheNewPriority);
    "forgets the delay of an again": Bug::Wrapper(Wrong::ForgetsTheDelayOfAnAgain);
    "loses what a leaver held": Bug::Wrapper(Wrong::LosesWhatALeaverHeld);
    "allows one more": Bug::Wrapper(Wrong::AllowsOneMore);
    "delivers when paused": Bug::Wrapper(Wrong::DeliversWhenPaused);
    "forgets to purge": Bug::Wrapper(Wrong::ForgetsToPurge);
    "forgets to extend": Bug::Wrapper(Wrong::ForgetsToExtend);
    "is late": Bug::Wrapper(Wrong::IsLate);
    "forgets keys": Bug::Wrapper(Wrong::ForgetsKeys);
    "forgets times to live": Bug::Wrapper(Wrong::ForgetsTimesToLive);
    "takes twice": Bug::Wrapper(Wrong::TakesTwice);
    "changes a byte": Bug::Wrapper(Wrong::ChangesAByte);
    "never raises the count": Bug::Wrapper(Wrong::NeverRaisesTheCount);
    "stays blocked": Bug::Wrapper(Wrong::StaysBlocked);
    "forgets hops": Bug::Wrapper(Wrong::ForgetsHops);
    "is due too early": Bug::Wrapper(Wrong::IsDueTooEarly);
    "counts acks twice": Bug::Wrapper(Wrong::CountsAcksTwice);
    "tells nobody of the dead": Bug::Wrapper(Wrong::TellsNobodyOfTheDead);
    "delivers another": Bug::Wrapper(Wrong::DeliversAnother);
}

const SECOND: Duration = Duration::from_secs(1);

fn longer(backoff: Backoff) -> Backoff {
    Backoff { first: backoff.first * 2, ..backoff }
}

fn overflow(config: &mut QueueConfig, from: Overflow, to: Overflow) {
    config.overflow = if config.overflow == from { to } else { config.overflow };
}

fn order(config: &mut QueueConfig, from: OrderKind, to: OrderKind) {
    config.order = if config.order == from { to } else { config.order };
}

fn dispatch(config: &mut QueueConfig, from: DispatchKind, to: DispatchKind) {
    config.dispatch = if config.dispatch == from { to } else { config.dispatch };
}

impl Bug {
    /// A queue that has it.
    pub fn plant(&self, config: &QueueConfig) -> Buggy {
        let mut config = config.clone();
        let (queue, wrong) = match self {
            Bug::Policy(change) => {
                change(&mut config);
                (StockQueue::new(config), None)
            }
            Bug::Order if config.order == OrderKind::Fifo => {
                (StockQueue::of(Queue::new(config).with_order(LastInFirstOut::default())), None)
            }
            Bug::Order => (StockQueue::new(config), None),
            Bug::Wrapper(wrong) => (StockQueue::new(config), Some(*wrong)),
        };
        Buggy { queue, wrong, is_paused: Cell::new(false), acked: 0 }
    }
}

#[derive(Default)]
struct LastInFirstOut(List);

impl Order for LastInFirstOut {
    fn insert(&mut self, messages: &mut Messages, ticket: Ticket) -> Option<Ticket> {
        self.0.push_front(messages, ticket);
        None
    }
    fn remove(&mut self, messages: &mut Messages, ticket: Ticket) {
        self.0.remove(messages, ticket);
    }
    fn next(&mut self, _: &Messages) -> Option<Next> {
        self.0.front().map(Next::to_anyone)
    }
    fn has_next(&self) -> bool {
        !self.0.is_empty()
    }
}

/// A queue, and what is wrong with it.
pub struct Buggy {
    queue: StockQueue,
    wrong: Option<Wrong>,
    is_paused: Cell<bool>,
    acked: u64,
}

impl Buggy {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn settle_as(&self, settling: Settling) -> Settling {
        match (self.wrong, settling) {
            (Some(Wrong::HasAgainWhatIsRefused), Settling::ForGood) => Settling::Again(Again::default()),
            (Some(Wrong::ForgetsTheNewPriority), Settling::Again(mut again)) => {
                again.priority = None;
                Settling::Again(again)
            }
            (Some(Wrong::ForgetsTheDelayOfAnAgain), Settling::Again(mut again)) => {
                again.delay = None;
                Settling::Again(again)
            }
            (_, settling) => settling,
        }
    }
}

fn changed(payload: &Bytes) -> Bytes {
    let mut bytes = payload.to_vec();
    bytes[7] ^= 1;
    bytes.into()
}

impl QueueUnderTest for Buggy {
    fn publish(&mut self, now: Instant, message: &Publish) -> Option<u64> {
        let mut message = message.clone();
        match self.wrong {
            Some(Wrong::ForgetsKeys) => message.key = None,
            Some(Wrong::ForgetsTimesToLive) => message.ttl = None,
            Some(Wrong::ChangesAByte) => message.payload = changed(&message.payload),
            Some(Wrong::TakesTwice) => {
                self.queue.publish(now, &message);
            }
            _ => {}
        }
        self.queue.publish(now, &message)
    }

    fn join(&mut self, number: u32) {
        self.queue.join(number);
    }

    fn part(&mut self, now: Instant, number: u32) -> usize {
        if self.is(Wrong::LosesWhatALeaverHeld) {
            let held = self.queue.settle(now, number, 0..=u64::MAX, Settling::ForGood);
            return held + self.queue.part(now, number);
        }
        self.queue.part(now, number)
    }

    fn allow(&mut self, number: u32, upto: u64) {
        self.queue.allow(number, upto + u64::from(self.is(Wrong::AllowsOneMore)));
    }

    fn unblock(&mut self, number: u32) {
        if !self.is(Wrong::StaysBlocked) {
            self.queue.unblock(number);
        }
    }

    fn dispatch(&mut self, now: Instant, budget: usize, answer: &mut dyn FnMut(&Delivery) -> Answer) -> usize {
        let (wrong, is_paused) = (self.wrong, self.is_paused.get());
        if self.is(Wrong::DeliversWhenPaused) {
            self.queue.resume();
        }
        let taken = self.queue.dispatch(now, budget, &mut |delivery| {
            let mut delivery = delivery.clone();
            if wrong == Some(Wrong::NeverRaisesTheCount) {
                delivery.count = 1;
            }
            answer(&delivery)
        });
        if is_paused {
            self.queue.pause();
        }
        taken
    }

    fn settle(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, settling: Settling) -> usize {
        let more = u64::from(self.is(Wrong::AcksOneMore) && settling == Settling::Ack);
        let tags = *tags.start()..=tags.end().saturating_add(more);
        let settled = self.queue.settle(now, number, tags, self.settle_as(settling));
        self.acked += if settling == Settling::Ack { settled as u64 } else { 0 };
        settled
    }

    fn extend(&mut self, now: Instant, number: u32, tags: RangeInclusive<u64>, lease: Option<Duration>) -> usize {
        if self.is(Wrong::ForgetsToExtend) {
            return self.queue.extend(now, number, tags, lease.map(|_| Duration::MAX));
        }
        self.queue.extend(now, number, tags, lease)
    }

    fn advance(&mut self, now: Instant) {
        if !self.is(Wrong::IsLate) || self.queue.next_due().is_some_and(|due| due < now) {
            self.queue.advance(now);
        }
    }

    fn next_due(&mut self) -> Option<Instant> {
        let due = self.queue.next_due();
        match self.is(Wrong::IsDueTooEarly) {
            true => due.map(|due| Instant::from_nanos(due.as_nanos() - 1)),
            false => due,
        }
    }

    fn pause(&mut self) {
        self.is_paused.set(true);
        self.queue.pause();
    }

    fn resume(&mut self) {
        self.is_paused.set(false);
        self.queue.resume();
    }

    fn purge(&mut self, now: Instant) -> usize {
        match self.is(Wrong::ForgetsToPurge) {
            true => (self.queue.ledger().ready + self.queue.ledger().delayed) as usize,
            false => self.queue.purge(now),
        }
    }

    fn admit(&mut self, now: Instant) -> Option<u64> {
        let id = self.queue.admit(now)?;
        if self.is(Wrong::ForgetsHops) && self.queue.redrive(now, 1, false) == 1 {
            return Some(id);
        }
        Some(id)
    }

    fn redrive(&mut self, now: Instant, most: usize, stay: bool) -> usize {
        self.queue.redrive(now, most, stay)
    }

    fn delete(&mut self) {
        self.is_paused.set(false);
        self.acked = 0;
        self.queue.delete();
    }

    fn deliver(&mut self, now: Instant, id: u64, to: u32) -> Option<Delivery> {
        let id = id + u64::from(self.is(Wrong::DeliversAnother));
        self.queue.deliver(now, id, to)
    }

    fn make_ready(&mut self, now: Instant, id: u64) -> bool {
        self.queue.make_ready(now, id)
    }

    fn remove(&mut self, now: Instant, id: u64) -> bool {
        self.queue.remove(now, id)
    }

    fn departed(&mut self) -> Vec<Departure> {
        let mut departed = self.queue.departed();
        if self.is(Wrong::TellsNobodyOfTheDead) {
            departed.retain(|departure| departure.dead_letter.is_none());
        }
        departed
    }

    fn ledger(&self) -> Ledger {
        let mut ledger = self.queue.ledger();
        if self.is(Wrong::CountsAcksTwice) {
            ledger.acked += self.acked;
        }
        ledger
    }

    fn messages(&self) -> Vec<(u64, At, u32)> {
        self.queue.messages()
    }

    fn bytes(&self) -> usize {
        self.queue.bytes()
    }
}
