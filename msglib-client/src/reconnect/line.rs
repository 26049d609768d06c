//! The connection that is there now, and how the next one is made.
//!
//! Locks are taken in this order: maker, then current. The maker is locked for as long as making takes, waits included; the current
//! only for a moment, so that a stop need not wait.

use super::backoff::Backoff;
use super::chance::Chance;
use crate::connection::{Connection, Stopper};
use crate::error::Error;
use core::time::Duration;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Line {
    current: Mutex<Current>,
    maker: Mutex<Maker>,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Current {
    /// Counts connections.
    generation: Generation,
    connection: Option<Connection>,
    /// Ends the one that is being made.
    making: Option<Stopper>,
    /// Why the last connection, or attempt, came to its end.
    why: Option<Error>,
    stopped: bool,
}

/// Names a connection of a line for ever.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Generation(u64);

pub(super) type Connect = Box<dyn FnMut() -> Result<Connection, Error> + Send>;
pub(super) type Wait = Box<dyn FnMut(&Error, Duration) + Send>;

pub(super) struct Maker {
    pub(super) connect: Connect,
    pub(super) wait: Wait,
    pub(super) backoff: Backoff,
    pub(super) chance: Chance,
    /// 0 for no limit.
    pub(super) max_attempts: u32,
    /// A connection whose broker has not greeted yet.
    pub(super) greeting: Option<Connection>,
}

/// What came of an attempt.
enum Attempt {
    Made(Connection),
    /// The stream did not wait, and the call can be made again.
    NotYet(Error),
    Failed(Error),
}

impl Line {
    pub(super) fn new(maker: Maker, wake: Box<dyn Fn() + Send + Sync>) -> Line {
        Line { current: Mutex::default(), maker: Mutex::new(maker), wake }
    }

    /// Makes a call on the current connection, and on the next one when that ends, until it has a result of its own. The connection's
    /// end is one where no other would fare better.
    pub(super) fn keep_trying<T>(
        &self,
        mut call: impl FnMut(Generation, &Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let Some((generation, connection)) = self.current()? else {
                self.make()?;
                continue;
            };
            match call(generation, &connection) {
                Err(error) if error.ends_connection() => self.lost(generation, error)?,
                result => return result,
            }
        }
    }

    /// The end of all; see [`Reconnecting::stop`](super::Reconnecting::stop).
    pub(super) fn stop(&self) {
        let mut current = lock(&self.current);
        current.stopped = true;
        let (making, connection) = (current.making.take(), current.connection.take());
        drop(current);
        for stopper in making.into_iter().chain(connection.map(|connection| connection.stopper())) {
            stopper.stop();
        }
        (self.wake)();
    }

    /// As [`stop`](Self::stop), but a connection that is there is left as it is.
    pub(super) fn retire(&self) -> Option<Connection> {
        let mut current = lock(&self.current);
        current.stopped = true;
        let connection = current.connection.take();
        drop(current);
        self.stop();
        connection
    }

    pub(super) fn id(&self) -> u128 {
        lock(&self.maker).chance.id()
    }

    fn current(&self) -> Result<Option<(Generation, Connection)>, Error> {
        let current = lock(&self.current);
        match current.stopped {
            true => Err(Error::Closed),
            false => Ok(current.connection.clone().map(|connection| (current.generation, connection))),
        }
    }

    /// A connection has ended. The error is returned if there shall not be another one.
    fn lost(&self, generation: Generation, error: Error) -> Result<(), Error> {
        let mut current = lock(&self.current);
        if current.stopped {
            return Err(Error::Closed);
        }
        if !is_worth_another(&error) {
            return Err(error);
        }
        if current.generation != generation {
            return Ok(());
        }
        current.why = Some(error);
        let connection = current.connection.take();
        drop(current);
        // Publishers and subscriptions have it until they are called again.
        connection.inspect(Connection::hang_up);
        Ok(())
    }

    /// Makes the next connection, unless another thread has meanwhile.
    fn make(&self) -> Result<(), Error> {
        let mut maker = lock(&self.maker);
        let mut attempts = 0;
        while self.current()?.is_none() {
            match maker.attempt(self) {
                Attempt::Made(connection) => self.install(connection),
                Attempt::NotYet(error) => return Err(error),
                Attempt::Failed(error) => {
                    attempts += 1;
                    lock(&self.current).why = Some(error.clone());
                    if !is_worth_another(&error) || attempts == maker.max_attempts {
                        return Err(error);
                    }
                }
            }
        }
        maker.backoff.reset();
        Ok(())
    }

    /// Says how the connection that is being made can be ended; false if all is over already.
    fn making(&self, connection: &Connection) -> bool {
        let mut current = lock(&self.current);
        current.making = Some(connection.stopper());
        !current.stopped
    }

    fn install(&self, connection: Connection) {
        let mut current = lock(&self.current);
        current.making = None;
        if current.stopped {
            return;
        }
        current.generation.0 += 1;
        current.connection = Some(connection);
    }
}

impl Maker {
    fn attempt(&mut self, line: &Line) -> Attempt {
        let connection = match self.greeting.take() {
            Some(connection) => connection,
            None => match self.connect(line) {
                Ok(connection) => connection,
                Err(error) => return Attempt::Failed(error),
            },
        };
        if !line.making(&connection) {
            return Attempt::Failed(Error::Closed);
        }
        match connection.welcome() {
            Ok(_) => Attempt::Made(connection),
            Err(error) if is_not_now(&error) => {
                self.greeting = Some(connection);
                Attempt::NotYet(error)
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    /// Connects, after a wait if something has gone wrong before.
    fn connect(&mut self, line: &Line) -> Result<Connection, Error> {
        let why = lock(&line.current).why.clone();
        if let Some(why) = why {
            (self.wait)(&why, self.backoff.next_wait(&mut self.chance));
            // Somebody may have stopped it meanwhile.
            line.current()?;
        }
        (self.connect)()
    }
}

/// The stream does not wait. One that did, and had no answer in its time, has a broker that is worth no more time.
fn is_not_now(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Whether another connection may fare better.
fn is_worth_another(error: &Error) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, PermissionDenied, Unsupported};
    match error {
        Error::Io(error) => !matches!(error.kind(), InvalidData | InvalidInput | PermissionDenied | Unsupported),
        error => error.is_worth_retrying(),
    }
}

/// A panic of the user's `connect` or `wait`, the only foreign code that runs under a lock, leaves nothing half changed here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
