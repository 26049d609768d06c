//! What can be set on the stock handler.

use crate::queue::QueueConfig;
use crate::request::RequestsConfig;
use crate::topic::TopicsConfig;
use core::time::Duration;
use msglib_proto::{ChannelName, OwnedName};
use std::collections::BTreeMap;

/// The configuration of a [`ConnectionHandler`](crate::ConnectionHandler).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StockConfig {
    /// How each queue behaves for which nothing else is said, and its limits.
    pub queue: QueueConfig,
    /// How single queues behave, by their names, from when they are made: what a client says of them must be the same. Default: none of
    /// them is special.
    pub queues: BTreeMap<OwnedName, QueueConfig>,
    /// The limits of topics.
    pub topics: TopicsConfig,
    /// The limits of each service.
    pub requests: RequestsConfig,
    /// How many queues there may be. Above it, empty queues that nobody has a link to make room for new ones. Default
    /// 1 million.
    pub max_queues: usize,
    /// How many queues one identity may have made that are still there. Above it, its own empty queues that nobody has a link to make room
    /// for new ones; if there are none, a new one is refused, and counted. Who makes a queue is who opens it first, and has it until it is
    /// gone, or the program declares it. A queue for dead letters counts for whom the queue counts that they come from, and is never
    /// refused for it; what the program makes, or a policy, counts for nobody. Clients without an identity count as one, all
    /// together, so that to have none is no way around the limit. Identities are one if their names are. Default: no limit, for one identity may be a whole fleet of
    /// programs, or everybody; set it where identities are people or tenants.
    pub max_queues_per_identity: usize,
    /// How long a queue stays that is empty and that nobody has a link to, nor has declared, paused or is draining: as long as nothing happens with it. It is made anew when
    /// it is opened again, as after a restart of the broker: with the settings that are named then, an empty history and new numbers for its messages, and without what
    /// its producers had published. [`Duration::MAX`] is for ever. Default 1 hour: longer than clients are away who come back, and short enough that
    /// names which nobody needs any more do not pile up.
    pub unused_queue_expiry: Duration,
    /// How many producers are remembered, counted once for each queue that they publish to, so that what they repeat is not taken twice
    /// (PROTOCOL §15.6). Above it, the one that is out of use for longest is forgotten; if all are in use, a new one is told
    /// [`BUSY`](crate::ErrorCode::BUSY). Each takes some 250 bytes: its last 1,024 sequences, or as many as
    /// [`publish_window`](StockConfig::publish_window) if that is more, up to 65,536. Default 10,000.
    pub max_producers: usize,
    /// How many services there may be at once, each with a link at least. Default 100,000.
    pub max_services: usize,
    /// Bytes of the requests that may wait for a responder, in all services together, each counted with its payload and
    /// [`OVERHEAD`](crate::Requests::OVERHEAD). Above it, requests are refused as [`BUSY`](crate::ErrorCode::BUSY). Default: a quarter of
    /// [`max_bytes`](StockConfig::max_bytes), for they lie where the messages of queues do, and must not be why publishes find no room.
    pub max_request_bytes: Option<usize>,
    /// Bytes of the replies that may wait for callers who do not take them, in all services together, likewise. Above it, each caller may have one waiting, and
    /// further ones become [`Outcome::CallerTooSlow`](crate::Outcome::CallerTooSlow); so who takes their replies has them. Default: as for the requests.
    pub max_reply_bytes: Option<usize>,
    /// How many channels of the user's own kinds there may be. Default 1 million.
    pub max_channels: usize,
    /// Messages that all queues together may hold. Default: as many as their bytes allow.
    pub max_messages: usize,
    /// Bytes that they may take, each message counted with its payload and
    /// [`OVERHEAD`](crate::queue::OVERHEAD). Above it publishes are refused as [`BUSY`](crate::ErrorCode::BUSY), whatever the
    /// overflow of their queue. Default 4 GiB: a few queues at their own limit, and less than a server has.
    pub max_bytes: usize,
    /// The longest lease that a client can give to a queue that it makes; [`Duration::MAX`] for any, and none. One that asks for more, or for
    /// none, is refused. Default `None`: as long as that of [`queue`](StockConfig::queue), if that has one, so that no client gets
    /// around it; else any.
    pub max_lease: Option<Duration>,
    /// How often a queue that a client makes can deliver a message at the most; [`u32::MAX`] for any number, and without end. Default `None`: as
    /// often as [`queue`](StockConfig::queue) does, if that has a limit; else any.
    pub max_deliveries: Option<u32>,
    /// How many messages a publisher, or requests a caller, may send ahead of their outcome, on each link. Default 1,024: enough to keep a round trip
    /// of a millisecond busy at a million messages a second.
    pub publish_window: u64,
    /// Deliveries in one step, of all queues together, of all topics, and of all services. Default 16,384.
    pub deliveries_per_step: usize,
    /// Deliveries of one queue before the others have their turn. Default 4,096.
    pub deliveries_per_turn: usize,
    /// How much happens by itself in one step, in all queues together: leases that end, delays and times to live that are over,
    /// messages of queues that are purged or deleted. Default 4,096; the rest waits for the next step, which comes at once.
    pub chores_per_step: usize,
}

