//! A message to a queue with settings, and where it is.

use super::facts::LinkNumber;
use crate::simulate::facts::Outcome;
use core::time::Duration;
use msglib_broker::QueueConfig;
use msglib_broker::queue::{OrderKind, Overflow};
use msglib_proto::{ChannelName, Instant, QueueOrder, QueueOverflow, QueueSettings};
use std::collections::{BTreeMap, VecDeque};

/// The queues with settings, and behind them that of their dead letters.
pub const JOBS: [&str; 3] = ["jobs", "chores", "dead"];
/// The queue of dead letters.
pub const DEAD: usize = 2;

/// How one of these queues is configured.
pub(super) fn config(settings: &QueueSettings) -> QueueConfig {
    let mut config = QueueConfig::default();
    config.order = match settings.order {
        Some(QueueOrder::Priority) => OrderKind::Priority,
        Some(QueueOrder::FairByKey) => OrderKind::FairByKey,
        Some(QueueOrder::StickyByKey) => OrderKind::StickyByKey,
        Some(QueueOrder::LastValue) => OrderKind::LastValue,
        _ => OrderKind::Fifo,
    };
    let redelivery = &mut config.redelivery;
    redelivery.lease = settings.lease_ms.filter(|lease| *lease > 0).map(Duration::from_millis);
    redelivery.max_deliveries = settings.max_deliveries.filter(|most| *most > 0);
    redelivery.dead_letter.clone_from(&settings.dead_letter);
    config.ttl = settings.ttl_ms.filter(|ttl| *ttl > 0).map(Duration::from_millis);
    config.delay = Duration::from_millis(settings.delay_ms.unwrap_or(0));
    let limit = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    config.max_messages = settings.max_messages.map_or(config.max_messages, limit);
    config.max_bytes = settings.max_bytes.map_or(config.max_bytes, limit);
    config.overflow = match settings.overflow {
        Some(QueueOverflow::DropOldest) => Overflow::DropOldest,
        Some(QueueOverflow::DropNewest) => Overflow::DropNewest,
        Some(QueueOverflow::DeadLetterOldest) => Overflow::DeadLetterOldest,
        _ => Overflow::RefuseNew,
    };
    config
}

/// The name of one.
pub fn job_queue(queue: usize) -> ChannelName<'static> {
    ChannelName::from(JOBS[queue])
}

/// A link to one of these queues.
#[derive(Debug, Default)]
pub struct JobLink {
    /// Number by number.
    pub(super) said: Vec<usize>,
    pub(super) confirmed: u64,
    /// What it holds: by tag.
    pub held: BTreeMap<u64, usize>,
    /// Settlings that ask for an answer: how many of the range it held.
    pub settlings: VecDeque<u64>,
    /// All that was sent to it before this time was read.
    pub floor: Instant,
    /// It took part when everything was at rest for the last time; or it is younger.
    pub was_read: bool,
    /// Settled since the last rest.
    pub(super) settled: Vec<usize>,
    /// It belongs to a producer, whose sequences go on from here.
    pub(super) base: Option<u64>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Job {
    /// To which queue.
    pub queue: usize,
    /// When it was sent first.
    pub sent_at: Instant,
    /// A time at which it was known to be accepted.
    pub known_at: Option<Instant>,
    /// How many jobs had been sent when it was known to be accepted.
    pub known_with: Option<usize>,
    /// Its delay: its own or the queue's.
    pub delay: Duration,
    /// Its time to live: the shorter of its own and the queue's.
    pub ttl: Option<Duration>,
    /// Its priority.
    pub priority: u8,
    /// What became of it.
    pub outcome: Outcome,
    /// It may have been purged.
    pub is_purged: bool,
    /// It was known to be accepted when it was.
    pub(super) was_there: bool,
    /// It has been purged, unless somebody had received it before.
    pub is_gone: bool,
    /// Its times are of this broker's clock; another one begins anew.
    pub is_timed: bool,
    /// Somebody has refused it for good, in time or not.
    pub is_refused: bool,
    /// How often it had been delivered when it died, if it did.
    pub died_after: Option<u32>,
    /// In its queue, and as a dead letter.
    pub stages: [Stage; 2],
    /// As it was published.
    pub options: JobOptions,
}

/// What a job is published with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct JobOptions {
    /// Its delay.
    pub delay_ms: Option<u64>,
    /// Its time to live.
    pub ttl_ms: Option<u64>,
    /// Its priority.
    pub priority: Option<u8>,
    /// Its key.
    pub key: Option<Key>,
}

/// The key of a job, one byte.
pub type Key = u8;

impl Job {
    /// Whether it was accepted before the other one was sent, for certain.
    pub fn is_before(&self, other: usize) -> bool {
        self.known_with.is_some_and(|with| with <= other)
    }
}

/// A message in one queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    /// Which counts came, up to 64.
    pub counts: u64,
    /// The highest.
    pub highest: u32,
    /// Where it is.
    pub place: JobPlace,
    /// It was given back on a link, not to come again before this.
    pub not_before: Instant,
    /// By whom, if that was not at once.
    pub giver: Option<LinkNumber>,
}

/// Where a job is, as its consumers know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum JobPlace {
    /// In the queue.
    #[default]
    Waiting,
    /// Somebody holds it.
    Held {
        /// Who.
        link: LinkNumber,
        /// With which tag.
        tag: u64,
        /// It does not come back before this, unless it is given back.
        least: Instant,
        /// It has come back by then.
        most: Instant,
        /// An extension is under way: until when it is held at the least, and for how long.
        extension: Option<(Instant, Duration)>,
    },
    /// Settled on this link, and perhaps too late: its lease was not over before this. Done with, or refused for good.
    Settling(LinkNumber, Instant, bool),
    /// Settled for good.
    Done,
    /// Nobody knows.
    Perhaps,
}
