//! Answering requests (PROTOCOL §17).

use super::Connection;
use super::consuming::ConsumerId;
use crate::error::Error;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Feature, Payload};

/// Answers the requests to a service. The broker sends up to `prefetch` requests ahead; with 0 one, and only while somebody waits for it.
///
/// ```no_run
/// # use msglib_client::{Connection, Error, serve};
/// # fn example(connection: &Connection) -> Result<(), Error> {
/// let mut prices = serve(connection, "prices", 10)?;
/// loop {
///     let request = prices.next()?;
///     match request.payload() {
///         b"apples" => request.reply("2.50")?,
///         _ => request.refuse(msglib_client::ErrorCode::user(1), "we have apples only")?,
///     }
/// }
/// # }
/// ```
///
/// Waits for the broker's greeting, but not for its answer; if it refuses, the first `next` says so.
///
/// # Errors
///
/// [`Error::NotAgreed`] if the broker has no services, [`Error::TooManyLinks`], and as every call: see [`Connection`].
///
/// # Panics
///
/// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
pub fn serve<'n>(
    connection: &Connection,
    service: impl Into<ChannelName<'n>>,
    prefetch: u32,
) -> Result<Service, Error> {
    let (call, name) = (connection.call("serve"), service.into());
    call.agree_on(Feature::Requests)?;
    let id = call.wait(|state| state.subscribe(ChannelKind::SERVICE, name, &[], prefetch))?;
    Ok(Service { connection: connection.clone(), id })
}

/// A responder's link to a service; made by [`serve`]. Dropped, it answers no more; requests that it holds end with
/// [`ErrorCode::RESPONDER_GONE`] when the last of them is dropped.
pub struct Service {
    connection: Connection,
    id: ConsumerId,
}

impl Service {
    /// Waits for the next request. Made again after `WouldBlock`, it takes nothing twice.
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`] with the reason when the broker refused or ended the link, and as every call: see [`Connection`].
    // As of a subscription.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Request, Error> {
        let arrived = self.connection.call("Service::next").wait(|state| state.next_delivery(self.id))?;
        Ok(Request {
            connection: self.connection.clone(),
            service: self.id,
            tag: arrived.tag,
            deadline: Duration::from_millis(arrived.deadline_ms.into()),
            payload: arrived.payload,
            is_answered: false,
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.connection.shared.lock().abandon(self.id);
        self.connection.shared.flush_if_due(&self.connection.call("drop"));
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A request that has no answer yet. It is answered once, by [`reply`](Request::reply) or [`refuse`](Request::refuse), from any thread; dropped
/// without either it is refused with [`ErrorCode::RESPONDER_GONE`].
#[must_use = "a request that is not answered is refused"]
pub struct Request {
    connection: Connection,
    service: ConsumerId,
    tag: u64,
    deadline: Duration,
    payload: Bytes,
    is_answered: bool,
}

impl Request {
    /// What is asked.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// How long the caller still waited when the broker passed the request on. A later answer has no effect.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Answers. When nothing can be written just now it waits in the connection's send buffer, as a publish does.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`], [`Error::LinkClosed`], and as every call: see [`Connection`]. The caller is told that the responder is gone then.
    pub fn reply<'p>(self, payload: impl Into<Payload<'p>>) -> Result<(), Error> {
        let payload = payload.into();
        self.answer(Ok(payload))
    }

    /// Says that there is no answer, and why.
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`], and as every call: see [`Connection`].
    pub fn refuse(self, code: ErrorCode, text: &str) -> Result<(), Error> {
        self.answer(Err((code, text)))
    }

    fn answer(mut self, answer: Result<Payload<'_>, (ErrorCode, &str)>) -> Result<(), Error> {
        let (service, tag) = (self.service, self.tag);
        self.connection.call("Request::answer").wait(|state| state.answer(service, tag, answer))?;
        self.is_answered = true;
        Ok(())
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let shared = &self.connection.shared;
        let mut state = shared.lock();
        if !self.is_answered {
            // It fails only when the link has ended, and then the caller knows.
            let gone = (ErrorCode::RESPONDER_GONE, "the responder has dropped the request");
            let _ = state.answer(self.service, self.tag, Err(gone));
        }
        state.release(self.service, 1);
        shared.write_due(state, 1, &self.connection.call("drop"));
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("tag", &self.tag).field("bytes", &self.payload.len()).finish_non_exhaustive()
    }
}
