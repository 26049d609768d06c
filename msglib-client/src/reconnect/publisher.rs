//! A publisher that keeps what has no outcome, and publishes it again on the next connection.

use super::builder::Kept;
use super::line::{Generation, Line};
use super::message::Message;
use crate::connection::{Connection, Publisher};
use crate::error::Error;
use core::fmt;
use msglib_proto::{ErrorCode, OwnedName, Payload, PublishOptions};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A publisher whose messages outlive their connection; from [`Reconnecting::publisher_to_q`](super::Reconnecting::publisher_to_q).
///
/// What the broker has not answered is kept, and when the connection has ended it is published again on the next one, in its order. The
/// broker knows it again by a number that it has for ever (PROTOCOL §15.6), so that none has a second effect. Two things can still make one of a
/// message's effects two: a broker that has lost its memory with a restart, and one that has no producers, if that was
/// [allowed](super::ReconnectingBuilder::may_duplicate).
///
/// All happens within calls: after the last [`publish`](Self::publish), [`wait`](Self::wait) sees the messages through. What has no outcome
/// when the publisher is dropped may have been accepted or not.
pub struct ResendingPublisher {
    line: Arc<Line>,
    name: OwnedName,
    id: u128,
    limits: Kept,
    link: Option<Link>,
    /// How many messages have their outcome: all up to this number.
    done: u64,
    /// The messages after that.
    kept: VecDeque<Message>,
    bytes: usize,
    /// Those of them that are known to be refused. With an outcome missing before it such a message is published again with the rest:
    /// the numbers on a link have no gaps.
    refused: BTreeMap<u64, (ErrorCode, Arc<str>)>,
    /// Refusals that the user was not told.
    untold: VecDeque<Error>,
    has_duplicated: bool,
}

/// The link of the current connection.
struct Link {
    generation: Generation,
    publisher: Publisher,
    /// The message with the number `base` + n is the link's n-th.
    base: u64,
    /// The number of the last message that was published on it.
    sent: u64,
}

impl ResendingPublisher {
    pub(super) fn open(line: Arc<Line>, name: OwnedName, limits: Kept) -> Result<ResendingPublisher, Error> {
        let mut publisher = ResendingPublisher {
            id: line.id(),
            line,
            name,
            limits,
            link: None,
            done: 0,
            kept: VecDeque::new(),
            bytes: 0,
            refused: BTreeMap::new(),
            untold: VecDeque::new(),
            has_duplicated: false,
        };
        publisher.keep_trying(|_| Ok(()))?;
        Ok(publisher)
    }

