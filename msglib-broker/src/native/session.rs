//! One connection of protocol version 1, on the broker's side.

use super::Native;
use super::links::{Link, Links};
use crate::dialect::{Received, SendError};
use crate::reason::{Reason, Reject};
use core::time::Duration;
use msglib_proto::{
    ConnectionState, ErrorCode, Frame, FrameType, Hello, Limits, LinkNumber, LinkState, ProtocolError, Role, Ruling,
    Scope, SendQueue, VERSION, Violation, Welcome, encode, ruling,
};

/// What a connection has agreed on: the handshake, and its links.
#[derive(Debug)]
pub struct NativeSession {
    state: ConnectionState,
    /// Whether `WELCOME` is written.
    welcomed: bool,
    /// The answer to the last frame is put off: it must not go out before what else is sent.
    is_put_off: bool,
    /// Whether `GOODBYE` or `ERROR` is written: nothing may follow.
    silent: bool,
    /// The largest payload that the client takes.
    max_payload: u32,
    features: u64,
    /// After how many milliseconds without a byte the client gives up; 0 for never.
    idle_ms: u32,
    /// The same for this side.
    own_idle_ms: u32,
    links: Links,
    /// What the last frame was, for the answer to it.
    last: Last,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    frame: FrameType,
    link: LinkNumber,
    number: u64,
}

impl NativeSession {
    /// `own_idle_ms`: after how many milliseconds without a byte the broker gives up; 0 for never.
    pub(super) fn new(own_idle_ms: u32) -> NativeSession {
        NativeSession {
            own_idle_ms,
            state: ConnectionState::Fresh,
            welcomed: false,
            is_put_off: false,
            silent: false,
            max_payload: 0,
            features: 0,
            idle_ms: 0,
            links: Links::default(),
            last: Last { frame: FrameType::Hello, link: 0, number: 0 },
        }
    }

    /// The largest payload that the client takes, in bytes; 0 before its `HELLO`.
    pub fn max_payload(&self) -> u32 {
        self.max_payload
    }

    /// The feature bits that both sides have (PROTOCOL §14.1).
    pub fn features(&self) -> u64 {
        self.features
    }

    /// Where a link is, as the broker sees it.
    pub fn link_state(&self, link: LinkNumber) -> LinkState {
        self.links.state(link)
    }

    /// The tag of the next delivery on a link; `None` if it takes none.
    pub fn next_tag(&self, link: LinkNumber) -> Option<u64> {
        self.links.get(link).filter(|link| link.consumes && is_usable(link.state)).map(|link| link.delivered + 1)
    }

    /// How many more deliveries the client has allowed on a link.
    pub fn credit(&self, link: LinkNumber) -> u64 {
        self.links.get(link).map_or(0, |link| link.delivery_credit - link.delivered)
    }

    /// The last number that the client may publish with on a link.
    pub fn publish_credit(&self, link: LinkNumber) -> u64 {
        self.links.get(link).map_or(0, |link| link.publish_credit)
    }

    pub(super) fn is_greeted(&self) -> bool {
        self.state != ConnectionState::Fresh
    }

    /// What the client said of its patience (PROTOCOL §4.1).
    pub(super) fn idle_limit(&self) -> Option<Duration> {
        (self.idle_ms > 0).then(|| Duration::from_millis(u64::from(self.idle_ms)))
    }

    /// A PING, whose answer does not matter, or shows that the client is alive too (PROTOCOL §4.2, §8.3).
    pub(super) fn sign_of_life(&mut self, out: &mut SendQueue) {
        if !self.silent {
            self.write(&Frame::Ping { token: 0 }, out);
        }
    }

    /// GOING_AWAY, if the client knows it (PROTOCOL §18).
    pub(super) fn going_away(&mut self, within: Duration, out: &mut SendQueue) {
        if self.welcomed && !self.silent && FrameType::GoingAway.is_known(self.features) {
            let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
            self.write(&Frame::GoingAway { deadline_ms }, out);
        }
    }

