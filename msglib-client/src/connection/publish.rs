//! Publishing, and how a publisher learns the outcome.

use super::Connection;
use super::call::Call;
use super::publishing::{Extras, PublishId};
use crate::error::Error;
use core::fmt;
use msglib_proto::{ChannelKind, ChannelName, Payload};

/// Publishes to a queue and waits for no outcome.
///
/// `Ok` means that the message was accepted into the connection's send buffer and goes out with this call or a later one
/// (see [`Connection`]). If the broker refuses it, [`Connection::take_refusals`] will tell. Waits for credit and room.
///
/// The first publish to a queue opens a link to it, which stays open for the next ones. For many messages a
/// [`Publisher`](super::Publisher) is much cheaper.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::TooManyLinks`], and as every call: see [`Connection`]. The message was not accepted; if
/// [`is_would_block`](Error::is_would_block) holds, repeat the call. If [`ends_connection`](Error::ends_connection) holds,
/// a part of it may have been written, and whether the broker took it is not known.
///
/// # Panics
///
/// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
pub fn publish_to_q<'n, 'p>(
    connection: &Connection,
    q_id: impl Into<ChannelName<'n>>,
    payload: impl Into<Payload<'p>>,
) -> Result<(), Error> {
    connection.publish_to_q(q_id, payload)
}

/// Publishes to a queue, as [`publish_to_q`], and asks to be told the outcome.
///
/// # Errors
///
/// As [`publish_to_q`].
///
/// # Panics
///
/// As [`publish_to_q`].
pub fn publish_to_q_confirmed<'n, 'p>(
    connection: &Connection,
    q_id: impl Into<ChannelName<'n>>,
    payload: impl Into<Payload<'p>>,
) -> Result<Confirmation, Error> {
    connection.publish_to_q_confirmed(q_id, payload)
}

/// The outcome of a publish, sooner or later.
///
/// Dropped, it is as if nobody had asked: a refusal that comes later is told by [`Connection::take_refusals`].
#[must_use = "whether the message was accepted is known after `wait`"]
pub struct Confirmation {
    connection: Connection,
    id: PublishId,
}

impl Confirmation {
    pub(super) fn new(connection: Connection, id: PublishId) -> Confirmation {
        Confirmation { connection, id }
    }

    /// The number of the publish on its link: 1, 2, 3 …
    pub fn number(&self) -> u64 {
        self.id.number
    }

    /// Waits until the broker has accepted the message and is responsible for it. Known once, it is said again each time,
    /// also after the end of the connection.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] and [`Error::LinkClosed`] with the reason: the message had no effect. As every call: see
    /// [`Connection`]; when the connection ended first, whether the message was accepted is not known.
    pub fn wait(&self) -> Result<(), Error> {
        self.connection.call("Confirmation::wait").wait(|state| state.outcome(self.id))
    }

    /// Whether the message was accepted, as far as is known without waiting. It reads only from a stream that was said
    /// to be [non-blocking](super::Builder::non_blocking); what waits is written, as any call does.
    ///
    /// # Errors
    ///
    /// As [`wait`](Confirmation::wait), but for `WouldBlock`, which is `Ok(false)`.
    pub fn try_wait(&self) -> Result<bool, Error> {
        match self.connection.call("Confirmation::try_wait").at_once().wait(|state| state.outcome(self.id)) {
            Ok(()) => Ok(true),
            Err(error) if error.is_would_block() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Confirmation {
    fn drop(&mut self) {
        self.connection.shared.lock().publishers.forget(self.id);
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmation").field("number", &self.id.number).finish_non_exhaustive()
    }
}

pub(super) fn publish(
    connection: &Connection,
    call: &Call<'_>,
    kind: ChannelKind,
    name: ChannelName<'_>,
    payload: Payload<'_>,
    confirm: bool,
    extras: Option<&Extras<'_>>,
) -> Result<PublishId, Error> {
    let id = call.wait(|state| state.publish(kind, name, payload, confirm, extras))?;
    // Accepted; but if it cannot go out any more, the publisher should know now.
    match connection.shared.lock().ended() {
        Some(error) => Err(error),
        None => Ok(id),
    }
}
