//! The types of frames, and what each one's header must look like (PROTOCOL §2, §3).

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
    /// A message for a consumer.
    Delivery,
    /// Deliveries were dealt with.
    Ack,
    /// Deliveries were not dealt with.
    Refuse,
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
    pub const ALL: [FrameType; 18] = [
        FrameType::Hello,
        FrameType::Welcome,
        FrameType::Goodbye,
        FrameType::Error,
        FrameType::Ping,
        FrameType::Pong,
        FrameType::Open,
        FrameType::Opened,
        FrameType::Close,
        FrameType::Closed,
        FrameType::Credit,
        FrameType::Publish,
        FrameType::Confirmed,
        FrameType::Refused,
        FrameType::Delivery,
        FrameType::Ack,
        FrameType::Refuse,
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
            FrameType::Open => 0x0010,
            FrameType::Opened => 0x0011,
            FrameType::Close => 0x0012,
            FrameType::Closed => 0x0013,
            FrameType::Credit => 0x0014,
            FrameType::Publish => 0x0020,
            FrameType::Confirmed => 0x0021,
            FrameType::Refused => 0x0022,
            FrameType::Delivery => 0x0030,
            FrameType::Ack => 0x0031,
            FrameType::Refuse => 0x0032,
            FrameType::User => FrameType::USER,
        }
    }

    /// The type with this number; `None` where version 1 has none (PROTOCOL §2.3).
    #[inline]
    pub const fn from_value(value: u16) -> Option<FrameType> {
        Some(match value {
            0x0001 => FrameType::Hello,
            0x0002 => FrameType::Welcome,
            0x0003 => FrameType::Goodbye,
            0x0004 => FrameType::Error,
            0x0005 => FrameType::Ping,
            0x0006 => FrameType::Pong,
            0x0010 => FrameType::Open,
            0x0011 => FrameType::Opened,
            0x0012 => FrameType::Close,
            0x0013 => FrameType::Closed,
            0x0014 => FrameType::Credit,
            0x0020 => FrameType::Publish,
            0x0021 => FrameType::Confirmed,
            0x0022 => FrameType::Refused,
            0x0030 => FrameType::Delivery,
            0x0031 => FrameType::Ack,
            0x0032 => FrameType::Refuse,
            FrameType::USER..=0xFFFF => FrameType::User,
            _ => return None,
        })
    }

    /// The name in PROTOCOL §3.
    pub const fn name(self) -> &'static str {
        match self {
            FrameType::Hello => "HELLO",
            FrameType::Welcome => "WELCOME",
            FrameType::Goodbye => "GOODBYE",
            FrameType::Error => "ERROR",
            FrameType::Ping => "PING",
            FrameType::Pong => "PONG",
            FrameType::Open => "OPEN",
            FrameType::Opened => "OPENED",
            FrameType::Close => "CLOSE",
            FrameType::Closed => "CLOSED",
            FrameType::Credit => "CREDIT",
            FrameType::Publish => "PUBLISH",
            FrameType::Confirmed => "CONFIRMED",
            FrameType::Refused => "REFUSED",
            FrameType::Delivery => "DELIVERY",
            FrameType::Ack => "ACK",
            FrameType::Refuse => "REFUSE",
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
            | FrameType::Pong => Scope::Connection,
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
            | FrameType::Refuse => Scope::Link,
            FrameType::User => Scope::Any,
        }
    }

    /// The flags that the type has (PROTOCOL §2.4).
    #[inline]
    pub const fn flags(self) -> u16 {
        match self {
            FrameType::Open => 0b11,
            FrameType::Publish => 0b1,
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
            FrameType::Refuse => 17,
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
            FrameType::Goodbye | FrameType::Error | FrameType::Closed | FrameType::Refused => Some(limits::MAX_TEXT),
            FrameType::Open => Some(254 + limits::MAX_ARGUMENTS),
            FrameType::Ping
            | FrameType::Pong
            | FrameType::Opened
            | FrameType::Close
            | FrameType::Credit
            | FrameType::Confirmed
            | FrameType::Ack
            | FrameType::Refuse => Some(0),
            FrameType::Publish | FrameType::Delivery | FrameType::User => None,
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