    /// Checks a frame by PROTOCOL §10, then §5 and §6, and answers what needs no handler.
    pub(super) fn receive(
        &mut self,
        frame: &Frame<'_>,
        limits: &Limits,
        offered: u64,
        out: &mut SendQueue,
    ) -> Result<Received, Violation> {
        let (frame_type, link) = (frame.frame_type(), frame.link());
        let link_state = match frame_type.scope() {
            Scope::Link => self.links.state(link),
            Scope::Connection | Scope::Any => LinkState::Free,
        };
        match ruling(Role::Client, frame_type, self.state, link_state) {
            Ruling::Accept => {}
            Ruling::Ignore => return Ok(Received::Done),
            Ruling::Unexpected => return Err(Violation::Unexpected { frame: frame_type }),
            Ruling::BadLink => return Err(Violation::Link { frame: frame_type, link }),
        }
        self.last = Last { frame: frame_type, link, number: 0 };
        match frame {
            Frame::Publish { number, .. } | Frame::PublishWith { number, .. } | Frame::Request { number, .. } => {
                self.link(frame_type, link)?.publish(frame_type, link, *number)?;
                self.last.number = *number;
                Ok(Received::Pass)
            }
            Frame::Producer { .. } => {
                self.link(frame_type, link)?.produce(link)?;
                Ok(Received::Pass)
            }
            Frame::Reply { .. } | Frame::NoReply { .. } => match self.link(frame_type, link)?.answers {
                true => Ok(Received::Pass),
                false => Err(Violation::Link { frame: frame_type, link }),
            },
            Frame::Ack { .. } | Frame::Refuse { .. } | Frame::Settle { .. } => {
                match self.link(frame_type, link)?.consumes {
                    true => Ok(Received::Pass),
                    false => Err(Violation::Link { frame: frame_type, link }),
                }
            }
            Frame::Credit { upto, .. } => {
                self.link(frame_type, link)?.grant(link, *upto)?;
                Ok(Received::Pass)
            }
            Frame::Hello(hello) => self.greet(hello, offered),
            Frame::Open(open) => {
                self.links.open(open, limits.max_links)?;
                Ok(Received::PassAndAnswer)
            }
            Frame::Close { .. } => Ok(self.close(link)),
            Frame::Ping { token } => {
                self.write(&Frame::Pong { token: *token }, out);
                Ok(Received::Done)
            }
            Frame::Pong { .. } => Ok(Received::Done),
            Frame::Goodbye { .. } => {
                self.state = ConnectionState::Over;
                Ok(Received::End(Reason::Goodbye))
            }
            Frame::Error { code, text, .. } => {
                self.state = ConnectionState::Over;
                Ok(Received::End(Reason::PeerError { code: *code, text: String::from(*text) }))
            }
            Frame::User { .. } => Ok(Received::Pass),
            // The table lets none of these through from a client.
            Frame::Welcome(_)
            | Frame::Opened { .. }
            | Frame::Closed { .. }
            | Frame::Confirmed { .. }
            | Frame::Refused { .. }
            | Frame::GoingAway { .. }
            | Frame::DeliveryWith { .. }
            | Frame::Settled { .. }
            | Frame::Gap { .. }
            | Frame::Delivery { .. } => Err(Violation::Unexpected { frame: frame_type }),
        }
    }

    /// Whether a publish is as expected, so that it passes; nothing has changed if not, and [`receive`](Self::receive) will say why.
    #[inline(always)]
    pub(crate) fn publish_in_run(&mut self, link: LinkNumber, number: u64) -> bool {
        let is_greeted = self.state == ConnectionState::Greeted;
        let Some(open) = self.links.get_mut(link).filter(|open| is_greeted && is_usable(open.state)) else {
            return false;
        };
        let passes = open.publish(FrameType::Publish, link, number).is_ok();
        if passes {
            self.last = Last { frame: FrameType::Publish, link, number };
        }
        passes
    }

    /// As [`publish_in_run`](Self::publish_in_run), for an ack.
    #[inline]
    pub(crate) fn ack_in_run(&mut self, link: LinkNumber) -> bool {
        let is_greeted = self.state == ConnectionState::Greeted;
        let passes = is_greeted && self.links.get(link).is_some_and(|open| open.consumes && is_usable(open.state));
        if passes {
            self.last = Last { frame: FrameType::Ack, link, number: 0 };
        }
        passes
    }

