//! The types of frames, and what each one's header must look like (PROTOCOL §2, §3).

use super::feature::Feature;
use super::limits;
use core::fmt;

/// The type of a frame, as its header names it (PROTOCOL §3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum FrameType {
    /// The client's greeting; the first frame of a connection.
    Hello,
    /// The broker's answer to it.
    Welcome,
    /// The last frame of whoever sends it: an orderly end.
    Goodbye,
    /// The last frame of whoever sends it: the end, for a reason.
    Error,
    /// Asks for a sign of life.
    Ping,
    /// The sign of life.
    Pong,
    /// The broker goes away in a while.
    GoingAway,
    /// Opens a link to a channel.
    Open,
    /// The link is open.
    Opened,
    /// Asks for the end of a link, or acknowledges it.
    Close,
    /// The end of a link, with its reason.
    Closed,
    /// Allows more publishes or deliveries.
    Credit,
    /// A message for a channel.
    Publish,
    /// Publishes were accepted.
    Confirmed,
    /// Publishes were refused.
    Refused,
    /// A message for a channel, with more than its payload.
    PublishWith,
    /// Who publishes on a link, across connections.
    Producer,
    /// A message for a consumer.
    Delivery,
    /// Deliveries were dealt with.
    Ack,
    /// Deliveries were not dealt with.
    Refuse,
    /// A message for a consumer, with more than its payload.
    DeliveryWith,
    /// Settles deliveries in any way that there is.
    Settle,
    /// What a settling has changed.
    Settled,
    /// Messages that a subscription has lost.
    Gap,
    /// A question.
    Request,
    /// Its answer.
    Reply,
    /// Why there is no answer.
    NoReply,
    /// A frame of the user's own; the number on the wire is in [`Frame::User`](crate::Frame::User).
    User,
}

/// Whether a frame concerns the connection or one of its links (PROTOCOL §2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The link field is zero.
    Connection,
    /// The link field is a link's number.
    Link,
    /// The link field is the user's, with any value.
    Any,
}

impl FrameType {
    /// Every type, in the order of their numbers; the user's range counts as one and comes last.
    pub const ALL: [FrameType; 28] = [
        FrameType::Hello,
        FrameType::Welcome,
        FrameType::Goodbye,
        FrameType::Error,
        FrameType::Ping,
        FrameType::Pong,
        FrameType::GoingAway,
        FrameType::Open,
        FrameType::Opened,
        FrameType::Close,
        FrameType::Closed,
        FrameType::Credit,
        FrameType::Publish,
        FrameType::Confirmed,
        FrameType::Refused,
        FrameType::PublishWith,
        FrameType::Producer,
        FrameType::Delivery,
        FrameType::Ack,
        FrameType::Refuse,
        FrameType::DeliveryWith,
        FrameType::Settle,
        FrameType::Settled,
        FrameType::Gap,
        FrameType::Request,
        FrameType::Reply,
        FrameType::NoReply,
        FrameType::User,
    ];

    /// The first number of the user's range, which ends at `0xFFFF`.
    pub const USER: u16 = 0x8000;

    /// The type's number on the wire; for [`FrameType::User`] the first of its range.
    #[inline]
    pub const fn value(self) -> u16 {
        match self {
            FrameType::Hello => 0x0001,
            FrameType::Welcome => 0x0002,
            FrameType::Goodbye => 0x0003,
            FrameType::Error => 0x0004,
            FrameType::Ping => 0x0005,
            FrameType::Pong => 0x0006,
            FrameType::GoingAway => 0x0009,
            FrameType::Open => 0x0010,
            FrameType::Opened => 0x0011,
            FrameType::Close => 0x0012,
            FrameType::Closed => 0x0013,
            FrameType::Credit => 0x0014,
            FrameType::Publish => 0x0020,
            FrameType::Confirmed => 0x0021,
            FrameType::Refused => 0x0022,
            FrameType::PublishWith => 0x0023,
            FrameType::Producer => 0x0024,
            FrameType::Delivery => 0x0030,
            FrameType::Ack => 0x0031,
            FrameType::Refuse => 0x0032,
            FrameType::DeliveryWith => 0x0033,
            FrameType::Settle => 0x0034,
            FrameType::Settled => 0x0036,
            FrameType::Gap => 0x0037,
            FrameType::Request => 0x0040,
            FrameType::Reply => 0x0041,
            FrameType::NoReply => 0x0042,
            FrameType::User => FrameType::USER,
        }
    }

