//! Makes a failing schedule short: takes operations out as long as it still fails in the same way (delta debugging, after Zeller
//! and Hildebrandt).

use super::report::Failure;

/// Runs that are spent on it at most.
const MOST_RUNS: usize = 3_000;

/// The shortest list found for which `run` fails with the same checker, and whether it does without faults of the network.
pub(super) fn shrink(
    failure: &Failure,
    keep: Option<Vec<usize>>,
    is_calm: bool,
    run: impl Fn(&[usize], bool) -> Option<Failure>,
) -> (Vec<usize>, bool) {
    let mut search = Search { checker: failure.violation.checker, is_calm, runs: 0, run };
    let mut kept = match (keep, failure.at) {
        (Some(keep), _) => keep,
        (None, Some(at)) => (0..=at).collect(),
        // It failed at the end: the whole schedule was played, and indices beyond it mean nothing.
        (None, None) => (0..MOST_OPERATIONS).collect(),
    };
    if !is_calm && search.fails(&kept, true) {
        search.is_calm = true;
    }
    if failure.at.is_none() {
        kept = search.without_tail(kept);
    }
    let shortest = search.minimal(kept);
    (shortest, search.is_calm)
}

/// More than any schedule has.
const MOST_OPERATIONS: usize = 1 << 16;

struct Search<R> {
    checker: &'static str,
    is_calm: bool,
    runs: usize,
    run: R,
}

impl<R: Fn(&[usize], bool) -> Option<Failure>> Search<R> {
    fn fails(&mut self, kept: &[usize], is_calm: bool) -> bool {
        self.runs += 1;
        (self.run)(kept, is_calm).is_some_and(|failure| failure.violation.checker == self.checker)
    }

    /// Halves the list from its end, as long as that fails.
    fn without_tail(&mut self, mut kept: Vec<usize>) -> Vec<usize> {
        while kept.len() > 1 {
            let half = kept[..kept.len() / 2].to_vec();
            if !self.fails(&half, self.is_calm) {
                break;
            }
            kept = half;
        }
        kept
    }

    /// Takes out pieces, smaller and smaller, until no single operation can be spared.
    fn minimal(&mut self, mut kept: Vec<usize>) -> Vec<usize> {
        let mut piece = kept.len().div_ceil(2).max(1);
        loop {
            let (mut at, mut shorter) = (0, false);
            while at < kept.len() && self.runs < MOST_RUNS {
                let end = (at + piece).min(kept.len());
                let without: Vec<usize> = [&kept[..at], &kept[end..]].concat();
                if self.fails(&without, self.is_calm) {
                    kept = without;
                    shorter = true;
                } else {
                    at = end;
                }
            }
            if self.runs >= MOST_RUNS || piece == 1 && !shorter {
                return kept;
            }
            piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::Violation;

    #[test]
    fn what_is_not_needed_is_taken_out() {
        let failure = || Failure { violation: Violation { checker: "it", words: "".into() }, at: Some(999) };
        let needs = [3, 500, 501, 998];
        let run = |keep: &[usize], _| needs.iter().all(|need| keep.contains(need)).then(failure);
        assert_eq!(shrink(&failure(), None, false, run), (needs.to_vec(), true));
    }

    #[test]
    fn a_failure_by_another_checker_is_another_failure() {
        let failure = |checker| Failure { violation: Violation { checker, words: "".into() }, at: Some(9) };
        let run = |keep: &[usize], _| Some(failure(if keep.len() > 4 { "it" } else { "something else" }));
        assert_eq!(shrink(&failure("it"), None, true, run).0.len(), 5);
    }
}
