//! The publishing side of the state: a link for each channel that is published to by its name, one for each handle of the
//! user's, and the outcomes of publishes.

use super::answers::Answers;
use super::by_name::ByName;
use super::refusals::{Refusal, RefusalLog};
use super::state::State;
use crate::error::Error;
use crate::session::{Session, SessionError};
use bytes::Bytes;
use core::ops::RangeInclusive;
use core::task::Poll;
use msglib_proto::{ChannelKind, ChannelName, ErrorCode, Feature, LinkNumber, OwnedName, Payload, PublishOptions};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What goes with a payload in a frame, rounded up: header and number.
const OVERHEAD: usize = 32;

/// What a publish says beside its payload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras<'a> {
    pub(super) retain: bool,
    pub(super) options: PublishOptions<'a>,
}

impl Extras<'_> {
    #[inline]
    fn publish(
        extras: Option<&Self>,
        session: &mut Session,
        link: LinkNumber,
        payload: Payload<'_>,
        confirm: bool,
    ) -> Result<u64, SessionError> {
        match extras {
            None => session.publish(link, payload, confirm),
            Some(Extras { retain, options }) => session.publish_with(link, payload, confirm, *retain, options),
        }
    }
}

fn flip<T>(poll: Poll<Result<T, Error>>) -> Result<Poll<T>, Error> {
    match poll {
        Poll::Ready(result) => result.map(Poll::Ready),
        Poll::Pending => Ok(Poll::Pending),
    }
}

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
    by_name: ByName<PublisherId>,
    /// Publishes that somebody wants to know the outcome of, and what it is, once it is known.
    outcomes: BTreeMap<PublishId, Option<Result<(), Error>>>,
    /// Queues that are being declared, and the links for that.
    declaring: BTreeMap<(OwnedName, Vec<u8>), PublisherId>,
    /// Requests, and what came of them.
    replies: BTreeMap<PublishId, Option<Result<Bytes, Error>>>,
    /// Counts publishers, and uses of them.
    clock: u64,
}

