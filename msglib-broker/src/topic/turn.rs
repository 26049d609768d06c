//! One subscriber's turn: what it is offered, one after the other.

use super::buffer::Waiting;
use super::name::TopicName;
use super::retained::{Found, LOOK, Retained};
use super::runs::{RunIndex, Runs};
use super::subscription::{Subscriber, Subscription};
use super::{SubscriberId, Topics};
use crate::queue::{Store, Undeliverable};
use crate::table::Key;
use core::fmt;
use msglib_proto::Payload;

/// What a subscriber is to be told next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicOffer<'a> {
    /// A message.
    Message {
        /// The subscriber's tags are 1, 2, 3 ….
        tag: u64,
        /// The topic that it was published on.
        topic: TopicName<'a>,
        /// The message.
        payload: Payload<'a>,
        /// It is a last value from before the subscription.
        is_retained: bool,
    },
    /// Between what it was told before and what comes next, so many messages are lost. Takes no tag and no credit.
    Gap {
        /// At least 1.
        lost: u64,
    },
}

/// One subscriber's turn in a dispatch; see [`Topics::dispatch_turns`](super::Topics::dispatch_turns).
pub struct TopicTurn<'a, S> {
    store: &'a mut Store,
    runs: &'a mut Runs,
    retained: &'a Retained,
    subscription: &'a mut Subscription,
    subscriber: &'a mut Subscriber<S>,
    /// Messages that it may still have, those of the segment included.
    left: usize,
    segment: Segment,
    offered: Offered,
    done: Done,
}

/// Messages of the run in front, which are offered one after the other and taken together.
#[derive(Clone, Copy, Debug)]
struct Segment {
    run: RunIndex,
    from: u16,
    /// The next to be offered.
    next: u16,
    to: u16,
}

impl Segment {
    const EMPTY: Segment = Segment { run: RunIndex::NONE, from: 0, next: 0, to: 0 };
}

/// What was offered last, and is taken unless an error follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Offered {
    Nothing,
    Gap,
    Retained(RunIndex),
    /// The one before the segment's next.
    Waiting,
}

/// Messages that were published together and wait together; see [`TopicTurn::run`].
pub struct RunOffer<'a> {
    runs: &'a Runs,
    store: &'a Store,
    index: RunIndex,
    from: u16,
    to: u16,
}

/// Which messages a [`RunOffer`] has. Two with the same within one dispatch have the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunId(RunIndex, u16, u16);

impl<'a> RunOffer<'a> {
    /// Which messages they are.
    pub fn id(&self) -> RunId {
        RunId(self.index, self.from, self.to)
    }

    /// How many they are; at least one.
    #[allow(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        usize::from(self.to - self.from)
    }

    /// Whether they wait for others as well.
    pub fn is_shared(&self) -> bool {
        self.runs.get(self.index).is_shared()
    }

    /// The topic that they were published on.
    pub fn topic(&self) -> TopicName<'a> {
        self.runs.topics.name(self.runs.get(self.index).topic)
    }

    /// The messages, in their order.
    pub fn payloads(&self) -> impl Iterator<Item = Payload<'a>> {
        let messages = &self.runs.get(self.index).messages[usize::from(self.from)..usize::from(self.to)];
        let store = self.store;
        messages.iter().map(|message| store.get(message))
    }
}

impl fmt::Debug for RunOffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOffer").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// What came of a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    waiting: u64,
    retained: u64,
    announced: u64,
    /// Looked for last values, and has found none in so many.
    looked_at: usize,
    /// There are no last values any more.
    has_seen_all: bool,
}

impl Done {
    pub(super) fn taken(&self) -> usize {
        (self.waiting + self.retained) as usize
    }

    fn is_nothing(&self) -> bool {
        self.taken() == 0 && self.announced == 0 && self.looked_at == 0 && !self.has_seen_all
    }

    /// What a budget is charged.
    pub(super) fn cost(&self) -> usize {
        self.taken() + self.looked_at / 8
    }
}

