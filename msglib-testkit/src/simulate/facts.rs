//! The independent model: what the clients know for certain of every message, link and connection.
//!
//! It is written from PROTOCOL.md and knows no code of any broker. It follows nothing but the frames that clients have sent and
//! received, and so it knows less than the broker: what a client said may still be under way, and what a broker said may have been
//! lost with its connection. Where it cannot know, it says so ([`Outcome::Unknown`], [`Place::Perhaps`]), and a checker must
//! allow for both.

use super::featured::{Channel, Credentials, Featured, Jobs};
use super::schedule::Settling;
use msglib_proto::{ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, Instant, LinkState};
use std::collections::VecDeque;

macro_rules! index {
    ($($(#[$doc:meta])* $name:ident($letter:literal);)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub usize);

            impl core::fmt::Debug for $name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    write!(f, concat!($letter, "{}"), self.0)
                }
            }

            impl core::fmt::Display for $name {
                fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    write!(f, concat!($letter, "{}"), self.0)
                }
            }
        )*
    };
}

index! {
    /// A connection of the run, in the order in which they were made; a client has one after the other.
    ConnectionNumber("connection ");
    /// A link of the run, in the order in which they were opened; not its number on the wire.
    LinkIndex("link ");
    /// A message of the run, in the order in which they were published. It is in the payload.
    MessageNumber("message ");
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Facts {
    pub(super) now: Instant,
    pub(super) connections: Vec<ConnectionFacts>,
    pub(super) links: Vec<LinkFacts>,
    pub(super) messages: Vec<MessageFacts>,
    pub(super) queues: Vec<QueueFacts>,
    /// Messages of this life that are not over.
    pub(super) open: Vec<MessageNumber>,
    pub(super) life: u32,
    /// What the clients of the features know.
    pub featured: Featured,
    /// And of queues with settings.
    pub jobs: Jobs,
    pub(super) is_healed: bool,
    /// The broker says goodbye to all, of its own accord.
    pub(super) is_ending: bool,
    /// The network may end a connection, and the broker then says goodbye to a client that it has not read to the end.
    pub(super) may_be_cut: bool,
}

/// One connection, from its client's end.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Whose it is.
    pub client: usize,
    /// When it was made.
    pub since: Instant,
    /// The largest payload that it takes.
    pub takes: u32,
    /// What it shows at the door.
    pub credentials: Credentials,
    /// `WELCOME` was received.
    pub is_greeted: bool,
    /// Reads and writes as it should; not so while it is stalled.
    pub is_listening: bool,
    /// The client has said its last frame, or closed its sending side, or broken the protocol: it holds nothing any more.
    pub is_leaving: bool,
    /// Since when that is so.
    pub left_at: Option<Instant>,
    /// The client said `GOODBYE`, and the broker did not before.
    pub said_goodbye: bool,
    /// The client broke the protocol.
    pub is_hostile: bool,
    /// `GOODBYE` or `ERROR` was received.
    pub last_word: Option<ErrorCode>,
    /// Nothing passes any more.
    pub is_over: bool,
    /// The pings that were not answered, the first one first.
    pub pings: VecDeque<u64>,
    /// By number on the wire, from 1.
    pub(super) numbers: Vec<Option<LinkIndex>>,
}

