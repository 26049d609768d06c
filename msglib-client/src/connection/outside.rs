//! What happens to a connection from outside of its calls: it is ended, and its heart beats.
//!
//! Both hold the connection weakly: it still ends, with a goodbye, when its last handle is dropped.

use super::Connection;
use super::call::Call;
use super::shared::Shared;
use super::state::State;
use crate::error::Error;
use crate::session::SessionError;
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Weak};

/// As many beats without a byte mean that nobody is there: one can be bad luck.
const MISSED: u32 = 2;

/// Makes a stream's reads and writes return that wait in other threads; see [`Builder::unblock_with`](super::Builder::unblock_with).
#[derive(Clone, Default)]
pub(super) struct Unblock(Option<Arc<dyn Fn() + Send + Sync>>);

impl Unblock {
    pub(super) fn with(unblock: impl Fn() + Send + Sync + 'static) -> Unblock {
        Unblock(Some(Arc::new(unblock)))
    }

    pub(super) fn call(&self) {
        if let Some(unblock) = &self.0 {
            unblock();
        }
    }
}

impl Connection {
    /// What ends the connection from outside of its calls.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::downgrade(&self.shared) }
    }

    /// It has ended, and whoever else has a handle on it shall not keep its stream: what is still due is written, the goodbye that
    /// answers the broker's, and the stream is done with.
    pub(crate) fn hang_up(&self) {
        // It fails if nothing may be written any more.
        let _ = self.shared.flush(&Call::unlimited(&self.shared));
        self.shared.unblock();
    }

    /// What keeps the connection alive while nothing else happens on it, and finds out when the broker is not.
    pub fn heart(&self) -> Heart {
        Heart { shared: Arc::downgrade(&self.shared), received: None, missed: 0 }
    }
}

/// Ends a connection at once, from any thread; made by [`Connection::stopper`].
///
/// Every call on the connection, also one that waits in another thread, returns [`Error::Closed`]. The broker is told nothing: what
/// was not written is lost, and deliveries that were not settled go back. A thread that is inside of a read or a write of the stream
/// notices it when that returns; so that it does at once, see [`Builder::unblock_with`](super::Builder::unblock_with).
///
/// ```no_run
/// use msglib_client::{Connection, blocking_pull_subscribe_to_queue};
/// use std::net::{Shutdown, TcpStream};
///
/// let stream = TcpStream::connect(("::1", 12345))?;
/// let (reader, handle) = (stream.try_clone()?, stream.try_clone()?);
/// let connection = Connection::builder()
///     .unblock_with(move || drop(handle.shutdown(Shutdown::Both)))
///     .build_from_halves(reader, stream)?;
/// let stopper = connection.stopper();
/// std::thread::spawn(move || stopper.stop()); // when somebody wants the program to end, say
///
/// let mut sub = blocking_pull_subscribe_to_queue(&connection, "jobs")?;
/// while let Ok(msg) = sub.next() {
///     msg.ack()?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Stopper {
    shared: Weak<Shared>,
}

impl Stopper {
    /// Ends the connection. Again, or when it is over already, it changes nothing.
    pub fn stop(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.end_with(Error::Closed);
        }
    }
}

/// Signs of life, at the pace of whoever calls; made by [`Connection::heart`].
///
/// A connection on which nothing happens is not known to be alive, and a broker may give up a client that says nothing for longer than
/// [`BrokerInfo::idle_ms`](crate::BrokerInfo::idle_ms) (PROTOCOL §4.2). Somebody, a thread or a timer, calls [`beat`](Heart::beat) at a
/// steady pace: this crate reads no clock.
///
/// ```no_run
/// use msglib_client::{Connection, Error};
/// use std::time::Duration;
/// # fn example(connection: &Connection) {
///
/// let mut heart = connection.heart();
/// std::thread::spawn(move || {
///     while heart.beat().is_ok() {
///         std::thread::sleep(heart.interval().unwrap_or(Duration::from_secs(30)));
///     }
/// });
/// # }
/// ```
pub struct Heart {
    shared: Weak<Shared>,
    /// What had been received at the last beat.
    received: Option<u64>,
    /// Beats in a row without a byte of the broker's.
    missed: u32,
}

impl Heart {
    /// Asks the broker for a sign of life. When nothing at all has come between three beats in a row, the connection is ended with
    /// [`Error::Silent`], for those as well who wait in other threads.
    ///
    /// It waits for nobody but the stream: where no other thread reads, it reads until the answer is there, or the stream waits no
    /// longer. A stream that waits for ever, which nobody else reads from, can keep it for ever.
    ///
    /// # Errors
    ///
    /// Why the connection is over: there is no need for another beat. [`Error::Closed`] also when its last handle was dropped.
    pub fn beat(&mut self) -> Result<(), Error> {
        let shared = self.shared.upgrade().ok_or(Error::Closed)?;
        let mut state = shared.lock();
        state.check_alive()?;
        let question = match state.ask_for_pong() {
            Ok(token) => Some(token),
            Err(SessionError::BeforeWelcome) => None,
            Err(error) => return Err(error.into()),
        };
        drop(state);
        let call = Call::unlimited(&shared);
        shared.write_unless_others_do(&call);
        let is_answered = |state: &State| match question {
            Some(token) => state.has_pong(token),
            None => state.session.welcome().is_some(),
        };
        while !is_answered(&shared.lock()) && shared.read_unless_others_do(&call) {}
        // An answer of this side's, to a question of the broker's.
        shared.write_unless_others_do(&call);
        let state = shared.lock();
        self.missed = if self.received == Some(state.received) { self.missed + 1 } else { 0 };
        self.received = Some(state.received);
        drop(state);
        if self.missed >= MISSED {
            shared.end_with(Error::Silent { beats: self.missed, peer: None });
        }
        shared.lock().check_alive()
    }

    /// A good time between two beats: half of the shorter of the two idle times, the broker's and
    /// [this side's](super::Builder::idle). `None` while the broker has not greeted, and when neither has one.
    pub fn interval(&self) -> Option<Duration> {
        let shared = self.shared.upgrade()?;
        let state = shared.lock();
        let ours = state.idle_ms;
        let theirs = state.session.welcome()?.idle_ms;
        let shorter = [ours, theirs].into_iter().filter(|&ms| ms > 0).min()?;
        // A millisecond is halved too: a beat must never come too late.
        Some(Duration::from_millis(shorter.into()) / 2)
    }
}

impl fmt::Debug for Unblock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Unblock(…)" } else { "Unblock(none)" })
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").finish_non_exhaustive()
    }
}

impl fmt::Debug for Heart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heart").field("missed", &self.missed).finish_non_exhaustive()
    }
}
