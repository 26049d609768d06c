//! Deliveries, and how each is settled once.

use super::Connection;
use super::consuming::{Arrived, ConsumerId, Settled, SettlementId};
use super::settlement::Settlement;
use crate::error::Error;
use crate::session::Details;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use msglib_proto::{Settling, Verdict};

/// A message that was delivered and is not settled yet.
///
/// It is settled once: [`ack`](Delivery::ack) and [`refuse`](Delivery::refuse) take it. Dropped without either, it
/// **stays in flight**: the broker gives it to nobody else until the subscription or the connection ends.
#[must_use = "a delivery that is not acked or refused stays in flight until its subscription ends"]
pub struct Delivery {
    payload: Bytes,
    count: u32,
    lost: u32,
    details: Option<Box<Details>>,
    settler: Settler,
}

impl Delivery {
    pub(super) fn new(arrived: Arrived, settler: Settler) -> Delivery {
        let Arrived { payload, count, lost, details, .. } = arrived;
        Delivery { payload, count, lost, details, settler }
    }

    /// The message. To keep it without a copy there is [`into_parts`](Delivery::into_parts).
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Which attempt to deliver the message this is, to anyone: 1 for the first.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it was delivered before, so that somebody may have worked on it already.
    pub fn redelivered(&self) -> bool {
        self.count > 1
    }

    /// How many messages the subscription to a topic has lost right before this one; as far as 32 bits go.
    pub fn lost_before(&self) -> u32 {
        self.lost
    }

    /// What the broker says beside the message: its id, priority, key, topic, and why it is a dead letter. `None` if it says nothing, as of a
    /// plain queue.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    /// The message is done with, for good; as [`Settler::ack`].
    ///
    /// # Errors
    ///
    /// As [`Settler::ack`].
    pub fn ack(self) -> Result<(), Error> {
        self.settler.ack()
    }

    /// The message was not done with; as [`Settler::refuse`].
    ///
    /// # Errors
    ///
    /// As [`Settler::ack`].
    pub fn refuse(self, verdict: Verdict) -> Result<(), Error> {
        self.settler.refuse(verdict)
    }

    /// The message was not done with, and shall come again later; as [`Settler::refuse_with`].
    ///
    /// # Errors
    ///
    /// As [`Settler::refuse_with`].
    pub fn refuse_later(self, delay: Duration) -> Result<(), Error> {
        self.settler.refuse_with(Some(delay), None)
    }

    /// The message is not done with yet: its lease begins anew; as [`Settler::extend`].
    ///
    /// # Errors
    ///
    /// As [`Settler::extend`].
    pub fn extend(&self, lease: Option<Duration>) -> Result<(), Error> {
        self.settler.extend(lease)
    }

    /// As [`ack`](Delivery::ack), and the broker says whether it was in time; as [`Settler::settle_confirmed`].
    ///
    /// # Errors
    ///
    /// As [`Settler::settle_confirmed`].
    pub fn ack_confirmed(self) -> Result<Settlement, Error> {
        self.settler.settle_confirmed(Settling::Ack)
    }

    /// The message, and the right to settle it: for another thread, or for later.
    ///
    /// A message of up to 512 bytes lies in a block of 4 KiB, which its neighbours share: to keep a few out of many for
    /// long, copy them.
    pub fn into_parts(self) -> (Bytes, Settler) {
        (self.payload, self.settler)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("tag", &self.settler.tag)
            .field("count", &self.count)
            .field("bytes", &self.payload.len())
            .finish()
    }
}

/// The right to settle one delivery, once, from any thread.
///
/// ```compile_fail
/// fn twice(settler: msglib_client::Settler) {
///     let _ = settler.ack();
///     let _ = settler.ack();
/// }
/// ```
#[must_use = "a delivery that is not acked or refused stays in flight until its subscription ends"]
pub struct Settler {
    connection: Connection,
    consumer: ConsumerId,
    tag: u64,
    /// It was neither settled nor dropped.
    held: bool,
}

impl Settler {
    pub(super) fn new(connection: Connection, consumer: ConsumerId, tag: u64) -> Settler {
        Settler { connection, consumer, tag, held: true }
    }

