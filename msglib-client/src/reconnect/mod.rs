//! A client that outlives its connection: it connects again, subscribes again, and publishes again what has no outcome.

mod backoff;
mod builder;
mod chance;
mod line;
mod message;
mod publisher;
mod subscription;

pub use builder::ReconnectingBuilder;
pub use publisher::ResendingPublisher;
pub use subscription::ResumingSubscription;

use crate::connection::Connection;
use crate::error::Error;
use builder::Kept;
use core::fmt;
use line::Line;
use msglib_proto::{ChannelKind, ChannelName};
use std::sync::Arc;

/// A client that connects again when its connection has ended; a cheap handle that can be cloned, sent and shared.
///
/// It opens no socket, reads no clock and has no randomness: how to connect, how to wait, and a seed are arguments. The std versions of
/// them come with the transport, `msglib-io-epoll`.
///
/// ```no_run
/// use msglib_client::{Connection, Error, Reconnecting};
/// use std::net::TcpStream;
///
/// # fn example(seed: u128) -> Result<(), Error> {
/// let connect = || {
///     let stream = TcpStream::connect(("::1", 12345))?;
///     stream.set_nodelay(true)?;
///     Ok(Connection::builder().peer("[::1]:12345").build_from_halves(stream.try_clone()?, stream)?)
/// };
/// let client = Reconnecting::builder(seed).build(connect, |why, time| {
///     eprintln!("{why}; again in {time:?}");
///     std::thread::sleep(time);
/// });
/// let mut jobs = client.publisher_to_q("jobs")?;
/// jobs.publish("once, whatever happens")?;
/// jobs.wait()?;
/// # Ok(())
/// # }
/// ```
///
/// # Every call
///
/// It goes on over as many connections as it takes, and waits as long as that takes, unless attempts are
/// [limited](ReconnectingBuilder::max_attempts). It returns why a connection, or an attempt to make one, has ended if another attempt would fare no
/// better, as with credentials that are not good. Over streams that do not wait each call can be made again after `WouldBlock`, as those of a
/// [`Connection`] can.
///
/// # Silence
///
/// That a broker is gone without a word is found out by a [`Heart`](crate::Heart): let `connect` start one for each connection. It ends with it.
#[derive(Clone)]
pub struct Reconnecting {
    line: Arc<Line>,
    kept: Kept,
}

impl Reconnecting {
    /// A client with this seed: for the random part of its waits, and for the ids of its publishers. No two clients may have the same.
    pub fn builder(seed: u128) -> ReconnectingBuilder {
        ReconnectingBuilder::new(seed)
    }

    /// The connection that is there now, or the next one: for all that is not here. It does not outlive itself.
    ///
    /// # Errors
    ///
    /// As every call: see [`Reconnecting`].
    pub fn connection(&self) -> Result<Connection, Error> {
        self.line.keep_trying(|_, connection| connection.welcome().map(|_| connection.clone()))
    }

    /// Publishes to a queue, so that each message has one effect whatever becomes of connections.
    ///
    /// # Errors
    ///
    /// [`Error::NotAgreed`] if the broker cannot tell what it was sent before, and that was not
    /// [allowed](ReconnectingBuilder::may_duplicate); [`Error::TooManyLinks`]; and as every call: see [`Reconnecting`].
    ///
    /// # Panics
    ///
    /// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
    pub fn publisher_to_q<'n>(&self, q_id: impl Into<ChannelName<'n>>) -> Result<ResendingPublisher, Error> {
        ResendingPublisher::open(self.line.clone(), q_id.into().to_owned(), self.kept)
    }

    /// Subscribes to a queue, as [`subscribe_with_prefetch`](crate::subscribe_with_prefetch), now and on each later connection.
    ///
    /// # Errors
    ///
    /// As every call: see [`Reconnecting`].
    ///
    /// # Panics
    ///
    /// As [`publisher_to_q`](Self::publisher_to_q).
    pub fn subscribe_to_queue<'n>(
        &self,
        q_id: impl Into<ChannelName<'n>>,
        prefetch: u32,
    ) -> Result<ResumingSubscription, Error> {
        self.subscribe(ChannelKind::QUEUE, q_id, &[], prefetch)
    }

    /// Subscribes to a channel of any kind, as [`Connection::subscribe`], now and on each later connection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for arguments that are too long, or the kind 0; and as every call: see [`Reconnecting`].
    ///
    /// # Panics
    ///
    /// As [`publisher_to_q`](Self::publisher_to_q).
    pub fn subscribe<'n>(
        &self,
        kind: ChannelKind,
        name: impl Into<ChannelName<'n>>,
        arguments: &[u8],
        prefetch: u32,
    ) -> Result<ResumingSubscription, Error> {
        ResumingSubscription::open(self.line.clone(), kind, name.into().to_owned(), arguments, prefetch)
    }

    /// Ends it at once, from any thread: every call, also one that waits in another thread, returns [`Error::Closed`]. The connection is
    /// ended as by a [`Stopper`](crate::Stopper), and the wait before an attempt as
    /// [`wake_with`](ReconnectingBuilder::wake_with) says; an attempt that is under way has its own deadline.
    pub fn stop(&self) {
        self.line.stop();
    }

    /// Ends it in good order: as [`stop`](Self::stop), but where a connection is there, goodbye is said behind all that waits, as by
    /// [`Connection::close`]. What publishers have no outcome of is theirs to [wait](ResendingPublisher::wait) for first.
    ///
    /// # Errors
    ///
    /// As [`Connection::close`]. When that says `WouldBlock`, goodbye was said, and nobody waits for the broker's.
    pub fn close(&self) -> Result<(), Error> {
        let Some(connection) = self.line.retire() else { return Ok(()) };
        let result = connection.close();
        if !result.as_ref().is_err_and(Error::is_would_block) {
            connection.hang_up();
        }
        result
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("kept", &self.kept).finish_non_exhaustive()
    }
}
