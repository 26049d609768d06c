//! What happened to messages, for as long as it is kept.

use super::ConsumerId;
use super::departed::Fate;
use super::message::MessageId;
use msglib_proto::Instant;
use std::collections::VecDeque;

/// Something that happened to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryEvent {
    /// To which.
    pub id: MessageId,
    /// When.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum What {
    /// It was accepted.
    Accepted,
    /// It waits, and not to be ready before this time.
    Delayed {
        /// When it is.
        until: Instant,
    },
    /// Its delay is over.
    Ready,
    /// It was delivered.
    Delivered {
        /// To whom.
        consumer: ConsumerId,
        /// With which tag.
        tag: u64,
    },
    /// Its lease goes on.
    Extended {
        /// Until then.
        until: Instant,
    },
    /// Its consumer wants it to be delivered again.
    RefusedAgain,
    /// It was not settled in time.
    Lapsed,
    /// Its consumer went away.
    ConsumerGone,
    /// It was done with.
    Acked,
    /// It left the queue in another way.
    Left(Fate),
    /// It left the queue for the one of dead letters.
    DeadLettered(Fate),
    /// It was purged.
    Purged,
}

/// The last events, a bounded number.
#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<HistoryEvent>,
    most: usize,
}

impl History {
    pub(super) fn new(most: usize) -> History {
        History { events: VecDeque::new(), most }
    }

    pub(super) fn note(&mut self, id: MessageId, at: Instant, what: What) {
        if self.events.len() >= self.most {
            self.events.pop_front();
        }
        self.events.push_back(HistoryEvent { id, at, what });
    }

    pub(super) fn of(&self, id: MessageId) -> impl Iterator<Item = &HistoryEvent> {
        self.events.iter().filter(move |event| event.id == id)
    }
}