    /// Whether the answer to the last frame can wait (PROTOCOL §4.3, §5.2).
    pub(super) fn put_off(&mut self) -> bool {
        self.is_put_off = matches!(self.last.frame, FrameType::Hello | FrameType::Open);
        self.is_put_off
    }

    /// The handler took `HELLO`, `OPEN` or `CLOSE`: the answer goes out, unless it already has.
    pub(super) fn accepted(&mut self, limits: &Limits, name: &str, out: &mut SendQueue) {
        self.is_put_off = false;
        let link = self.last.link;
        match self.last.frame {
            FrameType::Hello => self.welcome(limits, name, out),
            FrameType::Open => self.opened(link, out),
            FrameType::Close => self.closed(link, ErrorCode::NONE, "", out),
            _ => {}
        }
    }

    /// The handler refused the last frame; false if the connection cannot go on.
    pub(super) fn rejected(&mut self, reject: &Reject, out: &mut SendQueue) -> bool {
        self.is_put_off = false;
        let Last { frame, link, number } = self.last;
        let (code, text) = (reject.code(), reject.text());
        match frame {
            FrameType::Publish | FrameType::PublishWith => {
                // Unless the handler has closed the link, or confirmed the publish, before it refused it.
                if self.answerable(link, out).is_ok_and(|open| open.confirmed < number) {
                    self.write(&Frame::Refused { link, first: number, last: number, code, text }, out);
                }
                true
            }
            FrameType::Request => {
                if self.answerable(link, out).is_ok() {
                    self.write(&Frame::NoReply { link, number, code, text }, out);
                }
                true
            }
            FrameType::Open
            | FrameType::Close
            | FrameType::Credit
            | FrameType::Ack
            | FrameType::Refuse
            | FrameType::Settle
            | FrameType::Producer
            | FrameType::Reply
            | FrameType::NoReply => {
                self.closed(link, code, text, out);
                true
            }
            _ => false,
        }
    }

    /// Writes a handler's frame, if the protocol allows it.
    pub(super) fn send(
        &mut self,
        frame: &Frame<'_>,
        limits: &Limits,
        name: &str,
        out: &mut SendQueue,
    ) -> Result<(), SendError> {
        if self.silent || self.state == ConnectionState::Fresh {
            return Err(SendError::Misuse("nothing can be sent before HELLO, or after the last words"));
        }
        if self.waits_for_welcome() {
            return Err(SendError::Misuse("nothing can be sent while the answer to HELLO is put off"));
        }
        if !frame.frame_type().is_known(self.features) {
            return Err(SendError::NotAgreed(frame.frame_type()));
        }
        self.welcome(limits, name, out);
        match *frame {
            Frame::Delivery { link, tag, count, payload } | Frame::DeliveryWith { link, tag, count, payload, .. } => {
                self.check_delivery(link, tag, payload.len(), out)?;
                if count == 0 {
                    return Err(SendError::Misuse("the count of a delivery begins with 1"));
                }
                if let Some(open) = self.links.get_mut(link) {
                    open.delivered = tag;
                }
            }
            Frame::Credit { link, upto } => {
                let open = self.usable(link, out)?;
                if !(open.publishes || open.calls) || upto < open.publish_credit {
                    return Err(SendError::Misuse("publish credit is for publishers, and never goes back"));
                }
                open.publish_credit = upto;
            }
            Frame::Confirmed { link, upto } => {
                let open = self.answerable(link, out)?;
                if upto > open.published || upto <= open.confirmed {
                    return Err(SendError::Misuse("a confirm covers what was published, and grows"));
                }
                open.confirmed = upto;
            }
            Frame::Refused { link, first, last, .. } => {
                let open = self.answerable(link, out)?;
                if last > open.published || first <= open.confirmed {
                    return Err(SendError::Misuse("a refusal is for what was published and not confirmed"));
                }
            }
            Frame::Opened { link } => {
                self.usable(link, out)?;
                return Ok(());
            }
            Frame::Closed { link, code, text } => {
                self.answerable(link, out)?;
                self.closed(link, code, text, out);
                return Ok(());
            }
            Frame::Request { link, number: tag, payload, .. } => {
                self.check_delivery(link, tag, payload.len(), out)?;
                match self.links.get_mut(link) {
                    Some(open) if open.answers => open.delivered = tag,
                    _ => return Err(SendError::LinkGone(link)),
                }
            }
            Frame::Reply { link, number, payload } => {
                self.check_size(payload.len())?;
                self.check_outcome(link, number, out)?;
            }
            Frame::NoReply { link, number, .. } => self.check_outcome(link, number, out)?,
            Frame::Settled { link, .. } => self.check_consumes(link, out)?,
            Frame::Gap { link, .. } => {
                self.usable(link, out)?;
                self.check_consumes(link, out)?;
            }
            Frame::User { ref body, .. } => self.check_size(body.len())?,
            Frame::Ping { .. } | Frame::GoingAway { .. } => {}
            Frame::Hello(_)
            | Frame::Welcome(_)
            | Frame::Goodbye { .. }
            | Frame::Error { .. }
            | Frame::Pong { .. }
            | Frame::Open(_)
            | Frame::Close { .. }
            | Frame::Publish { .. }
            | Frame::Ack { .. }
            | Frame::PublishWith { .. }
            | Frame::Producer { .. }
            | Frame::Settle { .. }
            | Frame::Refuse { .. } => {
                return Err(SendError::Misuse("not a handler's frame: it is a client's, or sent by the session"));
            }
        }
        encode(frame, out).map_err(|_| SendError::Misuse("a field has a value that has no encoding"))
    }

