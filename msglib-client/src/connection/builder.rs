//! How to make a connection that says more of itself.

use super::Connection;
use super::one_stream::OneStream;
use super::outside::Unblock;
use super::shared::Shared;
use super::state::State;
use crate::error::Error;
use crate::session::{Session, SessionConfig};
use core::fmt::Display;
use core::time::Duration;
use std::io::{Read, Write};
use std::sync::Arc;

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

    /// A connection over one stream: for one thread, or for a stream that does not wait. The handshake is
    /// begun, so that a broker's deadline for it does not pass; how that went is seen by the first call.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when name, mechanism or credentials are too long.
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
    pub fn build_from_halves<R, W>(self, reader: R, writer: W) -> Result<Connection, Error>
    where
        R: Read + Send + 'static,
        W: Write + Send + 'static,
    {
        let idle_ms = self.config.idle_ms;
        let state = State::new(Session::new(&self.config)?, idle_ms, self.peer);
        let shared = Shared::new(state, Box::new(reader), Box::new(writer), self.non_blocking, self.unblock);
        // The broker gives a client that does not greet it little time.
        shared.flush_if_due();
        Ok(Connection { shared: Arc::new(shared) })
    }
}