/// One link, from its client's end.
#[derive(Debug)]
pub struct LinkFacts {
    /// On which connection.
    pub connection: ConnectionNumber,
    /// Its number on the wire.
    pub number: u32,
    /// To which queue.
    pub queue: usize,
    /// Opened to publish.
    pub publishes: bool,
    /// Opened to consume.
    pub consumes: bool,
    /// As the client sees it; `Free` when it is over.
    pub state: LinkState,
    /// The last number that was published.
    pub published: u64,
    /// The last number that asked for a confirm.
    pub wanted: u64,
    /// All up to this have their outcome.
    pub confirmed: u64,
    /// The last number that the broker allows.
    pub credit: u64,
    /// The last tag that the client allows.
    pub granted: u64,
    /// The last tag that came.
    pub delivered: u64,
    /// The greatest number of this publisher that was seen as a first delivery.
    pub first_seen: u64,
    /// As it was when everything was at rest the last time.
    pub first_floor: u64,
    /// All that was sent to it before everything was at rest the last time was read.
    pub was_read: bool,
    pub(super) messages: Vec<MessageNumber>,
    /// From the oldest delivery that is not settled to the newest; tag `before + 1` is the first.
    pub(super) held: VecDeque<Option<MessageNumber>>,
    pub(super) before: u64,
    /// Settled, and the broker may not know it yet.
    pub(super) settling: Vec<MessageNumber>,
    /// Holds nothing any more.
    pub(super) gave_up: bool,
}

/// One message, as those know it who published and received it.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts {
    /// In which queue.
    pub queue: usize,
    /// On which link it was published.
    pub link: LinkIndex,
    /// Its number there.
    pub number: u64,
    /// Bytes of its payload.
    pub size: usize,
    /// A confirm was asked for.
    pub confirm: bool,
    /// In which life of the handler: each restart with a new one begins another.
    pub life: u32,
    /// What its publisher knows.
    pub outcome: Outcome,
    /// What its consumers know.
    pub place: Place,
    /// How many deliveries of it were received.
    pub seen: u32,
    /// The greatest count that came with one of them.
    pub highest: u32,
    /// Which counts came, up to 64: bit 0 is the first delivery.
    pub counts: u64,
}

/// What became of a publish, as its publisher knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was sent.
    Pending,
    /// The broker is responsible for it: confirmed, delivered, or not refused when everything was at rest.
    Accepted,
    /// It had no effect.
    Refused,
    /// The connection went first.
    Unknown,
}

/// Where a message is, as its consumers know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In the queue, for all that is known.
    Waiting,
    /// Delivered on the link with the tag, and not settled.
    InFlight(LinkIndex, u64),
    /// Settled on the link, and the broker may not know it yet.
    Settling(LinkIndex, Settling),
    /// Settled for good.
    Settled(Settling),
    /// Settled on a connection that ended before the broker was seen to know it.
    Perhaps(Settling),
}

/// What is known of one queue in this life of the handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueFacts {
    /// Ends of consumers that may not have seen all that was delivered to them.
    pub unseen_ends: u32,
    /// Settlings that were sent: acks.
    pub acks: u64,
    /// Settlings that were sent: refusals for good.
    pub refusals: u64,
    /// Messages that were published.
    pub attempted: u64,
    /// Deliveries that were received.
    pub deliveries: u64,
    /// Of the messages that are over.
    pub(super) over: QueueTally,
}

/// How many messages of a queue are where, by what the clients know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueTally {
    /// Known to be accepted.
    pub accepted: u64,
    /// Accepted or not.
    pub unknown: u64,
    /// Refused.
    pub refused: u64,
    /// Acked, and the broker knows it.
    pub acked: u64,
    /// Refused for good by a consumer, and the broker knows it.
    pub dropped: u64,
    /// Held by a consumer.
    pub in_flight: u64,
    /// Perhaps acked.
    pub perhaps_acked: u64,
    /// Perhaps refused for good.
    pub perhaps_dropped: u64,
    /// Bytes of payload of those that are accepted and not settled.
    pub bytes: u64,
    /// How many those are.
    pub live: u64,
    /// Bytes of payload of those that may be there or not.
    pub unknown_bytes: u64,
    /// How many those are.
    pub unknown_live: u64,
}