    /// The type with this number, whatever was agreed on; `None` where there is none (PROTOCOL §2.3, §14.2).
    #[inline]
    pub const fn from_value(value: u16) -> Option<FrameType> {
        Some(match value {
            0x0001 => FrameType::Hello,
            0x0002 => FrameType::Welcome,
            0x0003 => FrameType::Goodbye,
            0x0004 => FrameType::Error,
            0x0005 => FrameType::Ping,
            0x0006 => FrameType::Pong,
            0x0009 => FrameType::GoingAway,
            0x0010 => FrameType::Open,
            0x0011 => FrameType::Opened,
            0x0012 => FrameType::Close,
            0x0013 => FrameType::Closed,
            0x0014 => FrameType::Credit,
            0x0020 => FrameType::Publish,
            0x0021 => FrameType::Confirmed,
            0x0022 => FrameType::Refused,
            0x0023 => FrameType::PublishWith,
            0x0024 => FrameType::Producer,
            0x0030 => FrameType::Delivery,
            0x0031 => FrameType::Ack,
            0x0032 => FrameType::Refuse,
            0x0033 => FrameType::DeliveryWith,
            0x0034 => FrameType::Settle,
            0x0036 => FrameType::Settled,
            0x0037 => FrameType::Gap,
            0x0040 => FrameType::Request,
            0x0041 => FrameType::Reply,
            0x0042 => FrameType::NoReply,
            FrameType::USER..=0xFFFF => FrameType::User,
            _ => return None,
        })
    }

    /// The features of which one must have been agreed on for the type to be known, a bit each; 0 for those of version 1 itself
    /// (PROTOCOL §14.2).
    #[inline]
    pub const fn features(self) -> u64 {
        match self {
            FrameType::GoingAway => Feature::Drain.bit(),
            FrameType::PublishWith | FrameType::DeliveryWith => Feature::Queues.bit() | Feature::Topics.bit(),
            FrameType::Producer | FrameType::Settle | FrameType::Settled => Feature::Queues.bit(),
            FrameType::Gap => Feature::Topics.bit(),
            FrameType::Request | FrameType::Reply | FrameType::NoReply => Feature::Requests.bit(),
            _ => 0,
        }
    }

    /// Whether the type is known when these features were agreed on (PROTOCOL §12.1).
    #[inline]
    pub const fn is_known(self, features: u64) -> bool {
        self.features() == 0 || self.features() & features != 0
    }

    /// How long the optional fields before a payload can be, which the payload's limit does not count (PROTOCOL §14.2).
    #[inline]
    pub const fn max_options(self) -> u32 {
        match self {
            FrameType::PublishWith => 8 + 8 + 1 + 256 + 256,
            FrameType::DeliveryWith => 8 + 1 + 256 + 256 + (2 + 4 + 1 + 8 + 2 + 255),
            _ => 0,
        }
    }

