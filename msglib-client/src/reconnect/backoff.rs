//! How long to wait before the next attempt to connect.

use super::chance::Chance;
use core::time::Duration;

/// Waits that double, each with a random part.
///
/// The random part is what keeps clients that lost their broker together from coming back together: each wait is anything
/// from half of its step to the whole of it.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    /// The next step; `None` is the first.
    step: Option<Duration>,
}

impl Backoff {
    pub(super) fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, step: None }
    }

    /// The next wait. Its step is twice the last one, up to the longest.
    pub(super) fn next_wait(&mut self, chance: &mut Chance) -> Duration {
        let step = self.step.unwrap_or(self.first).min(self.most);
        self.step = Some(step.saturating_mul(2));
        step / 2 + (step / 2).mul_f64(chance.part())
    }

    /// All is well again: the next wait is a first one.
    pub(super) fn reset(&mut self) {
        self.step = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(30);

    fn waits(seed: u128, count: usize) -> Vec<Duration> {
        let (mut backoff, mut chance) = (Backoff::new(FIRST, MOST), Chance::new(seed));
        (0..count).map(|_| backoff.next_wait(&mut chance)).collect()
    }

    #[test]
    fn steps_double_up_to_the_most_and_each_wait_is_at_least_half_of_its_step() {
        let mut step = FIRST;
        for wait in waits(1, 40) {
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            step = (step * 2).min(MOST);
        }
        let (mut backoff, mut chance) = (Backoff::new(FIRST, MOST), Chance::new(1));
        let longest = (0..9).map(|_| backoff.next_wait(&mut chance)).max();
        assert!(longest > Some(FIRST * 10));
        backoff.reset();
        assert!(backoff.next_wait(&mut chance) <= FIRST);
    }

    #[test]
    fn clients_that_fail_together_do_not_come_back_together() {
        let firsts: std::collections::BTreeSet<Duration> = (0..100).map(|seed| waits(seed, 1)[0]).collect();
        assert!(firsts.len() > 95, "{} different waits of 100 clients", firsts.len());
        let (early, late) = (firsts.first(), firsts.last());
        assert!(early < Some(&Duration::from_millis(55)) && late > Some(&Duration::from_millis(95)), "{firsts:?}");
        assert_eq!(waits(7, 5), waits(7, 5), "one seed, one sequence");
    }

    #[test]
    fn the_longest_and_the_shortest_waits_that_there_are() {
        let mut chance = Chance::new(3);
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..3 {
            assert!(backoff.next_wait(&mut chance) >= Duration::MAX / 2 - Duration::from_secs(1));
        }
        assert_eq!(Backoff::new(FIRST, Duration::ZERO).next_wait(&mut chance), Duration::ZERO);
    }
}
