//! One call of the user's: what it is, and how long all of it may take.

use super::Connection;
use super::shared::Shared;
use super::state::State;
use crate::error::Error;
use core::fmt;
use core::task::Poll;
use core::time::Duration;
use msglib_proto::{Feature, Instant};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A half of a stream, in [`Builder::clock`](super::Builder::clock).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// Its reads.
    Reading,
    /// Its writes.
    Writing,
}

/// How long a call may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// As long as the stream waits, or until its deadline.
    Wait,
    /// It waits for nothing; it reads only if the stream is known not to wait.
    Never,
}

/// The time, and what ends waits with it.
#[derive(Clone)]
pub(super) struct Clock {
    pub(super) now: Arc<dyn Fn() -> Instant + Send + Sync>,
    pub(super) limit: Arc<dyn Fn(Half, Option<Duration>) + Send + Sync>,
    /// Waits for a change that another thread brings, or for so long.
    pub(super) wait: Option<Arc<Wait>>,
}

pub(super) type Wait = dyn Fn(&Condvar, MutexGuard<'_, u64>, Duration) + Send + Sync;

/// How often something has changed that somebody may wait for, for those who wait with a deadline.
#[derive(Debug, Default)]
pub(super) struct Changes {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Changes {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }
}

pub(super) struct Call<'c> {
    shared: &'c Shared,
    name: &'static str,
    patience: Patience,
    deadline: Option<Deadline>,
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    within: Duration,
}

impl Connection {
    /// Begins a call; its deadline counts from here.
    pub(super) fn call(&self, name: &'static str) -> Call<'_> {
        let deadline = self.within.zip(self.shared.clock());
        let deadline = deadline.map(|(within, clock)| Deadline { at: (clock.now)() + within, within });
        Call { shared: &self.shared, name, patience: Patience::Wait, deadline }
    }
}

impl<'c> Call<'c> {
    /// One that nobody waits for, so that it has no deadline.
    pub(super) fn unlimited(shared: &'c Shared) -> Call<'c> {
        Call { shared, name: "", patience: Patience::Wait, deadline: None }
    }

    /// It waits for nothing.
    pub(super) fn at_once(self) -> Call<'c> {
        Call { patience: Patience::Never, ..self }
    }

    /// See [`Shared::wait`].
    pub(super) fn wait<T>(&self, poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>) -> Result<T, Error> {
        self.shared.wait(self, poll)
    }

    /// See [`Shared::wait_and_gather`].
    pub(super) fn wait_and_gather<T>(
        &self,
        poll: impl FnMut(&mut State) -> Poll<Result<T, Error>>,
    ) -> Result<T, Error> {
        self.shared.wait_and_gather(self, poll)
    }

    /// Waits until it is known what the broker has, and whether this is of it.
    pub(super) fn agree_on(&self, feature: Feature) -> Result<(), Error> {
        self.wait(|state| state.agreed(feature).map_or_else(|error| Poll::Ready(Err(error)), |poll| poll.map(Ok)))
    }

    /// What stopped it, in the words that help most: that its time is over, if it could go on otherwise.
    pub(super) fn explain<T>(&self, error: Error) -> Result<T, Error> {
        let over = self.check_time().err().filter(|_| error.is_would_block());
        let mut state = self.shared.lock();
        let explained = state.explain(error);
        Err(over.map_or(explained, |over| state.named(over)))
    }

    pub(super) fn never_waits(&self) -> bool {
        self.patience == Patience::Never
    }

    /// What is left of its time; `None` if it has no deadline.
    pub(super) fn left(&self) -> Option<Duration> {
        let now = &self.shared.clock()?.now;
        self.deadline.map(|deadline| deadline.at.since(now()))
    }

    /// An error if its time is over.
    pub(super) fn check_time(&self) -> Result<(), Error> {
        match self.deadline {
            Some(Deadline { within, .. }) if self.left().is_some_and(|left| left.is_zero()) => {
                Err(Error::DeadlineOver { call: self.name, within, peer: None })
            }
            _ => Ok(()),
        }
    }

    /// Waits until another thread has brought something, for no longer than is left if that can be had. An early end changes nothing,
    /// for the clock decides.
    pub(super) fn wait_for_others(&self, changed: &Condvar, state: MutexGuard<'_, State>) {
        let wait = self.shared.clock().and_then(|clock| clock.wait.as_ref());
        let Some((wait, left)) = wait.zip(self.left()) else {
            return drop(changed.wait(state).unwrap_or_else(PoisonError::into_inner));
        };
        let changes = self.shared.changes();
        let seen = *changes.lock();
        // Whatever changes from here on is told behind what was seen.
        drop(state);
        let count = changes.lock();
        if *count == seen {
            wait(&changes.changed, count, left);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}
