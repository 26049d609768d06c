//! The values of settings, as people write them.

use msglib_broker::ChannelName;
use msglib_broker::queue::{DispatchKind, OrderKind, Overflow};
use serde::Deserialize;
use std::str::FromStr;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The name of a queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

/// A time: `500ms`, `30s`, `1h 30m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// The shortest and the longest wait of a backoff: `1s..5m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

/// How much is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Log {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    Fifo,
    Priority,
    FairByKey,
    StickyByKey,
    LastValue,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dispatch {
    RoundRobin,
    LeastLoaded,
    Exclusive,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OverflowRule {
    RefuseNew,
    DropOldest,
    DropNewest,
    DeadLetterOldest,
}

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Name, String> {
        match ChannelName::bytes(text.as_bytes()) {
            Ok(_) => Ok(Name(text)),
            Err(error) => Err(format!("{text:?} is no name of a queue: {error}")),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let parsed = humantime::parse_duration(text);
        parsed.map(Span).map_err(|error| format!("{text:?} is no time such as 500ms, 30s or 1h 30m: {error}"))
    }
}

impl FromStr for Backoff {
    type Err = String;

    fn from_str(text: &str) -> Result<Backoff, String> {
        let (first, most) = text.split_once("..").ok_or_else(|| format!("{text:?} is no backoff such as 1s..5m"))?;
        let (Span(first), Span(most)) = (first.parse()?, most.parse()?);
        match first <= most {
            true => Ok(Backoff { first, most }),
            false => Err(format!("{text:?}: the first wait is longer than the longest")),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        text.parse()
    }
}

impl TryFrom<String> for Backoff {
    type Error = String;

    fn try_from(text: String) -> Result<Backoff, String> {
        text.parse()
    }
}

impl From<Log> for LevelFilter {
    fn from(log: Log) -> LevelFilter {
        match log {
            Log::Off => LevelFilter::OFF,
            Log::Error => LevelFilter::ERROR,
            Log::Warn => LevelFilter::WARN,
            Log::Info => LevelFilter::INFO,
            Log::Debug => LevelFilter::DEBUG,
            Log::Trace => LevelFilter::TRACE,
        }
    }
}

impl From<Order> for OrderKind {
    fn from(order: Order) -> OrderKind {
        match order {
            Order::Fifo => OrderKind::Fifo,
            Order::Priority => OrderKind::Priority,
            Order::FairByKey => OrderKind::FairByKey,
            Order::StickyByKey => OrderKind::StickyByKey,
            Order::LastValue => OrderKind::LastValue,
        }
    }
}

impl From<Dispatch> for DispatchKind {
    fn from(dispatch: Dispatch) -> DispatchKind {
        match dispatch {
            Dispatch::RoundRobin => DispatchKind::RoundRobin,
            Dispatch::LeastLoaded => DispatchKind::LeastLoaded,
            Dispatch::Exclusive => DispatchKind::Exclusive,
        }
    }
}

impl From<OverflowRule> for Overflow {
    fn from(rule: OverflowRule) -> Overflow {
        match rule {
            OverflowRule::RefuseNew => Overflow::RefuseNew,
            OverflowRule::DropOldest => Overflow::DropOldest,
            OverflowRule::DropNewest => Overflow::DropNewest,
            OverflowRule::DeadLetterOldest => Overflow::DeadLetterOldest,
        }
    }
}
