//! Deliveries that were taken together.

use super::Connection;
use super::consuming::{Arrived, ConsumerId};
use super::delivery::{Delivery, Settler};
use crate::error::Error;
use core::fmt;
use msglib_proto::Verdict;
use std::collections::VecDeque;

/// Messages that were delivered and are not settled yet; made by [`Subscription::next_batch`](super::Subscription::next_batch). There is
/// at least one.
///
/// They are settled together, by [`ack`](Deliveries::ack) or [`refuse`](Deliveries::refuse), or each on its own as a [`Delivery`], which
/// is what the iterator gives. What is dropped without either **stays in flight**, as a [`Delivery`] does.
#[must_use = "deliveries that are not acked or refused stay in flight until their subscription ends"]
pub struct Deliveries {
    connection: Connection,
    consumer: ConsumerId,
    /// With tags that follow each other.
    arrived: VecDeque<Arrived>,
}

impl Deliveries {
    pub(super) fn new(connection: Connection, consumer: ConsumerId, arrived: VecDeque<Arrived>) -> Deliveries {
        Deliveries { connection, consumer, arrived }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Whether the iterator has given out the last of them.
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// The messages, in the order in which they came.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.arrived.iter().map(|arrived| &arrived.payload[..])
    }

    /// All of them are done with, for good; as [`Delivery::ack`] of each.
    ///
    /// # Errors
    ///
    /// As [`Settler::ack`], for all of them.
    pub fn ack(self) -> Result<(), Error> {
        self.settle(None)
    }

    /// None of them was done with; as [`Delivery::refuse`] of each.
    ///
    /// # Errors
    ///
    /// As [`Settler::ack`], for all of them.
    pub fn refuse(self, verdict: Verdict) -> Result<(), Error> {
        self.settle(Some(verdict))
    }

    fn settle(mut self, verdict: Option<Verdict>) -> Result<(), Error> {
        let arrived = core::mem::take(&mut self.arrived);
        let (Some(first), Some(last)) = (arrived.front(), arrived.back()) else { return Ok(()) };
        let shared = &self.connection.shared;
        let mut state = shared.lock();
        let settled = state.settle(self.consumer, first.tag..=last.tag, verdict);
        state.release(self.consumer, arrived.len() as u64);
        shared.write_settled(state, settled, &self.connection.call("settle"))
    }
}

/// Each on its own, in the order in which they came.
impl Iterator for Deliveries {
    type Item = Delivery;

    fn next(&mut self) -> Option<Delivery> {
        let arrived = self.arrived.pop_front()?;
        let settler = Settler::new(self.connection.clone(), self.consumer, arrived.tag);
        Some(Delivery::new(arrived, settler))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.arrived.len(), Some(self.arrived.len()))
    }
}

/// Not settled, they are held no more; that can end the link of a subscription that was dropped before.
impl Drop for Deliveries {
    fn drop(&mut self) {
        if !self.arrived.is_empty() {
            let shared = &self.connection.shared;
            let mut state = shared.lock();
            state.release(self.consumer, self.arrived.len() as u64);
            shared.write_due(state, 1, &self.connection.call("drop"));
        }
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").field("len", &self.arrived.len()).finish_non_exhaustive()
    }
}
