//! A client that takes nothing from its broker that PROTOCOL.md does not allow.

use super::OwnedFrame;
use msglib_proto::{
    ConnectionState, Decoder, ErrorCode, Frame, FrameType, INITIAL_PUBLISH_CREDIT, Limits, LinkState, Role, Ruling,
    Scope, VERSION, ruling,
};
use std::collections::BTreeMap;
use thiserror::Error;

/// Follows one connection from the client's side, and says when the broker breaks a rule.
///
/// Tell it each frame [before it is sent](StrictClient::sends), and hand it [all bytes that come](StrictClient::receives). It looks at
/// the encoding, at who may send what, and when (PROTOCOL §10), at numbers, credit and outcomes (§6, §7), and with
/// [`unanswered`](StrictClient::unanswered) for what is still due.
///
/// ```
/// use msglib_proto::Frame;
/// use msglib_testkit::strategies::{OwnedFrame, StrictClient};
///
/// let mut client = StrictClient::new();
/// let opened = OwnedFrame::from(Frame::Opened { link: 1 });
/// let error = client.receives(&opened.to_bytes()).unwrap_err();
/// assert!(error.to_string().contains("OPENED"), "{error}");
/// ```
#[derive(Debug)]
pub struct StrictClient {
    decoder: Decoder,
    broker: ConnectionState,
    links: BTreeMap<u32, Link>,
    pings: Vec<u64>,
    hello: Option<Offer>,
    /// What it sends is not looked at, so nothing about links can be said.
    is_wild: bool,
    said_goodbye: bool,
}

/// What a `HELLO` said that a `WELCOME` must keep to.
#[derive(Clone, Copy, Debug)]
struct Offer {
    versions: (u16, u16),
    features: u64,
}

#[derive(Debug)]
struct Link {
    state: LinkState,
    publishes: bool,
    consumes: bool,
    published: u64,
    /// The last number that asked for a confirm.
    wanted: u64,
    confirmed: u64,
    refused: Vec<(u64, u64)>,
    publish_credit: u64,
    granted: u64,
    delivered: u64,
}

/// A rule that the broker broke, and with what.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the broker broke the protocol: {0}")]
pub struct BrokenRule(String);

impl StrictClient {
    /// A client at the beginning of its connection.
    pub fn new() -> StrictClient {
        StrictClient {
            decoder: Decoder::new(&Limits::default()),
            broker: ConnectionState::Fresh,
            links: BTreeMap::new(),
            pings: Vec::new(),
            hello: None,
            is_wild: false,
            said_goodbye: false,
        }
    }

    /// A client that sends anything: of what comes back, only the encoding and the state of the connection are looked at.
    pub fn wild() -> StrictClient {
        StrictClient { is_wild: true, ..StrictClient::new() }
    }

    /// Whether the frame can be sent as things are: nothing after the last frame of either side, and on a link that the broker has
    /// closed nothing but the `CLOSE`.
    pub fn may_send(&self, frame: &Frame<'_>) -> bool {
        let kind = frame.frame_type();
        let on_closed = self.links.get(&frame.link()).is_none_or(|link| link.state == LinkState::Closed);
        let needs_link = kind.scope() == Scope::Link && kind != FrameType::Open && kind != FrameType::Close;
        match needs_link {
            true if on_closed => false,
            _ => !self.is_over() && !self.said_goodbye,
        }
    }

    /// The client sends this frame now.
    pub fn sends(&mut self, frame: &Frame<'_>) {
        match *frame {
            Frame::Hello(hello) => {
                let versions = (hello.min_version, hello.max_version);
                self.hello = Some(Offer { versions, features: hello.features });
                self.decoder = Decoder::new(&Limits::default().with_max_payload(hello.max_payload));
            }
            Frame::Open(open) => drop(self.links.insert(open.link, Link::new(open.publishes, open.consumes))),
            Frame::Ping { token } => self.pings.push(token),
            Frame::Goodbye { .. } | Frame::Error { .. } => self.said_goodbye = true,
            _ => {}
        }
        let Some(link) = self.links.get_mut(&frame.link()) else { return };
        match *frame {
            Frame::Close { link: number } if link.state == LinkState::Closed => drop(self.links.remove(&number)),
            Frame::Close { .. } => link.state = LinkState::Closing,
            Frame::Credit { upto, .. } => link.granted = upto,
            Frame::Publish { number, confirm, .. } => {
                link.published = number;
                if confirm {
                    link.wanted = number;
                }
            }
            _ => {}
        }
    }

    /// The broker has sent these bytes, in pieces of any size. Returns the frames that are whole with them.
    ///
    /// # Errors
    ///
    /// The first rule that the broker broke.
    pub fn receives(&mut self, mut bytes: &[u8]) -> Result<Vec<OwnedFrame>, BrokenRule> {
        let mut frames = Vec::new();
        loop {
            let frame = match self.decoder.decode(&mut bytes) {
                Ok(Some(frame)) => OwnedFrame::from(frame),
                Ok(None) => return Ok(frames),
                Err(error) => return Err(BrokenRule(error.to_string())),
            };
            self.check(&frame.as_frame())?;
            frames.push(frame);
        }
    }

    /// Whether the broker has said its last frame.
    pub fn is_over(&self) -> bool {
        self.broker == ConnectionState::Over
    }

