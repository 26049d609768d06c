//! Deliveries that are encoded once, for as many consumers as there are.

use super::deliveries::Deliveries;
use crate::dialect::SendError;
use msglib_proto::{DeliveryOptions, HEADER, Payload, SendQueue, encode_delivery, encode_delivery_with};

/// Messages as deliveries, without the link and the tags, which are each consumer's own. Made for a fan-out: what is encoded here once costs each
/// consumer a copy ([`Deliveries::send_run`]).
#[derive(Debug, Default)]
pub struct DeliveryRun {
    out: SendQueue,
    /// Where each frame begins.
    starts: Vec<u32>,
    largest: usize,
    /// They have more than a payload.
    is_with: bool,
}

/// The link and the tag of a delivery (PROTOCOL §2.1, §3).
const LINK: usize = 8;
const TAG: usize = HEADER as usize;

impl DeliveryRun {
    /// Bytes that all of it may have: what goes to a consumer in one piece must not be much.
    const MOST: usize = 32 * 1024;

    /// None yet.
    pub fn new() -> DeliveryRun {
        DeliveryRun::default()
    }

    /// Forgets all, for others.
    pub fn clear(&mut self) {
        self.out.advance(self.out.len());
        self.starts.clear();
        (self.largest, self.is_with) = (0, false);
    }

    /// Messages in it.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Appends a first attempt to deliver a message. False if that would be too much: it has no more than 32 KiB.
    pub fn push(&mut self, payload: Payload<'_>, options: &DeliveryOptions<'_>) -> bool {
        if self.out.len() + payload.len() > DeliveryRun::MOST {
            return false;
        }
        let start = self.out.len() as u32;
        let encoded = match options.is_empty() {
            true => encode_delivery(1, 1, 1, payload, &mut self.out),
            false => encode_delivery_with(1, 1, 1, false, options, payload, &mut self.out),
        };
        self.is_with |= !options.is_empty();
        self.largest = self.largest.max(payload.len());
        self.starts.push(start);
        encoded.is_ok()
    }
}

impl Deliveries<'_> {
    /// Sends all of a run, with the tags that are next, and returns the first of them; or nothing of it.
    ///
    /// # Errors
    ///
    /// As [`send`](Deliveries::send), but it is [`SendError::Full`] also when only a part of it has room, or cannot be sent in one piece: then
    /// one by one is the way.
    pub fn send_run(&mut self, run: &DeliveryRun) -> Result<u64, SendError> {
        let bytes = run.out.first_segment();
        // A payload that is shared is not in one piece with the others.
        let is_whole = bytes.len() == run.out.len();
        if !is_whole || !self.can_take(run.len(), bytes.len(), run.largest, run.is_with) {
            return Err(SendError::Full);
        }
        let (first, link) = self.took(run.len());
        self.out().put_edited(bytes, |copy| {
            for (start, tag) in run.starts.iter().zip(first..) {
                let frame = &mut copy[*start as usize..][..TAG + 8];
                frame[LINK..LINK + 4].copy_from_slice(&link.to_be_bytes());
                frame[TAG..].copy_from_slice(&tag.to_be_bytes());
            }
        });
        Ok(first)
    }
}
