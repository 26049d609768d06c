//! What the clients of the features know for certain, from the frames that they have sent and received.

use super::{SERVICES, TOPICS, means};
use crate::simulate::facts::{ConnectionNumber, Outcome};
use msglib_proto::{ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, Instant, LinkState};
use std::collections::{BTreeMap, BTreeSet};

/// A link of these clients, in the order in which they were opened; not its number on the wire.
pub type LinkNumber = usize;

/// The number of this bit is in every payload of theirs, so that it is none of the others'.
const MARK: u64 = 1 << 63;

/// What a link leads to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Channel {
    /// A topic, to publish; `None` for a link to all of them.
    Topic(Option<usize>),
    /// A filter, and a group from 1, or 0 for none.
    Filter(usize, u8),
    /// A service.
    Service(usize),
    /// A queue with settings.
    Jobs(usize),
}

/// All that they know.
#[derive(Debug, Default)]
pub struct Featured {
    links: Vec<FeaturedLink>,
    by_number: BTreeMap<(ConnectionNumber, u32), LinkNumber>,
    said: Vec<Said>,
    /// Messages before this are of an earlier life.
    first: usize,
    /// What was received by somebody of a group.
    pub(super) by_group: BTreeSet<(usize, u8, usize)>,
    /// Counts what is sent and received.
    moments: u64,
    /// When everything was at rest.
    rest: u64,
    /// Links of responders that have ended: their service, and when.
    pub(super) ends: Vec<(usize, u64)>,
}

/// One of their links.
#[derive(Debug)]
pub struct FeaturedLink {
    /// On which connection.
    pub connection: ConnectionNumber,
    /// Its number on the wire.
    pub number: u32,
    /// What it leads to.
    pub channel: Channel,
    /// Opened to publish, or to ask.
    pub publishes: bool,
    /// Opened to consume, or to answer.
    pub consumes: bool,
    /// As the client sees it.
    pub state: LinkState,
    /// It wants last values.
    pub wants_retained: bool,
    /// When it was asked for.
    pub asked: u64,
    /// When it was known to be open.
    pub opened: Option<u64>,
    /// The last number that was published.
    pub published: u64,
    /// The last number that the broker allows.
    pub credit: u64,
    /// The last tag that the client allows.
    pub granted: u64,
    /// The last tag that came.
    pub delivered: u64,
    /// Messages that came and were not last values.
    pub fresh: u64,
    /// Messages that the broker has said to be lost.
    pub lost: u64,
    /// What came.
    pub seen: BTreeSet<usize>,
    /// By publisher and topic: the last number that came.
    pub last: BTreeMap<(LinkNumber, usize), u64>,
    /// Requests that came and were not answered: by tag.
    pub open: BTreeMap<u64, usize>,
    /// Requests that were answered.
    pub answered: Vec<u64>,
    said: Vec<usize>,
    confirmed: u64,
}

/// A message to a topic, or a request.
#[derive(Clone, Debug)]
pub struct Said {
    /// The topic or service.
    pub to: usize,
    /// It is a request.
    pub is_request: bool,
    /// On which link.
    pub link: LinkNumber,
    /// Its number there.
    pub number: u64,
    /// When it was sent.
    pub sent: u64,
    /// When everything was at rest before that.
    pub rest: u64,
    /// The time at which it was sent.
    pub sent_at: Instant,
    /// As its topic's last value.
    pub retain: bool,
    /// How long a request waits.
    pub deadline_ms: u32,
    /// What became of it: of a request, whether it was taken.
    pub outcome: Outcome,
    /// When it was known to be accepted.
    pub known: Option<u64>,
    /// A time at which it was known to be accepted.
    pub known_at: Option<Instant>,
    /// The responder that has received it.
    pub responder: Option<LinkNumber>,
    /// A reply was sent, or a refusal.
    pub answered: (bool, bool),
    /// A request has its outcome.
    pub is_over: bool,
}

/// How a link was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gone {
    /// Closed in order.
    InOrder,
    /// Refused or ended by the broker.
    Refused,
    /// With its connection.
    WithConnection,
}

impl Featured {
    /// The link that has this number on the connection now.
    pub fn find(&self, connection: ConnectionNumber, number: u32) -> Option<LinkNumber> {
        self.by_number.get(&(connection, number)).copied()
    }

    /// A link.
    pub fn link(&self, link: LinkNumber) -> &FeaturedLink {
        &self.links[link]
    }

    /// The links that are there, with their numbers.
    pub fn links(&self) -> impl Iterator<Item = (LinkNumber, &FeaturedLink)> {
        self.by_number.values().map(|link| (*link, &self.links[*link]))
    }

    /// The links of a connection.
    pub fn of(&self, connection: ConnectionNumber) -> impl Iterator<Item = (LinkNumber, &FeaturedLink)> {
        let range = (connection, 0)..=(connection, u32::MAX);
        self.by_number.range(range).map(|(_, link)| (*link, &self.links[*link]))
    }

    /// Everything that was said in this life, with its number.
    pub fn all_said(&self) -> impl Iterator<Item = (usize, &Said)> + Clone {
        self.said.iter().enumerate().skip(self.first)
    }

