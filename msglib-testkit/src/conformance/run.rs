//! Running one case as a test.

use super::Fixture;
use core::fmt;
use core::time::Duration;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

/// A safety net: a case takes milliseconds, some seconds when it fails.
const LONGEST: Duration = Duration::from_secs(30);

/// What a case returns when it does not panic.
pub type Outcome = Result<(), Skipped>;

/// Why a case could not be run against a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    reason: String,
}

impl Skipped {
    pub(crate) fn new(reason: impl Into<String>) -> Skipped {
        Skipped { reason: reason.into() }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Runs `case` on a new fixture, as [`conformance!`](crate::conformance!) does; `name` is for messages.
///
/// The case has a thread to itself where there are threads, so that a manager that blocks for ever fails one test
/// instead of stopping all.
///
/// # Panics
///
/// When the case fails, or does not come back within half a minute.
pub fn run<F: Fixture + 'static>(name: &'static str, case: fn(&mut F) -> Outcome) {
    if !F::has_threads() {
        return run_here(name, case);
    }
    let (done, finished) = channel();
    let worker = thread::Builder::new().name(name.to_owned()).spawn(move || {
        run_here(name, case);
        // Nobody listens only if the net below has caught this case already.
        let _ = done.send(());
    });
    let worker = match worker {
        Ok(worker) => worker,
        Err(error) => panic!("{name}: no thread to run the case on: {error}"),
    };
    match finished.recv_timeout(LONGEST) {
        Err(RecvTimeoutError::Timeout) => {
            panic!("{name} has not come back in {LONGEST:?}: a call to the manager, or to a peer, blocks")
        }
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
    }
}

fn run_here<F: Fixture>(name: &str, case: fn(&mut F) -> Outcome) {
    let mut fixture = F::new();
    if let Err(why) = case(&mut fixture) {
        F::skipped(name, &why);
    }
}
