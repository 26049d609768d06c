//! What a session tells its user.

use super::details::Details;
use bytes::Bytes;
use core::ops::RangeInclusive;
use msglib_proto::{ErrorCode, LinkNumber};
use std::sync::Arc;

/// What the broker said in its `WELCOME` (PROTOCOL §4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BrokerInfo {
    /// The version that both speak.
    pub version: u16,
    /// The feature bits that both have.
    pub features: u64,
    /// The largest payload that the broker takes, in bytes.
    pub max_payload: u32,
    /// How many links the connection may have at once.
    pub max_links: u32,
    /// After how many milliseconds without a byte the broker gives the connection up; 0 for never. A client that may
    /// be silent for longer sends a ping well within it.
    pub idle_ms: u32,
    /// What the broker calls itself.
    pub name: Arc<str>,
}

/// A frame of the user's own, from the broker (PROTOCOL §12.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserFrame {
    /// `0x8000` to `0xFFFF`.
    pub kind: u16,
    /// The user's own.
    pub flags: u16,
    /// The user's own; need not be a link.
    pub link: u32,
    /// The user's own.
    pub body: Bytes,
}

/// What happened, in the order in which the broker said it. Everything is owned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The broker took the client; [`Session::welcome`](super::Session::welcome) has what it said.
    Welcome,
    /// The broker opened the link.
    Opened {
        /// The link.
        link: LinkNumber,
    },
    /// The link's end, and its number is free: refused, ended by the broker, or closed as was asked.
    LinkClosed {
        /// The link.
        link: LinkNumber,
        /// Whether this side had asked for it.
        asked: bool,
        /// Why.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// The broker allows publishes up to the number `upto`.
    Credit {
        /// The link.
        link: LinkNumber,
        /// The last number that is allowed.
        upto: u64,
    },
    /// All publishes up to `upto` have their outcome: accepted, but for those that were refused before.
    Confirmed {
        /// The link.
        link: LinkNumber,
        /// At most the last number that was sent.
        upto: u64,
    },
    /// Publishes were not accepted and have no effect.
    Refused {
        /// The link.
        link: LinkNumber,
        /// Their numbers; all of them were sent, none was confirmed before.
        numbers: RangeInclusive<u64>,
        /// Why.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// A message.
    Delivery {
        /// The link.
        link: LinkNumber,
        /// For [`ack`](super::Session::ack) and [`refuse`](super::Session::refuse).
        tag: u64,
        /// Which attempt this is: 1 the first time.
        count: u32,
        /// The message. One of up to 512 bytes shares a block of 4 KiB with its neighbours, which stays as long as any of
        /// them is kept: copy those few out of many that are to be kept for long.
        payload: Bytes,
        /// What the broker says beside it; `None` for nothing, as of a plain queue.
        details: Option<Box<Details>>,
    },
    /// What a settling has changed that asked for it; in the order in which they were asked for.
    Settled {
        /// The link.
        link: LinkNumber,
        /// The tags of the settling.
        tags: RangeInclusive<u64>,
        /// How many deliveries it has changed.
        count: u64,
    },
    /// Between the deliveries before and behind it, messages are missing that a topic's subscription has lost.
    Gap {
        /// The link.
        link: LinkNumber,
        /// How many.
        lost: u64,
    },
    /// A request to be answered.
    Request {
        /// The link.
        link: LinkNumber,
        /// For [`reply`](super::Session::reply) and [`no_reply`](super::Session::no_reply).
        tag: u64,
        /// For how many milliseconds the caller still waits.
        deadline_ms: u32,
        /// The question.
        payload: Bytes,
    },
    /// The answer to a request of this side's.
    Reply {
        /// The link.
        link: LinkNumber,
        /// The request's.
        number: u64,
        /// The answer.
        payload: Bytes,
    },
    /// There is no answer to a request of this side's.
    NoReply {
        /// The link.
        link: LinkNumber,
        /// The request's.
        number: u64,
        /// Why.
        code: ErrorCode,
        /// Why, for a person.
        text: Arc<str>,
    },
    /// The broker will end the connection: settle what is held, and connect elsewhere or later.
    GoingAway {
        /// When, in milliseconds from when it was said.
        deadline_ms: u32,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        token: u64,
    },
    /// A frame of the user's own.
    User(UserFrame),
    /// The session is over; [`Session::end`](super::Session::end) says how. The last event.
    Over,
}
