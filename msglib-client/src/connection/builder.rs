//! How to make a connection that says more of itself.

use super::Connection;
use super::call::{Call, Clock, Half};
use super::one_stream::OneStream;
use super::outside::Unblock;
use super::shared::Shared;
use super::state::State;
use crate::error::Error;
use crate::session::{Session, SessionConfig};
use core::fmt::Display;
use core::time::Duration;
use msglib_proto::Instant;
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, MutexGuard};

/// What a client says of itself, before its [`Connection`] is made.
///
/// ```no_run
/// use msglib_client::Connection;
/// use std::net::TcpStream;
///
/// let stream = TcpStream::connect(("::1", 12345))?;
/// stream.set_nodelay(true)?; // else small writes can wait 40 ms for each other
/// let connection = Connection::builder()
///     .name("billing")
///     .credentials("token", b"secret")
///     .max_payload(64 * 1024)
///     .build_from_halves(stream.try_clone()?, stream)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Builder {
    config: SessionConfig,
    non_blocking: bool,
    peer: Option<Arc<str>>,
    unblock: Unblock,
    clock: Option<Clock>,
    within: Option<Duration>,
}

impl Builder {
    /// What the client calls itself, for the broker's logs; at most 255 bytes.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.config.name = name.into();
        self
    }

    /// The largest payload that the client takes, in bytes. Default 16 MiB.
    pub fn max_payload(mut self, bytes: u32) -> Builder {
        self.config.max_payload = bytes;
        self
    }

    /// Who the client is, and the proof. What `mechanism` means (at most 255 bytes) is between the broker's author and
    /// its clients; with name and proof the `HELLO` has at most 16,384 bytes.
    pub fn credentials(mut self, mechanism: impl Into<String>, proof: &[u8]) -> Builder {
        self.config.mechanism = mechanism.into();
        self.config.credentials = proof.to_vec();
        self
    }

    /// After how long a silence of the broker this side gives up; zero, the default, for never. In milliseconds on the
    /// wire, rounded up, 49 days at most.
    ///
    /// The broker is told, and sends something well within that time. The client reads no clock: it is a [`Heart`](super::Heart) that
    /// acts on it, at the pace of whoever lets it beat.
    pub fn idle(mut self, after: Duration) -> Builder {
        let millis = after.as_nanos().div_ceil(1_000_000);
        self.config.idle_ms = u32::try_from(millis).unwrap_or(u32::MAX);
        self
    }

    /// Feature bits of the user's own that the client has, beside those of PROTOCOL §14.1; the broker's `WELCOME` says which both have.
    pub fn features(mut self, bits: u64) -> Builder {
        self.config.features |= bits;
        self
    }

    /// Says that reading from the stream never waits, so that `try_next` and `try_wait` may read. Default: no; then they
    /// see what other calls have read.
    pub fn non_blocking(mut self, is_so: bool) -> Builder {
        self.non_blocking = is_so;
        self
    }

    /// What the broker is called in errors that end the connection, say its address; without it they do not name it.
    pub fn peer(mut self, name: impl Display) -> Builder {
        self.peer = Some(name.to_string().into());
        self
    }

    /// What makes a read or a write of the stream return that waits in another thread, say a shutdown of the socket: called when the
    /// connection is ended from outside of its calls, by a [`Stopper`](super::Stopper) or a [`Heart`](super::Heart), and when it has ended
    /// and a [`Reconnecting`](crate::Reconnecting) goes on to the next. Later ones must not wait either.
    pub fn unblock_with(mut self, unblock: impl Fn() + Send + Sync + 'static) -> Builder {
        self.unblock = Unblock::with(unblock);
        self
    }

    /// What deadlines of whole calls need: the time, and how a read or a write of the stream that waits is kept from waiting beyond it.
    ///
    /// `limit` is called before each read or write of a call with a deadline, with what is left of it, 1 ms at least; and with `None` before
    /// the first one of a call without, for the stream's own time-out to hold again. Where it does nothing, a call can take longer than its
    /// deadline by what one read or write waits.
    ///
    /// ```no_run
    /// use msglib_client::{Connection, Half, Instant};
    /// use std::net::TcpStream;
    /// use std::time::Duration;
    ///
    /// let stream = TcpStream::connect(("::1", 12345))?;
    /// let (reader, limited) = (stream.try_clone()?, stream.try_clone()?);
    /// let start = std::time::Instant::now(); // msglib_io_epoll::clock() is the same
    /// let connection = Connection::builder()
    ///     .peer("[::1]:12345")
    ///     .clock(move || Instant::ZERO + start.elapsed(), move |half, left| {
    ///         // If it fails, so will the read or write.
    ///         let _ = match half {
    ///             Half::Reading => limited.set_read_timeout(left),
    ///             Half::Writing => limited.set_write_timeout(left),
    ///         };
    ///     })
    ///     .call_timeout(Duration::from_secs(5))
    ///     .build_from_halves(reader, stream)?;
    ///
    /// let patient = connection.with_call_timeout(Some(Duration::from_secs(60)));
    /// patient.publish_to_q_confirmed("jobs", "a job")?.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn clock(
        mut self,
        now: impl Fn() -> Instant + Send + Sync + 'static,
        limit: impl Fn(Half, Option<Duration>) + Send + Sync + 'static,
    ) -> Builder {
        self.clock = Some(Clock { now: Arc::new(now), limit: Arc::new(limit), wait: None });
        self
    }

    /// How a call with a deadline waits while another thread reads: for what that brings, and for no longer than it is told. Without it the
    /// call ends no sooner than that read. The number under the lock counts changes.
    ///
    /// `msglib_io_epoll::wait_at_most` is the system's: `Condvar::wait_timeout`.
    ///
    /// # Panics
    ///
    /// Without a [`clock`](Builder::clock) before it.
    pub fn wait_with(
        mut self,
        wait: impl Fn(&Condvar, MutexGuard<'_, u64>, Duration) + Send + Sync + 'static,
    ) -> Builder {
        let clock = self.clock.as_mut().expect("wait_with needs a clock, which Builder::clock takes");
        clock.wait = Some(Arc::new(wait));
        self
    }

    /// How long each call may take in all, however many reads and writes it needs; then it is [`Error::DeadlineOver`], and can be made
    /// again. Default: as long as the stream waits. Needs a [`clock`](Builder::clock); a handle can have another
    /// ([`Connection::with_call_timeout`]).
    pub fn call_timeout(mut self, within: Duration) -> Builder {
        self.within = Some(within);
        self
    }

    /// A connection over one stream: for one thread, or for a stream that does not wait. The handshake is
    /// begun, so that a broker's deadline for it does not pass; how that went is seen by the first call.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when name, mechanism or credentials are too long.
    ///
    /// # Panics
    ///
    /// With a [`call_timeout`](Builder::call_timeout) and no [`clock`](Builder::clock).
    pub fn build<S: Read + Write + Send + 'static>(self, stream: S) -> Result<Connection, Error> {
        let (reader, writer) = OneStream::halves(stream);
        self.build_from_halves(reader, writer)
    }

    /// A connection over the two halves of a stream, for any number of threads. The handshake is begun, as by
    /// [`build`](Builder::build).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when name, mechanism or credentials are too long.
    ///
    /// # Panics
    ///
    /// With a [`call_timeout`](Builder::call_timeout) and no [`clock`](Builder::clock).
    pub fn build_from_halves<R, W>(self, reader: R, writer: W) -> Result<Connection, Error>
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let idle_ms = self.config.idle_ms;
        let state = State::new(Session::new(&self.config)?, idle_ms, self.peer);
        assert!(
            self.within.is_none() || self.clock.is_some(),
            "a call_timeout needs a clock, which Builder::clock takes"
        );
        let (reader, writer) = (Box::new(reader), Box::new(writer));
        let shared = Shared::new(state, reader, writer, self.non_blocking, self.unblock, self.clock);
        // The broker gives a client that does not greet it little time.
        shared.flush_if_due(&Call::unlimited(&shared));
        Ok(Connection { shared: Arc::new(shared), within: self.within })
    }
}
