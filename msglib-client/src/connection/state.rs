//! What a connection knows, behind one lock: the session, and for whom what comes out of it is meant.

use super::consuming::{Arrived, ConsumerId, Consumers};
use super::publishing::{PublisherId, Publishers};
use super::refusals::RefusalLog;
use super::user_inbox::UserInbox;
use crate::error::Error;
use crate::session::{End, Event, Session, SessionError};
use core::task::Poll;
use msglib_proto::{ErrorCode, Feature, LinkNumber};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most that waits to be written, in bytes, before a call has to write some first. A message of more than half of it
/// counts as half, so that it finds room between others.
const SEND_BUFFER: usize = 1024 * 1024;

pub(super) struct State {
    pub(super) session: Session,
    pub(super) publishers: Publishers,
    pub(super) consumers: Consumers,
    pub(super) refusals: RefusalLog,
    pub(super) user: UserInbox,
    /// Links that wait for the broker's `CLOSED`, so that their numbers will be free.
    pub(super) closing: BTreeSet<LinkNumber>,
    /// Links of dropped subscriptions and publishers that could not be closed before the `WELCOME`.
    abandoned: Vec<LinkNumber>,
    owners: BTreeMap<LinkNumber, Owner>,
    ping: u64,
    pong: u64,
    /// Whether a thread has the role of the reader.
    pub(super) reading: bool,
    /// The last poll could not queue something for want of room.
    pub(super) wants_room: bool,
    /// The last poll of a publish was beyond the credit, which was up to this number.
    pub(super) waits_for_credit: Option<u64>,
    /// Bytes that the writer holds and has not written.
    pub(super) writing: usize,
    /// After how many milliseconds the broker will end the connection, as it has said last.
    pub(super) going_away: Option<u32>,
    /// After how long a silence of the broker this side gives up, as it has said; 0 for never.
    pub(super) idle_ms: u32,
    /// Bytes of the broker.
    pub(super) received: u64,
    /// How the stream ended, if it was not the session that ended.
    pub(super) broken: Option<Error>,
    /// What the broker is called.
    peer: Option<Arc<str>>,
    events: Vec<Event>,
}

/// Whom a link belongs to.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Publisher(PublisherId),
    Consumer(ConsumerId),
}

impl State {
    pub(super) fn new(session: Session, idle_ms: u32, peer: Option<Arc<str>>) -> State {
        State {
            session,
            publishers: Publishers::default(),
            consumers: Consumers::default(),
            refusals: RefusalLog::default(),
            user: UserInbox::default(),
            closing: BTreeSet::new(),
            abandoned: Vec::new(),
            owners: BTreeMap::new(),
            ping: 0,
            pong: 0,
            reading: false,
            wants_room: false,
            waits_for_credit: None,
            writing: 0,
            going_away: None,
            idle_ms,
            received: 0,
            broken: None,
            peer,
            events: Vec::new(),
        }
    }

    /// How the connection ended, if it has. The first cause stays.
    pub(super) fn ended(&self) -> Option<Error> {
        self.broken.clone().or_else(|| self.session.end().cloned().map(|end| self.named(end.into())))
    }

