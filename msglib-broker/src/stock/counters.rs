//! How often a limit of the stock handler was met, and how much of it is used.

use super::ConnectionHandler;
use super::services::ServiceCounters;

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
    /// Producers that were not taken, for [`max_producers`](crate::StockConfig::max_producers) were in use.
    pub producer_limits: u64,
    /// Services that were not made, for there were [`max_services`](crate::StockConfig::max_services).
    pub service_limits: u64,
    /// Requests that were refused, for [`max_request_bytes`](crate::StockConfig::max_request_bytes) waited in all services.
    pub request_limits: u64,
    /// Replies that found [`max_reply_bytes`](crate::StockConfig::max_reply_bytes) waiting in all services, and that their caller got only if
    /// nothing else waited for it.
    pub reply_limits: u64,
    /// Channels of the user's own kinds that were not made, for there were [`max_channels`](crate::StockConfig::max_channels).
    pub channel_limits: u64,
    /// Steps that ended with something left to deliver: of queues, of topics, of services.
    pub delivery_turns_cut: u64,
    /// Steps that ended with something left to do that happens by itself.
    pub chore_turns_cut: u64,
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
    /// Services.
    pub services: usize,
    /// Bytes of the requests that wait in all services.
    pub request_bytes: usize,
    /// Bytes of the replies that wait in all services.
    pub reply_bytes: usize,
    /// Links that publish on a topic.
    pub open_topics: usize,
    /// Subscribers to topics.
    pub subscribers: usize,
    /// Topics with a last value.
    pub retained: usize,
    /// Bytes of all messages of topics.
    pub topic_bytes: usize,
    /// Matches that there is room for in the lists that are kept with topics.
    pub matches: usize,
    /// Channels of the user's own kinds.
    pub channels: usize,
}

impl ConnectionHandler {
    /// How often its limits were met.
    pub fn counters(&self) -> StockCounters {
        let ServiceCounters { services, requests, replies } = self.services.counters;
        StockCounters {
            service_limits: services,
            request_limits: requests,
            reply_limits: replies,
            channel_limits: self.channels.limits,
            delivery_turns_cut: self.delivery_turns_cut,
            chore_turns_cut: self.chore_turns_cut,
            ..self.queues.counters
        }
    }

    /// How much it holds now.
    pub fn load(&self) -> StockLoad {
        let ((messages, bytes), held) = (self.held(), self.services.held());
        StockLoad {
            queues: self.queues.len(),
            unused_queues: self.queues.unused(),
            messages,
            bytes,
            services: self.services.len(),
            request_bytes: held.requests,
            reply_bytes: held.replies,
            open_topics: self.topics.open_topics(),
            subscribers: self.topics.subscribers(),
            retained: self.topics.retained_size().0,
            topic_bytes: self.topics.bytes(),
            matches: self.topics.matches(),
            channels: self.channels(),
        }
    }
}
