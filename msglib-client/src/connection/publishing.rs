//! The publishing side of the state: one link for each channel that is published to, and the outcomes of publishes.

use super::refusals::{Refusal, RefusalLog};
use super::state::State;
use crate::error::Error;
use crate::session::SessionError;
use core::ops::RangeInclusive;
use core::task::Poll;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, LinkNumber, OwnedName, Payload};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What goes with a payload in a frame, rounded up: header and number.
const OVERHEAD: usize = 32;

/// Names a publishing link for ever, where link numbers are used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PublisherId(u64);

/// Names one publish for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PublishId {
    publisher: PublisherId,
    pub(super) number: u64,
}

#[derive(Debug, Default)]
pub(super) struct Publishers {
    open: BTreeMap<PublisherId, Publisher>,
    by_name: BTreeMap<(ChannelKind, OwnedName), PublisherId>,
    /// Publishes that somebody wants to know the outcome of, and what it is, once it is known.
    outcomes: BTreeMap<PublishId, Option<Result<(), Error>>>,
    /// Counts publishers, and uses of them.
    clock: u64,
}

#[derive(Debug)]
struct Publisher {
    kind: ChannelKind,
    name: OwnedName,
    link: LinkNumber,
    last_used: u64,
    /// The number of the last publish.
    published: u64,
    /// The broker has come so far: confirmed, or refused. It takes publishes in their order.
    answered: u64,
    retired: bool,
}

impl State {
    /// Queues a publish, once there is room for it, a link and credit. Queues nothing while it is pending, but the
    /// link's `OPEN`, once.
    pub(super) fn publish(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        payload: Payload<'_>,
        confirm: bool,
    ) -> Poll<Result<PublishId, Error>> {
        self.check_alive()?;
        if !self.has_room_for(payload.len() + OVERHEAD) {
            return Poll::Pending;
        }
        let id = match self.publishers.by_name.get(&(kind, name.to_owned())) {
            Some(&id) => id,
            None => match self.session.open(kind, name, true, false) {
                Ok(link) => self.add_publisher(kind, name, link),
                Err(SessionError::NoFreeLink { max }) => return self.make_link_free(max),
                Err(SessionError::BeforeWelcome) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error.into())),
            },
        };
        let Some(publisher) = self.publishers.open.get_mut(&id) else { return Poll::Pending };
        match self.session.publish(publisher.link, payload, confirm) {
            Ok(number) => {
                publisher.published = number;
                Poll::Ready(Ok(self.publishers.published(id, number, confirm)))
            }
            Err(SessionError::NoCredit { credit, .. }) => {
                self.waits_for_credit = Some(credit);
                Poll::Pending
            }
            Err(SessionError::BeforeWelcome) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// The outcome of a publish, if it is known; ready with the connection's end if it never will be.
    pub(super) fn outcome(&self, id: PublishId) -> Poll<Result<(), Error>> {
        match self.publishers.outcomes.get(&id) {
            Some(Some(outcome)) => Poll::Ready(outcome.clone()),
            _ => match self.ended() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }

    fn add_publisher(&mut self, kind: ChannelKind, name: ChannelName<'_>, link: LinkNumber) -> PublisherId {
        let id = self.publishers.add(kind, name.to_owned(), link);
        self.own_as_publisher(link, id);
        id
    }
}

impl Publishers {
    fn add(&mut self, kind: ChannelKind, name: OwnedName, link: LinkNumber) -> PublisherId {
        self.clock += 1;
        let id = PublisherId(self.clock);
        self.by_name.insert((kind, name.clone()), id);
        let publisher =
            Publisher { kind, name, link, last_used: self.clock, published: 0, answered: 0, retired: false };
        self.open.insert(id, publisher);
        id
    }

    fn published(&mut self, publisher: PublisherId, number: u64, confirm: bool) -> PublishId {
        self.clock += 1;
        if let Some(publisher) = self.open.get_mut(&publisher) {
            publisher.last_used = self.clock;
        }
        let id = PublishId { publisher, number };
        if confirm {
            self.outcomes.insert(id, None);
        }
        id
    }

    /// Nobody wants to know the outcome any more; a refusal is told like that of any other publish.
    pub(super) fn forget(&mut self, id: PublishId) {
        self.outcomes.remove(&id);
    }

    /// Gives up the link that was not used for the longest time: the next publish to its channel opens a new one.
    pub(super) fn retire_oldest(&mut self) -> Option<LinkNumber> {
        let usable = self.open.values_mut().filter(|publisher| !publisher.retired);
        let oldest = usable.min_by_key(|publisher| publisher.last_used)?;
        oldest.retired = true;
        self.by_name.remove(&(oldest.kind, oldest.name.clone()));
        Some(oldest.link)
    }

    pub(super) fn confirm(&mut self, id: PublisherId, upto: u64) {
        if let Some(publisher) = self.open.get_mut(&id) {
            publisher.answered = publisher.answered.max(upto);
        }
        for outcome in self.unknown(id, 1..=upto) {
            *outcome.1 = Some(Ok(()));
        }
    }

    pub(super) fn refuse(
        &mut self,
        id: PublisherId,
        numbers: RangeInclusive<u64>,
        code: ErrorCode,
        text: &Arc<str>,
        log: &mut RefusalLog,
    ) {
        let Some(publisher) = self.open.get_mut(&id) else { return };
        publisher.answered = publisher.answered.max(*numbers.end());
        let refusal = |numbers| Refusal {
            kind: publisher.kind,
            channel: publisher.name.clone(),
            numbers,
            code,
            text: text.clone(),
        };
        // Those that nobody waits for lie between those that somebody does.
        let (mut next, last) = (*numbers.start(), *numbers.end());
        let waited_for = PublishId { publisher: id, number: next }..=PublishId { publisher: id, number: last };
        for (waited, outcome) in self.outcomes.range_mut(waited_for) {
            if next < waited.number {
                log.push(refusal(next..=waited.number - 1));
            }
            next = waited.number.saturating_add(1);
            outcome.get_or_insert_with(|| Err(Error::Refused { number: waited.number, code, text: text.clone() }));
        }
        if next <= last {
            log.push(refusal(next..=last));
        }
    }

    /// The link has ended: publishes without an answer had no effect (PROTOCOL §5.4), unless this side asked for the end;
    /// then the broker has answered all that were due an answer.
    pub(super) fn close(
        &mut self,
        id: PublisherId,
        asked: bool,
        code: ErrorCode,
        text: &Arc<str>,
        log: &mut RefusalLog,
    ) {
        for (_, outcome) in self.unknown(id, 1..=u64::MAX) {
            *outcome = Some(Err(Error::LinkClosed { code, text: text.clone() }));
        }
        if let Some(publisher) = self.open.get(&id)
            && !asked
            && publisher.answered < publisher.published
        {
            self.refuse(id, publisher.answered + 1..=publisher.published, code, text, log);
        }
        if let Some(publisher) = self.open.remove(&id)
            && !publisher.retired
        {
            self.by_name.remove(&(publisher.kind, publisher.name));
        }
    }

    /// The outcomes that are waited for and not known, of a range of publishes.
    fn unknown(
        &mut self,
        publisher: PublisherId,
        numbers: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (&PublishId, &mut Option<Result<(), Error>>)> {
        let (first, last) = numbers.into_inner();
        let range = PublishId { publisher, number: first }..=PublishId { publisher, number: last };
        self.outcomes.range_mut(range).filter(|(_, outcome)| outcome.is_none())
    }
}
