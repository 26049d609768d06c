//! What can be set. The same type is read from a file and from options; what is in neither is as the library has it.

use super::values::{Backoff, Dispatch, Log, Name, Order, OverflowRule, Span};
use msglib_broker::{
    BrokerConfig, ConnectionHandler, CoreConfig, Native, QueueConfig, RequestsConfig, StockConfig, TopicsConfig,
};
use msglib_proto::Limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// All of it; `broker.toml` says what each is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    pub(crate) listen: Option<Vec<String>>,
    pub(crate) log: Option<Log>,
    pub(crate) stats: Option<bool>,
    pub(crate) drain: Option<Span>,
    pub(crate) goodbye: Option<Span>,
    pub(crate) record: Option<PathBuf>,
    pub(crate) record_ring: Option<usize>,
    pub(crate) limits: LimitSettings,
    /// How queues behave for which nothing else is said.
    pub(crate) queue: QueueSettings,
    /// How single ones do; what is not said here is as `queue` has it.
    pub(crate) queues: BTreeMap<Name, QueueSettings>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct QueueSettings {
    order: Option<Order>,
    dispatch: Option<Dispatch>,
    lease: Option<Span>,
    max_deliveries: Option<u32>,
    backoff: Option<Backoff>,
    dead_letter: Option<Name>,
    max_hops: Option<u8>,
    ttl: Option<Span>,
    delay: Option<Span>,
    max_messages: Option<usize>,
    max_bytes: Option<usize>,
    max_in_flight: Option<usize>,
    overflow: Option<OverflowRule>,
    history: Option<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct LimitSettings {
    max_queues: Option<usize>,
    max_queues_per_identity: Option<usize>,
    unused_queue_expiry: Option<Span>,
    max_producers: Option<usize>,
    max_total_messages: Option<usize>,
    max_total_bytes: Option<usize>,
    publish_window: Option<u64>,
    max_subscribers: Option<usize>,
    max_topic_bytes: Option<usize>,
    topic_buffer: Option<usize>,
    max_topics: Option<usize>,
    max_topics_per_identity: Option<usize>,
    max_topic_matches: Option<usize>,
    max_retained: Option<usize>,
    max_retained_bytes: Option<usize>,
    max_services: Option<usize>,
    max_requests: Option<usize>,
    max_request_bytes: Option<usize>,
    max_reply_bytes: Option<usize>,
    request_deadline: Option<Span>,
    max_payload: Option<u32>,
    max_links: Option<u32>,
    high_water: Option<usize>,
    handshake_timeout: Option<Span>,
    close_timeout: Option<Span>,
}

/// Where clients find the broker, if nobody says otherwise.
const ADDRESS: &str = "[::1]:7777";
/// How long consumers have to take what is there when the broker is to end, and then for their last words, if nobody says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// Calls each setter whose value is set.
macro_rules! with {
    ($config:expr, $($setter:ident($value:expr)),* $(,)?) => {{
        let config = $config;
        $(let config = match $value {
            Some(value) => config.$setter(value),
            None => config,
        };)*
        config
    }};
}

impl Settings {
    pub(crate) fn listen(&self) -> Vec<String> {
        self.listen.clone().unwrap_or_else(|| vec![ADDRESS.to_owned()])
    }

    pub(crate) fn drain(&self) -> Duration {
        time(self.drain).unwrap_or(PATIENCE)
    }

    pub(crate) fn goodbye(&self) -> Duration {
        time(self.goodbye).unwrap_or(PATIENCE)
    }

    /// The stock handler, as it is to behave.
    pub(crate) fn handler(&self) -> ConnectionHandler {
        ConnectionHandler::with_config(self.stock())
    }

    pub(crate) fn stock(&self) -> StockConfig {
        let limits = &self.limits;
        let queue = self.queue.apply_to(QueueConfig::default());
        let topics = with!(
            TopicsConfig::default(),
            with_max_subscribers(limits.max_subscribers),
            with_max_bytes(limits.max_topic_bytes),
            with_buffer_messages(limits.topic_buffer),
            with_max_topics(limits.max_topics),
            with_max_per_identity(limits.max_topics_per_identity),
            with_max_matches(limits.max_topic_matches),
            with_max_retained(limits.max_retained),
            with_max_retained_bytes(limits.max_retained_bytes),
        );
        let requests = with!(
            RequestsConfig::default(),
            with_max_pending(limits.max_requests),
            with_deadline(time(limits.request_deadline)),
        );
        let stock = with!(
            StockConfig::default().with_queue(queue.clone()).with_topics(topics).with_requests(requests),
            with_max_queues(limits.max_queues),
            with_max_queues_per_identity(limits.max_queues_per_identity),
            with_unused_queue_expiry(time(limits.unused_queue_expiry)),
            with_max_producers(limits.max_producers),
            with_max_messages(limits.max_total_messages),
            with_max_bytes(limits.max_total_bytes),
            with_publish_window(limits.publish_window),
            with_max_services(limits.max_services),
            with_max_request_bytes(limits.max_request_bytes),
            with_max_reply_bytes(limits.max_reply_bytes),
        );
        self.queues.iter().fold(stock, |stock, (name, settings)| {
            stock.with_queue_named(name.as_str(), settings.apply_to(queue.clone()))
        })
    }

    pub(crate) fn broker(&self) -> BrokerConfig {
        let limits = &self.limits;
        let core = with!(
            CoreConfig::default(),
            with_high_water(limits.high_water),
            with_handshake_timeout(time(limits.handshake_timeout)),
            with_close_timeout(time(limits.close_timeout)),
        );
        BrokerConfig::default().with_core(core)
    }

    pub(crate) fn dialect(&self) -> Native {
        let limits = &self.limits;
        Native::new(with!(Limits::default(), with_max_payload(limits.max_payload), with_max_links(limits.max_links)))
    }
}

impl QueueSettings {
    fn apply_to(&self, config: QueueConfig) -> QueueConfig {
        let redelivery = with!(
            config.redelivery.clone(),
            with_lease(time(self.lease)),
            with_max_deliveries(self.max_deliveries),
            with_dead_letter(self.dead_letter.as_ref().map(Name::as_str)),
            with_max_hops(self.max_hops),
        );
        let redelivery = match self.backoff {
            Some(Backoff { first, most }) => redelivery.with_backoff(first, most),
            None => redelivery,
        };
        with!(
            config.with_redelivery(redelivery),
            with_order(self.order.map(Into::into)),
            with_dispatch(self.dispatch.map(Into::into)),
            with_ttl(time(self.ttl)),
            with_delay(time(self.delay)),
            with_max_messages(self.max_messages),
            with_max_bytes(self.max_bytes),
            with_max_in_flight(self.max_in_flight),
            with_overflow(self.overflow.map(Into::into)),
            with_history(self.history),
        )
    }
}

fn time(span: Option<Span>) -> Option<Duration> {
    span.map(|Span(duration)| duration)
}
