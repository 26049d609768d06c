//! The frames of protocol version 1 (PROTOCOL §3).

use super::channel::{ChannelKind, ChannelName};
use super::code::ErrorCode;
use super::frame_type::FrameType;
use super::payload::Payload;
use super::with::{DeliveryOptions, PublishOptions, Settling};

/// The number of a link: chosen by the client, from 1, the lowest free one (PROTOCOL §5.2).
pub type LinkNumber = u32;

/// One frame, with its variable parts borrowed (PROTOCOL §3).
///
/// What each one means, who may send it and when, is in PROTOCOL.md; here is only what it carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    /// `HELLO`, from the client: the first frame of a connection (PROTOCOL §4.1).
    Hello(Hello<'a>),
    /// `WELCOME`, from the broker (PROTOCOL §4.2).
    Welcome(Welcome<'a>),
    /// `GOODBYE`, from either: the sender's last frame (PROTOCOL §8.2).
    Goodbye {
        /// Why; [`ErrorCode::NONE`] when it is just done.
        code: ErrorCode,
        /// Why, for a person.
        text: &'a str,
    },
    /// `ERROR`, from either: the sender's last frame (PROTOCOL §8.1).
    Error {
        /// What went wrong.
        code: ErrorCode,
        /// Where in the stream of whoever receives this frame; 0 where that means nothing.
        offset: u64,
        /// What went wrong, for a person.
        text: &'a str,
    },
    /// `PING`, from either (PROTOCOL §8.3).
    Ping {
        /// Comes back in the `PONG`.
        token: u64,
    },
    /// `PONG`, from either (PROTOCOL §8.3).
    Pong {
        /// From the latest `PING`.
        token: u64,
    },
    /// `OPEN`, from the client (PROTOCOL §5.2).
    Open(Open<'a>),
    /// `OPENED`, from the broker (PROTOCOL §5.2).
    Opened {
        /// The link.
        link: LinkNumber,
    },
    /// `CLOSE`, from the client (PROTOCOL §5.4).
    Close {
        /// The link.
        link: LinkNumber,
    },
    /// `CLOSED`, from the broker (PROTOCOL §5.4).
    Closed {
        /// The link.
        link: LinkNumber,
        /// Why; [`ErrorCode::NONE`] when it was asked for.
        code: ErrorCode,
        /// Why, for a person.
        text: &'a str,
    },
    /// `CREDIT`, from whoever receives what it allows (PROTOCOL §6.2).
    Credit {
        /// The link.
        link: LinkNumber,
        /// The last number (of a publish) or tag (of a delivery) that is allowed.
        upto: u64,
    },
    /// `PUBLISH`, from the client (PROTOCOL §7.1).
    Publish {
        /// The link.
        link: LinkNumber,
        /// 1, 2, 3 … on each link.
        number: u64,
        /// Whether a `CONFIRMED` is asked for.
        confirm: bool,
        /// The message.
        payload: Payload<'a>,
    },
    /// `CONFIRMED`, from the broker (PROTOCOL §7.2).
    Confirmed {
        /// The link.
        link: LinkNumber,
        /// All publishes up to this number, but for the refused ones, are accepted.
        upto: u64,
    },
    /// `REFUSED`, from the broker (PROTOCOL §7.3).
    Refused {
        /// The link.
        link: LinkNumber,
        /// The first publish that was refused.
        first: u64,
        /// The last publish that was refused.
        last: u64,
        /// Why.
        code: ErrorCode,
        /// Why, for a person.
        text: &'a str,
    },
    /// `DELIVERY`, from the broker (PROTOCOL §7.4).
    Delivery {
        /// The link.
        link: LinkNumber,
        /// 1, 2, 3 … on each link; settles the delivery.
        tag: u64,
        /// Which attempt this is: 1 the first time.
        count: u32,
        /// The message.
        payload: Payload<'a>,
    },
    /// `ACK`, from the client (PROTOCOL §7.5).
    Ack {
        /// The link.
        link: LinkNumber,
        /// The first tag.
        first: u64,
        /// The last tag.
        last: u64,
    },
    /// `REFUSE`, from the client (PROTOCOL §7.6).
    Refuse {
        /// The link.
        link: LinkNumber,
        /// The first tag.
        first: u64,
        /// The last tag.
        last: u64,
        /// What is to become of the messages.
        verdict: Verdict,
    },
    /// `GOING_AWAY`, from the broker (PROTOCOL §18).
    GoingAway {
        /// When it ends the connection, in milliseconds from now.
        deadline_ms: u32,
    },
    /// `PUBLISH_WITH`, from the client (PROTOCOL §14.3).
    PublishWith {
        /// The link.
        link: LinkNumber,
        /// As of `PUBLISH`.
        number: u64,
        /// Whether a `CONFIRMED` is asked for.
        confirm: bool,
        /// Whether the topic keeps it as its last value.
        retain: bool,
        /// What is said of it.
        options: PublishOptions<'a>,
        /// The message.
        payload: Payload<'a>,
    },
    /// `PRODUCER`, from the client (PROTOCOL §15.6).
    Producer {
        /// The link.
        link: LinkNumber,
        /// Who publishes on it; not 0.
        id: u128,
        /// The publish with number n has the sequence `base` + n.
        base: u64,
    },
    /// `DELIVERY_WITH`, from the broker (PROTOCOL §14.3).
    DeliveryWith {
        /// The link.
        link: LinkNumber,
        /// As of `DELIVERY`.
        tag: u64,
        /// As of `DELIVERY`.
        count: u32,
        /// Whether it is the last value that the topic has kept, and not news.
        retained: bool,
        /// What is said of it.
        options: DeliveryOptions<'a>,
        /// The message.
        payload: Payload<'a>,
    },
    /// `SETTLE`, from the client (PROTOCOL §15.4).
    Settle {
        /// The link.
        link: LinkNumber,
        /// The first tag.
        first: u64,
        /// The last tag.
        last: u64,
        /// Whether a `SETTLED` is asked for.
        confirm: bool,
        /// What is to become of the messages.
        settling: Settling,
    },
    /// `SETTLED`, from the broker (PROTOCOL §15.4).
    Settled {
        /// The link.
        link: LinkNumber,
        /// The first tag of the settling.
        first: u64,
        /// The last tag of the settling.
        last: u64,
        /// How many deliveries it has changed.
        count: u64,
    },
    /// `GAP`, from the broker (PROTOCOL §16.5).
    Gap {
        /// The link.
        link: LinkNumber,
        /// How many messages are missing here; 1 at least.
        lost: u64,
    },
    /// `REQUEST`, from the client to ask, from the broker to be answered (PROTOCOL §17).
    Request {
        /// The link.
        link: LinkNumber,
        /// From a caller as the number of a publish, to a responder as the tag of a delivery.
        number: u64,
        /// For how many milliseconds an answer is waited for; to a responder what is left of it.
        deadline_ms: u32,
        /// The question.
        payload: Payload<'a>,
    },
    /// `REPLY`, from a responder, and to the caller (PROTOCOL §17).
    Reply {
        /// The link.
        link: LinkNumber,
        /// Of the request, on this link.
        number: u64,
        /// The answer.
        payload: Payload<'a>,
    },
    /// `NO_REPLY`, from a responder, and to the caller (PROTOCOL §17).
    NoReply {
        /// The link.
        link: LinkNumber,
        /// Of the request, on this link.
        number: u64,
        /// Why there is no answer.
        code: ErrorCode,
        /// Why, for a person.
        text: &'a str,
    },
    /// A frame of the user's own, from either (PROTOCOL §12.3).
    User {
        /// `0x8000` to `0xFFFF`.
        kind: u16,
        /// The user's own.
        flags: u16,
        /// The user's own; need not be a link.
        link: LinkNumber,
        /// The user's own.
        body: Payload<'a>,
    },
}

/// What a client says first (PROTOCOL §4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello<'a> {
    /// The oldest version that the client speaks.
    pub min_version: u16,
    /// The newest version that the client speaks.
    pub max_version: u16,
    /// What the client can do beyond version 1, a bit each (PROTOCOL §12.1).
    pub features: u64,
    /// The largest payload that the client takes, in bytes.
    pub max_payload: u32,
    /// After how many milliseconds of silence the client gives the connection up; 0 for never.
    pub idle_ms: u32,
    /// What the client calls itself, for logs; at most 255 bytes.
    pub name: &'a str,
    /// How it proves who it is; empty for not at all; at most 255 bytes.
    pub mechanism: &'a str,
    /// The proof.
    pub credentials: &'a [u8],
}

/// What a broker answers (PROTOCOL §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Welcome<'a> {
    /// The version that both will speak.
    pub version: u16,
    /// What both can do beyond it.
    pub features: u64,
    /// The largest payload that the broker takes, in bytes.
    pub max_payload: u32,
    /// How many links the connection may have at once.
    pub max_links: u32,
    /// After how many milliseconds of silence the broker gives the connection up; 0 for never.
    pub idle_ms: u32,
    /// What the broker calls itself, for logs; at most 255 bytes.
    pub name: &'a str,
}