#[derive(Debug)]
struct Publisher {
    kind: ChannelKind,
    name: OwnedName,
    link: LinkNumber,
    last_used: u64,
    answers: Answers,
    /// A handle of the user's has the link for itself, so that it is neither found by its name nor given up.
    held: bool,
    /// Refusals that the handle was not told yet; at most as many as publishes were under way, for it publishes nothing
    /// more until it was told.
    untold: VecDeque<Refusal>,
    /// The broker has ended the link of a handle.
    closed: Option<(ErrorCode, Arc<str>)>,
    /// Given up: another link is opened when the channel is published to again.
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
        extras: Option<&Extras<'_>>,
    ) -> Poll<Result<PublishId, Error>> {
        self.check_alive()?;
        if !self.has_room_for(payload.len() + OVERHEAD) {
            return Poll::Pending;
        }
        let id = self.publisher_by_name(kind, name)?;
        let Poll::Ready(id) = id else { return Poll::Pending };
        let publish = |session: &mut Session, link| Extras::publish(extras, session, link, payload, confirm);
        self.number_on(id, publish).map_ok(|number| self.publishers.published(id, number, confirm))
    }

    /// Queues a request, as [`publish`](Self::publish).
    pub(super) fn request(
        &mut self,
        name: ChannelName<'_>,
        payload: Payload<'_>,
        deadline_ms: u32,
    ) -> Poll<Result<PublishId, Error>> {
        if self.agreed(Feature::Requests)?.is_pending() {
            return Poll::Pending;
        }
        if !self.has_room_for(payload.len() + OVERHEAD) {
            return Poll::Pending;
        }
        let id = self.publisher_by_name(ChannelKind::SERVICE, name)?;
        let Poll::Ready(id) = id else { return Poll::Pending };
        let request = |session: &mut Session, link| session.request(link, payload, deadline_ms);
        self.number_on(id, request).map_ok(|number| {
            let id = self.publishers.published(id, number, false);
            self.publishers.replies.insert(id, None);
            id
        })
    }

    /// The link to a channel that is published to by its name.
    fn publisher_by_name(&mut self, kind: ChannelKind, name: ChannelName<'_>) -> Result<Poll<PublisherId>, Error> {
        let id = match self.publishers.by_name.get(kind, name) {
            Some(id) => id,
            None => match self.session.open(kind, name, true, false) {
                Ok(link) => self.add_publisher(kind, name, link, false),
                Err(SessionError::NoFreeLink { max }) => return flip(self.make_link_free(max)),
                Err(SessionError::BeforeWelcome) => return Ok(Poll::Pending),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Poll::Ready(id))
    }

    /// Opens a link for a handle.
    pub(super) fn open_publisher(
        &mut self,
        kind: ChannelKind,
        name: ChannelName<'_>,
        arguments: &[u8],
    ) -> Poll<Result<PublisherId, Error>> {
        self.check_alive()?;
        match self.session.open_with_arguments(kind, name, true, false, arguments) {
            Ok(link) => Poll::Ready(Ok(self.add_publisher(kind, name, link, true))),
            Err(SessionError::NoFreeLink { max }) => self.make_link_free(max),
            Err(SessionError::BeforeWelcome) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// Queues a publish of a handle, once there is room and credit for it, and it was told of all refusals.
    pub(super) fn publish_held(
        &mut self,
        id: PublisherId,
        payload: Payload<'_>,
        extras: Option<&Extras<'_>>,
    ) -> Poll<Result<u64, Error>> {
        self.check_alive()?;
        let publisher = self.publishers.held(id)?;
        if let Some((number, code, text)) = publisher.next_untold() {
            return Poll::Ready(Err(Error::Refused { number, code, text }));
        }
        if let Some(closed) = publisher.closed() {
            return Poll::Ready(Err(closed));
        }
        if !self.has_room_for(payload.len() + OVERHEAD) {
            return Poll::Pending;
        }
        self.number_on(id, |session, link| Extras::publish(extras, session, link, payload, true))
    }

    /// Queues something with the next number of the link.
    fn number_on(
        &mut self,
        id: PublisherId,
        queue: impl FnOnce(&mut Session, LinkNumber) -> Result<u64, SessionError>,
    ) -> Poll<Result<u64, Error>> {
        let Some(publisher) = self.publishers.open.get_mut(&id) else { return Poll::Pending };
        match queue(&mut self.session, publisher.link) {
            Ok(number) => {
                publisher.answers.published = number;
                Poll::Ready(Ok(number))
            }
            Err(SessionError::NoCredit { credit, .. }) => {
                self.waits_for_credit = Some(credit);
                Poll::Pending
            }
            Err(SessionError::BeforeWelcome) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// Says who publishes on a handle's link, before anything was published on it (PROTOCOL §15.6).
    pub(super) fn produce(&mut self, id: PublisherId, producer: u128, base: u64) -> Poll<Result<(), Error>> {
        self.check_alive()?;
        let publisher = self.publishers.held(id)?;
        if let Some(closed) = publisher.closed() {
            return Poll::Ready(Err(closed));
        }
        match self.session.producer(publisher.link, producer, base) {
            Err(SessionError::BeforeWelcome) => Poll::Pending,
            result => Poll::Ready(result.map_err(Error::from)),
        }
    }

    /// Opens a link with settings, once, and is ready when the broker has opened it, or with why it has not; then the link is closed.
    pub(super) fn declare(&mut self, name: ChannelName<'_>, settings: &[u8]) -> Poll<Result<(), Error>> {
        let key = (name.to_owned(), settings.to_vec());
        let id = match self.publishers.declaring.get(&key) {
            Some(id) => *id,
            None => match self.open_publisher(ChannelKind::QUEUE, name, settings) {
                Poll::Ready(id) => id?,
                Poll::Pending => return Poll::Pending,
            },
        };
        let opened = self.opened(id);
        if opened.is_pending() {
            self.publishers.declaring.insert(key, id);
        } else {
            self.publishers.declaring.remove(&key);
            self.release_publisher(id);
        }
        opened
    }

    /// Ready when the broker has opened a handle's link, or with why it has not.
    fn opened(&mut self, id: PublisherId) -> Poll<Result<(), Error>> {
        let publisher = self.publishers.held(id)?;
        if let Some(closed) = publisher.closed() {
            return Poll::Ready(Err(closed));
        }
        match (self.session.is_open(publisher.link), self.ended()) {
            (true, _) => Poll::Ready(Ok(())),
            (false, Some(error)) => Poll::Ready(Err(error)),
            (false, None) => Poll::Pending,
        }
    }

    /// The reply to a request, once; ready with the connection's end if there will be none.
    pub(super) fn reply(&mut self, id: PublishId) -> Poll<Result<Bytes, Error>> {
        match self.publishers.replies.get(&id) {
            Some(Some(reply)) => Poll::Ready(reply.clone()),
            _ => match self.ended() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }

    /// Ready when all that a handle has published has its outcome and it was told of all refusals, one with each call.
    pub(super) fn all_answered(&mut self, id: PublisherId) -> Poll<Result<(), Error>> {
        let publisher = self.publishers.held(id)?;
        if let Some((number, code, text)) = publisher.next_untold() {
            return Poll::Ready(Err(Error::Refused { number, code, text }));
        }
        let last = publisher.answers.published;
        self.answered_upto(id, last)
    }

    /// Ready when all that a handle has published up to this number has its outcome, or a refusal waits to be told.
    pub(super) fn answered_upto(&mut self, id: PublisherId, number: u64) -> Poll<Result<(), Error>> {
        let publisher = self.publishers.held(id)?;
        if publisher.answers.upto() >= number || !publisher.untold.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match publisher.closed().or_else(|| self.ended()) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Pending,
        }
    }

    /// The next publish of a handle that was refused and that it was not told of: it is now.
    pub(super) fn take_refusal(&mut self, id: PublisherId) -> Option<(u64, ErrorCode, Arc<str>)> {
        self.publishers.open.get_mut(&id)?.next_untold()
    }

    /// All that a handle has published up to this number has its outcome.
    pub(super) fn answered(&self, id: PublisherId) -> u64 {
        self.publishers.open.get(&id).map_or(0, |publisher| publisher.answers.upto())
    }

    /// A handle was dropped: its link is closed, and refusals are told as those that nobody waits for.
    pub(super) fn release_publisher(&mut self, id: PublisherId) {
        let Some(publisher) = self.publishers.open.get_mut(&id) else { return };
        publisher.held = false;
        publisher.retired = true;
        publisher.untold.drain(..).for_each(|refusal| self.refusals.push(refusal));
        match publisher.closed.take() {
            Some((code, text)) => self.publishers.close(id, false, code, &text, &mut self.refusals),
            None => {
                let link = publisher.link;
                self.close_link_soon(link);
            }
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

    fn add_publisher(&mut self, kind: ChannelKind, name: ChannelName<'_>, link: LinkNumber, held: bool) -> PublisherId {
        let id = self.publishers.add(kind, name.to_owned(), link, held);
        self.own_as_publisher(link, id);
        id
    }
}

impl Publisher {
    /// The next publish that was refused and that the handle was not told of: it is now.
    fn next_untold(&mut self) -> Option<(u64, ErrorCode, Arc<str>)> {
        let refusal = self.untold.front_mut()?;
        let (number, last) = (*refusal.numbers.start(), *refusal.numbers.end());
        let told = (number, refusal.code, refusal.text.clone());
        if number < last {
            refusal.numbers = number + 1..=last;
        } else {
            self.untold.pop_front();
        }
        Some(told)
    }

    fn closed(&self) -> Option<Error> {
        self.closed.as_ref().map(|(code, text)| Error::LinkClosed { code: *code, text: text.clone() })
    }
}

impl Publishers {
    fn add(&mut self, kind: ChannelKind, name: OwnedName, link: LinkNumber, held: bool) -> PublisherId {
        self.clock += 1;
        let id = PublisherId(self.clock);
        if !held {
            self.by_name.insert(kind, name.borrow(), id);
        }
        let publisher = Publisher {
            kind,
            name,
            link,
            last_used: self.clock,
            answers: Answers::default(),
            held,
            untold: VecDeque::new(),
            closed: None,
            retired: false,
        };
        self.open.insert(id, publisher);
        id
    }

    /// The link of a handle, which stays as long as that does.
    fn held(&mut self, id: PublisherId) -> Result<&mut Publisher, Error> {
        self.open.get_mut(&id).ok_or_else(Error::link_closed_here)
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
        self.replies.remove(&id);
    }

    /// What came of a request; nobody may want to know any more.
    pub(super) fn answer(&mut self, publisher: PublisherId, number: u64, answer: Result<Bytes, Error>) {
        if let Some(reply) = self.replies.get_mut(&PublishId { publisher, number }) {
            reply.get_or_insert(answer);
        }
    }

    /// Gives up the link that was not used for the longest time: the next publish to its channel opens a new one.
    pub(super) fn retire_oldest(&mut self) -> Option<LinkNumber> {
        let usable = self.open.values_mut().filter(|publisher| !publisher.retired && !publisher.held);
        let oldest = usable.min_by_key(|publisher| publisher.last_used)?;
        oldest.retired = true;
        self.by_name.remove(oldest.kind, oldest.name.borrow());
        Some(oldest.link)
    }

    pub(super) fn confirm(&mut self, id: PublisherId, upto: u64) {
        let Some(publisher) = self.open.get_mut(&id) else { return };
        let first = publisher.answers.upto().saturating_add(1);
        publisher.answers.confirm(upto);
        if first <= upto {
            for (_, outcome) in self.unknown(id, first..=upto) {
                *outcome = Some(Ok(()));
            }
        }
    }

    /// What has an outcome already keeps it, whatever a broker says again.
    pub(super) fn refuse(
        &mut self,
        id: PublisherId,
        numbers: RangeInclusive<u64>,
        code: ErrorCode,
        text: &Arc<str>,
        log: &mut RefusalLog,
    ) {
        let Some(publisher) = self.open.get_mut(&id) else { return };
        for numbers in publisher.answers.refuse(numbers) {
            let (kind, channel, text) = (publisher.kind, publisher.name.clone(), text.clone());
            let refusal = Refusal { kind, channel, numbers, code, text };
            match publisher.held {
                true => publisher.untold.push_back(refusal),
                false => tell(&mut self.outcomes, id, refusal, log),
            }
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
        let Some(publisher) = self.open.get_mut(&id) else { return };
        if publisher.held {
            publisher.closed = Some((code, text.clone()));
            return;
        }
        let is_service = publisher.kind == ChannelKind::SERVICE;
        let unanswered = if asked || is_service { Vec::new() } else { publisher.answers.missing() };
        let all = PublishId { publisher: id, number: 0 }..=PublishId { publisher: id, number: u64::MAX };
        for (_, reply) in self.replies.range_mut(all) {
            reply.get_or_insert(Err(Error::LinkClosed { code, text: text.clone() }));
        }
        for (_, outcome) in self.unknown(id, 1..=u64::MAX) {
            *outcome = Some(Err(Error::LinkClosed { code, text: text.clone() }));
        }
        for numbers in unanswered {
            self.refuse(id, numbers, code, text, log);
        }
        if let Some(publisher) = self.open.remove(&id)
            && !publisher.retired
        {
            self.by_name.remove(publisher.kind, publisher.name.borrow());
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

/// Tells a refusal to whom it concerns: to those who wait for an outcome of their own, and the numbers between them to the
/// log.
fn tell(
    outcomes: &mut BTreeMap<PublishId, Option<Result<(), Error>>>,
    publisher: PublisherId,
    refusal: Refusal,
    log: &mut RefusalLog,
) {
    let (mut next, last) = (*refusal.numbers.start(), *refusal.numbers.end());
    let waited_for = PublishId { publisher, number: next }..=PublishId { publisher, number: last };
    for (waited, outcome) in outcomes.range_mut(waited_for) {
        if next < waited.number {
            log.push(Refusal { numbers: next..=waited.number - 1, ..refusal.clone() });
        }
        next = waited.number.saturating_add(1);
        let (number, code, text) = (waited.number, refusal.code, refusal.text.clone());
        outcome.get_or_insert(Err(Error::Refused { number, code, text }));
    }
    if next <= last {
        log.push(Refusal { numbers: next..=last, ..refusal });
    }
}