    /// The consumer of a link that deliveries can be sent on; what goes before them is written.
    #[inline]
    pub(crate) fn consumer(
        &mut self,
        link: LinkNumber,
        dialect: &Native,
        out: &mut SendQueue,
    ) -> Result<&mut Link, SendError> {
        if self.silent || self.state == ConnectionState::Fresh || self.waits_for_welcome() {
            return Err(SendError::LinkGone(link));
        }
        self.welcome(&dialect.limits, &dialect.name, out);
        self.usable(link, out).and_then(|open| if open.consumes { Ok(open) } else { Err(SendError::LinkGone(link)) })
    }

    pub(super) fn farewell(&mut self, reason: &Reason, out: &mut SendQueue) {
        if self.silent || matches!(reason, Reason::PeerError { .. }) {
            return;
        }
        let (code, text) = match reason {
            Reason::HandshakeTimeout => (ErrorCode::HANDSHAKE_TIMEOUT, "no HELLO came in time"),
            Reason::Silent => (ErrorCode::IDLE_TIMEOUT, "nothing came for longer than the idle time"),
            Reason::TooSlow => (ErrorCode::TOO_SLOW, "nothing was taken of what was sent"),
            Reason::Rejected(reject) if reject.code() != ErrorCode::NONE => (reject.code(), reject.text()),
            _ if !self.welcomed => (ErrorCode::SHUTTING_DOWN, "the connection ends before its handshake"),
            _ => (ErrorCode::NONE, ""),
        };
        let last_words = match code {
            ErrorCode::NONE => Frame::Goodbye { code, text },
            _ => Frame::Error { code, offset: 0, text },
        };
        self.write(&last_words, out);
        self.silent = true;
    }

    pub(super) fn failed(&mut self, error: &ProtocolError, out: &mut SendQueue) {
        if !self.silent {
            let text = error.to_string();
            self.write(&Frame::Error { code: error.code(), offset: error.offset, text: &text }, out);
            self.silent = true;
        }
    }

    /// `HELLO`: the highest version in common (PROTOCOL §4.2).
    fn greet(&mut self, hello: &Hello<'_>, offered: u64) -> Result<Received, Violation> {
        if !(hello.min_version..=hello.max_version).contains(&VERSION) {
            return Err(Violation::Version { min: hello.min_version, max: hello.max_version });
        }
        self.state = ConnectionState::Greeted;
        self.max_payload = hello.max_payload;
        self.features = hello.features & offered;
        self.idle_ms = hello.idle_ms;
        Ok(Received::PassAndAnswer)
    }

    /// `CLOSE`: the client's side of the end of a link (PROTOCOL §5.4).
    fn close(&mut self, link: LinkNumber) -> Received {
        let Some(open) = self.links.get_mut(link) else { return Received::Done };
        if open.state == LinkState::Closed {
            open.state = LinkState::Free;
            return Received::Done;
        }
        open.state = LinkState::Closing;
        Received::PassAndAnswer
    }

