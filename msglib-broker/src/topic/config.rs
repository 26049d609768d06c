//! What can be set on topics, and on one subscription.

/// What happens with a message for a subscription whose buffer is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TopicOverflow {
    /// The message that has waited longest is lost. The default.
    #[default]
    DropOldest,
    /// The new message is lost.
    DropNewest,
    /// Of each topic only the latest message waits, in the place of the one before; and where that does not make room, as
    /// `DropOldest`.
    KeepLatest,
    /// The subscription ends, rather than lose something in its middle.
    Disconnect,
}

impl From<msglib_proto::TopicOverflow> for TopicOverflow {
    fn from(overflow: msglib_proto::TopicOverflow) -> TopicOverflow {
        use msglib_proto::TopicOverflow as Said;
        match overflow {
            Said::DropNewest => TopicOverflow::DropNewest,
            Said::KeepLatest => TopicOverflow::KeepLatest,
            Said::Disconnect => TopicOverflow::Disconnect,
            // And for what later versions of the protocol may have: the default.
            _ => TopicOverflow::DropOldest,
        }
    }
}

/// How one subscriber wants it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions<'a> {
    /// The group that it joins: all members with the same filter and the same group share one subscription, and each message goes to
    /// one of them. Default: none, it is alone.
    pub group: Option<&'a [u8]>,
    /// What happens when its buffer is full.
    pub overflow: TopicOverflow,
    /// How many messages may wait for it; at most, and by default, [`TopicsConfig::buffer_messages`]. 0 counts as 1.
    pub buffer: Option<u32>,
    /// Whether it gets the last values that are there already. Default true. In a group that is up to its first member, and each
    /// value goes to one of them.
    pub retained: bool,
}

impl Default for SubscribeOptions<'_> {
    fn default() -> Self {
        SubscribeOptions { group: None, overflow: TopicOverflow::default(), buffer: None, retained: true }
    }
}

impl<'a> SubscribeOptions<'a> {
    /// As a member of this [`group`](SubscribeOptions::group).
    pub fn with_group(mut self, group: &'a [u8]) -> SubscribeOptions<'a> {
        self.group = Some(group);
        self
    }

    /// With another [`overflow`](SubscribeOptions::overflow).
    pub fn with_overflow(mut self, overflow: TopicOverflow) -> SubscribeOptions<'a> {
        self.overflow = overflow;
        self
    }

    /// With another [`buffer`](SubscribeOptions::buffer).
    pub fn with_buffer(mut self, messages: u32) -> SubscribeOptions<'a> {
        self.buffer = Some(messages);
        self
    }

    /// With or without the last values that are there; see [`retained`](SubscribeOptions::retained).
    pub fn with_retained(mut self, retained: bool) -> SubscribeOptions<'a> {
        self.retained = retained;
        self
    }
}

/// How large topics may grow. A message counts with its payload, its topic's name and [`Topics::OVERHEAD`](super::Topics::OVERHEAD).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicsConfig {
    /// Bytes of all messages that wait or are kept as a last value, each counted once however many it waits for. Above it nothing is
    /// taken any more. Default 1 GiB.
    pub max_bytes: usize,
    /// How many subscribers there may be. Default 1 million.
    pub max_subscribers: usize,
    /// How many topics may be open to be published on, each counted as often as it is open: so it is for each link that publishes on one. Each takes
    /// some 300 bytes and twice its name. Above it, one more is refused. Default 1 million.
    pub max_topics: usize,
    /// How many of these, and of the last values, one identity may have: what its links have open, and the last values that it was the first to keep, until they are
    /// taken away. Clients without an identity count as one, all together; what the program itself does counts for nobody. The stock handler knows who that is;
    /// by itself [`Topics`](super::Topics) does not. Default: no limit, for one identity may be a whole fleet of programs, or everybody; set it where identities are people
    /// or tenants.
    pub max_per_identity: usize,
    /// Subscriptions that are remembered with topics as those that mean them, in all topics together, 8 bytes each. Above it, those are forgotten
    /// that were found first, and found again with the topic's next message, which costs as much as it has matches. Default 4 million, so 32 MiB: every
    /// one of 65,536 topics can have 64.
    pub max_matches: usize,
    /// Messages that may wait for one subscription, at most. Default 65,536: what a fast publisher sends while a connection
    /// is written to must fit.
    pub buffer_messages: usize,
    /// Bytes that may wait for one subscription, each message counted as if it waited there alone. A larger message waits alone. Default
    /// 16 MiB.
    pub buffer_bytes: usize,
    /// Topics that may have a last value. Default 100,000.
    pub max_retained: usize,
    /// Bytes that the last values may take. Default 64 MiB.
    pub max_retained_bytes: usize,
}

impl Default for TopicsConfig {
    fn default() -> TopicsConfig {
        TopicsConfig {
            max_bytes: 1 << 30,
            max_subscribers: 1_000_000,
            max_topics: 1_000_000,
            max_per_identity: usize::MAX,
            max_matches: 4 << 20,
            buffer_messages: 65_536,
            buffer_bytes: 16 << 20,
            max_retained: 100_000,
            max_retained_bytes: 64 << 20,
        }
    }
}

impl TopicsConfig {
    /// With another [`max_bytes`](TopicsConfig::max_bytes).
    pub fn with_max_bytes(mut self, bytes: usize) -> TopicsConfig {
        self.max_bytes = bytes;
        self
    }

    /// With another [`max_subscribers`](TopicsConfig::max_subscribers).
    pub fn with_max_subscribers(mut self, subscribers: usize) -> TopicsConfig {
        self.max_subscribers = subscribers;
        self
    }

    /// With another [`max_topics`](TopicsConfig::max_topics).
    pub fn with_max_topics(mut self, topics: usize) -> TopicsConfig {
        self.max_topics = topics;
        self
    }

    /// With another [`max_per_identity`](TopicsConfig::max_per_identity).
    pub fn with_max_per_identity(mut self, topics: usize) -> TopicsConfig {
        self.max_per_identity = topics;
        self
    }

    /// With another [`max_matches`](TopicsConfig::max_matches).
    pub fn with_max_matches(mut self, matches: usize) -> TopicsConfig {
        self.max_matches = matches;
        self
    }

    /// With another [`buffer_messages`](TopicsConfig::buffer_messages); 0 counts as 1.
    pub fn with_buffer_messages(mut self, messages: usize) -> TopicsConfig {
        self.buffer_messages = messages;
        self
    }

    /// With another [`buffer_bytes`](TopicsConfig::buffer_bytes).
    pub fn with_buffer_bytes(mut self, bytes: usize) -> TopicsConfig {
        self.buffer_bytes = bytes;
        self
    }

    /// With another [`max_retained`](TopicsConfig::max_retained).
    pub fn with_max_retained(mut self, topics: usize) -> TopicsConfig {
        self.max_retained = topics;
        self
    }

    /// With another [`max_retained_bytes`](TopicsConfig::max_retained_bytes).
    pub fn with_max_retained_bytes(mut self, bytes: usize) -> TopicsConfig {
        self.max_retained_bytes = bytes;
        self
    }
}
