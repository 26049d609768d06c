//! How to make a client that reconnects.

use super::Reconnecting;
use super::backoff::Backoff;
use super::chance::Chance;
use super::line::{Line, Maker};
use crate::connection::Connection;
use crate::error::Error;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// What a [`Reconnecting`] does, before it is made; from [`Reconnecting::builder`].
#[must_use]
pub struct ReconnectingBuilder {
    pub(super) seed: u128,
    pub(super) first: Duration,
    pub(super) most: Duration,
    pub(super) max_attempts: u32,
    pub(super) kept: Kept,
    pub(super) wake: Box<dyn Fn() + Send + Sync>,
}

/// What a publisher keeps until its outcome is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) may_duplicate: bool,
}

/// What every broker remembers of a producer, in messages (PROTOCOL §15.6): who sends more again could be taken for somebody new.
const REMEMBERED: usize = 1024;

impl ReconnectingBuilder {
    pub(super) fn new(seed: u128) -> ReconnectingBuilder {
        ReconnectingBuilder {
            seed,
            first: Duration::from_millis(100),
            most: Duration::from_secs(30),
            max_attempts: 0,
            kept: Kept { messages: REMEMBERED, bytes: 16 * 1024 * 1024, may_duplicate: false },
            wake: Box::new(|| {}),
        }
    }

    /// How long to wait before an attempt: `first` at first, twice as long each time, `most` at most, and of each of these
    /// anything from half of it to the whole. Default 100 ms, for a broker that restarts is back soon, to 30 s, what a person
    /// waits for who has repaired something.
    pub fn backoff(mut self, first: Duration, most: Duration) -> ReconnectingBuilder {
        (self.first, self.most) = (first, most);
        self
    }

    /// After how many attempts in a row a call gives up and returns why the last one failed; the next call goes on. 0, the default,
    /// for never.
    pub fn max_attempts(mut self, attempts: u32) -> ReconnectingBuilder {
        self.max_attempts = attempts;
        self
    }

    /// How many messages without an outcome a publisher keeps, to publish them again; with so many the next publish waits. Default, and
    /// most, 1,024: as many as every broker remembers. 0 counts as 1.
    pub fn max_unconfirmed(mut self, messages: usize) -> ReconnectingBuilder {
        self.kept.messages = messages.clamp(1, REMEMBERED);
        self
    }

    /// How many bytes of payload a publisher keeps so; a larger message is kept alone. Default 16 MiB, room for the largest message
    /// that brokers take by default.
    pub fn max_unconfirmed_bytes(mut self, bytes: usize) -> ReconnectingBuilder {
        self.kept.bytes = bytes;
        self
    }

    /// Says that messages may be published a second time where the broker cannot know them again, for it has no producers (the feature
    /// QUEUES, PROTOCOL §15.6); [`ResendingPublisher::may_have_duplicated`](super::ResendingPublisher::may_have_duplicated) tells. Default:
    /// no; there a publisher is [`Error::NotAgreed`].
    pub fn may_duplicate(mut self, may: bool) -> ReconnectingBuilder {
        self.kept.may_duplicate = may;
        self
    }

    /// What makes the wait before an attempt return in another thread, and those that come later as well: called by
    /// [`Reconnecting::stop`].
    pub fn wake_with(mut self, wake: impl Fn() + Send + Sync + 'static) -> ReconnectingBuilder {
        self.wake = Box::new(wake);
        self
    }

    /// The client. Nothing is connected before it is needed.
    ///
    /// `connect` makes a connection, once, with a deadline of its own. `wait` waits before the next attempt, and is told what went wrong.
    /// One thread calls them, whichever needs the connection first, and the others wait for it: neither may call the client.
    pub fn build(
        self,
        connect: impl FnMut() -> Result<Connection, Error> + Send + 'static,
        wait: impl FnMut(&Error, Duration) + Send + 'static,
    ) -> Reconnecting {
        let maker = Maker {
            connect: Box::new(connect),
            wait: Box::new(wait),
            backoff: Backoff::new(self.first, self.most),
            chance: Chance::new(self.seed),
            max_attempts: self.max_attempts,
            greeting: None,
        };
        Reconnecting { line: Arc::new(Line::new(maker, self.wake)), kept: self.kept }
    }
}

impl fmt::Debug for ReconnectingBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingBuilder")
            .field("first", &self.first)
            .field("most", &self.most)
            .field("max_attempts", &self.max_attempts)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