    /// An error if the connection has ended, or was told to end.
    pub(super) fn check_alive(&self) -> Result<(), Error> {
        match self.ended() {
            Some(error) => Err(error),
            None if self.session.said_goodbye() => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Whether the feature was agreed on; pending before the `WELCOME` (PROTOCOL §12.1).
    pub(super) fn agreed(&self, feature: Feature) -> Result<Poll<()>, Error> {
        self.check_alive()?;
        match self.session.check_agreed(feature) {
            Ok(()) => Ok(Poll::Ready(())),
            Err(SessionError::BeforeWelcome) => Ok(Poll::Pending),
            Err(error) => Err(error.into()),
        }
    }

    /// Why nothing may be written any more, not even what waits (PROTOCOL §8.1).
    pub(super) fn silenced(&self) -> Option<Error> {
        let failed = self.session.end().filter(|end| matches!(end, End::Failed { .. }));
        self.broken.clone().or_else(|| failed.cloned().map(|end| self.named(end.into())))
    }

    /// Says what a call that could not wait would have waited for, where that helps.
    pub(super) fn explain(&mut self, error: Error) -> Error {
        match (self.waits_for_credit.take(), &error) {
            (Some(credit), Error::Io(io)) if error.is_would_block() => {
                let text = format!("no credit: the broker has allowed publishes up to number {credit}");
                Error::io(std::io::Error::new(io.kind(), text))
            }
            _ => error,
        }
    }

    /// Ends the connection, if it has not ended yet.
    pub(super) fn break_with(&mut self, error: Error) {
        if self.ended().is_none() {
            self.broken = Some(self.named(error));
        }
    }

    pub(super) fn named(&self, error: Error) -> Error {
        match &self.peer {
            Some(name) => error.of_peer(name),
            None => error,
        }
    }

    pub(super) fn end_of_stream(&mut self) {
        let mid_frame = !self.session.is_between_frames();
        self.break_with(Error::ConnectionLost { mid_frame, peer: None });
    }

    /// Whether a frame with `bytes` may be queued now. If not, its caller is known to wait for room.
    pub(super) fn has_room_for(&mut self, bytes: usize) -> bool {
        let waiting = self.session.pending().len() + self.writing;
        self.wants_room = waiting + bytes.min(SEND_BUFFER / 2) > SEND_BUFFER;
        !self.wants_room
    }

    pub(super) fn handle_input(&mut self, input: &[u8]) {
        self.received += input.len() as u64;
        let mut events = core::mem::take(&mut self.events);
        // A violation is in the session from now on, as its end.
        let _ = self.session.handle_input(input, &mut events);
        for event in events.drain(..) {
            self.on_event(event);
        }
        self.events = events;
    }

    /// Asks for a sign of life and waits for it; `mine` remembers the question between two polls. A ping that is under
    /// way answers for all who ask meanwhile.
    pub(super) fn ping(&mut self, mine: &mut Option<u64>) -> Poll<Result<(), Error>> {
        self.check_alive()?;
        let token = match *mine {
            Some(token) => token,
            None => match self.ask_for_pong() {
                Ok(token) => *mine.insert(token),
                Err(SessionError::BeforeWelcome) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error.into())),
            },
        };
        if self.has_pong(token) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sees to it that a ping is under way.
    pub(super) fn ask_for_pong(&mut self) -> Result<u64, SessionError> {
        if self.ping == self.pong {
            self.session.ping(self.ping + 1)?;
            self.ping += 1;
        }
        Ok(self.ping)
    }

    pub(super) fn has_pong(&self, token: u64) -> bool {
        self.pong >= token
    }

    /// Says goodbye once, and is ready when the broker has said its own.
    pub(super) fn close(&mut self) -> Poll<Result<(), Error>> {
        if self.broken.is_none() && matches!(self.session.end(), Some(End::Closed)) {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.ended() {
            return Poll::Ready(Err(error));
        }
        // Before the WELCOME there may be no room; after it, it fails only if it was said before.
        let _ = self.session.goodbye();
        Poll::Pending
    }

    /// Asks for the end of a link.
    pub(super) fn close_link(&mut self, link: LinkNumber) -> Result<(), SessionError> {
        self.session.close_link(link)?;
        self.closing.insert(link);
        Ok(())
    }

    /// Asks for the end of a link, and nobody wants to know what comes of it.
    pub(super) fn abandon_link(&mut self, link: LinkNumber) {
        self.owners.remove(&link);
        self.close_link_soon(link);
    }

    /// Asks for the end of a link, now or as soon as that can be said.
    pub(super) fn close_link_soon(&mut self, link: LinkNumber) {
        if let Err(SessionError::BeforeWelcome) = self.close_link(link) {
            self.abandoned.push(link);
        }
    }

    pub(super) fn own_as_publisher(&mut self, link: LinkNumber, id: PublisherId) {
        self.owners.insert(link, Owner::Publisher(id));
    }

    pub(super) fn own_as_consumer(&mut self, link: LinkNumber, id: ConsumerId) {
        self.owners.insert(link, Owner::Consumer(id));
    }

    /// After [`SessionError::NoFreeLink`]: pending if a number will be free, else an error. To make one free, the
    /// publishing link that was not used for the longest time is closed.
    pub(super) fn make_link_free<T>(&mut self, max: u32) -> Poll<Result<T, Error>> {
        if self.session.welcome().is_none() || !self.closing.is_empty() {
            return Poll::Pending;
        }
        let Some(link) = self.publishers.retire_oldest() else {
            return Poll::Ready(Err(Error::TooManyLinks { max }));
        };
        match self.close_link(link) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Welcome => {
                for link in core::mem::take(&mut self.abandoned) {
                    self.close_link_soon(link);
                }
            }
            Event::Delivery { link, tag, count, payload, details } => {
                if let Some(&Owner::Consumer(id)) = self.owners.get(&link) {
                    self.deliver(id, Arrived { tag, count, lost: 0, deadline_ms: 0, payload, details });
                }
            }
            Event::Confirmed { link, upto } => {
                if let Some(Owner::Publisher(id)) = self.owners.get(&link) {
                    self.publishers.confirm(*id, upto);
                }
            }
            Event::Refused { link, numbers, code, text } => {
                if let Some(Owner::Publisher(id)) = self.owners.get(&link) {
                    self.publishers.refuse(*id, numbers, code, &text, &mut self.refusals);
                }
            }
            Event::LinkClosed { link, asked, code, text } => self.on_link_closed(link, asked, code, &text),
            Event::Pong { token } if token <= self.ping => self.pong = self.pong.max(token),
            Event::User(frame) => self.user.push(frame),
            Event::Settled { link, count, .. } => {
                if let Some(&Owner::Consumer(id)) = self.owners.get(&link) {
                    self.consumers.settled(id, count);
                }
            }
            Event::Gap { link, lost } => {
                if let Some(&Owner::Consumer(id)) = self.owners.get(&link) {
                    self.consumers.lost(id, lost);
                }
            }
            Event::Request { link, tag, deadline_ms, payload } => {
                if let Some(&Owner::Consumer(id)) = self.owners.get(&link) {
                    self.deliver(id, Arrived { tag, count: 1, lost: 0, deadline_ms, payload, details: None });
                }
            }
            Event::Reply { link, number, payload } => {
                if let Some(Owner::Publisher(id)) = self.owners.get(&link) {
                    self.publishers.answer(*id, number, Ok(payload));
                }
            }
            Event::NoReply { link, number, code, text } => {
                if let Some(Owner::Publisher(id)) = self.owners.get(&link) {
                    self.publishers.answer(*id, number, Err(Error::NoReply { code, text }));
                }
            }
            Event::GoingAway { deadline_ms } => self.going_away = Some(deadline_ms),
            Event::Opened { .. } | Event::Credit { .. } | Event::Pong { .. } | Event::Over => {}
        }
    }

    fn on_link_closed(&mut self, link: LinkNumber, asked: bool, code: ErrorCode, text: &Arc<str>) {
        self.closing.remove(&link);
        match self.owners.remove(&link) {
            Some(Owner::Publisher(id)) => self.publishers.close(id, asked, code, text, &mut self.refusals),
            Some(Owner::Consumer(id)) => self.consumers.close(id, code, text),
            None => {}
        }
    }
}