impl Facts {
    pub(super) fn new(queues: usize) -> Facts {
        Facts { queues: vec![QueueFacts::default(); queues], ..Facts::default() }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The life of the handler: each restart with a new one begins another.
    pub fn life(&self) -> u32 {
        self.life
    }

    /// Whether the faults are over.
    pub fn is_healed(&self) -> bool {
        self.is_healed
    }

    /// Whether a `GOODBYE` need not be the answer to the client's own: the broker ends, or the network may have ended what the
    /// client sent.
    pub fn is_goodbye_unasked(&self) -> bool {
        self.is_ending || self.may_be_cut
    }

    /// A connection.
    pub fn connection(&self, connection: ConnectionNumber) -> &ConnectionFacts {
        &self.connections[connection.0]
    }

    /// A link.
    pub fn link(&self, link: LinkIndex) -> &LinkFacts {
        &self.links[link.0]
    }

    /// The link that has this number on the connection now.
    pub fn find_link(&self, connection: ConnectionNumber, number: u32) -> Option<LinkIndex> {
        *self.connection(connection).numbers.get((number as usize).checked_sub(1)?)?
    }

    /// A message.
    pub fn message(&self, message: MessageNumber) -> &MessageFacts {
        &self.messages[message.0]
    }

    /// Every link so far, with its index.
    pub fn links(&self) -> impl Iterator<Item = (LinkIndex, &LinkFacts)> {
        self.links.iter().enumerate().map(|(index, link)| (LinkIndex(index), link))
    }

    /// The messages of this life that are neither refused nor settled for good.
    pub fn open_messages(&self) -> impl Iterator<Item = (MessageNumber, &MessageFacts)> {
        self.open.iter().map(|number| (*number, self.message(*number)))
    }

    /// What is known of each queue.
    pub fn queues(&self) -> &[QueueFacts] {
        &self.queues
    }

    /// The message whose payload this is; `None` if nobody has published it, byte for byte.
    pub fn message_of(&self, payload: &[u8]) -> Option<MessageNumber> {
        let number = u64::from_be_bytes(*payload.first_chunk()?);
        let number = usize::try_from(number).ok().filter(|number| *number < self.messages.len())?;
        let is_it = payload.len() == self.messages[number].size
            && payload[8..].iter().enumerate().all(|(at, byte)| *byte == filler(number, at));
        is_it.then_some(MessageNumber(number))
    }

    /// Whether the link's client takes part, and the link with it: what is at rest is at rest there, too.
    pub fn is_live(&self, link: LinkIndex) -> bool {
        let link = self.link(link);
        let connection = self.connection(link.connection);
        !link.gave_up && !connection.is_over && connection.is_listening
    }

    /// Whether nobody is stalled or has vanished, so that at rest all that was sent was read.
    pub fn is_everybody_there(&self) -> bool {
        self.connections.iter().all(|connection| connection.is_over || connection.is_listening)
    }

    /// How many messages of a queue are where.
    pub fn tally(&self, queue: usize) -> QueueTally {
        let mut tally = self.queues[queue].over;
        for (_, message) in self.open_messages().filter(|(_, message)| message.queue == queue) {
            tally.count(message);
        }
        tally
    }
}

/// The byte of a message's payload behind its number.
fn filler(number: usize, at: usize) -> u8 {
    (number.wrapping_mul(31).wrapping_add(at)) as u8
}

/// Writes the payload of a message: its number, then bytes that follow from it.
pub(super) fn write_payload(MessageNumber(number): MessageNumber, size: usize, payload: &mut Vec<u8>) {
    payload.clear();
    payload.extend((number as u64).to_be_bytes());
    payload.extend((0..size - 8).map(|at| filler(number, at)));
}

impl QueueTally {
    fn count(&mut self, message: &MessageFacts) {
        match message.outcome {
            Outcome::Accepted => self.accepted += 1,
            Outcome::Refused => {
                self.refused += 1;
                return;
            }
            Outcome::Pending | Outcome::Unknown => {
                self.unknown += 1;
                self.unknown_live += 1;
                self.unknown_bytes += message.size as u64;
                return;
            }
        }
        let perhaps = match message.place {
            Place::Waiting => false,
            Place::InFlight(..) => {
                self.in_flight += 1;
                false
            }
            Place::Settled(how) => {
                match how {
                    Settling::Ack => self.acked += 1,
                    Settling::Refuse(_) => self.dropped += 1,
                }
                return;
            }
            Place::Settling(_, Settling::Ack) | Place::Perhaps(Settling::Ack) => {
                self.perhaps_acked += 1;
                true
            }
            Place::Settling(..) | Place::Perhaps(_) => {
                self.perhaps_dropped += 1;
                true
            }
        };
        let (count, bytes) = match perhaps {
            true => (&mut self.unknown_live, &mut self.unknown_bytes),
            false => (&mut self.live, &mut self.bytes),
        };
        *count += 1;
        *bytes += message.size as u64;
    }
}

impl MessageFacts {
    /// Whether nothing more can become of it.
    pub fn is_over(&self) -> bool {
        self.outcome == Outcome::Refused || matches!(self.place, Place::Settled(_))
    }
}

impl LinkFacts {
    /// From the oldest delivery that is not settled to the newest.
    pub fn span(&self) -> usize {
        self.held.len()
    }

