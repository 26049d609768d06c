//! How another thread ends a waiting poll.

use core::fmt;
use std::sync::Arc;

/// Ends a waiting [`poll`](super::ConnectionManager::poll) from another thread (T15).
///
/// Cheap to clone. Waking a manager that is gone, or that does not wait, is harmless; several wakes before the next
/// poll may count as one.
///
/// ```
/// use msglib_proto::transport::Waker;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use std::sync::Arc;
///
/// let woken = Arc::new(AtomicBool::new(false));
/// let waker = Waker::new({
///     let woken = woken.clone();
///     move || woken.store(true, Ordering::Release)
/// });
/// waker.wake();
/// assert!(woken.load(Ordering::Acquire));
/// ```
#[derive(Clone)]
pub struct Waker(Arc<dyn Fn() + Send + Sync>);

impl Waker {
    /// A waker that calls `wake`, which must not block and may be called from any thread.
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Waker {
        Waker(Arc::new(wake))
    }

    /// Ends the poll that waits now, or the next one.
    pub fn wake(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waker")
    }
}
