//! A publisher's own link to a channel: for many messages, written together and answered for together.

use super::Connection;
use super::call::Call;
use super::publishing::{Extras, PublisherId};
use crate::error::Error;
use core::fmt;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Payload, PublishOptions};
use std::sync::Arc;

/// A publisher's link to a channel, made by [`Connection::publisher_to_q`] and [`Connection::publisher`].
///
/// Its publishes are numbered 1, 2, 3 …, the broker is asked for the outcome of each, and one [`wait`](Publisher::wait)
/// waits for all of them. To publish many at once, put them into a [`batch`](Publisher::batch): that is much cheaper.
///
/// A refusal is never lost: `wait` and the publishes tell each once, as [`Error::Refused`].
///
/// ```no_run
/// use msglib_client::{Connection, Error};
/// # fn example(connection: Connection, orders: Vec<String>) -> Result<(), Error> {
/// let mut jobs = connection.publisher_to_q("jobs")?;
/// jobs.publish("written at once")?;
///
/// let mut batch = jobs.batch();
/// for order in &orders {
///     batch.publish(order)?; // written together with others
/// }
/// batch.wait()?; // from here on the broker is responsible for all of them
/// # Ok(())
/// # }
/// ```
///
/// When the broker ends the link, every publish is [`Error::LinkClosed`] from then on: make another one. When the
/// connection ends, what is above [`answered`](Publisher::answered) may have been accepted or not.
///
/// Dropped, its link is closed behind what was published, as far as that goes without waiting for the broker. Refusals
/// that it was not told are told by [`Connection::take_refusals`] then.
pub struct Publisher {
    connection: Connection,
    id: PublisherId,
}

impl Publisher {
    pub(super) fn open(
        connection: &Connection,
        call: &Call<'_>,
        kind: ChannelKind,
        name: ChannelName<'_>,
        arguments: &[u8],
    ) -> Result<Publisher, Error> {
        let id = call.wait(|state| state.open_publisher(kind, name, arguments))?;
        Ok(Publisher { connection: connection.clone(), id })
    }

    /// Says who publishes, before anything was published.
    pub(super) fn produce(&self, call: &Call<'_>, producer: u128, base: u64) -> Result<(), Error> {
        call.wait(|state| state.produce(self.id, producer, base))
    }

    /// Publishes a message and returns its number. It is written at once, as by
    /// [`publish_to_q`](Connection::publish_to_q); waits for credit and room.
    ///
    /// # Errors
    ///
    /// This message was not accepted and no number was used up. Among the reasons: [`Error::Refused`] for an **earlier** one,
    /// by its number; each is told once, so the same call can be made again. [`Error::TooLarge`], [`Error::LinkClosed`],
    /// and as every call: see [`Connection`].
    pub fn publish<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<u64, Error> {
        let payload = payload.into();
        self.connection.call("Publisher::publish").wait(|state| state.publish_held(self.id, payload, None))
    }

    /// As [`publish`](Publisher::publish), with a delay, a time to live, a priority or a key, or for one of the topics of its filter
    /// (PROTOCOL §15.2, §16.2).
    ///
    /// # Errors
    ///
    /// As [`publish`](Publisher::publish), and [`Error::NotAgreed`].
    pub fn publish_with<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        options: &PublishOptions<'_>,
    ) -> Result<u64, Error> {
        let (payload, extras) = (payload.into(), Extras { retain: false, options: *options });
        self.connection.call("Publisher::publish").wait(|state| state.publish_held(self.id, payload, Some(&extras)))
    }

    /// To publish many messages with few writes: what is published in the batch is written when 32 KiB of it have come
    /// together, when it waits for anything, and when the batch is dropped.
    ///
    /// ```no_run
    /// # use msglib_client::{Error, Publisher};
    /// # fn example(jobs: &mut Publisher, orders: &[String]) -> Result<(), Error> {
    /// let mut batch = jobs.batch();
    /// for order in orders {
    ///     batch.publish(order)?;
    /// }
    /// drop(batch); // all is written; `jobs.wait()` can come later
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(&mut self) -> Batch<'_> {
        Batch { publisher: self }
    }

    /// Waits until every publish has its outcome. `Ok` says that the broker has accepted all but those that were told as
    /// refused, and is responsible for them.
    ///
    /// ```no_run
    /// # use msglib_client::{Error, Publisher};
    /// # fn example(jobs: &mut Publisher, mut again: impl FnMut(u64)) -> Result<(), Error> {
    /// loop {
    ///     match jobs.wait() {
    ///         Err(Error::Refused { number, .. }) => again(number),
    ///         result => return result,
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for each publish that had no effect, one with each call; call it again for the next.
    /// [`Error::LinkClosed`] if the broker has ended the link: all above [`answered`](Publisher::answered) had no effect.
    /// As every call: see [`Connection`]; it goes on after [`close`](Connection::close), as
    /// [`Confirmation::wait`](super::Confirmation::wait) does.
    pub fn wait(&mut self) -> Result<(), Error> {
        self.connection.call("Publisher::wait").wait(|state| state.all_answered(self.id))
    }

    /// Waits until all publishes up to this number have their outcome, or one was refused and not told.
    pub(crate) fn wait_for(&self, number: u64) -> Result<(), Error> {
        self.connection.call("Publisher::wait").wait(|state| state.answered_upto(self.id, number))
    }

    /// A publish that was refused, by its number, if there is one that was not told: now it is.
    pub(crate) fn take_refusal(&self) -> Option<(u64, ErrorCode, Arc<str>)> {
        self.connection.shared.lock().take_refusal(self.id)
    }

    /// The number up to which all publishes have their outcome, as far as is known without reading: accepted, or refused
    /// (which the next call tells). 0 for none.
    pub fn answered(&self) -> u64 {
        self.connection.shared.lock().answered(self.id)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let mut state = self.connection.shared.lock();
        state.release_publisher(self.id);
        self.connection.shared.write_due(state, 1, &self.connection.call("drop"));
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Messages that are published together; made by [`Publisher::batch`].
///
/// It can be as large as you like: what was published goes out as more is. A message is on its way no later than when
/// the batch is dropped, so do not keep one open while there is nothing to publish.
#[must_use = "a batch is for publishing in it"]
pub struct Batch<'p> {
    publisher: &'p mut Publisher,
}

impl Batch<'_> {
    /// Publishes a message and returns its number, as [`Publisher::publish`]; it is written together with others.
    ///
    /// # Errors
    ///
    /// As [`Publisher::publish`].
    pub fn publish<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<u64, Error> {
        let (payload, id) = (payload.into(), self.publisher.id);
        self.publisher.connection.call("Batch::publish").wait_and_gather(|state| state.publish_held(id, payload, None))
    }

    /// As [`publish`](Batch::publish), with more than its payload, as [`Publisher::publish_with`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::publish_with`].
    pub fn publish_with<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        options: &PublishOptions<'_>,
    ) -> Result<u64, Error> {
        let (payload, id, extras) = (payload.into(), self.publisher.id, Extras { retain: false, options: *options });
        self.publisher
            .connection
            .call("Batch::publish")
            .wait_and_gather(|state| state.publish_held(id, payload, Some(&extras)))
    }

    /// Writes what was published and waits until all of it has its outcome, as [`Publisher::wait`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::wait`].
    pub fn wait(&mut self) -> Result<(), Error> {
        self.publisher.wait()
    }
}

/// Writes what was published. What the stream does not take now goes out with any later call on the connection.
impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let connection = &self.publisher.connection;
        connection.shared.flush_if_due(&connection.call("drop"));
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("publisher", &self.publisher).finish()
    }
}
