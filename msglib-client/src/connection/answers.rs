//! Which publishes of a link have their outcome, and which have none yet (PROTOCOL §7.2, §7.3).

use crate::number_ranges::NumberRanges;
use core::ops::RangeInclusive;

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// The number of the last publish.
    pub(super) published: u64,
    /// All up to here have their outcome.
    upto: u64,
    /// Those beyond that were refused: what lies between is accepted only when a `CONFIRMED` says so.
    refused: NumberRanges,
}

impl Answers {
    /// All up to this number have their outcome.
    pub(super) fn upto(&self) -> u64 {
        self.upto
    }

    /// Whether all publishes have their outcome.
    pub(super) fn all(&self) -> bool {
        self.upto >= self.published
    }

    /// The publishes that have no outcome.
    pub(super) fn missing(&self) -> Vec<RangeInclusive<u64>> {
        if self.all() { Vec::new() } else { self.refused.missing(self.upto + 1..=self.published) }
    }

    /// The broker has answered all up to `upto`.
    pub(super) fn confirm(&mut self, upto: u64) {
        self.upto = self.upto.max(upto);
        self.join();
    }

    /// The broker has refused publishes. Returns those of them that had no outcome before.
    pub(super) fn refuse(&mut self, numbers: RangeInclusive<u64>) -> Vec<RangeInclusive<u64>> {
        let (first, last) = numbers.into_inner();
        let first = first.max(self.upto.saturating_add(1));
        if first > last {
            return Vec::new();
        }
        let new = self.refused.missing(first..=last);
        self.refused.insert(first..=last);
        self.join();
        new
    }

    /// Refusals that follow what is answered move that on.
    fn join(&mut self) {
        while let Some(range) = self.refused.pop_first() {
            if *range.start() > self.upto.saturating_add(1) {
                return self.refused.insert(range);
            }
            self.upto = self.upto.max(*range.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_the_midst_leave_what_is_before_them_open() {
        let mut answers = Answers { published: 9, ..Answers::default() };
        assert_eq!(answers.refuse(3..=4), [3..=4]);
        assert_eq!((answers.upto(), answers.missing()), (0, vec![1..=2, 5..=9]));
        assert_eq!(answers.refuse(4..=5), [5..=5], "each is refused once");
        answers.confirm(2);
        assert_eq!((answers.upto(), answers.missing()), (5, vec![6..=9]));
        assert!(answers.refuse(1..=5).is_empty());
        assert_eq!(answers.refuse(1..=6), [6..=6]);
        answers.confirm(9);
        assert!(answers.all() && answers.missing().is_empty());
    }
}
