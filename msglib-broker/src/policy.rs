//! Single decisions of the stock handler, made by the user (rung 2 of the ladder of control in ARCHITECTURE.md).

use crate::identity::Identity;
use crate::queue::{Candidates, Cause, Fate, MessageId, MessageInfo, NewMessage, Order, Pick, Settling};
use crate::reason::Reject;
use crate::stock::ConsumerKey;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelName, OwnedName, Payload};
use std::borrow::Cow;

/// Decides what the stock handler leaves to decide. Each method is one decision, and has a default that changes nothing; write those
/// that you mean.
///
/// ```
/// use msglib_broker::policy::{Policy, Publishing};
/// use msglib_broker::{ConnectionHandler, ErrorCode, Reject};
///
/// /// Nobody publishes an empty message.
/// struct NothingEmpty;
///
/// impl Policy for NothingEmpty {
///     fn admit(&mut self, publishing: &Publishing<'_>) -> Result<(), Reject> {
///         match publishing.message.payload.is_empty() {
///             true => Err(Reject::new(ErrorCode::NOT_ALLOWED, "an empty message is a mistake")),
///             false => Ok(()),
///         }
///     }
/// }
///
/// let handler = ConnectionHandler::new().with_policy(NothingEmpty);
/// # let _ = handler;
/// ```
pub trait Policy: Send {
    /// Whether a message is taken. A refusal is told to the publisher, whose connection goes on unless it is
    /// [fatal](Reject::fatal).
    ///
    /// # Errors
    ///
    /// The refusal.
    fn admit(&mut self, publishing: &Publishing<'_>) -> Result<(), Reject> {
        let _ = publishing;
        Ok(())
    }

    /// To which queue a message goes, if not to the one that it was published to. A queue that does not exist is made.
    fn route(&mut self, publishing: &Publishing<'_>) -> Option<OwnedName> {
        let _ = publishing;
        None
    }

    /// The key of a message, if not the one that it came with: what it belongs to, for the orders by key. 1 to 255 bytes; of more, the
    /// first 255.
    fn key<'p>(&mut self, publishing: &Publishing<'p>) -> Option<Cow<'p, [u8]>> {
        let _ = publishing;
        None
    }

    /// Whom the message that is next is delivered to.
    fn pick(
        &mut self,
        queue: ChannelName<'_>,
        message: &MessageInfo<'_>,
        candidates: &Candidates<'_, ConsumerKey>,
    ) -> Pick {
        let _ = (queue, message, candidates);
        Pick::Default
    }

    /// What it means that a consumer refuses a delivery for good; by default, that it is for good.
    fn refused(&mut self, refusal: &Refusal<'_>) -> Settling {
        let _ = refusal;
        Settling::ForGood
    }

    /// A message has left its queue, and not by an ack: it expired, was dropped, purged or deleted with its queue, or is a dead letter. `Some` is a queue where it goes
    /// instead of what was meant for it; one that does not exist is made. If there is no room for it, it is dropped, and comes here once
    /// more, as [`Fate::NoRoomForDeadLetter`].
    fn departed(&mut self, departure: &Departure<'_>) -> Option<OwnedName> {
        let _ = departure;
        None
    }

    /// The order of a queue that is made now, if not the one that its configuration says.
    fn order(&mut self, queue: ChannelName<'_>) -> Option<Box<dyn Order>> {
        let _ = queue;
        None
    }
}

/// A message that somebody publishes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Publishing<'a> {
    /// On which connection; `None` for the host program.
    pub from: Option<ConnectionId>,
    /// Who that is, if that was decided.
    pub identity: Option<&'a Identity>,
    /// To which queue.
    pub queue: ChannelName<'a>,
    /// The message.
    pub message: NewMessage<'a>,
}

/// A delivery that its consumer refuses for good.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// Who refuses it.
    pub consumer: ConsumerKey,
    /// Who that is, if that was decided.
    pub identity: Option<&'a Identity>,
    /// Of which queue.
    pub queue: ChannelName<'a>,
    /// The message.
    pub message: MessageInfo<'a>,
}

/// A message that has left its queue, and not by an ack.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Departure<'a> {
    /// Which queue.
    pub queue: ChannelName<'a>,
    /// Its number there.
    pub id: MessageId,
    /// The message itself.
    pub payload: Payload<'a>,
    /// Its priority.
    pub priority: u32,
    /// Its key, if it has one.
    pub key: Option<&'a [u8]>,
    /// How often it was delivered.
    pub deliveries: u32,
    /// How it left the queue.
    pub fate: Fate,
    /// Where it goes, if it is a dead letter.
    pub dead_letter_to: Option<ChannelName<'a>>,
    /// Why it is, or was, a dead letter.
    pub cause: Option<&'a Cause>,
}
