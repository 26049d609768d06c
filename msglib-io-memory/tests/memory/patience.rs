//! A safety net for tests with several threads.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a safety net needs the real time")]

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// Waits for other threads by giving them a turn, and not for ever: a test that hangs fails.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    start: Instant,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        Patience { start: Instant::now() }
    }

    pub(crate) fn turn(self) {
        assert!(self.start.elapsed() < Duration::from_secs(20), "another thread never came to its end");
        thread::yield_now();
    }

    /// The count; or a turn for the others, and nothing.
    pub(crate) fn unless_blocked(self, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(count) => Some(count),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                self.turn();
                None
            }
        }
    }
}
