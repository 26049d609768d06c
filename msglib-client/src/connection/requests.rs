//! Asking a service (PROTOCOL §17).

use super::Connection;
use super::publishing::PublishId;
use crate::error::Error;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use msglib_proto::{ChannelName, Payload};

/// Asks a service. The broker waits for an answer until the deadline, which is rounded up to whole milliseconds.
///
/// ```no_run
/// # use msglib_client::{Connection, Error, request};
/// # use std::time::Duration;
/// # fn example(connection: &Connection) -> Result<(), Error> {
/// let reply = request(connection, "prices", "apples", Duration::from_secs(2))?.wait()?;
/// # let _ = reply;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The request was not accepted here, and can be made again: [`Error::TooLarge`], [`Error::NotAgreed`] if the broker has no services, and as
/// every call: see [`Connection`].
///
/// # Panics
///
/// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
pub fn request<'n, 'p>(
    connection: &Connection,
    service: impl Into<ChannelName<'n>>,
    payload: impl Into<Payload<'p>>,
    deadline: Duration,
) -> Result<PendingReply, Error> {
    let (service, payload) = (service.into(), payload.into());
    let deadline_ms = u32::try_from(deadline.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
    let id = connection.call("request").wait(|state| state.request(service, payload, deadline_ms))?;
    Ok(PendingReply { connection: connection.clone(), id })
}

/// The outcome of a request, sooner or later; made by [`request`]. Dropped, the outcome is thrown away when it comes.
#[must_use = "the reply comes with `wait`"]
pub struct PendingReply {
    connection: Connection,
    id: PublishId,
}

impl PendingReply {
    /// Waits for the one outcome. Known once, it is said again each time, also after the end of the connection.
    ///
    /// # Errors
    ///
    /// [`Error::NoReply`] when there is no answer: nobody is there, it did not come in time, or the responder says why.
    /// [`Error::LinkClosed`] when the broker has refused the service. As every call: see [`Connection`]; when the connection ended first,
    /// whether the request was answered is not known.
    pub fn wait(&self) -> Result<Bytes, Error> {
        self.connection.call("PendingReply::wait").wait(|state| state.reply(self.id))
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        self.connection.shared.lock().publishers.forget(self.id);
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReply").field("number", &self.id.number).finish_non_exhaustive()
    }
}
