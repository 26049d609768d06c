//! One client of the core under test: what it has sent, and what it may be sent back for that (PROTOCOL §5 to §7, §10).

use msglib_proto::{ConnectionState, Decoder, Frame, Limits, LinkState, Role, Ruling, Scope, ruling};
use std::collections::BTreeMap;

/// Follows one connection from the client's side, and panics when the broker sends what it must not.
pub(crate) struct Client {
    decoder: Decoder,
    broker: ConnectionState,
    pub(crate) links: BTreeMap<u32, Link>,
    /// The client has broken the protocol, or has sent its last frame: what it has sent after that does not count.
    pub(crate) is_wild: bool,
    pub(crate) is_over: bool,
    pub(crate) highest: u32,
}

pub(crate) struct Link {
    pub(crate) state: LinkState,
    pub(crate) publishes: bool,
    pub(crate) consumes: bool,
    pub(crate) published: u64,
    pub(crate) publish_credit: u64,
    pub(crate) granted: u64,
    pub(crate) delivered: u64,
    confirmed: u64,
    refused: Vec<(u64, u64)>,
}

impl Link {
    pub(crate) fn new(publishes: bool, consumes: bool) -> Link {
        Link {
            state: LinkState::Opening,
            publishes,
            consumes,
            published: 0,
            publish_credit: msglib_proto::INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
            confirmed: 0,
            refused: Vec::new(),
        }
    }

    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.state, LinkState::Opening | LinkState::Open)
    }
}

impl Client {
    pub(crate) fn new() -> Client {
        Client {
            decoder: Decoder::new(&Limits::default()),
            broker: ConnectionState::Fresh,
            links: BTreeMap::new(),
            is_wild: false,
            is_over: false,
            highest: 0,
        }
    }

    /// The broker has sent these bytes; each frame is handed to `seen` after it was checked.
    pub(crate) fn receive(&mut self, mut bytes: &[u8], mut seen: impl FnMut(&Frame<'_>)) {
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(&Limits::default()));
        while let Some(frame) = decoder.decode(&mut bytes).expect("what the broker sends decodes (I33)") {
            self.check(&frame);
            seen(&frame);
        }
        self.decoder = decoder;
    }

    fn check(&mut self, frame: &Frame<'_>) {
        let (kind, number) = (frame.frame_type(), frame.link());
        let state = match kind.scope() {
            Scope::Link => self.links.get(&number).map_or(LinkState::Free, |link| link.state),
            _ => LinkState::Free,
        };
        let ruling = ruling(Role::Broker, kind, self.broker, state);
        assert!(!self.is_over, "{frame:?} after the broker's last frame");
        // What a wild client takes its links to be means nothing.
        if !(self.is_wild && kind.scope() == Scope::Link) {
            assert!(
                matches!(ruling, Ruling::Accept | Ruling::Ignore),
                "{frame:?} is {ruling:?} in {:?}, {state:?}",
                self.broker
            );
        }
        match *frame {
            Frame::Welcome(_) => self.broker = ConnectionState::Greeted,
            Frame::Goodbye { .. } | Frame::Error { .. } => {
                self.broker = ConnectionState::Over;
                self.is_over = true;
            }
            _ => {}
        }
        if let Some(link) = self.links.get_mut(&number)
            && !self.is_wild
            && ruling == Ruling::Accept
            && link.check(frame)
        {
            self.links.remove(&number);
        }
    }
}

impl Link {
    /// True if the link is free again.
    fn check(&mut self, frame: &Frame<'_>) -> bool {
        match *frame {
            Frame::Opened { .. } => self.state = LinkState::Open,
            Frame::Closed { .. } => match self.state {
                LinkState::Closing => return true,
                _ => self.state = LinkState::Closed,
            },
            Frame::Credit { upto, .. } => {
                assert!(self.publishes && upto >= self.publish_credit, "credit is for publishers, and never goes back");
                self.publish_credit = upto;
            }
            Frame::Confirmed { upto, .. } => {
                assert!(upto > self.confirmed && upto <= self.published, "CONFIRMED {upto} of {}", self.published);
                self.confirmed = upto;
            }
            Frame::Refused { first, last, .. } => {
                assert!(first > self.confirmed, "an outcome is final (I22)");
                assert!(last <= self.published);
                assert!(self.refused.iter().all(|(a, b)| last < *a || first > *b), "refused twice (I22)");
                self.refused.push((first, last));
            }
            Frame::Delivery { tag, .. } => {
                assert!(self.consumes);
                assert_eq!(tag, self.delivered + 1, "tags are dense");
                assert!(tag <= self.granted, "a delivery beyond the credit (I11)");
                self.delivered = tag;
            }
            _ => {}
        }
        false
    }
}
