//! What a client says of a queue when it opens it (PROTOCOL §15.1).

use super::ConnectionHandler;
use super::config::StockConfig;
use super::opening::who_is;
use super::queues::QueueIndex;
use crate::core::Context;
use crate::queue::{Backoff, DispatchKind, OrderKind, Overflow, QueueConfig, Redelivery};
use crate::reason::Reject;
use core::time::Duration;
use msglib_proto::transport::ConnectionId;
use msglib_proto::{ChannelName, ErrorCode, Open, QueueDispatch, QueueOrder, QueueOverflow, QueueSettings};

impl ConnectionHandler {
    /// The queue that a client opens: as it is, or with the settings that it names.
    pub(super) fn open_told(
        &mut self,
        cx: &Context<'_>,
        from: ConnectionId,
        open: &Open<'_>,
    ) -> Result<QueueIndex, Reject> {
        let who = who_is(cx, from);
        if open.arguments.is_empty() {
            return self.open_queue(cx, open.name, None, who);
        }
        let settings = QueueSettings::parse(open.arguments)
            .map_err(|error| Reject::new(ErrorCode::BAD_ARGUMENTS, format!("a queue's settings: {error}")))?;
        match self.queues.find(open.name) {
            Some(index) => self.as_told(index, open.name, &settings),
            None if self.config.queues.contains_key(&open.name.to_owned()) => {
                // How it behaves is said already, as if it were there.
                let index = self.open_queue(cx, open.name, None, who)?;
                self.queues.used(index, self.clock.now());
                self.as_told(index, open.name, &settings)
            }
            None => {
                let config = within(&self.config, &settings)?;
                self.open_queue(cx, open.name, Some(config), who)
            }
        }
    }

    /// A queue that is there has the settings that are named.
    fn as_told(
        &self,
        index: QueueIndex,
        name: ChannelName<'_>,
        settings: &QueueSettings,
    ) -> Result<QueueIndex, Reject> {
        let there = self.queues.slot(index).queue.config();
        let differs = |set: &Set| {
            let mut told = there.clone();
            set(&mut told, settings);
            told != *there
        };
        let others: Vec<_> = SETTINGS.iter().filter(|(_, set)| differs(set)).map(|(setting, _)| *setting).collect();
        match others.is_empty() {
            true => Ok(index),
            false => {
                let text = format!("the queue {name} is there, with another {}", others.join(", and another "));
                Err(Reject::new(ErrorCode::DECLARED_OTHERWISE, text))
            }
        }
    }
}

/// A new queue: the broker's own configuration, changed as the client says. A client can make the limits narrower, and not wider.
fn within(stock: &StockConfig, settings: &QueueSettings) -> Result<QueueConfig, Reject> {
    let own = &stock.queue;
    let mut config = own.clone();
    SETTINGS.iter().for_each(|(_, set)| set(&mut config, settings));
    let (most, what) = match () {
        () if config.max_messages > own.max_messages => (own.max_messages, "messages"),
        () if config.max_bytes > own.max_bytes => (own.max_bytes, "bytes"),
        () => {
            redelivered_within(stock, settings, &config.redelivery)?;
            return Ok(config);
        }
    };
    Err(Reject::new(ErrorCode::BAD_ARGUMENTS, format!("a queue of this broker holds {most} {what} at the most")))
}

/// What a client says of the lease and of the number of deliveries is no way around the broker's own.
fn redelivered_within(stock: &StockConfig, settings: &QueueSettings, told: &Redelivery) -> Result<(), Reject> {
    let own = &stock.queue.redelivery;
    let lease = stock.max_lease.or(own.lease).unwrap_or(Duration::MAX);
    if settings.lease_ms.is_some() && told.lease.unwrap_or(Duration::MAX) > lease {
        let text = format!("a queue of this broker has a lease of {} ms at the most", lease.as_millis());
        return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, text));
    }
    let deliveries = stock.max_deliveries.or(own.max_deliveries).unwrap_or(u32::MAX);
    if settings.max_deliveries.is_some() && told.max_deliveries.unwrap_or(u32::MAX) > deliveries {
        let text = format!("a queue of this broker delivers a message {deliveries} times at the most");
        return Err(Reject::new(ErrorCode::BAD_ARGUMENTS, text));
    }
    Ok(())
}

/// Puts one setting into a configuration, if it is named.
type Set = fn(&mut QueueConfig, &QueueSettings);

const SETTINGS: [(&str, Set); 11] = [
    ("order", |config, settings| put(&mut config.order, settings.order.map(order))),
    ("dispatch", |config, settings| put(&mut config.dispatch, settings.dispatch.map(dispatch))),
    ("lease", |config, settings| put(&mut config.redelivery.lease, settings.lease_ms.map(unless_zero))),
    ("limit of deliveries", |config, settings| {
        let most = settings.max_deliveries.map(|most| (most > 0).then_some(most));
        put(&mut config.redelivery.max_deliveries, most);
    }),
    ("backoff", |config, settings| put(&mut config.redelivery.backoff, settings.backoff_ms.map(backoff))),
    ("queue for dead letters", |config, settings| {
        put(&mut config.redelivery.dead_letter, settings.dead_letter.clone().map(Some));
    }),
    ("time to live", |config, settings| put(&mut config.ttl, settings.ttl_ms.map(unless_zero))),
    ("delay", |config, settings| put(&mut config.delay, settings.delay_ms.map(Duration::from_millis))),
    ("limit of messages", |config, settings| put(&mut config.max_messages, settings.max_messages.map(size))),
    ("limit of bytes", |config, settings| put(&mut config.max_bytes, settings.max_bytes.map(size))),
    ("overflow", |config, settings| put(&mut config.overflow, settings.overflow.map(overflow))),
];

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn unless_zero(ms: u64) -> Option<Duration> {
    (ms > 0).then(|| Duration::from_millis(ms))
}

fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Two zeros are no backoff.
fn backoff((first, most): (u64, u64)) -> Option<Backoff> {
    let (first, most) = (Duration::from_millis(first), Duration::from_millis(most));
    (!most.is_zero()).then_some(Backoff { first, most })
}

fn order(order: QueueOrder) -> OrderKind {
    match order {
        QueueOrder::Priority => OrderKind::Priority,
        QueueOrder::FairByKey => OrderKind::FairByKey,
        QueueOrder::StickyByKey => OrderKind::StickyByKey,
        QueueOrder::LastValue => OrderKind::LastValue,
        // The protocol has no others.
        _ => OrderKind::Fifo,
    }
}

fn dispatch(dispatch: QueueDispatch) -> DispatchKind {
    match dispatch {
        QueueDispatch::LeastLoaded => DispatchKind::LeastLoaded,
        QueueDispatch::Exclusive => DispatchKind::Exclusive,
        _ => DispatchKind::RoundRobin,
    }
}

fn overflow(overflow: QueueOverflow) -> Overflow {
    match overflow {
        QueueOverflow::DropOldest => Overflow::DropOldest,
        QueueOverflow::DropNewest => Overflow::DropNewest,
        QueueOverflow::DeadLetterOldest => Overflow::DeadLetterOldest,
        _ => Overflow::RefuseNew,
    }
}