impl<S> TopicTurn<'_, S> {
    /// Whose turn it is: what was given to [`Topics::subscribe`](super::Topics::subscribe).
    pub fn subscriber(&self) -> &S {
        &self.subscriber.key
    }

    /// What comes next; what was offered before is taken.
    // Not an iterator: an offer lives no longer than until the next.
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Option<TopicOffer<'_>> {
        if self.segment.next < self.segment.to {
            return Some(self.offer_next());
        }
        self.take_offered();
        self.offered = self.look_on()?;
        Some(match self.offered {
            Offered::Nothing => return None,
            Offered::Gap => TopicOffer::Gap { lost: self.subscription.buffer.gap() },
            Offered::Retained(run) => self.offer(run, 0, 1),
            Offered::Waiting => self.offer_next(),
        })
    }

    /// What comes next, if that are messages that were published together: for whoever has something to do for all of them that is the same for
    /// each subscriber. They are not offered by this; [`take_run`](TopicTurn::take_run) takes all of them, and [`next`](TopicTurn::next)
    /// offers the first.
    pub fn run(&mut self) -> Option<RunOffer<'_>> {
        if self.segment.next == self.segment.to {
            self.take_offered();
            self.offered = self.look_on().filter(|next| *next == Offered::Waiting)?;
        }
        let Segment { run, from, next, to } = self.segment;
        (next == from).then_some(RunOffer { runs: self.runs, store: self.store, index: run, from, to })
    }

    /// Takes all that [`run`](TopicTurn::run) has shown.
    pub fn take_run(&mut self) {
        if self.segment.next == self.segment.from {
            self.segment.next = self.segment.to;
        }
    }

    #[inline]
    fn offer_next(&mut self) -> TopicOffer<'_> {
        let Segment { run, from, next, .. } = self.segment;
        self.segment.next = next + 1;
        self.offer(run, next, u64::from(next + 1 - from))
    }

    /// A message, with the tag that is so many above what was delivered.
    #[inline]
    fn offer(&self, run: RunIndex, at: u16, above: u64) -> TopicOffer<'_> {
        let run = self.runs.get(run);
        TopicOffer::Message {
            tag: self.subscriber.delivered + above,
            topic: self.runs.topics.name(run.topic),
            payload: self.store.get(&run.messages[usize::from(at)]),
            is_retained: self.offered != Offered::Waiting,
        }
    }

    /// What is to be offered when the segment is done with.
    fn look_on(&mut self) -> Option<Offered> {
        if self.left == 0 {
            return None;
        }
        if self.subscription.cursor.is_some()
            && let Some(found) = self.next_retained()
        {
            let Found::Value(run) = found else { return None };
            return Some(Offered::Retained(run));
        }
        if self.subscription.buffer.gap() > 0 {
            return Some(Offered::Gap);
        }
        let Waiting { run, from, to, .. } = self.subscription.buffer.front()?;
        let most = u16::try_from(self.left).unwrap_or(u16::MAX);
        self.segment = Segment { run, from, next: from, to: to.min(from.saturating_add(most)) };
        Some(Offered::Waiting)
    }

    /// `None` when the last values are all delivered.
    #[cold]
    fn next_retained(&mut self) -> Option<Found> {
        let Subscription { cursor, filter, .. } = &mut *self.subscription;
        let found = self.retained.look(cursor.as_mut()?, super::TopicFilter::trusted(filter));
        match found {
            Found::End => {
                *cursor = None;
                self.done.has_seen_all = true;
                return None;
            }
            Found::NotYet => self.done.looked_at += LOOK,
            Found::Value(_) => {}
        }
        Some(found)
    }

    /// All that was offered is taken.
    fn take_offered(&mut self) {
        match core::mem::replace(&mut self.offered, Offered::Nothing) {
            Offered::Nothing => {}
            Offered::Gap => {
                self.done.announced += self.subscription.buffer.gap();
                self.subscription.buffer.close_gap();
            }
            Offered::Retained(_) => {
                if let Some(cursor) = &mut self.subscription.cursor {
                    cursor.step();
                }
                self.left -= 1;
                self.subscriber.delivered += 1;
                self.done.retained += 1;
            }
            Offered::Waiting => {
                let count = self.segment.next - self.segment.from;
                self.segment.to = 0;
                self.segment.next = 0;
                if count > 0 {
                    self.subscription.buffer.pop(self.runs, self.store, count);
                }
                self.left -= usize::from(count);
                self.subscriber.delivered += u64::from(count);
                self.done.waiting += u64::from(count);
            }
        }
    }

    /// The last offer is not taken.
    fn fail(&mut self) {
        match self.offered {
            // Those before it are.
            Offered::Waiting => self.segment.next = self.segment.from.max(self.segment.next.saturating_sub(1)),
            _ => self.offered = Offered::Nothing,
        }
    }
}

impl<S> Topics<S> {
    /// The turn of whoever is next in a subscription.
    pub(super) fn turn(
        &mut self,
        store: &mut Store,
        key: Key,
        quantum: usize,
        deliver: &mut impl FnMut(&mut TopicTurn<'_, S>) -> Result<(), Undeliverable>,
    ) -> Done {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return Done::default() };
        let Some((id, share)) = subscription.next_turn(quantum) else { return Done::default() };
        let Some(subscriber) = self.subscribers.get_mut(id) else {
            subscription.was_stale();
            return Done::default();
        };
        subscriber.is_listed = false;
        let left = subscriber.room().min(share as u64) as usize;
        let (runs, retained) = (&mut self.runs, &self.retained);
        let (segment, offered, done) = (Segment::EMPTY, Offered::Nothing, Done::default());
        let mut turn = TopicTurn { store, runs, retained, subscription, subscriber, left, segment, offered, done };
        let failed = deliver(&mut turn).err();
        if failed.is_some() {
            turn.fail();
        }
        turn.take_offered();
        let done = turn.done;
        subscription.buffer.relax();
        subscriber.is_blocked = failed.is_some() || done.is_nothing();
        subscription.delivered += done.waiting + done.retained;
        self.ledger.waiting -= done.waiting;
        self.ledger.delivered += done.waiting;
        self.ledger.retained_delivered += done.retained;
        self.ledger.announced += done.announced;
        match failed {
            Some(Undeliverable::Gone) => drop(self.unsubscribe(store, SubscriberId(id))),
            _ => subscription.list(id, subscriber),
        }
        done
    }
}

impl<S: fmt::Debug> fmt::Debug for TopicTurn<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicTurn")
            .field("subscriber", &self.subscriber.key)
            .field("taken", &self.done.taken())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
