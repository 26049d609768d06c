//! Time and chance of the system, for clients, which have neither by themselves.

use msglib_proto::Instant;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A number that nobody else has, and that nobody can foresee: a client's seed.
///
/// ```
/// assert_ne!(msglib_io_epoll::seed(), msglib_io_epoll::seed());
/// ```
pub fn seed() -> u128 {
    // From the system's entropy, by way of std's hasher, which is seeded from it: 64 bits of each of two.
    let [high, low] = [RandomState::new(), RandomState::new()].map(|state| state.hash_one("msglib"));
    u128::from(high) << 64 | u128::from(low)
}

/// The system's time, from zero at the call: for a client's deadlines. It never goes back.
///
/// ```
/// let now = msglib_io_epoll::clock();
/// assert!(now() <= now());
/// ```
pub fn clock() -> impl Fn() -> Instant + Clone + Send + Sync + 'static {
    let start = std::time::Instant::now();
    move || Instant::ZERO + start.elapsed()
}

/// Waits until `changed` is notified, or for so long: for a client's calls that wait for another thread's, and no longer than until their
/// deadline.
///
/// ```
/// use std::sync::{Condvar, Mutex};
/// use std::time::Duration;
///
/// let (count, changed) = (Mutex::new(0), Condvar::new());
/// msglib_io_epoll::wait_at_most(&changed, count.lock().unwrap(), Duration::from_millis(1));
/// ```
pub fn wait_at_most(changed: &Condvar, count: MutexGuard<'_, u64>, longest: Duration) {
    drop(changed.wait_timeout(count, longest).unwrap_or_else(PoisonError::into_inner));
}

/// Waits that another thread can end; clones are the same.
///
/// ```
/// use msglib_io_epoll::Pause;
/// use std::time::Duration;
///
/// let pause = Pause::new();
/// assert!(pause.wait(Duration::from_millis(1)), "waited to the end");
///
/// let other = pause.clone();
/// let waits = std::thread::spawn(move || other.wait(Duration::from_secs(3600)));
/// pause.end();
/// assert!(!waits.join().unwrap());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pause {
    ended: Arc<(Mutex<bool>, Condvar)>,
}

impl Pause {
    /// One that nobody has ended.
    pub fn new() -> Pause {
        Pause::default()
    }

    /// Waits for so long, or until it is ended. Whether it was not.
    pub fn wait(&self, time: Duration) -> bool {
        let (ended, changed) = &*self.ended;
        let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) =
            changed.wait_timeout_while(ended, time, |ended| !*ended).unwrap_or_else(PoisonError::into_inner);
        !*ended
    }

    /// Ends the waits that are under way, and those that come later at once.
    pub fn end(&self) {
        let (ended, changed) = &*self.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}