    /// The tags that it holds.
    pub fn held(&self) -> impl Iterator<Item = (u64, MessageNumber)> + '_ {
        let tags = self.before + 1..;
        tags.zip(&self.held).filter_map(|(tag, held)| Some((tag, (*held)?)))
    }

    /// The messages that were published on it, with their numbers.
    pub fn messages(&self) -> impl Iterator<Item = (u64, MessageNumber)> + '_ {
        (1..).zip(self.messages.iter().copied())
    }

    /// The message with this number.
    pub fn message(&self, number: u64) -> Option<MessageNumber> {
        self.messages.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }
}

/// What happens, in the order in which clients see it. The checkers have seen each before it gets here.
impl Facts {
    pub(super) fn connected(&mut self, client: usize, takes: u32, credentials: Credentials) -> ConnectionNumber {
        self.connections.push(ConnectionFacts {
            client,
            since: self.now,
            takes,
            credentials,
            is_greeted: false,
            is_listening: true,
            is_leaving: false,
            left_at: None,
            said_goodbye: false,
            is_hostile: false,
            last_word: None,
            is_over: false,
            pings: VecDeque::new(),
            numbers: Vec::new(),
        });
        ConnectionNumber(self.connections.len() - 1)
    }

    /// A message gets its number before it is sent, for that is in the payload.
    pub(super) fn next_message(&self) -> MessageNumber {
        MessageNumber(self.messages.len())
    }

    /// A client opens a link to a queue, whose name the facts do not know.
    pub(super) fn opened(
        &mut self,
        connection: ConnectionNumber,
        number: u32,
        queue: usize,
        publishes: bool,
        consumes: bool,
    ) {
        let link = LinkIndex(self.links.len());
        self.links.push(LinkFacts {
            connection,
            number,
            queue,
            publishes,
            consumes,
            state: LinkState::Opening,
            published: 0,
            wanted: 0,
            confirmed: 0,
            credit: INITIAL_PUBLISH_CREDIT,
            granted: 0,
            delivered: 0,
            first_seen: 0,
            first_floor: 0,
            was_read: true,
            messages: Vec::new(),
            held: VecDeque::new(),
            before: 0,
            settling: Vec::new(),
            gave_up: false,
        });
        let numbers = &mut self.connections[connection.0].numbers;
        if numbers.len() < number as usize {
            numbers.resize(number as usize, None);
        }
        numbers[number as usize - 1] = Some(link);
    }

