//! Who may send what, and when: the one table of frames, roles and states (PROTOCOL §10).
//!
//! Broker and client ask it for every frame they receive, and tests walk through all of its cells.

use super::frame_type::FrameType;

/// Who sent a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The side that connected.
    Client,
    /// The side that was connected to.
    Broker,
}

/// How far the sender's half of a connection has come, as the receiver sees it (PROTOCOL §10.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConnectionState {
    /// Nothing was received yet.
    Fresh,
    /// `HELLO` or `WELCOME` was received.
    Greeted,
    /// `GOODBYE` or `ERROR` was received: nothing may follow.
    Over,
}

/// Where a link is, as the receiver of a frame sees it (PROTOCOL §5.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LinkState {
    /// There is no such link.
    Free,
    /// `OPEN` was sent, and not answered.
    Opening,
    /// `OPENED` was sent.
    Open,
    /// The client has sent `CLOSE`; `CLOSED` has not been sent.
    Closing,
    /// The broker has sent `CLOSED`; the client's `CLOSE` has not been received.
    Closed,
}

impl ConnectionState {
    /// All of them.
    pub const ALL: [ConnectionState; 3] = [ConnectionState::Fresh, ConnectionState::Greeted, ConnectionState::Over];
}

impl LinkState {
    /// All of them.
    pub const ALL: [LinkState; 5] =
        [LinkState::Free, LinkState::Opening, LinkState::Open, LinkState::Closing, LinkState::Closed];
}

impl Role {
    /// Both of them.
    pub const ALL: [Role; 2] = [Role::Client, Role::Broker];
}

/// What the receiver of a frame does with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ruling {
    /// Act on it.
    Accept,
    /// Throw it away: it was sent before its sender could know better.
    Ignore,
    /// The sender broke the protocol: `UNEXPECTED_FRAME`.
    Unexpected,
    /// The sender broke the protocol: `BAD_LINK`.
    BadLink,
}

use Ruling::{Accept as A, BadLink as B, Ignore as I, Unexpected as U};

/// A row for each type: what to do with one from `sender`, by the state of the connection, or, where that is
/// `Greeted` and the frame has a link, by the state of the link.
struct Row {
    /// When the sender's half is `Fresh`, `Greeted`, `Over`.
    connection: [Ruling; 3],
    /// When the link is `Free`, `Opening`, `Open`, `Closing`, `Closed`.
    link: [Ruling; 5],
}

const NEVER: Row = Row { connection: [U; 3], link: [U; 5] };
const GREETING: Row = Row { connection: [A, U, U], link: [U; 5] };
const ALWAYS: Row = Row { connection: [A, A, U], link: [A; 5] };
const GREETED: Row = Row { connection: [U, A, U], link: [A; 5] };

const fn on_link(link: [Ruling; 5]) -> Row {
    Row { connection: [U, A, U], link }
}

//                                       Free Opening Open Closing Closed
const OPEN: Row = on_link([A, B, B, B, B]);
const CLOSE: Row = on_link([B, A, A, B, A]);
const FROM_CLIENT: Row = on_link([B, A, A, B, I]);
const OPENED: Row = on_link([B, A, B, I, B]);
const CLOSED: Row = on_link([B, A, A, A, B]);
const FROM_BROKER: Row = on_link([B, B, A, I, B]);
const OUTCOME: Row = on_link([B, B, A, A, B]);

#[inline]
const fn row(sender: Role, frame: FrameType) -> &'static Row {
    match (sender, frame) {
        (Role::Client, FrameType::Hello) => &GREETING,
        (Role::Broker, FrameType::Hello) => &NEVER,
        (Role::Client, FrameType::Welcome) => &NEVER,
        (Role::Broker, FrameType::Welcome) => &GREETING,
        (_, FrameType::Goodbye) => &GREETED,
        (_, FrameType::Error) => &ALWAYS,
        (_, FrameType::Ping) => &GREETED,
        (_, FrameType::Pong) => &GREETED,
        (Role::Client, FrameType::Open) => &OPEN,
        (Role::Broker, FrameType::Open) => &NEVER,
        (Role::Client, FrameType::Opened) => &NEVER,
        (Role::Broker, FrameType::Opened) => &OPENED,
        (Role::Client, FrameType::Close) => &CLOSE,
        (Role::Broker, FrameType::Close) => &NEVER,
        (Role::Client, FrameType::Closed) => &NEVER,
        (Role::Broker, FrameType::Closed) => &CLOSED,
        (Role::Client, FrameType::Credit) => &FROM_CLIENT,
        (Role::Broker, FrameType::Credit) => &FROM_BROKER,
        (Role::Client, FrameType::Publish) => &FROM_CLIENT,
        (Role::Broker, FrameType::Publish) => &NEVER,
        (Role::Client, FrameType::Confirmed) => &NEVER,
        (Role::Broker, FrameType::Confirmed) => &OUTCOME,
        (Role::Client, FrameType::Refused) => &NEVER,
        (Role::Broker, FrameType::Refused) => &OUTCOME,
        (Role::Client, FrameType::Delivery) => &NEVER,
        (Role::Broker, FrameType::Delivery) => &FROM_BROKER,
        (Role::Client, FrameType::Ack) => &FROM_CLIENT,
        (Role::Broker, FrameType::Ack) => &NEVER,
        (Role::Client, FrameType::Refuse) => &FROM_CLIENT,
        (Role::Broker, FrameType::Refuse) => &NEVER,
        (Role::Client, FrameType::GoingAway) => &NEVER,
        (Role::Broker, FrameType::GoingAway) => &GREETED,
        (Role::Client, FrameType::PublishWith | FrameType::Producer | FrameType::Settle) => &FROM_CLIENT,
        (Role::Broker, FrameType::PublishWith | FrameType::Producer | FrameType::Settle) => &NEVER,
        (Role::Client, FrameType::DeliveryWith | FrameType::Settled | FrameType::Gap) => &NEVER,
        (Role::Broker, FrameType::DeliveryWith | FrameType::Gap) => &FROM_BROKER,
        (Role::Broker, FrameType::Settled) => &OUTCOME,
        (Role::Client, FrameType::Request | FrameType::Reply | FrameType::NoReply) => &FROM_CLIENT,
        (Role::Broker, FrameType::Request) => &FROM_BROKER,
        (Role::Broker, FrameType::Reply | FrameType::NoReply) => &OUTCOME,
        (_, FrameType::User) => &GREETED,
    }
}

/// What the receiver does with a frame of this type from `sender` (PROTOCOL §10).
///
/// `link` is the state of the link that the frame names; it is not looked at for frames without one.
///
/// ```
/// use msglib_proto::{ConnectionState, FrameType, LinkState, Role, Ruling, ruling};
///
/// let greeted = ConnectionState::Greeted;
/// assert_eq!(ruling(Role::Client, FrameType::Publish, greeted, LinkState::Open), Ruling::Accept);
/// assert_eq!(ruling(Role::Client, FrameType::Publish, greeted, LinkState::Closed), Ruling::Ignore);
/// assert_eq!(ruling(Role::Client, FrameType::Delivery, greeted, LinkState::Open), Ruling::Unexpected);
/// ```
#[inline]
pub const fn ruling(sender: Role, frame: FrameType, connection: ConnectionState, link: LinkState) -> Ruling {
    let row = row(sender, frame);
    match (connection, row.connection[connection as usize]) {
        (ConnectionState::Greeted, Ruling::Accept) => row.link[link as usize],
        (_, ruling) => ruling,
    }
}
