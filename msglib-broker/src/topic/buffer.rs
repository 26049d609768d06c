//! What waits for one subscription: a ring with a bound, what to do when it is full, and how much was lost where.

use super::TopicOverflow;
use super::runs::{RunIndex, Runs};
use super::topics::TopicKey;
use crate::queue::Store;
use std::collections::{BTreeMap, VecDeque};

/// How much may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bound {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) overflow: TopicOverflow,
}

#[derive(Debug)]
pub(super) struct Buffer {
    bound: Bound,
    /// Nothing in it is empty.
    ring: VecDeque<Waiting>,
    /// Messages in it.
    len: usize,
    /// Bytes in it, each message as if it waited here alone.
    bytes: usize,
    /// Lost behind the last one that waits.
    lost_at_end: u64,
    /// With [`TopicOverflow::KeepLatest`], where each in the ring is one message: the number of the one that waits, by its topic.
    latest: BTreeMap<TopicKey, u64>,
    /// With the same, how many have left the front: what is in the ring has numbers from here on.
    before: u64,
}

/// Messages of a run that wait. Each of these holds its run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) run: RunIndex,
    /// The first that waits.
    pub(super) from: u16,
    /// Behind the last.
    pub(super) to: u16,
    /// Lost between it and the one before.
    pub(super) lost_before: u64,
}

/// What became of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pushed {
    /// So many messages are lost: of the run, and of those that waited before.
    Lost(u64),
    /// All of the run is lost that did not fit, and the subscription is over.
    TooSlow(u64),
}

impl Buffer {
    pub(super) fn new(bound: Bound) -> Buffer {
        let (ring, latest) = (VecDeque::new(), BTreeMap::new());
        Buffer { bound, ring, len: 0, bytes: 0, lost_at_end: 0, latest, before: 0 }
    }

    pub(super) fn bound(&self) -> Bound {
        self.bound
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to say: no message, and none that is lost.
    pub(super) fn is_silent(&self) -> bool {
        self.len == 0 && self.lost_at_end == 0
    }

    /// How many messages and bytes it has room for.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.bound.messages.saturating_sub(self.len), self.bound.bytes.saturating_sub(self.bytes))
    }

    /// Whether it is half full.
    pub(super) fn is_pressed(&self) -> bool {
        2 * self.len >= self.bound.messages || 2 * self.bytes >= self.bound.bytes
    }

    /// Takes a run, as far as its bound and its overflow let it.
    #[inline]
    pub(super) fn push(&mut self, runs: &mut Runs, store: &mut Store, index: RunIndex) -> Pushed {
        let run = runs.get(index);
        let (len, bytes) = (self.len + run.len(), self.bytes + run.bytes);
        let is_plain = self.bound.overflow != TopicOverflow::KeepLatest;
        if is_plain && len <= self.bound.messages && bytes <= self.bound.bytes {
            let (to, lost_before) = (run.len() as u16, core::mem::take(&mut self.lost_at_end));
            (self.len, self.bytes) = (len, bytes);
            runs.hold(index);
            self.ring.push_back(Waiting { run: index, from: 0, to, lost_before });
            return Pushed::Lost(0);
        }
        self.push_one_by_one(runs, store, index)
    }

    pub(super) fn front(&self) -> Option<Waiting> {
        self.ring.front().copied()
    }

    /// The first `count` messages, all of them of the run in front, are delivered.
    pub(super) fn pop(&mut self, runs: &mut Runs, store: &mut Store, count: u16) {
        let Some(front) = self.ring.front_mut() else { return };
        let taken = usize::from(front.from)..usize::from(front.from + count);
        let run = runs.get(front.run);
        self.len -= taken.len();
        self.bytes -= match taken.len() == run.len() {
            true => run.bytes,
            false => taken.map(|at| run.size(at)).sum(),
        };
        if self.bound.overflow == TopicOverflow::KeepLatest {
            self.before += 1;
            self.latest.remove(&run.topic);
        }
        front.from += count;
        if front.from == front.to {
            let run = front.run;
            self.ring.pop_front();
            runs.release(store, run);
        }
    }

    /// Gives back memory that a burst has left behind.
    pub(super) fn relax(&mut self) {
        super::relax(&mut self.ring);
    }

    /// How much was lost before what comes next.
    #[inline]
    pub(super) fn gap(&self) -> u64 {
        self.ring.front().map_or(self.lost_at_end, |waiting| waiting.lost_before)
    }

    /// Whoever it is for knows of the gap.
    pub(super) fn close_gap(&mut self) {
        match self.ring.front_mut() {
            Some(waiting) => waiting.lost_before = 0,
            None => self.lost_at_end = 0,
        }
    }

    /// Lets go of everything, and returns how many waited.
    pub(super) fn clear(mut self, runs: &mut Runs, store: &mut Store) -> u64 {
        self.ring.drain(..).for_each(|waiting| runs.release(store, waiting.run));
        self.len as u64
    }

