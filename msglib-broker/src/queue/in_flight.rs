//! What one consumer holds: a ring of dense tags.

use super::messages::Ticket;
use super::relax;
use super::store::Stored;
use core::ops::RangeInclusive;
use std::collections::VecDeque;

/// The deliveries in flight to one consumer, by tag. Tags are dense, so that a look-up is an index.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The tags before the first slot.
    before: u64,
    /// From the oldest delivery that is not settled to the newest.
    slots: VecDeque<Slot>,
    /// How many of them are not settled.
    held: usize,
    /// Slots that were looked at: what the tests count.
    #[cfg(test)]
    looked: core::cell::Cell<usize>,
}

/// One delivery that is not settled.
#[derive(Debug)]
pub(super) enum Held {
    /// A message that has nothing but its payload and its number, delivered for the first time.
    Plain(Stored, u64),
    /// One with a record.
    Record(Ticket),
}

/// A delivery in 16 bytes.
#[derive(Debug)]
struct Slot {
    /// Of a plain one.
    payload: Option<Stored>,
    /// Its number; without a payload the ticket, or that it is settled.
    what: u64,
}

/// This bit is set in a slot that is settled. The others say how far it is from there to one that may not be: those between are.
const SETTLED: u64 = 1 << 63;

impl Slot {
    #[inline]
    fn new(held: Held) -> Slot {
        match held {
            Held::Plain(payload, id) => Slot { payload: Some(payload), what: id },
            Held::Record(Ticket(index)) => Slot { payload: None, what: index.into() },
        }
    }

    #[inline]
    fn take(&mut self) -> Option<Held> {
        let what = core::mem::replace(&mut self.what, SETTLED | 1);
        match self.payload.take() {
            Some(payload) => Some(Held::Plain(payload, what)),
            None if what & SETTLED != 0 => None,
            None => Some(Held::Record(Ticket(what as u32))),
        }
    }

    fn is_settled(&self) -> bool {
        self.payload.is_none() && self.what & SETTLED != 0
    }

    /// Where one is settled: how far on to look for one that is not.
    fn skip(&self) -> Option<usize> {
        self.is_settled().then_some((self.what & !SETTLED) as usize)
    }
}

impl InFlight {
    pub(super) fn last_tag(&self) -> u64 {
        self.before + self.slots.len() as u64
    }

    pub(super) fn next_tag(&self) -> u64 {
        self.last_tag() + 1
    }

    /// The oldest tag that may be in flight.
    pub(super) fn first_tag(&self) -> u64 {
        self.before + 1
    }

    /// From the oldest delivery that is not settled to the newest.
    pub(super) fn span(&self) -> usize {
        self.slots.len()
    }

    /// How many are not settled.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    #[cfg(test)]
    pub(super) fn looked(&self) -> usize {
        self.looked.get()
    }

    /// The message is delivered with the next tag.
    pub(super) fn push(&mut self, held: Held) {
        self.slots.push_back(Slot::new(held));
        self.held += 1;
    }

    /// The first so many of a ring are delivered with the next tags; the number of the first is `first`.
    #[inline]
    pub(super) fn push_plain(&mut self, ring: &mut VecDeque<Stored>, count: usize, first: u64) {
        // In two passes: the length of a drain is not trusted, and each of its elements would be checked for room.
        let taken = ring.range_mut(..count).map(Stored::take).zip(first..);
        self.slots.extend(taken.map(|(payload, id)| Slot { payload: Some(payload), what: id }));
        ring.drain(..count);
        self.held += count;
    }

    /// Whether these tags begin with the oldest delivery: as they do where consumers ack in order.
    #[inline]
    pub(super) fn begins_with(&self, tags: &RangeInclusive<u64>) -> bool {
        *tags.start() <= self.first_tag()
    }

    /// Takes out those of `tags` that are in flight, and says how many. The tags [begin](Self::begins_with) with the oldest delivery.
    #[inline]
    pub(super) fn take_first(&mut self, tags: &RangeInclusive<u64>, mut settle: impl FnMut(Held)) -> usize {
        let Some((_, last)) = self.indices(tags) else { return 0 };
        let mut count = 0;
        self.before += last as u64 + 1;
        self.slots.drain(..=last).for_each(|mut slot| {
            if let Some(held) = slot.take() {
                count += 1;
                settle(held);
            }
        });
        self.taken(count)
    }

