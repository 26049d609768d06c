//! How another thread ends a broker's run.

use msglib_proto::transport::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a broker's [`run`](crate::Broker::run), from any thread. Cheap to clone; stopping twice, or a broker that is gone, is
/// harmless.
#[derive(Clone, Debug)]
pub struct Stop {
    stopped: Arc<AtomicBool>,
    waker: Option<Waker>,
}

impl Stop {
    pub(super) fn new(waker: Option<Waker>) -> Stop {
        Stop { stopped: Arc::default(), waker }
    }

    /// Ends the run after the step that is under way, and its waiting at once. It holds for good: a later run ends before its first
    /// step.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    /// Ends the broker's waiting, so that a step comes soon.
    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake();
        }
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
