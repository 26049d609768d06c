//! A channel of one's own (rung 3 of the ladder of control in `docs/ladder.md`): its semantics are yours, and connections, handshake,
//! links, numbers, credit, confirms and limits are looked after.

use crate::core::{Context, TimerId};
use crate::dialect::SendError;
use crate::identity::Identity;
use crate::reason::Reject;
use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use msglib_proto::transport::{ConnectionId, Peer};
use msglib_proto::{ErrorCode, Frame, Instant, LinkNumber, Open, Payload, PublishOptions, Verdict};

/// A client's way to a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChannelLink {
    /// On which connection.
    pub connection: ConnectionId,
    /// Which of its links.
    pub number: LinkNumber,
}

impl fmt::Display for ChannelLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.number)
    }
}

/// A message on its way into a channel.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Publication<'a> {
    /// The message.
    pub payload: Payload<'a>,
    /// What its publisher says of it (PROTOCOL §14.3).
    pub options: PublishOptions<'a>,
    /// Whether the publisher wants it to be kept, whatever that means to the channel.
    pub retain: bool,
}

/// A question to a channel.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Question<'a> {
    /// Its number on the link, for [`ChannelContext::reply`].
    pub number: u64,
    /// How long an answer is waited for.
    pub within: Duration,
    /// What is asked.
    pub payload: Payload<'a>,
}

/// One channel of a kind of your own, such as a barrier, a lottery, a cell with a value.
///
/// It is registered with the stock handler ([`ConnectionHandler::with_channel`](crate::ConnectionHandler::with_channel)), which makes
/// one for each name that a client opens, and drops it when the last link is closed. A client needs nothing new: it publishes to and
/// subscribes to a channel of that kind. What is published is confirmed when [`published`](Channel::published) has returned `Ok`, and
/// refused when it has not; publishers get their credit by themselves.
///
/// Like a handler it runs on the broker's thread and must not block. Everything has a default, so that a channel says only what
/// it does:
///
/// ```
/// use msglib_broker::{Channel, ChannelContext, ChannelLink, Open, Payload, Reject};
///
/// /// Opens for all when three have come.
/// #[derive(Default)]
/// struct Barrier {
///     waiting: Vec<ChannelLink>,
/// }
///
/// impl Channel for Barrier {
///     fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
///         self.waiting.push(link);
///         if self.waiting.len() == 3 {
///             for link in self.waiting.drain(..) {
///                 let _ = cx.deliver(link, 1, "go");
///             }
///         }
///     }
///     fn closed(&mut self, _: &mut ChannelContext<'_>, gone: ChannelLink) {
///         self.waiting.retain(|link| *link != gone);
///     }
/// }
///
/// use msglib_broker::{ChannelKind, ConnectionHandler};
/// let handler = ConnectionHandler::new().with_channel(ChannelKind(0x8001), |_name| Barrier::default());
/// # let _ = handler;
/// ```
pub trait Channel: Send {
    /// A client opens a link to it. Nothing of what the link sends comes before this has returned.
    ///
    /// # Errors
    ///
    /// The link is not opened, and the client is told why.
    fn opened(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, open: &Open<'_>) -> Result<(), Reject> {
        let _ = (cx, link, open);
        Ok(())
    }

    /// A message is published on a link. By default nothing can be.
    ///
    /// # Errors
    ///
    /// It is refused, and the client is told why; the link stays open.
    fn published(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        message: Publication<'_>,
    ) -> Result<(), Reject> {
        let _ = (cx, link, message);
        Err(Reject::new(ErrorCode::NOT_ALLOWED, "nothing can be published on this channel"))
    }

    /// A request comes on a link that publishes. The channel owes exactly one outcome: [`ChannelContext::reply`] or
    /// [`ChannelContext::no_reply`], now or later, or the error that this returns. By default nothing can be asked.
    ///
    /// # Errors
    ///
    /// That is its outcome; the link stays open.
    fn asked(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink, question: Question<'_>) -> Result<(), Reject> {
        let _ = (cx, link, question);
        Err(Reject::new(ErrorCode::NOT_ALLOWED, "this channel answers no requests"))
    }

    /// A link that consumes can take deliveries, or more than before: it has allowed some, or there is room again on its connection after
    /// [`SendError::Full`].
    fn ready(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        let _ = (cx, link);
    }

    /// A client has settled deliveries; no verdict means that it is done with them. The tags may also name some that were settled before, or
    /// were never used. Returns how many it has changed, for a client that wants to know.
    fn settled(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        tags: RangeInclusive<u64>,
        refused: Option<Verdict>,
    ) -> u64 {
        let _ = (cx, link, tags, refused);
        0
    }

    /// A frame of the user's own came with the number of a link to this channel. By default the channel has none.
    ///
    /// # Errors
    ///
    /// The connection ends, and the client is told why: a frame of the user's own has no milder answer.
    fn frame(
        &mut self,
        cx: &mut ChannelContext<'_>,
        link: ChannelLink,
        kind: u16,
        flags: u16,
        body: Payload<'_>,
    ) -> Result<(), Reject> {
        let _ = (cx, link, flags, body);
        Err(Reject::new(ErrorCode::UNKNOWN_TYPE, format!("this channel has no frames of type 0x{kind:04X}")))
    }

