//! The independent model: what the clients know for certain of every message, link and connection.
//!
//! It is written from PROTOCOL.md and knows no code of any broker. It follows nothing but the frames that clients have sent and
//! received, and so it knows less than the broker: what a client said may still be under way, and what a broker said may have been
//! lost with its connection. Where it cannot know, it says so ([`Outcome::Unknown`], [`Place::Perhaps`]), and a checker must
//! allow for both.

mod connection;
mod events;
mod link;
mod message;
mod outcomes;
mod queue;

pub use connection::ConnectionFacts;
pub use link::LinkFacts;
pub(super) use message::write_payload;
pub use message::{MessageFacts, Outcome, Place};
pub use queue::{QueueFacts, QueueTally};

use super::featured::{Featured, Jobs};
use super::own::Own;
use core::time::Duration;
use msglib_proto::{Instant, LinkState};

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
    pub(in crate::simulate) now: Instant,
    pub(in crate::simulate) connections: Vec<ConnectionFacts>,
    pub(in crate::simulate) links: Vec<LinkFacts>,
    pub(in crate::simulate) messages: Vec<MessageFacts>,
    pub(in crate::simulate) queues: Vec<QueueFacts>,
    /// Messages of this life that are not over.
    pub(in crate::simulate) open: Vec<MessageNumber>,
    pub(in crate::simulate) life: u32,
    /// What the clients of the features know.
    pub featured: Featured,
    /// And of queues with settings.
    pub jobs: Jobs,
    /// What the clients of channels of one's own know.
    pub own: Own,
    pub(in crate::simulate) is_healed: bool,
    /// The broker says goodbye to all, of its own accord.
    pub(in crate::simulate) is_ending: bool,
    /// The network may end a connection, and the broker then says goodbye to a client that it has not read to the end.
    pub(in crate::simulate) may_be_cut: bool,
}

impl Facts {
    pub(in crate::simulate) fn new(queues: usize) -> Facts {
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

    /// Whether a connection may have to wait for the place of a former one: of one that it owes an answer, the broker learns that it is
    /// over with the answer, or at its deadline.
    pub(in crate::simulate) fn may_wait_for_a_place(&self, number: ConnectionNumber, timeout: Duration) -> bool {
        let mut former = self.connections[..number.0].iter().enumerate().filter(|(_, former)| former.is_over);
        former.any(|(former, _)| self.own.may_linger(ConnectionNumber(former), self.now(), timeout))
    }

    /// A link.
    pub fn link(&self, link: LinkIndex) -> &LinkFacts {
        &self.links[link.0]
    }

    /// The link that has this number on the connection now.
    pub fn find_link(&self, connection: ConnectionNumber, number: u32) -> Option<LinkIndex> {
        *self.connection(connection).numbers.get((number as usize).checked_sub(1)?)?
    }

    /// The state of the link that has this number on the connection now, whatever it leads to.
    pub fn link_state(&self, connection: ConnectionNumber, number: u32) -> LinkState {
        let plain = self.find_link(connection, number).map(|link| self.link(link).state);
        let featured = || self.featured.find(connection, number).map(|link| self.featured.link(link).state);
        let own = || self.own.find(connection, number).map(|link| self.own.link(link).state);
        plain.or_else(featured).or_else(own).unwrap_or(LinkState::Free)
    }

    /// Whether the client has a link with this number, and has not given it up.
    pub(in crate::simulate) fn holds_link(&self, connection: ConnectionNumber, number: u32) -> bool {
        match self.find_link(connection, number) {
            Some(link) => !self.link(link).gave_up,
            None => !matches!(self.link_state(connection, number), LinkState::Free | LinkState::Closing),
        }
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
            && payload[8..].iter().enumerate().all(|(at, byte)| *byte == message::filler(number, at));
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