    /// Publishes a message and returns its number: 1, 2, 3 … over all connections. Waits for credit and room, and while
    /// [as many](super::ReconnectingBuilder::max_unconfirmed) have no outcome as may be.
    ///
    /// # Errors
    ///
    /// This message was not accepted and no number was used up. Among the reasons: [`Error::Refused`] for an **earlier** one, by its
    /// number; each is told once, so the same call can be made again. [`Error::TooLarge`]. [`Error::LinkClosed`] when the broker has ended
    /// the link: what has no outcome had no effect, and the next call tries again with all of it. As every call: see
    /// [`Reconnecting`](super::Reconnecting).
    pub fn publish<'p>(&mut self, payload: impl Into<Payload<'p>>) -> Result<u64, Error> {
        self.publish_with(payload, &PublishOptions::default())
    }

    /// As [`publish`](Self::publish), with a delay, a time to live, a priority or a key (PROTOCOL §15.2). Published again, delay and time to
    /// live begin anew.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), and [`Error::NotAgreed`].
    pub fn publish_with<'p>(
        &mut self,
        payload: impl Into<Payload<'p>>,
        options: &PublishOptions<'_>,
    ) -> Result<u64, Error> {
        let payload = payload.into();
        self.keep_trying(|this| {
            this.make_room(payload.len())?;
            this.publish_next(|publisher| publisher.publish_with(payload, options))
        })?;
        self.kept.push_back(Message::new(payload, options));
        self.bytes += payload.len();
        Ok(self.done + self.kept.len() as u64)
    }

    /// Waits until every message has its outcome, on as many connections as it takes. `Ok` says that the broker has accepted all but
    /// those that were told as refused.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] for each message that had no effect, one with each call; call it again for the next. Else as
    /// [`publish`](Self::publish).
    pub fn wait(&mut self) -> Result<(), Error> {
        self.keep_trying(|this| {
            loop {
                this.tell_refusal()?;
                if this.kept.is_empty() {
                    return Ok(());
                }
                this.wait_for(this.kept.len())?;
            }
        })
    }

    /// How many messages have no outcome, as far as is known without reading.
    pub fn unconfirmed(&mut self) -> usize {
        self.collect();
        self.kept.len()
    }

    /// Whether messages were published again where the broker could not know them again, so that some may be there twice.
    pub fn may_have_duplicated(&self) -> bool {
        self.has_duplicated
    }

    /// Makes a call with a link of the current connection, on which all that is kept was published.
    fn keep_trying<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let line = self.line.clone();
        line.keep_trying(|generation, connection| {
            let result = self.catch_up(generation, connection).and_then(|()| call(self));
            if let Err(Error::LinkClosed { .. }) = result {
                self.collect();
                self.link = None;
            }
            result
        })
    }

    fn catch_up(&mut self, generation: Generation, connection: &Connection) -> Result<(), Error> {
        if self.link.as_ref().is_none_or(|link| link.generation != generation) {
            self.collect();
            self.refused.clear();
            let publisher = self.open_link(connection)?;
            self.link = Some(Link { generation, publisher, base: self.done, sent: self.done });
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        let mut batch = link.publisher.batch();
        while let Some(message) = self.kept.get((link.sent - self.done) as usize) {
            match message.publish(&mut batch) {
                Ok(_) => link.sent += 1,
                Err(Error::Refused { number, code, text }) => {
                    self.refused.insert(link.base + number, (code, text));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn open_link(&mut self, connection: &Connection) -> Result<Publisher, Error> {
        match connection.producer_to_q(&self.name, self.id, self.done) {
            Err(Error::NotAgreed(_)) if self.limits.may_duplicate => {
                let publisher = connection.publisher_to_q(&self.name)?;
                self.has_duplicated |= !self.kept.is_empty();
                Ok(publisher)
            }
            result => result,
        }
    }

    /// Publishes what is not kept yet, behind all that is.
    fn publish_next(&mut self, publish: impl Fn(&mut Publisher) -> Result<u64, Error>) -> Result<(), Error> {
        loop {
            self.tell_refusal()?;
            let Some(link) = &mut self.link else { return Err(Error::link_closed_here()) };
            match publish(&mut link.publisher) {
                Ok(_) => {
                    link.sent += 1;
                    return Ok(());
                }
                Err(Error::Refused { number, code, text }) => {
                    self.refused.insert(link.base + number, (code, text));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until a message of so many bytes can be kept.
    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        loop {
            self.tell_refusal()?;
            let is_full = self.kept.len() >= self.limits.messages || self.bytes + bytes > self.limits.bytes;
            if self.kept.is_empty() || !is_full {
                return Ok(());
            }
            // Half of them, so that the next ones need not wait each.
            self.wait_for(self.kept.len().div_ceil(2))?;
        }
    }

    /// Waits until the first so many of those that are kept have their outcome, or one was refused.
    fn wait_for(&mut self, count: usize) -> Result<(), Error> {
        let Some(link) = &self.link else { return Err(Error::link_closed_here()) };
        link.publisher.wait_for(self.done + count as u64 - link.base)
    }

    fn tell_refusal(&mut self) -> Result<(), Error> {
        self.collect();
        self.untold.pop_front().map_or(Ok(()), Err)
    }

    /// Takes over the outcomes that are known, in their order.
    fn collect(&mut self) {
        let Some(link) = &self.link else { return };
        // In this order: what is answered by now was told before.
        let answered = link.base + link.publisher.answered();
        while let Some((number, code, text)) = link.publisher.take_refusal() {
            self.refused.insert(link.base + number, (code, text));
        }
        while self.done < answered {
            let Some(message) = self.kept.pop_front() else { break };
            self.bytes -= message.len();
            self.done += 1;
            if let Some((code, text)) = self.refused.remove(&self.done) {
                self.untold.push_back(Error::Refused { number: self.done, code, text });
            }
        }
    }
}

impl fmt::Debug for ResendingPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResendingPublisher")
            .field("name", &self.name)
            .field("done", &self.done)
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}