impl Default for StockConfig {
    fn default() -> StockConfig {
        StockConfig {
            queue: QueueConfig::default(),
            queues: BTreeMap::new(),
            topics: TopicsConfig::default(),
            requests: RequestsConfig::default(),
            max_queues: 1_000_000,
            max_queues_per_identity: usize::MAX,
            unused_queue_expiry: Duration::from_secs(3600),
            max_producers: 10_000,
            max_services: 100_000,
            max_request_bytes: None,
            max_reply_bytes: None,
            max_channels: 1_000_000,
            max_messages: usize::MAX,
            max_bytes: 4 << 30,
            max_lease: None,
            max_deliveries: None,
            publish_window: 1_024,
            deliveries_per_step: 16_384,
            deliveries_per_turn: 4_096,
            chores_per_step: 4_096,
        }
    }
}

impl StockConfig {
    /// With another [`queue`](StockConfig::queue).
    pub fn with_queue(mut self, queue: QueueConfig) -> StockConfig {
        self.queue = queue;
        self
    }

    /// With one queue that behaves otherwise than the [others](StockConfig::queue).
    pub fn with_queue_named<'n>(mut self, name: impl Into<ChannelName<'n>>, queue: QueueConfig) -> StockConfig {
        self.queues.insert(name.into().to_owned(), queue);
        self
    }

    /// With other limits for topics.
    pub fn with_topics(mut self, topics: TopicsConfig) -> StockConfig {
        self.topics = topics;
        self
    }

    /// With other limits for each service.
    pub fn with_requests(mut self, requests: RequestsConfig) -> StockConfig {
        self.requests = requests;
        self
    }

    /// With another [`max_producers`](StockConfig::max_producers).
    pub fn with_max_producers(mut self, producers: usize) -> StockConfig {
        self.max_producers = producers;
        self
    }

    /// With another [`max_services`](StockConfig::max_services).
    pub fn with_max_services(mut self, services: usize) -> StockConfig {
        self.max_services = services;
        self
    }

    /// With another [`max_queues`](StockConfig::max_queues).
    pub fn with_max_queues(mut self, queues: usize) -> StockConfig {
        self.max_queues = queues;
        self
    }

    /// With another [`max_queues_per_identity`](StockConfig::max_queues_per_identity).
    pub fn with_max_queues_per_identity(mut self, queues: usize) -> StockConfig {
        self.max_queues_per_identity = queues;
        self
    }

    /// With another [`unused_queue_expiry`](StockConfig::unused_queue_expiry); [`Duration::MAX`] is for ever.
    pub fn with_unused_queue_expiry(mut self, after: Duration) -> StockConfig {
        self.unused_queue_expiry = after;
        self
    }

    /// With another [`max_request_bytes`](StockConfig::max_request_bytes).
    pub fn with_max_request_bytes(mut self, bytes: usize) -> StockConfig {
        self.max_request_bytes = Some(bytes);
        self
    }

    /// With another [`max_reply_bytes`](StockConfig::max_reply_bytes).
    pub fn with_max_reply_bytes(mut self, bytes: usize) -> StockConfig {
        self.max_reply_bytes = Some(bytes);
        self
    }

    pub(super) fn request_bytes(&self) -> usize {
        self.max_request_bytes.unwrap_or(self.max_bytes / 4)
    }

    pub(super) fn reply_bytes(&self) -> usize {
        self.max_reply_bytes.unwrap_or(self.max_bytes / 4)
    }

    /// With another [`max_channels`](StockConfig::max_channels).
    pub fn with_max_channels(mut self, channels: usize) -> StockConfig {
        self.max_channels = channels;
        self
    }

    /// With another [`max_messages`](StockConfig::max_messages).
    pub fn with_max_messages(mut self, messages: usize) -> StockConfig {
        self.max_messages = messages;
        self
    }

    /// With another [`max_bytes`](StockConfig::max_bytes).
    pub fn with_max_bytes(mut self, bytes: usize) -> StockConfig {
        self.max_bytes = bytes;
        self
    }

    /// With another [`max_lease`](StockConfig::max_lease).
    pub fn with_max_lease(mut self, lease: Duration) -> StockConfig {
        self.max_lease = Some(lease);
        self
    }

    /// With another [`max_deliveries`](StockConfig::max_deliveries).
    pub fn with_max_deliveries(mut self, deliveries: u32) -> StockConfig {
        self.max_deliveries = Some(deliveries);
        self
    }

    /// With another [`publish_window`](StockConfig::publish_window); less than 16, which the protocol allows anyway
    /// (PROTOCOL §6.2), counts as 16.
    pub fn with_publish_window(mut self, messages: u64) -> StockConfig {
        self.publish_window = messages.max(msglib_proto::INITIAL_PUBLISH_CREDIT);
        self
    }

    /// With another [`deliveries_per_step`](StockConfig::deliveries_per_step); 0 counts as 1.
    pub fn with_deliveries_per_step(mut self, deliveries: usize) -> StockConfig {
        self.deliveries_per_step = deliveries;
        self
    }

    /// With another [`deliveries_per_turn`](StockConfig::deliveries_per_turn); 0 counts as 1.
    pub fn with_deliveries_per_turn(mut self, deliveries: usize) -> StockConfig {
        self.deliveries_per_turn = deliveries;
        self
    }

    /// With another [`chores_per_step`](StockConfig::chores_per_step); 0 counts as 1.
    pub fn with_chores_per_step(mut self, chores: usize) -> StockConfig {
        self.chores_per_step = chores;
        self
    }
}