    /// As [`take_first`](Self::take_first), whatever the tags are.
    pub(super) fn take(&mut self, tags: &RangeInclusive<u64>, mut settle: impl FnMut(Held)) -> usize {
        let Some((first, last)) = self.indices(tags) else { return 0 };
        let (mut count, mut at) = (0, self.skip_settled(first));
        while at <= last {
            if let Some(held) = self.slots[at].take() {
                count += 1;
                settle(held);
            }
            at = self.skip_settled(at + 1);
        }
        self.taken(count)
    }

    #[inline]
    fn taken(&mut self, count: usize) -> usize {
        while self.slots.front().is_some_and(Slot::is_settled) {
            self.slots.pop_front();
            self.before += 1;
        }
        self.held -= count;
        relax(&mut self.slots);
        count
    }

    /// Does something with those of `tags` that are in flight. A plain one can be put into a record.
    pub(super) fn for_each(&mut self, tags: &RangeInclusive<u64>, mut act: impl FnMut(u64, HeldMut<'_>)) {
        let Some((first, last)) = self.indices(tags) else { return };
        let mut at = self.skip_settled(first);
        while at <= last {
            act(self.before + 1 + at as u64, HeldMut(&mut self.slots[at]));
            at = self.skip_settled(at + 1);
        }
    }

    /// The first of these tags that is in flight.
    pub(super) fn first_of(&mut self, tags: RangeInclusive<u64>) -> Option<u64> {
        let (first, last) = self.indices(&tags)?;
        let at = self.skip_settled(first);
        (at <= last).then_some(self.before + 1 + at as u64)
    }

    /// The first slot from this one on that is not settled, or the end. What was passed over to find it is passed over at once the next
    /// time (path compression, as in union-find), so that whoever names settled deliveries again and again makes no work.
    fn skip_settled(&mut self, from: usize) -> usize {
        let mut end = from;
        while let Some(skip) = self.slots.get(end).and_then(Slot::skip) {
            end += skip;
            self.look();
        }
        let mut at = from;
        while let Some(skip) = self.slots.get(at).filter(|_| at < end).and_then(Slot::skip) {
            self.slots[at].what = SETTLED | (end - at) as u64;
            at += skip;
        }
        end
    }

    #[inline]
    fn look(&self) {
        #[cfg(test)]
        self.looked.set(self.looked.get() + 1);
    }

    /// All that are in flight, with their tags and only to look at: the ticket, or the payload and its number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Result<Ticket, (&Stored, u64)>)> {
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| !slot.is_settled());
        slots.map(|(index, slot)| {
            let held = match &slot.payload {
                Some(payload) => Err((payload, slot.what)),
                None => Ok(Ticket(slot.what as u32)),
            };
            (self.before + 1 + index as u64, held)
        })
    }

    /// The ticket of a delivery in flight, if it has one; `None` if it is not in flight.
    pub(super) fn get(&self, tag: u64) -> Option<Option<Ticket>> {
        self.look();
        let (index, _) = self.indices(&(tag..=tag))?;
        let slot = &self.slots[index];
        (!slot.is_settled()).then(|| slot.payload.is_none().then_some(Ticket(slot.what as u32)))
    }

    /// All that is in flight, in the order of the tags.
    pub(super) fn into_held(self) -> impl Iterator<Item = Held> {
        self.slots.into_iter().filter_map(|mut slot| slot.take())
    }

    /// Where those of a range of tags are that may be in flight.
    #[inline]
    fn indices(&self, tags: &RangeInclusive<u64>) -> Option<(usize, usize)> {
        let first = (*tags.start()).max(self.before + 1);
        let last = (*tags.end()).min(self.last_tag());
        (first <= last).then(|| ((first - self.before - 1) as usize, (last - self.before - 1) as usize))
    }
}

/// A delivery in flight, where it is.
pub(super) struct HeldMut<'a>(&'a mut Slot);

impl HeldMut<'_> {
    /// Its ticket; one without is put into a record by `make`.
    pub(super) fn ticket(self, make: impl FnOnce(Stored, u64) -> Ticket) -> Ticket {
        match self.0.payload.take() {
            None => Ticket(self.0.what as u32),
            Some(payload) => {
                let ticket = make(payload, self.0.what);
                self.0.what = ticket.0.into();
                ticket
            }
        }
    }
}