    #[cold]
    fn push_one_by_one(&mut self, runs: &mut Runs, store: &mut Store, index: RunIndex) -> Pushed {
        let len = runs.get(index).len();
        let mut lost = 0;
        if self.bound.overflow == TopicOverflow::KeepLatest {
            // Of one topic, so only the last one can stay.
            lost += len as u64 - 1;
            self.lost_at_end += lost;
            return Pushed::Lost(lost + self.push_latest(runs, store, index, len - 1));
        }
        for at in 0..len {
            let size = runs.get(index).size(at);
            while !self.has_room(size) {
                match self.bound.overflow {
                    TopicOverflow::Disconnect => return Pushed::TooSlow((len - at) as u64),
                    TopicOverflow::DropNewest => {
                        // A smaller one behind it may have room.
                        self.lost_at_end += 1;
                        break;
                    }
                    TopicOverflow::DropOldest | TopicOverflow::KeepLatest => self.drop_oldest(runs, store),
                }
                lost += 1;
            }
            match self.has_room(size) {
                true => self.append(runs, index, at, size),
                false => lost += 1,
            }
        }
        Pushed::Lost(lost)
    }

    /// The latest message of a topic: in the place of an earlier one, if one waits. Returns how many are lost for it.
    fn push_latest(&mut self, runs: &mut Runs, store: &mut Store, index: RunIndex, at: usize) -> u64 {
        let (topic, size) = (runs.get(index).topic, runs.get(index).size(at));
        let number = self.latest.get(&topic).copied();
        let Some(waiting) = number.and_then(|number| self.ring.get_mut((number - self.before) as usize)) else {
            let mut lost = 0;
            while !self.has_room(size) {
                self.drop_oldest(runs, store);
                lost += 1;
            }
            self.latest.insert(topic, self.before + self.ring.len() as u64);
            self.append(runs, index, at, size);
            return lost;
        };
        let old = (waiting.run, usize::from(waiting.from));
        (waiting.run, waiting.from, waiting.to) = (index, at as u16, at as u16 + 1);
        // What is lost of its own run came behind what waits, but there is nothing left of its topic before it.
        waiting.lost_before += 1 + core::mem::take(&mut self.lost_at_end);
        runs.hold(index);
        self.bytes = self.bytes - runs.get(old.0).size(old.1) + size;
        runs.release(store, old.0);
        let mut lost = 1;
        // It may be larger than the one before.
        while self.len > 1 && self.bytes > self.bound.bytes {
            if self.front().is_some_and(|front| front.run == index) {
                self.put_front_last(runs);
            } else {
                self.drop_oldest(runs, store);
                lost += 1;
            }
        }
        lost
    }

    /// What was lost before it is then lost before the next.
    fn put_front_last(&mut self, runs: &Runs) {
        let Some((moved, _)) = self.take_front(runs) else { return };
        if let Some(front) = self.ring.front_mut() {
            front.lost_before += moved.lost_before;
        }
        let run = runs.get(moved.run);
        self.latest.insert(run.topic, self.before + self.ring.len() as u64);
        self.len += 1;
        self.bytes += run.size(usize::from(moved.from));
        self.ring.push_back(Waiting { lost_before: 0, ..moved });
    }

    /// A message that is too large for the bound still waits, alone.
    fn has_room(&self, size: usize) -> bool {
        self.len == 0 || (self.len < self.bound.messages && self.bytes + size <= self.bound.bytes)
    }

    fn append(&mut self, runs: &mut Runs, run: RunIndex, at: usize, size: usize) {
        self.len += 1;
        self.bytes += size;
        let at = at as u16;
        let is_plain = self.bound.overflow != TopicOverflow::KeepLatest;
        if let Some(last) = self.ring.back_mut()
            && is_plain
            && self.lost_at_end == 0
            && (last.run, last.to) == (run, at)
        {
            last.to += 1;
            return;
        }
        runs.hold(run);
        let lost_before = core::mem::take(&mut self.lost_at_end);
        self.ring.push_back(Waiting { run, from: at, to: at + 1, lost_before });
    }

    fn drop_oldest(&mut self, runs: &mut Runs, store: &mut Store) {
        let Some((dropped, is_last)) = self.take_front(runs) else { return };
        let lost = if is_last { dropped.lost_before + 1 } else { 1 };
        if is_last {
            runs.release(store, dropped.run);
        }
        match self.ring.front_mut() {
            Some(waiting) => waiting.lost_before += lost,
            None => self.lost_at_end += lost,
        }
    }

    /// Takes the first message out, and says whether it was the last of those that wait together; if so, its run is the caller's to
    /// release.
    fn take_front(&mut self, runs: &Runs) -> Option<(Waiting, bool)> {
        let front = self.ring.front_mut()?;
        let taken = *front;
        front.from += 1;
        let is_last = front.from == front.to;
        self.len -= 1;
        self.bytes -= runs.get(taken.run).size(usize::from(taken.from));
        if is_last {
            self.ring.pop_front();
        }
        if self.bound.overflow == TopicOverflow::KeepLatest {
            self.before += 1;
            self.latest.remove(&runs.get(taken.run).topic);
        }
        Some((taken, is_last))
    }
}
