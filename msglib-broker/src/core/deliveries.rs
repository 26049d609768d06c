//! Several deliveries to one consumer, with what they need looked up once.

use super::config::Counters;
use super::context::Context;
use super::state::State;
use crate::dialect::SendError;
use crate::native::{Native, NativeLink};
use msglib_proto::transport::ConnectionId;
use msglib_proto::{LinkNumber, Payload, SendQueue, encode_delivery};

/// Sends one message after the other to one consumer; made by [`Context::deliveries`].
#[derive(Debug)]
pub struct Deliveries<'a> {
    number: LinkNumber,
    link: &'a mut NativeLink,
    max_payload: usize,
    high_water: usize,
    out: &'a mut SendQueue,
    wants_room: &'a mut bool,
    counters: &'a mut Counters,
}

impl Context<'_, Native> {
    /// For several deliveries to the consumer at the other end of a link: as [`deliver`](Context::deliver) for each of them, at about
    /// half of the price.
    ///
    /// # Errors
    ///
    /// [`SendError::LinkGone`] or [`SendError::Gone`].
    #[inline]
    pub fn deliveries(&mut self, to: ConnectionId, link: LinkNumber) -> Result<Deliveries<'_>, SendError> {
        let State { connections, touched, counters, config, dialect, spares, .. } = &mut *self.state;
        // One that is leaving gets nothing new.
        let connection = connections.get_mut(to).filter(|connection| connection.is_live()).ok_or(SendError::Gone)?;
        if !connection.flags.touched {
            connection.flags.touched = true;
            touched.push_back(to);
        }
        connection.take_spare(spares);
        let max_payload = connection.session.max_payload() as usize;
        Ok(Deliveries {
            number: link,
            link: connection.session.consumer(link, dialect, &mut connection.out)?,
            max_payload,
            high_water: config.high_water.max(1),
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
    #[inline]
    pub fn send<'p>(&mut self, count: u32, payload: impl Into<Payload<'p>>) -> Result<u64, SendError> {
        let payload = payload.into();
        if self.out.len() >= self.high_water {
            *self.wants_room = true;
            self.counters.full += 1;
            return Err(SendError::Full);
        }
        let (size, max) = (payload.len(), self.max_payload);
        if size > max {
            return Err(SendError::TooLarge { size, max: max as u32 });
        }
        let tag = self.link.delivered + 1;
        if tag > self.link.delivery_credit {
            return Err(SendError::NoCredit(self.number));
        }
        if encode_delivery(self.number, tag, count, payload, self.out).is_err() {
            return Err(SendError::Misuse("the count of a delivery begins with 1"));
        }
        self.link.delivered = tag;
        self.counters.frames_sent += 1;
        Ok(tag)
    }
}
