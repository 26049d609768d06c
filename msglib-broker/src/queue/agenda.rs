//! What is to be done, and when: the timers of one queue.

use core::cmp::Reverse;
use core::ops::Not;
use msglib_proto::Instant;
use std::collections::{BinaryHeap, VecDeque};

/// Entries by due time; those that are due at the same time by the order of `T`.
///
/// Most of what a queue waits for comes in order by itself: leases and times to live are the same for all, so what begins later ends
/// later. Such entries are a ring, and cost the same however many there are; the others are in a heap. Nothing is cancelled: who asks
/// for the next entry says whether it still means something, and one that does not is dropped when it comes to the front, or
/// when there are more of them than of the others.
#[derive(Debug)]
pub(super) struct Agenda<T> {
    in_order: VecDeque<(Instant, T)>,
    others: BinaryHeap<Reverse<(Instant, T)>>,
}

impl<T: Ord + Copy> Agenda<T> {
    pub(super) const fn new() -> Agenda<T> {
        Agenda { in_order: VecDeque::new(), others: BinaryHeap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    pub(super) fn push(&mut self, at: Instant, what: T) {
        match self.in_order.back() {
            Some(last) if *last > (at, what) => self.others.push(Reverse((at, what))),
            _ => {
                if self.in_order.len() == self.in_order.capacity() {
                    // Less than twice as much: with many messages that is much.
                    self.in_order.reserve_exact((self.in_order.len() / 8).max(4));
                }
                self.in_order.push_back((at, what));
            }
        }
    }

    /// The first entry.
    pub(super) fn first(&self) -> Option<(Instant, T)> {
        match (self.in_order.front(), self.others.peek()) {
            (Some(a), Some(Reverse(b))) => Some(*a.min(b)),
            (Some(a), None) => Some(*a),
            (None, Some(Reverse(b))) => Some(*b),
            (None, None) => None,
        }
    }

    /// Takes out what [`first`](Self::first) says.
    pub(super) fn pop(&mut self) -> Option<(Instant, T)> {
        let first = self.first()?;
        if self.in_order.front() == Some(&first) {
            return self.in_order.pop_front();
        }
        self.others.pop().map(|Reverse(entry)| entry)
    }

    /// Puts another entry in the place of the first, due at the same time.
    pub(super) fn replace_first(&mut self, what: T) {
        let Some((at, _)) = self.pop() else { return };
        let is_still_in_order = self.in_order.front().is_none_or(|next| (at, what) <= *next);
        match is_still_in_order {
            true => self.in_order.push_front((at, what)),
            false => self.others.push(Reverse((at, what))),
        }
    }

    /// Drops the entries that mean nothing any more if there are more than `most` in all: for a caller whose `most` grows with those that
    /// do mean something, so that looking at all of them is paid for by those that were added since.
    pub(super) fn tidy(&mut self, most: usize, mut is_meant: impl FnMut(Instant, &T) -> bool) {
        if self.len() <= most {
            return;
        }
        self.in_order.retain(|(at, what)| is_meant(*at, what));
        self.others.retain(|Reverse((at, what))| is_meant(*at, what));
        self.in_order.shrink_to(most / 4);
        self.others.shrink_to(most / 4);
    }

    /// Forgets all, and gives back the memory.
    pub(super) fn clear(&mut self) {
        if self.is_empty().not() {
            *self = Agenda::new();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.others.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// Whatever the order of coming, the order of going is by time, then by number.
    #[test]
    fn entries_come_by_time_then_by_number() {
        let mut agenda = Agenda::new();
        let mut expected = Vec::new();
        for number in 0..1000_u32 {
            let due = at(u64::from(number * 7919 % 97));
            agenda.push(due, number);
            expected.push((due, number));
            if number % 5 == 4 {
                expected.sort_unstable();
                assert_eq!(agenda.pop(), Some(expected.remove(0)));
            }
        }
        expected.sort_unstable();
        assert_eq!(std::iter::from_fn(|| agenda.pop()).collect::<Vec<_>>(), expected);
        assert!(agenda.is_empty());
    }

    #[test]
    fn what_comes_in_order_never_goes_through_the_heap() {
        let mut agenda = Agenda::new();
        (0..1000_u32).for_each(|number| agenda.push(at(u64::from(number)), number));
        assert_eq!((agenda.in_order.len(), agenda.others.len()), (1000, 0));
        agenda.push(at(5), 1);
        assert_eq!(agenda.others.len(), 1);
    }

    #[test]
    fn the_first_can_be_replaced() {
        let mut agenda = Agenda::new();
        agenda.push(at(1), 1);
        agenda.push(at(1), 5);
        agenda.push(at(2), 9);
        agenda.replace_first(3);
        assert_eq!(agenda.first(), Some((at(1), 3)));
        agenda.replace_first(7);
        assert_eq!(std::iter::from_fn(|| agenda.pop()).collect::<Vec<_>>(), [(at(1), 5), (at(1), 7), (at(2), 9)]);
    }

    #[test]
    fn what_means_nothing_does_not_pile_up() {
        let mut agenda = Agenda::new();
        for number in 0..100_000_u64 {
            let due = if number % 2 == 0 { number } else { 1_000_000 - number };
            agenda.push(at(due), number);
            // All but the last ten are done with.
            agenda.tidy(64, |_, other| number - other < 10);
            assert!(agenda.len() <= 64);
        }
        assert!(agenda.in_order.capacity() + agenda.others.capacity() <= 512);
    }
}