    /// A timer that was set is due.
    fn timer(&mut self, cx: &mut ChannelContext<'_>, token: u64) {
        let _ = (cx, token);
    }

    /// A link is over, whoever has ended it; exactly once for each that was opened. Nothing can be sent on it any more.
    fn closed(&mut self, cx: &mut ChannelContext<'_>, link: ChannelLink) {
        let _ = (cx, link);
    }

    /// Whether it is needed when no link leads to it, because it keeps something. By default it is not, and is dropped. Asked when the last
    /// link is closed, and when one of its timers was due after that.
    fn is_needed(&self) -> bool {
        false
    }
}

/// A channel's hands: what it does goes through here, is queued, and takes effect when it has returned.
pub struct ChannelContext<'a> {
    pub(crate) cx: Context<'a>,
    pub(crate) effects: &'a mut Effects,
}

/// What a channel wants done when it has returned.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) closing: Vec<(ChannelLink, Reject)>,
    pub(crate) blocked: Vec<ChannelLink>,
    pub(crate) timers: Vec<(TimerId, u64)>,
    pub(crate) cancelled: Vec<TimerId>,
}

impl ChannelContext<'_> {
    /// The time, the same for the whole step.
    pub fn now(&self) -> Instant {
        self.cx.now()
    }

    /// The next random number; see [`Context::random`].
    pub fn random(&mut self) -> u64 {
        self.cx.random()
    }

    /// Who is at the other end of a link, if that was decided.
    pub fn identity(&self, link: ChannelLink) -> Option<&Identity> {
        self.cx.identity(link.connection)
    }

    /// Where the other end of a link is.
    pub fn peer(&self, link: ChannelLink) -> Option<&Peer> {
        self.cx.peer(link.connection)
    }

    /// How many more deliveries a link has allowed.
    pub fn credit(&self, link: ChannelLink) -> u64 {
        self.cx.credit(link.connection, link.number)
    }

    /// Sends a message on a link that consumes, and returns its tag; see [`Context::deliver`]. `count` is 1 for the first attempt to
    /// deliver it to anyone.
    ///
    /// # Errors
    ///
    /// As [`Context::deliver`]; nothing was sent. After [`SendError::NoCredit`] and [`SendError::Full`], [`Channel::ready`] follows when it
    /// is worth another try.
    pub fn deliver<'p>(
        &mut self,
        link: ChannelLink,
        count: u32,
        payload: impl Into<Payload<'p>>,
    ) -> Result<u64, SendError> {
        let sent = self.cx.deliver(link.connection, link.number, count, payload);
        self.note_if_full(link, sent.as_ref().err());
        sent
    }

    /// Answers the question with this number.
    ///
    /// # Errors
    ///
    /// As [`Context::send`]; nothing was sent.
    pub fn reply<'p>(
        &mut self,
        link: ChannelLink,
        number: u64,
        payload: impl Into<Payload<'p>>,
    ) -> Result<(), SendError> {
        let sent = self.cx.send(link.connection, Frame::Reply { link: link.number, number, payload: payload.into() });
        self.note_if_full(link, sent.as_ref().err());
        sent
    }

    /// Says that the question with this number has no answer, and why.
    ///
    /// # Errors
    ///
    /// As [`Context::send`]; nothing was sent.
    pub fn no_reply(&mut self, link: ChannelLink, number: u64, why: &Reject) -> Result<(), SendError> {
        let (code, text) = (why.code(), why.text());
        self.cx.send(link.connection, Frame::NoReply { link: link.number, number, code, text })
    }

    /// Sends a frame of the user's own with the number of a link.
    ///
    /// # Errors
    ///
    /// As [`Context::send`]; nothing was sent.
    pub fn send<'p>(
        &mut self,
        link: ChannelLink,
        kind: u16,
        flags: u16,
        body: impl Into<Payload<'p>>,
    ) -> Result<(), SendError> {
        let frame = Frame::User { kind, flags, link: link.number, body: body.into() };
        let sent = self.cx.send(link.connection, frame);
        self.note_if_full(link, sent.as_ref().err());
        sent
    }

    /// Closes a link, for this reason; [`Channel::closed`] follows.
    pub fn close(&mut self, link: ChannelLink, reason: Reject) {
        self.effects.closing.push((link, reason));
    }

    /// Sets a timer of this channel; `token` is its own and comes back with [`Channel::timer`].
    pub fn set_timer(&mut self, at: Instant, token: u64) -> TimerId {
        let timer = self.cx.set_timer(at, token);
        self.effects.timers.push((timer, token));
        timer
    }

    /// Cancels a timer; false if it is not set any more.
    pub fn cancel_timer(&mut self, timer: TimerId) -> bool {
        self.effects.cancelled.push(timer);
        self.cx.cancel_timer(timer)
    }

    fn note_if_full(&mut self, link: ChannelLink, error: Option<&SendError>) {
        if error == Some(&SendError::Full) {
            self.effects.blocked.push(link);
        }
    }
}
