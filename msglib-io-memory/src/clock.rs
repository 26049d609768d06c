//! Time in a transport's world: it stands still until somebody moves it.

use core::time::Duration;
use msglib_proto::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The clock of a [`Transport`](crate::Transport). Clones are the same clock.
///
/// Starts at [`Instant::ZERO`], moves only by [`advance`](Clock::advance), never goes back, and stops at
/// [`Instant::MAX`].
///
/// ```
/// use msglib_io_memory::Transport;
/// use std::time::Duration;
///
/// let clock = Transport::new().clock();
/// let start = clock.now();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now() - start, Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock {
    nanos: Arc<AtomicU64>,
}

impl Clock {
    /// The time. Takes no lock.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos.load(Ordering::Acquire))
    }

    /// Lets `by` pass. What is due by then happens at the manager's next poll.
    pub fn advance(&self, by: Duration) {
        let later = |nanos| Some((Instant::from_nanos(nanos) + by).as_nanos());
        // The closure never declines, so both arms mean the same.
        let (Ok(_) | Err(_)) = self.nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_one_clock_and_it_saturates() {
        let clock = Clock::default();
        let other = clock.clone();
        clock.advance(Duration::from_nanos(7));
        assert_eq!(other.now(), Instant::from_nanos(7));
        other.advance(Duration::MAX);
        other.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Instant::MAX);
    }
}