    pub(super) fn sent(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        match *frame {
            Frame::Ping { token } => self.connections[connection.0].pings.push_back(token),
            Frame::Goodbye { .. } => {
                let facts = &mut self.connections[connection.0];
                facts.said_goodbye = facts.last_word.is_none();
                self.leaves(connection);
            }
            _ => {}
        }
        if let Some(link) = self.featured.find(connection, frame.link()) {
            self.jobs.sent(&self.featured, link, frame, self.now);
        }
        self.featured.sent(connection, frame, self.now);
        let Some(index) = self.find_link(connection, frame.link()) else { return };
        match *frame {
            Frame::Publish { number, confirm, payload, .. } => self.published(index, number, confirm, payload.len()),
            Frame::Credit { upto, .. } => self.links[index.0].granted = upto,
            Frame::Ack { first, last, .. } => self.settles(index, first, last, Settling::Ack),
            Frame::Refuse { first, last, verdict, .. } => self.settles(index, first, last, Settling::Refuse(verdict)),
            Frame::Close { .. } => {
                self.links[index.0].state = LinkState::Closing;
                self.gives_up(index);
            }
            _ => {}
        }
    }

    pub(super) fn received(&mut self, connection: ConnectionNumber, frame: &Frame<'_>) {
        match *frame {
            Frame::Welcome(_) => self.connections[connection.0].is_greeted = true,
            Frame::Pong { token } => {
                let pings = &mut self.connections[connection.0].pings;
                while pings.pop_front().is_some_and(|ping| ping != token) {}
            }
            Frame::Goodbye { code, .. } | Frame::Error { code, .. } => {
                let facts = &mut self.connections[connection.0];
                facts.last_word = Some(code);
                // The broker has read all up to the client's own GOODBYE.
                let has_read_all = !(self.is_ending || self.may_be_cut)
                    && facts.said_goodbye
                    && matches!(frame, Frame::Goodbye { code: ErrorCode::NONE, .. });
                self.leaves(connection);
                if has_read_all {
                    self.links_of(connection).into_iter().for_each(|link| self.settled(link));
                }
            }
            _ => {}
        }
        if let Some(link) = self.featured.find(connection, frame.link()) {
            self.jobs.received(&self.featured, link, frame, self.now);
        }
        self.featured.received(connection, frame);
        let Some(index) = self.find_link(connection, frame.link()) else { return };
        let link = &mut self.links[index.0];
        match *frame {
            Frame::Opened { .. } if link.state == LinkState::Opening => link.state = LinkState::Open,
            Frame::Credit { upto, .. } => link.credit = upto,
            Frame::Confirmed { upto, .. } => self.confirmed(index, upto),
            Frame::Refused { first, last, .. } => {
                for number in first..=last {
                    if let Some(message) = self.links[index.0].message(number) {
                        self.messages[message.0].outcome = Outcome::Refused;
                    }
                }
            }
            Frame::Delivery { tag, count, payload, .. } => {
                if let Some(message) = self.message_of(&payload) {
                    self.delivered(index, tag, count, message);
                }
            }
            Frame::Closed { code, .. } => self.closed(index, code),
            _ => {}
        }
    }

    /// The client breaks the protocol: whatever it held is the broker's to give back.
    pub(super) fn turns_hostile(&mut self, connection: ConnectionNumber) {
        self.connections[connection.0].is_hostile = true;
        self.leaves(connection);
    }

    /// The client will say nothing more.
    pub(super) fn leaves(&mut self, connection: ConnectionNumber) {
        let now = self.now;
        let facts = &mut self.connections[connection.0];
        facts.is_leaving = true;
        facts.left_at.get_or_insert(now);
        self.links_of(connection).into_iter().for_each(|link| self.gives_up(link));
    }

    /// Nothing passes on the connection any more.
    pub(super) fn ended(&mut self, connection: ConnectionNumber) {
        let facts = &mut self.connections[connection.0];
        facts.is_over = true;
        let has_seen_all = facts.last_word.is_some() && facts.is_listening;
        for index in self.links_of(connection) {
            self.gives_up(index);
            let link = &self.links[index.0];
            self.queues[link.queue].unseen_ends += u32::from(link.consumes && !has_seen_all);
            self.unresolved(index, Outcome::Unknown);
            self.perhaps(index);
            self.links[index.0].state = LinkState::Free;
        }
        self.connections[connection.0].numbers.clear();
        for (link, there) in self.featured.of(connection) {
            if let Channel::Jobs(queue) = there.channel {
                self.jobs.over(link, queue, Outcome::Unknown);
            }
        }
        self.featured.ended(connection);
    }