    /// What was said with this payload, in this life or an earlier one; a reply has its request's.
    pub fn said_of(&self, payload: &[u8]) -> Option<usize> {
        let number = u64::from_be_bytes(*payload.first_chunk()?) ^ MARK;
        usize::try_from(number).ok().filter(|number| *number < self.said.len())
    }

    /// What was said, by number.
    pub fn said(&self, number: usize) -> &Said {
        &self.said[number]
    }

    /// Whether it was said in this life of the handler.
    pub fn is_of_this_life(&self, number: usize) -> bool {
        number >= self.first
    }

    /// The request with this number on a link.
    pub fn request(&self, link: LinkNumber, number: u64) -> Option<usize> {
        self.links[link].said.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }

    /// Whether somebody of a group has received a message.
    pub fn was_seen_by_group(&self, filter: usize, group: u8, message: usize) -> bool {
        self.by_group.contains(&(filter, group, message))
    }

    /// Whether a responder of a service has ended since a moment.
    pub fn has_lost_responder(&self, service: usize, since: u64) -> bool {
        self.ends.iter().any(|(of, when)| *of == service && *when > since)
    }

    /// The next number, and its payload: `words` behind it.
    pub(super) fn payload(&self, words: &[u8]) -> Vec<u8> {
        payload_of(self.said.len(), words)
    }
}

/// The payload that tells a number.
pub(super) fn payload_of(number: usize, words: &[u8]) -> Vec<u8> {
    let mut payload = (number as u64 | MARK).to_be_bytes().to_vec();
    payload.extend_from_slice(words);
    payload
}

/// What happens.
impl Featured {
    pub(super) fn opened(&mut self, key: (ConnectionNumber, u32), channel: Channel, publishes: bool) {
        self.moments += 1;
        self.by_number.insert(key, self.links.len());
        self.links.push(FeaturedLink {
            connection: key.0,
            number: key.1,
            channel,
            publishes,
            consumes: !publishes,
            state: LinkState::Opening,
            wants_retained: false,
            asked: self.moments,
            opened: None,
            published: 0,
            credit: INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
            fresh: 0,
            lost: 0,
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
            open: BTreeMap::new(),
            answered: Vec::new(),
            said: Vec::new(),
            confirmed: 0,
        });
    }

    pub(in crate::simulate) fn sent(&mut self, connection: ConnectionNumber, frame: &Frame<'_>, now: Instant) {
        let Some(index) = self.find(connection, frame.link()) else { return };
        self.moments += 1;
        match *frame {
            Frame::Publish { number, .. } => self.says(index, number, None, false, now),
            Frame::PublishWith { number, options, retain, .. } => self.says(index, number, options.topic, retain, now),
            Frame::Request { number, deadline_ms, .. } => {
                self.says(index, number, None, false, now);
                if let Some(said) = self.said.last_mut() {
                    said.deadline_ms = deadline_ms;
                }
            }
            Frame::Credit { upto, .. } => self.links[index].granted = upto,
            Frame::Reply { number, .. } => self.answers(index, number, true),
            Frame::NoReply { number, .. } => self.answers(index, number, false),
            Frame::Close { .. } => self.links[index].state = LinkState::Closing,
            _ => {}
        }
    }

    fn says(&mut self, index: LinkNumber, number: u64, topic: Option<&[u8]>, retain: bool, now: Instant) {
        let link = &mut self.links[index];
        let named = || TOPICS.iter().position(|name| Some(name.as_bytes()) == topic);
        let (to, is_request) = match link.channel {
            Channel::Topic(one) => (one.or_else(named).unwrap_or(0), false),
            Channel::Service(service) => (service, true),
            Channel::Jobs(_) => {
                link.published = number;
                return;
            }
            Channel::Filter(..) => return,
        };
        link.published = number;
        link.said.push(self.said.len());
        self.said.push(Said {
            to,
            is_request,
            link: index,
            number,
            sent: self.moments,
            rest: self.rest,
            sent_at: now,
            retain,
            deadline_ms: 0,
            outcome: Outcome::Pending,
            known: None,
            known_at: None,
            responder: None,
            answered: (false, false),
            is_over: false,
        });
    }

    fn answers(&mut self, index: LinkNumber, tag: u64, well: bool) {
        let link = &mut self.links[index];
        let Some(request) = link.open.remove(&tag) else { return };
        link.answered.push(tag);
        let answered = &mut self.said[request].answered;
        *(if well { &mut answered.0 } else { &mut answered.1 }) = true;
    }

