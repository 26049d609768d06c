//! Tags or numbers of a link as ranges, as they are on the wire (PROTOCOL §6.1): acks that wait to be sent, refusals.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;

/// A set of tags, or of numbers, as ranges that neither touch nor overlap.
#[derive(Debug, Default)]
pub(crate) struct NumberRanges {
    /// From the first of each range to its last.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl NumberRanges {
    /// Adds a range that is not empty, and joins it with what it touches.
    pub(crate) fn insert(&mut self, numbers: RangeInclusive<u64>) {
        let (mut first, mut last) = numbers.into_inner();
        // Most acks come in the order of their deliveries.
        if let Some(mut highest) = self.ranges.last_entry()
            && highest.get().checked_add(1) == Some(first)
        {
            highest.insert(last);
            self.count = self.count.saturating_add(length(first, last));
            return;
        }
        while let Some((&low, &high)) = self.ranges.range(..=last.saturating_add(1)).next_back() {
            if high.saturating_add(1) < first {
                break;
            }
            self.ranges.remove(&low);
            self.count = self.count.saturating_sub(length(low, high));
            first = first.min(low);
            last = last.max(high);
        }
        self.ranges.insert(first, last);
        self.count = self.count.saturating_add(length(first, last));
    }

    /// How many are in it.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Takes the lowest range out.
    pub(crate) fn pop_first(&mut self) -> Option<RangeInclusive<u64>> {
        let (first, last) = self.ranges.pop_first()?;
        self.count = self.count.saturating_sub(length(first, last));
        Some(first..=last)
    }

    /// The parts of a range that are not in it, in ascending order.
    pub(crate) fn missing(&self, numbers: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (mut next, last) = numbers.into_inner();
        let mut missing = Vec::new();
        let before = self.ranges.range(..next).next_back().into_iter();
        for (&low, &high) in before.chain(self.ranges.range(next..=last)) {
            if next < low {
                missing.push(next..=low - 1);
            }
            if high >= last {
                return missing;
            }
            next = next.max(high + 1);
        }
        missing.push(next..=last);
        missing
    }
}

fn length(first: u64, last: u64) -> u64 {
    (last - first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut ranges: NumberRanges) -> Vec<RangeInclusive<u64>> {
        core::iter::from_fn(|| ranges.pop_first()).collect()
    }

    #[test]
    fn neighbours_become_one_range_in_any_order() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [4, 1, 3, 2]] {
            let mut ranges = NumberRanges::default();
            order.into_iter().for_each(|tag| ranges.insert(tag..=tag));
            assert_eq!(ranges.count(), 4);
            assert_eq!(drained(ranges), [1..=4], "{order:?}");
        }
    }

    #[test]
    fn gaps_stay_and_overlaps_count_once() {
        let mut ranges = NumberRanges::default();
        ranges.insert(1..=2);
        ranges.insert(5..=9);
        ranges.insert(6..=7);
        assert_eq!(ranges.count(), 7);
        ranges.insert(20..=u64::MAX);
        assert_eq!(drained(ranges), [1..=2, 5..=9, 20..=u64::MAX]);
    }

    #[test]
    fn what_is_missing_lies_between_the_ranges() {
        let mut ranges = NumberRanges::default();
        assert_eq!(ranges.missing(1..=9), [1..=9]);
        ranges.insert(3..=4);
        ranges.insert(7..=7);
        for (of, missing) in [
            (1..=9, vec![1..=2, 5..=6, 8..=9]),
            (3..=7, vec![5..=6]),
            (4..=5, vec![5..=5]),
            (4..=4, vec![]),
            (8..=u64::MAX, vec![8..=u64::MAX]),
        ] {
            assert_eq!(ranges.missing(of.clone()), missing, "of {of:?}");
        }
        ranges.insert(1..=u64::MAX);
        assert!(ranges.missing(1..=u64::MAX).is_empty());
    }

    #[test]
    fn the_whole_range_fits() {
        let mut ranges = NumberRanges::default();
        ranges.insert(7..=7);
        ranges.insert(1..=u64::MAX);
        assert_eq!(ranges.count(), u64::MAX);
        assert_eq!(drained(ranges), [1..=u64::MAX]);
    }
}
