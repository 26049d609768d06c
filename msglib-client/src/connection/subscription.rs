//! Subscriptions: where deliveries come from.

use super::Connection;
use super::call::Call;
use super::consuming::ConsumerId;
use super::deliveries::Deliveries;
use super::delivery::{Delivery, Settler};
use crate::error::Error;
use core::fmt;
use msglib_proto::{ChannelKind, ChannelName};

/// Subscribes to a queue, to pull one message with each [`next`](Subscription::next): nothing is sent by the broker before
/// it is asked for.
///
/// Returns without waiting for the broker's answer; if it refuses, the first `next` says so.
///
/// # Errors
///
/// [`Error::TooManyLinks`], and as every call: see [`Connection`].
///
/// # Panics
///
/// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
pub fn blocking_pull_subscribe_to_queue<'n>(
    connection: &Connection,
    q_id: impl Into<ChannelName<'n>>,
) -> Result<Subscription, Error> {
    connection.subscribe(ChannelKind::QUEUE, q_id, &[], 0)
}

/// Subscribes to a queue, and lets the broker send up to `prefetch` messages ahead of [`next`](Subscription::next), so that
/// the next one is there already; 0 is the same as [`blocking_pull_subscribe_to_queue`].
///
/// Memory: up to `prefetch` messages wait here. Settled or not does not count, only taken or not: how many are in flight
/// beyond those is up to who takes them.
///
/// # Errors
///
/// As [`blocking_pull_subscribe_to_queue`].
///
/// # Panics
///
/// As [`blocking_pull_subscribe_to_queue`].
pub fn subscribe_with_prefetch<'n>(
    connection: &Connection,
    q_id: impl Into<ChannelName<'n>>,
    prefetch: u32,
) -> Result<Subscription, Error> {
    connection.subscribe(ChannelKind::QUEUE, q_id, &[], prefetch)
}

/// A consumer's link to a channel.
///
/// Dropped, it is closed as far as that goes without waiting for the broker, and what was not settled goes back to the channel.
/// Deliveries that were taken can still be settled: the link stays until the last of them is settled or dropped, and what
/// was not taken stays with it until then.
pub struct Subscription {
    connection: Connection,
    id: ConsumerId,
}

impl Subscription {
    pub(super) fn open(
        connection: &Connection,
        call: &Call<'_>,
        kind: ChannelKind,
        name: ChannelName<'_>,
        arguments: &[u8],
        prefetch: u32,
    ) -> Result<Subscription, Error> {
        let id = call.wait(|state| state.subscribe(kind, name, arguments, prefetch))?;
        Ok(Subscription { connection: connection.clone(), id })
    }

    /// Waits for the next delivery. Made again after `WouldBlock`, it pulls nothing twice.
    ///
    /// Before it waits it writes what waits to be written, acks included.
    ///
    /// # Errors
    ///
    /// [`Error::LinkClosed`] with the reason when the broker refused or ended the subscription, and as every call: see
    /// [`Connection`].
    // The name in the Python that this began with. An iterator's `next` would return an `Option`; `iter` gives one of those.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Delivery, Error> {
        self.take(&self.connection.call("Subscription::next"))
    }

    /// Waits for the next delivery, and takes all that have arrived by then, at most `most` (0 counts as 1). What
    /// [`next`](Subscription::next) and [`ack`](Delivery::ack) do for each message is done once for all of them, so this is for many
    /// small messages, with a prefetch.
    ///
    /// ```no_run
    /// # use msglib_client::{Connection, Error, subscribe_with_prefetch};
    /// # fn example(connection: &Connection, mut work: impl FnMut(&[u8])) -> Result<(), Error> {
    /// let mut jobs = subscribe_with_prefetch(connection, "jobs", 1000)?;
    /// loop {
    ///     let batch = jobs.next_batch(500)?;
    ///     batch.payloads().for_each(&mut work);
    ///     batch.ack()?; // or each of them on its own: `for job in batch { … }`
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`next`](Subscription::next).
    pub fn next_batch(&mut self, most: usize) -> Result<Deliveries, Error> {
        let arrived =
            self.connection.call("Subscription::next_batch").wait(|state| state.next_deliveries(self.id, most))?;
        Ok(Deliveries::new(self.connection.clone(), self.id, arrived))
    }

    /// The next delivery, if it is there without waiting.
    ///
    /// From a stream that was said to be [non-blocking](super::Builder::non_blocking) it reads what has come. From others
    /// it does not read: it sees what other calls on the connection have read. In both cases it allows the broker to send,
    /// if there was no credit, and writes what waits, which can take as long as the stream's writing does.
    ///
    /// # Errors
    ///
    /// As [`next`](Subscription::next), but for `WouldBlock`, which is `Ok(None)`.
    pub fn try_next(&mut self) -> Result<Option<Delivery>, Error> {
        match self.take(&self.connection.call("Subscription::try_next").at_once()) {
            Ok(delivery) => Ok(Some(delivery)),
            Err(error) if error.is_would_block() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deliveries one after another, as [`next`](Subscription::next) gives them. An error that passes comes out and the
    /// iterator goes on; any other one is its last item.
    pub fn iter(&mut self) -> Iter<'_> {
        Iter { subscription: self, over: false }
    }

    /// Ends the subscription, acks first, and waits until the broker has taken back what was not settled. Closing again is
    /// harmless.
    ///
    /// # Errors
    ///
    /// As every call: see [`Connection`].
    pub fn close(&mut self) -> Result<(), Error> {
        self.connection.call("Subscription::close").wait(|state| state.close_subscription(self.id))
    }

    fn take(&self, call: &Call<'_>) -> Result<Delivery, Error> {
        let arrived = call.wait(|state| state.next_delivery(self.id))?;
        let settler = Settler::new(self.connection.clone(), self.id, arrived.tag);
        Ok(Delivery::new(arrived, settler))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.connection.shared.lock().abandon(self.id);
        self.connection.shared.flush_if_due(&self.connection.call("drop"));
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The deliveries of a subscription; made by [`Subscription::iter`].
#[derive(Debug)]
pub struct Iter<'a> {
    subscription: &'a mut Subscription,
    over: bool,
}

impl Iterator for Iter<'_> {
    type Item = Result<Delivery, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let item = self.subscription.next();
        self.over = matches!(&item, Err(error) if !error.is_would_block());
        Some(item)
    }
}

impl<'a> IntoIterator for &'a mut Subscription {
    type Item = Result<Delivery, Error>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