    /// What the broker still owes, once it has come to rest; `None` if nothing. An `ERROR` from either side settles all.
    pub fn unanswered(&self) -> Option<String> {
        if !self.decoder.is_between_frames() {
            return Some("the rest of a frame".to_owned());
        }
        if self.is_over() || self.is_wild {
            return None;
        }
        if self.said_goodbye {
            return Some("its GOODBYE".to_owned());
        }
        if self.hello.is_some() && self.broker == ConnectionState::Fresh {
            return Some("a WELCOME".to_owned());
        }
        if let Some(token) = self.pings.last() {
            return Some(format!("the PONG {token}"));
        }
        self.links.iter().find_map(|(number, link)| link.unanswered().map(|what| format!("{what} on link {number}")))
    }

    fn check(&mut self, frame: &Frame<'_>) -> Result<(), BrokenRule> {
        let (kind, number) = (frame.frame_type(), frame.link());
        let is_on_link = kind.scope() == Scope::Link;
        let state = self.links.get(&number).filter(|_| is_on_link).map_or(LinkState::Free, |link| link.state);
        let ruling = ruling(Role::Broker, kind, self.broker, state);
        let counts = !(self.is_wild && is_on_link && self.broker == ConnectionState::Greeted);
        if counts && !matches!(ruling, Ruling::Accept | Ruling::Ignore) {
            let broker = self.broker;
            return Err(BrokenRule(format!("{kind} is {ruling:?} in {broker:?} with link {state:?}: {frame:?}")));
        }
        if self.is_wild || ruling == Ruling::Accept {
            self.accept(frame).map_err(|rule| BrokenRule(format!("{rule}: {frame:?}")))?;
        }
        Ok(())
    }

    fn accept(&mut self, frame: &Frame<'_>) -> Result<(), &'static str> {
        match *frame {
            Frame::Welcome(welcome) => {
                self.broker = ConnectionState::Greeted;
                if let Some(offer) = self.hello {
                    let (min, max) = offer.versions;
                    ensure(welcome.version == VERSION && (min..=max).contains(&VERSION), "not a version in common")?;
                    ensure(welcome.features & !offer.features == 0, "features that the client has not")?;
                }
            }
            Frame::Goodbye { .. } | Frame::Error { .. } => self.broker = ConnectionState::Over,
            Frame::Pong { token } if !self.is_wild => {
                let at = self.pings.iter().position(|ping| *ping == token).ok_or("a PONG that answers nothing")?;
                // The latest can answer for those before it.
                self.pings.drain(..=at);
            }
            _ => {}
        }
        if let Some(link) = self.links.get_mut(&frame.link())
            && link.accept(frame)?
        {
            self.links.remove(&frame.link());
        }
        Ok(())
    }
}

impl Default for StrictClient {
    fn default() -> StrictClient {
        StrictClient::new()
    }
}

impl Link {
    fn new(publishes: bool, consumes: bool) -> Link {
        Link {
            state: LinkState::Opening,
            publishes,
            consumes,
            published: 0,
            wanted: 0,
            confirmed: 0,
            refused: Vec::new(),
            publish_credit: INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
        }
    }

    /// True if the link is free again.
    fn accept(&mut self, frame: &Frame<'_>) -> Result<bool, &'static str> {
        match *frame {
            Frame::Opened { .. } => self.state = LinkState::Open,
            Frame::Closed { code, .. } if self.state == LinkState::Closing => {
                // With another code it may be the broker's own wish, from before it had the publishes.
                let is_answer = code == ErrorCode::NONE;
                ensure(
                    !is_answer || !self.is_owed_outcome(),
                    "CLOSED before the outcomes that are due (PROTOCOL §5.4)",
                )?;
                return Ok(true);
            }
            Frame::Closed { .. } => self.state = LinkState::Closed,
            Frame::Credit { upto, .. } => {
                ensure(self.publishes, "publish credit on a link that does not publish (PROTOCOL §6.2)")?;
                ensure(upto >= self.publish_credit, "credit that goes back (PROTOCOL §6.2)")?;
                self.publish_credit = upto;
            }
            Frame::Confirmed { upto, .. } => {
                ensure(upto <= self.published, "a confirm of what was not published (PROTOCOL §7.2)")?;
                ensure(upto > self.confirmed, "a confirm that does not grow (PROTOCOL §7.2)")?;
                self.confirmed = upto;
            }
            Frame::Refused { first, last, .. } => {
                ensure(last <= self.published, "a refusal of what was not published (PROTOCOL §7.3)")?;
                ensure(first > self.confirmed, "a refusal behind the confirm that covers it (PROTOCOL §7.3)")?;
                let is_new = self.refused.iter().all(|(a, b)| last < *a || first > *b);
                ensure(is_new, "refused twice (PROTOCOL §7.3)")?;
                self.refused.push((first, last));
            }
            Frame::Delivery { tag, .. } => {
                ensure(self.consumes, "a delivery on a link that does not consume (PROTOCOL §7.4)")?;
                ensure(tag == self.delivered + 1, "tags are 1, 2, 3 … (PROTOCOL §6.1)")?;
                ensure(tag <= self.granted, "a delivery beyond the credit (PROTOCOL §6.2)")?;
                self.delivered = tag;
            }
            _ => {}
        }
        Ok(false)
    }

    fn is_owed_outcome(&self) -> bool {
        let wanted = self.wanted;
        wanted > self.confirmed && !self.refused.iter().any(|(first, last)| (first..=last).contains(&&wanted))
    }

    fn unanswered(&self) -> Option<&'static str> {
        match self.state {
            LinkState::Opening => Some("OPENED or CLOSED"),
            LinkState::Closing => Some("CLOSED"),
            LinkState::Open if self.is_owed_outcome() => Some("CONFIRMED or REFUSED"),
            _ => None,
        }
    }
}

fn ensure(holds: bool, rule: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(rule) }
}