    /// The name in PROTOCOL §3 and §14.2.
    pub const fn name(self) -> &'static str {
        match self {
            FrameType::Hello => "HELLO",
            FrameType::Welcome => "WELCOME",
            FrameType::Goodbye => "GOODBYE",
            FrameType::Error => "ERROR",
            FrameType::Ping => "PING",
            FrameType::Pong => "PONG",
            FrameType::GoingAway => "GOING_AWAY",
            FrameType::Open => "OPEN",
            FrameType::Opened => "OPENED",
            FrameType::Close => "CLOSE",
            FrameType::Closed => "CLOSED",
            FrameType::Credit => "CREDIT",
            FrameType::Publish => "PUBLISH",
            FrameType::Confirmed => "CONFIRMED",
            FrameType::Refused => "REFUSED",
            FrameType::PublishWith => "PUBLISH_WITH",
            FrameType::Producer => "PRODUCER",
            FrameType::Delivery => "DELIVERY",
            FrameType::Ack => "ACK",
            FrameType::Refuse => "REFUSE",
            FrameType::DeliveryWith => "DELIVERY_WITH",
            FrameType::Settle => "SETTLE",
            FrameType::Settled => "SETTLED",
            FrameType::Gap => "GAP",
            FrameType::Request => "REQUEST",
            FrameType::Reply => "REPLY",
            FrameType::NoReply => "NO_REPLY",
            FrameType::User => "USER",
        }
    }

    /// What the link field holds (PROTOCOL §2.5).
    #[inline]
    pub const fn scope(self) -> Scope {
        match self {
            FrameType::Hello
            | FrameType::Welcome
            | FrameType::Goodbye
            | FrameType::Error
            | FrameType::Ping
            | FrameType::Pong
            | FrameType::GoingAway => Scope::Connection,
            FrameType::Open
            | FrameType::Opened
            | FrameType::Close
            | FrameType::Closed
            | FrameType::Credit
            | FrameType::Publish
            | FrameType::Confirmed
            | FrameType::Refused
            | FrameType::Delivery
            | FrameType::Ack
            | FrameType::Refuse
            | FrameType::PublishWith
            | FrameType::Producer
            | FrameType::DeliveryWith
            | FrameType::Settle
            | FrameType::Settled
            | FrameType::Gap
            | FrameType::Request
            | FrameType::Reply
            | FrameType::NoReply => Scope::Link,
            FrameType::User => Scope::Any,
        }
    }

    /// The flags that the type has (PROTOCOL §2.4).
    #[inline]
    pub const fn flags(self) -> u16 {
        match self {
            FrameType::Open | FrameType::PublishWith => 0b11,
            FrameType::Publish | FrameType::DeliveryWith | FrameType::Settle => 0b1,
            FrameType::User => 0xFFFF,
            _ => 0,
        }
    }

    /// The size of the body without its last, variable part (PROTOCOL §3).
    #[inline]
    pub const fn min_body(self) -> u32 {
        match self {
            FrameType::Hello => 28,
            FrameType::Welcome => 23,
            FrameType::Goodbye => 2,
            FrameType::Error => 10,
            FrameType::Ping | FrameType::Pong => 8,
            FrameType::Open => 5,
            FrameType::Opened | FrameType::Close => 0,
            FrameType::Closed => 2,
            FrameType::Credit => 8,
            FrameType::Publish => 8,
            FrameType::Confirmed => 8,
            FrameType::Refused => 18,
            FrameType::Delivery => 12,
            FrameType::Ack => 16,
            FrameType::Refuse | FrameType::Settle => 17,
            FrameType::GoingAway => 4,
            FrameType::PublishWith => 10,
            FrameType::DeliveryWith => 14,
            FrameType::Producer | FrameType::Settled => 24,
            FrameType::Gap => 8,
            FrameType::Request => 12,
            FrameType::Reply => 8,
            FrameType::NoReply => 10,
            FrameType::User => 0,
        }
    }

    /// How long the variable part of the body can be; `None` where the receiver's
    /// [`max_payload`](crate::Limits::max_payload) says it (PROTOCOL §2.2).
    #[inline]
    pub const fn max_variable(self) -> Option<u32> {
        match self {
            FrameType::Hello => Some(limits::MAX_HELLO - limits::HEADER - 28),
            FrameType::Welcome => Some(limits::MAX_SHORT_TEXT as u32),
            FrameType::Goodbye | FrameType::Error | FrameType::Closed | FrameType::Refused | FrameType::NoReply => {
                Some(limits::MAX_TEXT)
            }
            FrameType::Open => Some(254 + limits::MAX_ARGUMENTS),
            FrameType::Ping
            | FrameType::Pong
            | FrameType::Opened
            | FrameType::Close
            | FrameType::Credit
            | FrameType::Confirmed
            | FrameType::Ack
            | FrameType::Refuse
            | FrameType::GoingAway
            | FrameType::Producer
            | FrameType::Settled
            | FrameType::Gap => Some(0),
            // A delay and a priority with their set.
            FrameType::Settle => Some(2 + 8 + 1),
            FrameType::Publish
            | FrameType::Delivery
            | FrameType::User
            | FrameType::PublishWith
            | FrameType::DeliveryWith
            | FrameType::Request
            | FrameType::Reply => None,
        }
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_types_map_both_ways() {
        for frame in FrameType::ALL {
            assert_eq!(FrameType::from_value(frame.value()), Some(frame));
        }
        let known = (0..=u16::MAX).filter(|&value| FrameType::from_value(value).is_some()).count();
        assert_eq!(known, FrameType::ALL.len() - 1 + 0x8000);
        assert!(FrameType::ALL.windows(2).all(|pair| pair[0].value() < pair[1].value()));
    }
}
