//! How often a limit of the stock handler was met, and how much of it is used.

use super::ConnectionHandler;

/// How often a limit of the stock handler was met, since it was made. What single queues, the topics and single services have turned away
/// is in their ledgers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StockCounters {
    /// Queues that were not made, for there were [`max_queues`](crate::StockConfig::max_queues), all of them in use.
    pub queue_limits: u64,
    /// Queues that were not made, for an identity had [`max_queues_per_identity`](crate::StockConfig::max_queues_per_identity), all of
    /// them in use.
    pub identity_queue_limits: u64,
    /// Queues that nobody used, and that made room for another one.
    pub queues_displaced: u64,
    /// Queues that nobody had used for [`unused_queue_expiry`](crate::StockConfig::unused_queue_expiry).
    pub queues_expired: u64,
}

/// How much the stock handler holds now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StockLoad {
    /// Queues.
    pub queues: usize,
    /// Those of them that are empty and that nobody uses, so that they can be forgotten.
    pub unused_queues: usize,
    /// Messages in all queues.
    pub messages: usize,
    /// Bytes that they count for, with those of services.
    pub bytes: usize,
}

impl ConnectionHandler {
    /// How often its limits were met.
    pub fn counters(&self) -> StockCounters {
        self.queues.counters
    }

    /// How much it holds now.
    pub fn load(&self) -> StockLoad {
        let (messages, bytes) = self.held();
        StockLoad { queues: self.queues.len(), unused_queues: self.queues.unused(), messages, bytes }
    }
}