    fn waits_for_welcome(&self) -> bool {
        self.is_put_off && self.last.frame == FrameType::Hello
    }

    fn welcome(&mut self, limits: &Limits, name: &str, out: &mut SendQueue) {
        if !self.welcomed {
            self.welcomed = true;
            let Limits { max_payload, max_links, .. } = *limits;
            let (version, features) = (VERSION, self.features);
            let idle_ms = self.own_idle_ms;
            self.write(&Frame::Welcome(Welcome { version, features, max_payload, max_links, idle_ms, name }), out);
        }
    }

    fn opened(&mut self, link: LinkNumber, out: &mut SendQueue) {
        let is_put_off = self.is_put_off && self.last.link == link;
        if let Some(open) = self.links.get_mut(link).filter(|_| !is_put_off)
            && open.state == LinkState::Opening
        {
            open.state = LinkState::Open;
            self.write(&Frame::Opened { link }, out);
        }
    }

    fn closed(&mut self, link: LinkNumber, code: ErrorCode, text: &str, out: &mut SendQueue) {
        let Some(open) = self.links.get_mut(link) else { return };
        open.state = match open.state {
            LinkState::Opening | LinkState::Open => LinkState::Closed,
            LinkState::Closing => LinkState::Free,
            LinkState::Free | LinkState::Closed => return,
        };
        self.write(&Frame::Closed { link, code, text }, out);
    }

    fn check_delivery(
        &mut self,
        link: LinkNumber,
        tag: u64,
        size: usize,
        out: &mut SendQueue,
    ) -> Result<(), SendError> {
        self.check_size(size)?;
        let open = self.usable(link, out)?;
        if !open.consumes {
            return Err(SendError::LinkGone(link));
        }
        if tag != open.delivered + 1 {
            return Err(SendError::Misuse("the tags of a link are 1, 2, 3 …"));
        }
        if tag > open.delivery_credit {
            return Err(SendError::NoCredit(link));
        }
        Ok(())
    }

    /// An outcome of a request that was made.
    fn check_outcome(&mut self, link: LinkNumber, number: u64, out: &mut SendQueue) -> Result<(), SendError> {
        let open = self.answerable(link, out)?;
        match open.calls && number <= open.published {
            true => Ok(()),
            false => Err(SendError::Misuse("an outcome is of a request that was made on this link")),
        }
    }

    /// An answer to a settling, also while the client closes the link.
    fn check_consumes(&mut self, link: LinkNumber, out: &mut SendQueue) -> Result<(), SendError> {
        if self.answerable(link, out)?.consumes { Ok(()) } else { Err(SendError::LinkGone(link)) }
    }

    fn check_size(&self, size: usize) -> Result<(), SendError> {
        match size > self.max_payload as usize {
            true => Err(SendError::TooLarge { size, max: self.max_payload }),
            false => Ok(()),
        }
    }

    /// A link that frames can be sent on; its `OPENED` goes first.
    fn usable(&mut self, link: LinkNumber, out: &mut SendQueue) -> Result<&mut Link, SendError> {
        self.opened(link, out);
        let open = self.links.get_mut(link).filter(|open| open.state == LinkState::Open);
        open.ok_or(SendError::LinkGone(link))
    }

    /// A link that outcomes can be sent on: also one that the client is closing.
    fn answerable(&mut self, link: LinkNumber, out: &mut SendQueue) -> Result<&mut Link, SendError> {
        if self.links.state(link) == LinkState::Opening && self.last.frame != FrameType::Open {
            self.opened(link, out);
        }
        let open = self.links.get_mut(link);
        open.filter(|open| is_usable(open.state) || open.state == LinkState::Closing).ok_or(SendError::LinkGone(link))
    }

    /// The table has said that the link is there.
    fn link(&mut self, frame: FrameType, link: LinkNumber) -> Result<&mut Link, Violation> {
        self.links.get_mut(link).ok_or(Violation::Link { frame, link })
    }

    fn write(&mut self, frame: &Frame<'_>, out: &mut SendQueue) {
        let written = encode(frame, out);
        debug_assert!(written.is_ok(), "the session wrote {frame:?}: {written:?}");
    }
}

fn is_usable(state: LinkState) -> bool {
    matches!(state, LinkState::Opening | LinkState::Open)
}