/// The wish for a link (PROTOCOL §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open<'a> {
    /// The number of the new link.
    pub link: LinkNumber,
    /// Whether the client wants to publish on it.
    pub publishes: bool,
    /// Whether the client wants deliveries on it.
    pub consumes: bool,
    /// The kind of channel.
    pub kind: ChannelKind,
    /// Which channel of the kind.
    pub name: ChannelName<'a>,
    /// For the channel; its own format. Empty for a queue.
    pub arguments: &'a [u8],
}

/// What is to become of a delivery that its consumer refuses (PROTOCOL §7.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Deliver it again, to whoever is next.
    Again,
    /// Never deliver it again; the channel decides what happens to it.
    ForGood,
}

impl Verdict {
    /// The number on the wire.
    pub const fn value(self) -> u8 {
        match self {
            Verdict::Again => 0,
            Verdict::ForGood => 1,
        }
    }

    /// The verdict with this number.
    pub const fn from_value(value: u8) -> Option<Verdict> {
        match value {
            0 => Some(Verdict::Again),
            1 => Some(Verdict::ForGood),
            _ => None,
        }
    }
}

impl Frame<'_> {
    /// The type of the frame.
    #[inline]
    pub const fn frame_type(&self) -> FrameType {
        match self {
            Frame::Hello(_) => FrameType::Hello,
            Frame::Welcome(_) => FrameType::Welcome,
            Frame::Goodbye { .. } => FrameType::Goodbye,
            Frame::Error { .. } => FrameType::Error,
            Frame::Ping { .. } => FrameType::Ping,
            Frame::Pong { .. } => FrameType::Pong,
            Frame::Open(_) => FrameType::Open,
            Frame::Opened { .. } => FrameType::Opened,
            Frame::Close { .. } => FrameType::Close,
            Frame::Closed { .. } => FrameType::Closed,
            Frame::Credit { .. } => FrameType::Credit,
            Frame::Publish { .. } => FrameType::Publish,
            Frame::Confirmed { .. } => FrameType::Confirmed,
            Frame::Refused { .. } => FrameType::Refused,
            Frame::Delivery { .. } => FrameType::Delivery,
            Frame::Ack { .. } => FrameType::Ack,
            Frame::Refuse { .. } => FrameType::Refuse,
            Frame::GoingAway { .. } => FrameType::GoingAway,
            Frame::PublishWith { .. } => FrameType::PublishWith,
            Frame::Producer { .. } => FrameType::Producer,
            Frame::DeliveryWith { .. } => FrameType::DeliveryWith,
            Frame::Settle { .. } => FrameType::Settle,
            Frame::Settled { .. } => FrameType::Settled,
            Frame::Gap { .. } => FrameType::Gap,
            Frame::Request { .. } => FrameType::Request,
            Frame::Reply { .. } => FrameType::Reply,
            Frame::NoReply { .. } => FrameType::NoReply,
            Frame::User { .. } => FrameType::User,
        }
    }

    /// The link field of the header: zero for a frame that concerns the connection.
    #[inline]
    pub const fn link(&self) -> LinkNumber {
        match self {
            Frame::Hello(_)
            | Frame::Welcome(_)
            | Frame::Goodbye { .. }
            | Frame::Error { .. }
            | Frame::Ping { .. }
            | Frame::Pong { .. }
            | Frame::GoingAway { .. } => 0,
            Frame::Open(open) => open.link,
            Frame::Opened { link }
            | Frame::Close { link }
            | Frame::Closed { link, .. }
            | Frame::Credit { link, .. }
            | Frame::Publish { link, .. }
            | Frame::Confirmed { link, .. }
            | Frame::Refused { link, .. }
            | Frame::Delivery { link, .. }
            | Frame::Ack { link, .. }
            | Frame::Refuse { link, .. }
            | Frame::PublishWith { link, .. }
            | Frame::Producer { link, .. }
            | Frame::DeliveryWith { link, .. }
            | Frame::Settle { link, .. }
            | Frame::Settled { link, .. }
            | Frame::Gap { link, .. }
            | Frame::Request { link, .. }
            | Frame::Reply { link, .. }
            | Frame::NoReply { link, .. }
            | Frame::User { link, .. } => *link,
        }
    }
}