    pub(in crate::simulate) fn received(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        let Some(index) = self.find(connection, frame.link()) else { return };
        self.moments += 1;
        let moment = self.moments;
        let link = &mut self.links[index];
        match *frame {
            Frame::Opened { .. } if link.state == LinkState::Opening => {
                (link.state, link.opened) = (LinkState::Open, Some(moment));
            }
            Frame::Credit { upto, .. } => link.credit = upto,
            Frame::Confirmed { upto, .. } => self.confirmed(index, upto),
            Frame::Refused { first, last, .. } => {
                for number in first..=last {
                    self.resolve(index, number, Outcome::Refused);
                }
            }
            Frame::Gap { lost, .. } => link.lost += lost,
            Frame::Delivery { tag, payload, .. } => self.delivered(index, tag, &payload, false),
            Frame::DeliveryWith { tag, payload, retained, .. } => self.delivered(index, tag, &payload, retained),
            Frame::Request { number, payload, .. } => {
                link.delivered = number;
                if let Some(request) = self.said_of(&payload) {
                    self.links[index].open.insert(number, request);
                    self.said[request].responder = Some(index);
                    self.is_accepted(request);
                }
            }
            Frame::Reply { number, .. } | Frame::NoReply { number, .. } => {
                if let Some(request) = self.request(index, number) {
                    self.said[request].is_over = true;
                    self.is_accepted(request);
                }
            }
            Frame::Closed { code, .. } => {
                let in_order = link.state == LinkState::Closing && code == ErrorCode::NONE;
                self.over(index, if in_order { Gone::InOrder } else { Gone::Refused });
            }
            _ => {}
        }
    }

    fn delivered(&mut self, index: LinkNumber, tag: u64, payload: &[u8], is_retained: bool) {
        let link = &mut self.links[index];
        link.delivered = tag;
        link.fresh += u64::from(!is_retained);
        let Some(number) = self.said_of(payload) else { return };
        let (publisher, topic, at) = (self.said[number].link, self.said[number].to, self.said[number].number);
        let link = &mut self.links[index];
        link.seen.insert(number);
        if !is_retained {
            link.last.insert((publisher, topic), at);
        }
        if let Channel::Filter(filter, group @ 1..) = link.channel
            && !is_retained
        {
            self.by_group.insert((filter, group, number));
        }
        self.is_accepted(number);
    }

    fn is_accepted(&mut self, number: usize) {
        let moment = self.moments;
        let said = &mut self.said[number];
        if matches!(said.outcome, Outcome::Pending | Outcome::Unknown) {
            (said.outcome, said.known) = (Outcome::Accepted, Some(moment));
        }
    }

    fn confirmed(&mut self, index: LinkNumber, upto: u64) {
        let from = self.links[index].confirmed + 1;
        for number in from..=upto.min(self.links[index].published) {
            self.resolve(index, number, Outcome::Accepted);
        }
        self.links[index].confirmed = upto;
    }

    fn resolve(&mut self, index: LinkNumber, number: u64, outcome: Outcome) {
        let Some(said) = self.request(index, number) else { return };
        if self.said[said].outcome == Outcome::Pending {
            self.said[said].outcome = outcome;
            self.said[said].known = (outcome == Outcome::Accepted).then_some(self.moments);
        }
    }

    pub(super) fn wants_retained(&mut self, link: LinkNumber) {
        self.links[link].wants_retained = true;
    }

    /// A link is over.
    fn over(&mut self, index: LinkNumber, how: Gone) {
        let outcome = match how {
            Gone::InOrder => Outcome::Accepted,
            Gone::Refused => Outcome::Refused,
            Gone::WithConnection => Outcome::Unknown,
        };
        for number in 1..=self.links[index].published {
            self.resolve(index, number, outcome);
        }
        let link = &mut self.links[index];
        link.state = LinkState::Free;
        link.open.clear();
        if let (Channel::Service(service), true) = (link.channel, link.consumes) {
            self.ends.push((service, self.moments));
        }
        for said in core::mem::take(&mut link.said) {
            self.said[said].is_over = true;
        }
        let key = (self.links[index].connection, self.links[index].number);
        self.by_number.remove(&key);
    }

    pub(in crate::simulate) fn ended(&mut self, connection: ConnectionNumber) {
        self.moments += 1;
        let links: Vec<LinkNumber> = self.of(connection).map(|(link, _)| link).collect();
        links.into_iter().for_each(|link| self.over(link, Gone::WithConnection));
    }

    pub(in crate::simulate) fn begins_anew(&mut self) {
        self.first = self.said.len();
        self.by_group.clear();
        self.ends.clear();
    }

    /// Everything is at rest, and the connections that take part have said and read all.
    pub(in crate::simulate) fn rested(&mut self, now: Instant, takes_part: impl Fn(ConnectionNumber) -> bool) {
        self.moments += 1;
        self.rest = self.moments;
        let (first, moment) = (self.first, self.moments);
        let Featured { said, links, .. } = self;
        for said in &mut said[first..] {
            let link = &links[said.link];
            if link.state != LinkState::Free && takes_part(link.connection) && said.outcome == Outcome::Pending {
                (said.outcome, said.known) = (Outcome::Accepted, Some(moment));
            }
            if said.outcome == Outcome::Accepted {
                said.known_at.get_or_insert(now);
            }
        }
    }
}

impl Said {
    /// Whether a subscriber to the filter gets it.
    pub fn is_meant_by(&self, filter: usize) -> bool {
        !self.is_request && means(filter, self.to)
    }

    /// The name of where it went.
    pub fn name(&self) -> &'static str {
        if self.is_request { SERVICES[self.to] } else { TOPICS[self.to] }
    }
}
