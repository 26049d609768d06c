//! Several deliveries to one consumer, with what they need looked up once.

use super::config::Counters;
use super::context::Context;
use super::state::State;
use crate::dialect::SendError;
use crate::native::{Native, NativeLink};
use msglib_proto::transport::ConnectionId;
use msglib_proto::{
    DeliveryOptions, Frame, FrameType, LinkNumber, Payload, SendQueue, encode, encode_delivery, encode_delivery_with,
};

/// Sends one message after the other to one consumer; made by [`Context::deliveries`].
#[derive(Debug)]
pub struct Deliveries<'a> {
    number: LinkNumber,
    link: &'a mut NativeLink,
    max_payload: usize,
    features: u64,
    high_water: usize,
    out: &'a mut SendQueue,
    wants_room: &'a mut bool,
    counters: &'a mut Counters,
}

/// The high-water mark of a broker that drains; otherwise it is at least one.
const GOING_AWAY: usize = 0;

impl Context<'_, Native> {
    /// For several deliveries to the consumer at the other end of a link: as [`deliver`](Context::deliver) for each of them, at about
    /// half of the price.
    ///
    /// # Errors
    ///
    /// [`SendError::LinkGone`] or [`SendError::Gone`].
    #[inline]
    pub fn deliveries(&mut self, to: ConnectionId, link: LinkNumber) -> Result<Deliveries<'_>, SendError> {
        let State { connections, touched, counters, config, volume, dialect, spares, drains_until, .. } =
            &mut *self.state;
        // One that is leaving gets nothing new.
        let connection = connections.get_mut(to).filter(|connection| connection.is_live()).ok_or(SendError::Gone)?;
        if !connection.flags.touched {
            connection.flags.touched = true;
            touched.push_back(to);
        }
        connection.take_spare(spares);
        let max_payload = connection.session.max_payload() as usize;
        let features = connection.session.features();
        Ok(Deliveries {
            number: link,
            link: connection.session.consumer(link, dialect, &mut connection.out)?,
            max_payload,
            features,
            high_water: if drains_until.is_some() { GOING_AWAY } else { volume.high_water(config) },
            out: &mut connection.out,
            wants_room: &mut connection.flags.wants_room,
            counters,
        })
    }
}

impl Deliveries<'_> {
    /// Sends a message with the next tag, and returns that tag. `count` is as for [`Context::deliver`].
    ///
    /// # Errors
    ///
    /// [`SendError::NoCredit`], [`SendError::Full`] (an [`Event::Drained`](crate::Event::Drained) comes when there is room) or
    /// [`SendError::TooLarge`]; nothing was sent and the tag was not used.
    #[inline(always)]
    pub fn send<'p>(&mut self, count: u32, payload: impl Into<Payload<'p>>) -> Result<u64, SendError> {
        let payload = payload.into();
        let tag = self.next_tag(payload.len())?;
        if encode_delivery(self.number, tag, count, payload, self.out).is_err() {
            return Err(SendError::Misuse("the count of a delivery begins with 1"));
        }
        self.sent(tag);
        Ok(tag)
    }

    /// As [`send`](Deliveries::send), with more than the payload (PROTOCOL §14.3). To a client that has not agreed on that, and where there is
    /// nothing to be said, it is a plain delivery.
    ///
    /// # Errors
    ///
    /// As [`send`](Deliveries::send).
    pub fn send_with<'p>(
        &mut self,
        count: u32,
        payload: impl Into<Payload<'p>>,
        retained: bool,
        options: &DeliveryOptions<'_>,
    ) -> Result<u64, SendError> {
        let payload = payload.into();
        if !FrameType::DeliveryWith.is_known(self.features) || (options.is_empty() && !retained) {
            return self.send(count, payload);
        }
        let tag = self.next_tag(payload.len())?;
        if encode_delivery_with(self.number, tag, count, retained, options, payload, self.out).is_err() {
            return Err(SendError::Misuse("a field of a delivery has a value that has no encoding"));
        }
        self.sent(tag);
        Ok(tag)
    }

    /// Says that so many messages are missing here (PROTOCOL §16.5), which takes no tag and no credit. A client that has not agreed on that is
    /// not told.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], and [`SendError::Misuse`] for none.
    pub fn gap(&mut self, lost: u64) -> Result<(), SendError> {
        if !FrameType::Gap.is_known(self.features) {
            return Ok(());
        }
        self.check_room()?;
        encode(&Frame::Gap { link: self.number, lost }, self.out)
            .map_err(|_| SendError::Misuse("a gap is of one message at least"))?;
        self.counters.frames_sent += 1;
        Ok(())
    }

    #[inline]
    fn check_room(&mut self) -> Result<(), SendError> {
        if self.out.len() < self.high_water {
            return Ok(());
        }
        // When the broker goes away, there will be no more room.
        *self.wants_room |= self.high_water > GOING_AWAY;
        self.counters.full += 1;
        Err(SendError::Full)
    }

    /// Whether so many deliveries with so many bytes in all can be sent, of which the largest payload has so many.
    pub(super) fn can_take(&self, count: usize, bytes: usize, largest: usize, is_with: bool) -> bool {
        self.out.len() + bytes <= self.high_water
            && largest <= self.max_payload
            && self.link.delivery_credit - self.link.delivered >= count as u64
            && (!is_with || FrameType::DeliveryWith.is_known(self.features))
    }

    /// So many were sent; gives the tag of the first, and the link.
    pub(super) fn took(&mut self, count: usize) -> (u64, LinkNumber) {
        let first = self.link.delivered + 1;
        self.link.delivered += count as u64;
        self.counters.frames_sent += count as u64;
        (first, self.number)
    }

    pub(super) fn out(&mut self) -> &mut SendQueue {
        self.out
    }

    /// The tag of the next delivery, if there is room and credit for it.
    #[inline]
    fn next_tag(&mut self, size: usize) -> Result<u64, SendError> {
        self.check_room()?;
        let max = self.max_payload;
        if size > max {
            return Err(SendError::TooLarge { size, max: max as u32 });
        }
        let tag = self.link.delivered + 1;
        if tag > self.link.delivery_credit {
            return Err(SendError::NoCredit(self.number));
        }
        Ok(tag)
    }

    #[inline]
    fn sent(&mut self, tag: u64) {
        self.link.delivered = tag;
        self.counters.frames_sent += 1;
    }
}
