//! What the stock handler knows of one client: its links, and what its publishers are owed.

use super::admission::OwnedOpen;
pub(super) use super::others::Other;
use super::producing::Producing;
use super::queues::QueueIndex;
use crate::core::Context;
use crate::queue::{ConsumerId, PushError};
use crate::reason::Reject;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ErrorCode, Frame, INITIAL_PUBLISH_CREDIT, LinkNumber};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ConnectionId,
    /// By number; link 1 is the first.
    links: Vec<Option<Link>>,
    /// Links that do not lead to a queue.
    pub(super) others: BTreeMap<LinkNumber, Other>,
    /// An `OPEN` whose answer is put off.
    pub(super) asked: Option<Box<OwnedOpen>>,
    /// Links of both sorts that wait for room on the connection.
    pub(super) blocked: Vec<LinkNumber>,
}

/// One link to one queue.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) queue: QueueIndex,
    pub(super) consumer: Option<ConsumerId>,
    pub(super) publisher: Option<Publisher>,
    /// Who publishes, if the client has said so.
    pub(super) producer: Option<Box<Producing>>,
}

impl Client {
    pub(super) fn new(id: ConnectionId) -> Client {
        let (links, others, asked) = (Vec::new(), BTreeMap::new(), None);
        Client { id, links, others, asked, blocked: Vec::new() }
    }

    pub(super) fn find(clients: &mut [Option<Client>], id: ConnectionId) -> Option<&mut Client> {
        clients.get_mut(id.index())?.as_mut().filter(|client| client.id == id)
    }

    /// The protocol keeps link numbers dense, so that a table by number is as small as what it holds.
    pub(super) fn put(&mut self, number: LinkNumber, link: Link) {
        let index = (number as usize).saturating_sub(1);
        if self.links.len() <= index {
            self.links.resize_with(index + 1, || None);
        }
        self.links[index] = Some(link);
    }

    pub(super) fn get_mut(&mut self, number: LinkNumber) -> Option<&mut Link> {
        self.links.get_mut((number as usize).checked_sub(1)?)?.as_mut()
    }

    pub(super) fn publisher(&mut self, number: LinkNumber) -> Option<&mut Publisher> {
        if self.others.contains_key(&number) {
            return self.others.get_mut(&number)?.publisher();
        }
        self.get_mut(number)?.publisher.as_mut()
    }

    pub(super) fn remove(&mut self, number: LinkNumber) -> Option<Link> {
        self.blocked.retain(|blocked| *blocked != number);
        self.links.get_mut((number as usize).checked_sub(1)?)?.take()
    }

    pub(super) fn take_other(&mut self, number: LinkNumber) -> Option<Other> {
        self.blocked.retain(|blocked| *blocked != number);
        self.others.remove(&number)
    }

    /// Those that lead to queues.
    pub(super) fn take_blocked(&mut self) -> Vec<LinkNumber> {
        let others = &self.others;
        let (apart, of_queues) =
            core::mem::take(&mut self.blocked).into_iter().partition(|link| others.contains_key(link));
        self.blocked = apart;
        of_queues
    }

    /// Those that do not.
    pub(super) fn take_blocked_others(&mut self) -> Vec<LinkNumber> {
        let others = &self.others;
        let (apart, of_queues) =
            core::mem::take(&mut self.blocked).into_iter().partition(|link| others.contains_key(link));
        self.blocked = of_queues;
        apart
    }

    /// Every link, with its number.
    pub(super) fn links(&self) -> impl Iterator<Item = (LinkNumber, &Link)> {
        let numbered = (1..).zip(&self.links);
        numbered.filter_map(|(number, link)| Some((number, link.as_ref()?)))
    }

    pub(super) fn into_links(self) -> impl Iterator<Item = Link> {
        self.links.into_iter().flatten()
    }
}

