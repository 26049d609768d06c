//! Acks that wait to be sent, so that one frame can settle many (PROTOCOL §7.5).

use core::ops::RangeInclusive;
use std::collections::BTreeMap;

/// A set of tags as ranges that neither touch nor overlap.
#[derive(Debug, Default)]
pub(super) struct TagRanges {
    /// From the first tag of each range to its last.
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl TagRanges {
    /// Adds a range that is not empty, and joins it with what it touches.
    pub(super) fn insert(&mut self, tags: RangeInclusive<u64>) {
        let (mut first, mut last) = tags.into_inner();
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

    /// How many tags are in it.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes the lowest range out.
    pub(super) fn pop_first(&mut self) -> Option<RangeInclusive<u64>> {
        let (first, last) = self.ranges.pop_first()?;
        self.count = self.count.saturating_sub(length(first, last));
        Some(first..=last)
    }
}

fn length(first: u64, last: u64) -> u64 {
    (last - first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut ranges: TagRanges) -> Vec<RangeInclusive<u64>> {
        core::iter::from_fn(|| ranges.pop_first()).collect()
    }

    #[test]
    fn neighbours_become_one_range_in_any_order() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [4, 1, 3, 2]] {
            let mut ranges = TagRanges::default();
            order.into_iter().for_each(|tag| ranges.insert(tag..=tag));
            assert_eq!(ranges.count(), 4);
            assert_eq!(drained(ranges), [1..=4], "{order:?}");
        }
    }

    #[test]
    fn gaps_stay_and_overlaps_count_once() {
        let mut ranges = TagRanges::default();
        ranges.insert(1..=2);
        ranges.insert(5..=9);
        ranges.insert(6..=7);
        assert_eq!(ranges.count(), 7);
        ranges.insert(20..=u64::MAX);
        assert_eq!(drained(ranges), [1..=2, 5..=9, 20..=u64::MAX]);
    }

    #[test]
    fn the_whole_range_fits() {
        let mut ranges = TagRanges::default();
        ranges.insert(7..=7);
        ranges.insert(1..=u64::MAX);
        assert_eq!(ranges.count(), u64::MAX);
        assert_eq!(drained(ranges), [1..=u64::MAX]);
    }
}