    /// The host program has decided about somebody at the door, who has given its connection's number.
    pub(super) fn decided(&mut self, name: &str, yes: bool) {
        let connection = name.parse().ok().and_then(|at: usize| self.connections.get_mut(at));
        if let Some(connection) = connection {
            connection.credentials = Credentials::Decided(yes);
        }
    }

    /// Another handler begins, which knows nothing of what was before.
    pub(super) fn begins_anew(&mut self) {
        self.life += 1;
        self.open.clear();
        self.queues.fill(QueueFacts::default());
        self.featured.begins_anew();
        self.jobs.begins_anew();
    }

    /// Everything is at rest, so whoever takes part has read all, and the broker has read all of theirs.
    pub(super) fn rested(&mut self) {
        for at in 0..self.links.len() {
            let link = &mut self.links[at];
            link.first_floor = link.first_seen;
            if link.state == LinkState::Free {
                continue;
            }
            let connection = &self.connections[link.connection.0];
            let takes_part = connection.is_listening && !connection.is_over;
            self.links[at].was_read = takes_part;
            if takes_part && !self.links[at].gave_up {
                self.unresolved(LinkIndex(at), Outcome::Accepted);
                self.settled(LinkIndex(at));
            }
        }
        self.forget_what_is_over();
        let Facts { featured, jobs, connections, now, .. } = self;
        let takes_part = |ConnectionNumber(at): ConnectionNumber| {
            let connection = &connections[at];
            connection.is_listening && !connection.is_over && !connection.is_leaving
        };
        featured.rested(*now, takes_part);
        jobs.rested(*now, |link| {
            let link = featured.link(link);
            link.state != LinkState::Free && takes_part(link.connection)
        });
    }
}

impl Facts {
    fn links_of(&self, connection: ConnectionNumber) -> Vec<LinkIndex> {
        self.connection(connection).numbers.iter().flatten().copied().collect()
    }

    fn published(&mut self, index: LinkIndex, number: u64, confirm: bool, size: usize) {
        let message = self.next_message();
        let link = &mut self.links[index.0];
        link.published = number;
        link.wanted = if confirm { number } else { link.wanted };
        link.messages.push(message);
        let (queue, life) = (link.queue, self.life);
        self.queues[queue].attempted += 1;
        self.open.push(message);
        self.messages.push(MessageFacts {
            queue,
            link: index,
            number,
            size,
            confirm,
            life,
            outcome: Outcome::Pending,
            place: Place::Waiting,
            seen: 0,
            highest: 0,
            counts: 0,
        });
    }

    fn settles(&mut self, index: LinkIndex, first: u64, last: u64, how: Settling) {
        let link = &mut self.links[index.0];
        let is_again = how == Settling::Refuse(msglib_proto::Verdict::Again);
        let from = first.max(link.before + 1);
        for tag in from..=last.min(link.before + link.held.len() as u64) {
            let at = (tag - link.before - 1) as usize;
            let Some(number) = link.held[at].take() else { continue };
            let message = &mut self.messages[number.0];
            if message.place != Place::InFlight(index, tag) {
                continue;
            }
            message.place = if is_again { Place::Waiting } else { Place::Settling(index, how) };
            if !is_again {
                link.settling.push(number);
                let queue = &mut self.queues[link.queue];
                *(if how == Settling::Ack { &mut queue.acks } else { &mut queue.refusals }) += 1;
            }
        }
        while let Some(None) = link.held.front() {
            link.held.pop_front();
            link.before += 1;
        }
    }