    /// The message is done with, for good.
    ///
    /// It is written at once if no other delivery waits to be taken, else together with others: when they are half of the
    /// prefetch, when the subscription waits, at [`Connection::flush`], at the end. `Ok` says that it was accepted here and
    /// goes out with this call or a later one; the broker does not answer it.
    ///
    /// # Errors
    ///
    /// When it is too late, and the message will be delivered again: [`Error::LinkClosed`] when the subscription has ended,
    /// the connection's end when that has. Never `WouldBlock`.
    pub fn ack(self) -> Result<(), Error> {
        self.settle(None)
    }

    /// The message was not done with: it is delivered again, at once, to whoever is next, or never again, as `verdict`
    /// says. Written as an [`ack`](Settler::ack) that does not wait.
    ///
    /// # Errors
    ///
    /// As [`ack`](Settler::ack).
    pub fn refuse(self, verdict: Verdict) -> Result<(), Error> {
        self.settle(Some(verdict))
    }

    /// The message was not done with: it is delivered again, not before a delay is over, and with another priority if one is given
    /// (PROTOCOL §15.4).
    ///
    /// # Errors
    ///
    /// As [`ack`](Settler::ack), and [`Error::NotAgreed`] if the broker knows no more than the two verdicts.
    pub fn refuse_with(self, delay: Option<Duration>, priority: Option<u8>) -> Result<(), Error> {
        self.settle_as(Settling::Again { delay_ms: delay.map(millis), priority }, false).map(drop)
    }

    /// The message is not done with yet, and its lease begins anew, for so long, or as long as the queue's own (PROTOCOL §15.4). When the
    /// lease is over already it has no effect: [`settle_confirmed`](Settler::settle_confirmed) tells.
    ///
    /// # Errors
    ///
    /// As [`refuse_with`](Settler::refuse_with).
    pub fn extend(&self, lease: Option<Duration>) -> Result<(), Error> {
        let settling = Settling::Extend { lease_ms: lease.map_or(0, millis) };
        let shared = &self.connection.shared;
        let mut state = shared.lock();
        let settled = state.settle_as(self.consumer, self.tag..=self.tag, settling, false);
        shared.write_settled(state, settled.map(|_| Settled::Queued), &self.connection.call("settle"))
    }

    /// Settles in any way that there is, and the broker says whether that had an effect: it has none when the lease was over, or the
    /// message was settled before (PROTOCOL §15.4).
    ///
    /// # Errors
    ///
    /// As [`refuse_with`](Settler::refuse_with).
    pub fn settle_confirmed(self, settling: Settling) -> Result<Settlement, Error> {
        let connection = self.connection.clone();
        let id = self.settle_as(settling, true)?;
        id.map(|id| Settlement::new(connection, id)).ok_or_else(Error::link_closed_here)
    }

    fn settle_as(mut self, settling: Settling, confirm: bool) -> Result<Option<SettlementId>, Error> {
        let shared = &self.connection.shared;
        let mut state = shared.lock();
        let settled = state.settle_as(self.consumer, self.tag..=self.tag, settling, confirm);
        if !matches!(settling, Settling::Extend { .. }) {
            self.held = false;
            state.release(self.consumer, 1);
        }
        let id = settled.as_ref().ok().copied().flatten();
        shared.write_settled(state, settled.map(|_| Settled::Queued), &self.connection.call("settle")).map(|()| id)
    }

    fn settle(mut self, verdict: Option<Verdict>) -> Result<(), Error> {
        self.held = false;
        let shared = &self.connection.shared;
        let mut state = shared.lock();
        let settled = state.settle(self.consumer, self.tag..=self.tag, verdict);
        state.release(self.consumer, 1);
        shared.write_settled(state, settled, &self.connection.call("settle"))
    }
}

/// Not settled, it is held no more; that can end the link of a subscription that was dropped before.
impl Drop for Settler {
    fn drop(&mut self) {
        if self.held {
            let shared = &self.connection.shared;
            let mut state = shared.lock();
            state.release(self.consumer, 1);
            shared.write_due(state, 1, &self.connection.call("drop"));
        }
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").field("tag", &self.tag).finish_non_exhaustive()
    }
}

/// Whole milliseconds, rounded up.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
