//! Publish and subscribe (PROTOCOL §16).

use super::publishing::Extras;
use super::{Connection, Subscription, publish};
use crate::error::Error;
use msglib_proto::{ChannelKind, ChannelName, Feature, Payload, PublishOptions, TopicSettings};

/// Publishes to a topic, and waits for no outcome: everybody whose filter matches gets the message, as many as there are.
/// [`Connection::publish_confirmed`] with [`ChannelKind::TOPIC`] asks for the outcome.
///
/// # Errors
///
/// As [`publish_to_q`](super::publish_to_q). A broker without topics closes the link, and [`Connection::take_refusals`] says so.
///
/// # Panics
///
/// For a text as name that is empty or above 255 bytes (see [`ChannelName`]).
pub fn publish_to_topic<'n, 'p>(
    connection: &Connection,
    topic: impl Into<ChannelName<'n>>,
    payload: impl Into<Payload<'p>>,
) -> Result<(), Error> {
    connection.publish(ChannelKind::TOPIC, topic, payload)
}

/// Publishes to a topic, as [`publish_to_topic`], and the topic keeps the message as its last value, which whoever subscribes later gets
/// first. An empty message takes away the one that is kept.
///
/// # Errors
///
/// As [`publish_to_topic`], and [`Error::NotAgreed`] if the broker has no topics.
///
/// # Panics
///
/// As [`publish_to_topic`].
pub fn publish_retained_to_topic<'n, 'p>(
    connection: &Connection,
    topic: impl Into<ChannelName<'n>>,
    payload: impl Into<Payload<'p>>,
) -> Result<(), Error> {
    let call = connection.call("publish");
    call.agree_on(Feature::Topics)?;
    let extras = Extras { retain: true, options: PublishOptions::default() };
    publish::publish(connection, &call, ChannelKind::TOPIC, topic.into(), payload.into(), false, Some(&extras))
        .map(drop)
}

/// Subscribes to the topics that match a filter: levels separated by `/`, of which `+` stands for any one and a last `#` for all further
/// ones. `prefetch` is as in [`subscribe_with_prefetch`](super::subscribe_with_prefetch).
///
/// [`Delivery::details`](super::Delivery::details) has the topic where the filter is more than one name,
/// [`Delivery::lost_before`](super::Delivery::lost_before) what was lost because this side was too slow. There is nothing to settle: an ack does
/// nothing.
///
/// ```no_run
/// # use msglib_client::{Connection, Error, TopicSettings, subscribe_to_topic};
/// # fn example(connection: &Connection) -> Result<(), Error> {
/// let mut readings = subscribe_to_topic(connection, "sensors/+/temperature", &TopicSettings::default(), 100)?;
/// let reading = readings.next()?;
/// println!("{:?}, {} lost", reading.details().and_then(|details| details.topic.clone()), reading.lost_before());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`Error::NotAgreed`] if the broker has no topics, [`Error::TooManyLinks`], and as every call: see [`Connection`]. Waits for the broker's
/// greeting, but not for its answer; if it refuses, the first `next` says so.
///
/// # Panics
///
/// As [`publish_to_topic`].
pub fn subscribe_to_topic<'n>(
    connection: &Connection,
    filter: impl Into<ChannelName<'n>>,
    settings: &TopicSettings,
    prefetch: u32,
) -> Result<Subscription, Error> {
    let call = connection.call("subscribe");
    call.agree_on(Feature::Topics)?;
    Subscription::open(connection, &call, ChannelKind::TOPIC, filter.into(), &settings.encode(), prefetch)
}