    fn gives_up(&mut self, index: LinkIndex) {
        let link = &mut self.links[index.0];
        link.gave_up = true;
        link.before += link.held.len() as u64;
        for (number, tag) in link.held.drain(..).zip(1..) {
            let _ = tag as u64;
            let Some(number) = number else { continue };
            let message = &mut self.messages[number.0];
            if matches!(message.place, Place::InFlight(holder, _) if holder == index) {
                message.place = Place::Waiting;
            }
        }
    }

    fn confirmed(&mut self, index: LinkIndex, upto: u64) {
        let link = &mut self.links[index.0];
        for number in link.confirmed + 1..=upto.min(link.published) {
            let message = &mut self.messages[link.messages[number as usize - 1].0];
            if message.outcome == Outcome::Pending {
                message.outcome = Outcome::Accepted;
            }
        }
        link.confirmed = link.confirmed.max(upto);
    }

    /// Gives every publish of the link that has no outcome this one.
    fn unresolved(&mut self, index: LinkIndex, outcome: Outcome) {
        let link = &mut self.links[index.0];
        for number in &link.messages[(link.confirmed as usize).min(link.messages.len())..] {
            let message = &mut self.messages[number.0];
            if message.outcome == Outcome::Pending {
                message.outcome = outcome;
            }
        }
    }

    fn delivered(&mut self, index: LinkIndex, tag: u64, count: u32, number: MessageNumber) {
        let link = &mut self.links[index.0];
        let message = &mut self.messages[number.0];
        let is_late = count < message.highest;
        message.seen += 1;
        message.highest = message.highest.max(count);
        message.counts |= 1 << (count.clamp(1, 64) - 1);
        if matches!(message.outcome, Outcome::Pending | Outcome::Unknown) {
            message.outcome = Outcome::Accepted;
        }
        link.delivered = link.delivered.max(tag);
        self.queues[link.queue].deliveries += 1;
        if link.gave_up {
            link.before += 1;
        } else {
            link.held.push_back(Some(number));
            if !is_late {
                message.place = Place::InFlight(index, tag);
            }
        }
        if count == 1 {
            let publisher = message.link;
            let number = message.number;
            let first_seen = &mut self.links[publisher.0].first_seen;
            *first_seen = (*first_seen).max(number);
        }
    }

    fn closed(&mut self, index: LinkIndex, code: ErrorCode) {
        if self.links[index.0].state == LinkState::Closing && code == ErrorCode::NONE {
            self.settled(index);
            self.unresolved(index, Outcome::Accepted);
        } else {
            // Publishes that the broker had not answered had no effect (PROTOCOL §5.4).
            self.gives_up(index);
            self.perhaps(index);
            self.unresolved(index, Outcome::Refused);
        }
        let link = &mut self.links[index.0];
        link.state = LinkState::Free;
        let (connection, number) = (link.connection, link.number);
        self.connections[connection.0].numbers[number as usize - 1] = None;
    }

    /// The broker is known to have read all settlings of the link.
    fn settled(&mut self, index: LinkIndex) {
        self.move_settling(index, Place::Settled);
    }

    /// Nobody will know whether the broker has read them.
    fn perhaps(&mut self, index: LinkIndex) {
        self.move_settling(index, Place::Perhaps);
    }

    fn move_settling(&mut self, index: LinkIndex, to: impl Fn(Settling) -> Place) {
        for number in core::mem::take(&mut self.links[index.0].settling) {
            let message = &mut self.messages[number.0];
            if let Place::Settling(link, how) = message.place
                && link == index
            {
                message.place = to(how);
            }
        }
    }

    fn forget_what_is_over(&mut self) {
        let Facts { open, messages, queues, .. } = self;
        open.retain(|number| {
            let message = &messages[number.0];
            if message.is_over() {
                queues[message.queue].over.count(message);
            }
            !message.is_over()
        });
    }
}