/// The outcomes and the credit that are owed to a publisher.
#[derive(Debug)]
pub(super) struct Publisher {
    /// The last number that has an outcome.
    last: u64,
    /// The last number that has an outcome and asked for a confirm.
    wanted: u64,
    /// The last number that was confirmed.
    confirmed: u64,
    /// The last number that may be published.
    credit: u64,
    /// Refusals that were not sent yet; consecutive ones with consecutive numbers are one.
    refusals: Vec<Refusals>,
    /// It is in the list of those who are owed something.
    pub(super) is_due: bool,
}

#[derive(Debug)]
struct Refusals {
    first: u64,
    last: u64,
    why: Why,
}

/// Why a publish is refused; put into words only when it is told.
#[derive(Debug)]
pub(super) enum Why {
    NoRoom(PushError),
    Other(Reject),
}

impl Why {
    fn code(&self) -> ErrorCode {
        match self {
            Why::NoRoom(PushError::QueueFull { .. }) => ErrorCode::QUEUE_FULL,
            Why::NoRoom(PushError::StoreFull { .. }) => ErrorCode::BUSY,
            Why::NoRoom(PushError::TooLarge { .. }) => ErrorCode::MESSAGE_TOO_LARGE,
            Why::Other(reject) => reject.code(),
        }
    }

    fn text(&self) -> Cow<'_, str> {
        match self {
            Why::NoRoom(error) => error.to_string().into(),
            Why::Other(reject) => reject.text().into(),
        }
    }
}

impl From<Why> for Reject {
    fn from(why: Why) -> Reject {
        match why {
            Why::Other(reject) => reject,
            why => Reject::new(why.code(), why.text().into_owned()),
        }
    }
}

impl From<PushError> for Reject {
    fn from(error: PushError) -> Reject {
        Why::NoRoom(error).into()
    }
}

impl Default for Publisher {
    fn default() -> Publisher {
        Publisher {
            last: 0,
            wanted: 0,
            confirmed: 0,
            credit: INITIAL_PUBLISH_CREDIT,
            refusals: Vec::new(),
            is_due: false,
        }
    }
}

impl Publisher {
    pub(super) fn accepted(&mut self, number: u64, confirm: bool) {
        self.last = number;
        if confirm {
            self.wanted = number;
        }
    }

    /// Refusals with consecutive numbers and the same code are told in one frame, with the words of the first.
    pub(super) fn refused(&mut self, number: u64, why: Why) {
        self.last = number;
        match self.refusals.last_mut() {
            Some(run) if run.last + 1 == number && run.why.code() == why.code() => run.last = number,
            _ => self.refusals.push(Refusals { first: number, last: number, why }),
        }
    }

    /// It was refused, and the publisher knows.
    pub(super) fn answered(&mut self, number: u64) {
        self.last = number;
    }

    /// Before the link ends, all that was accepted is confirmed, asked for or not (PROTOCOL §5.4).
    pub(super) fn send_last_outcomes(&mut self, cx: &mut Context<'_>, id: ConnectionId, link: LinkNumber) {
        self.wanted = self.last;
        self.send_outcomes(cx, id, link);
    }

    /// REFUSED before the CONFIRMED that covers it (PROTOCOL §7.3).
    pub(super) fn send_outcomes(&mut self, cx: &mut Context<'_>, id: ConnectionId, link: LinkNumber) {
        for Refusals { first, last, why } in self.refusals.drain(..) {
            let (code, text) = (why.code(), why.text());
            // Gone: there is nobody to be told any more.
            let _ = cx.send(id, Frame::Refused { link, first, last, code, text: &text });
        }
        if self.wanted > self.confirmed {
            self.confirmed = self.last;
            let _ = cx.send(id, Frame::Confirmed { link, upto: self.last });
        }
    }

    /// Credit moves on when half of it is used up (PROTOCOL §6.2).
    pub(super) fn send_credit(&mut self, cx: &mut Context<'_>, id: ConnectionId, link: LinkNumber, window: u64) {
        let upto = self.last.saturating_add(window);
        if upto >= self.credit.saturating_add(window / 2) {
            self.credit = upto;
            let _ = cx.send(id, Frame::Credit { link, upto });
        }
    }
}
