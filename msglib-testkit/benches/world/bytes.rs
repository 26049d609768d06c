//! What peers say, as bytes that are made beforehand.

use super::PAYLOAD;
use msglib_proto::{ChannelKind, ChannelName, Feature, Frame, Hello, Open, Payload, SendQueue, encode};

pub(crate) fn bytes_of<'a>(frames: impl IntoIterator<Item = Frame<'a>>) -> Vec<u8> {
    let mut queue = SendQueue::new();
    for frame in frames {
        encode(&frame, &mut queue).expect("a well-formed frame");
    }
    queue.to_vec()
}

pub(crate) fn publish(number: u64) -> Frame<'static> {
    Frame::Publish { link: 1, number, confirm: true, payload: Payload::from(&[7; PAYLOAD]) }
}

pub(crate) fn ack(first: u64, last: u64) -> Frame<'static> {
    Frame::Ack { link: 1, first, last }
}

pub(crate) fn credit(upto: u64) -> Frame<'static> {
    Frame::Credit { link: 1, upto }
}

/// A greeting, and one link to the queue.
pub(crate) fn greeting(publishes: bool) -> Vec<u8> {
    greeting_and_open(0, ChannelKind::QUEUE, ChannelName::id(1), publishes)
}

/// A greeting, and one link to the topic.
pub(crate) fn subscribing(publishes: bool) -> Vec<u8> {
    greeting_and_open(Feature::Topics.bit(), ChannelKind::TOPIC, ChannelName::from("house/kitchen/heat"), publishes)
}

fn greeting_and_open(features: u64, kind: ChannelKind, name: ChannelName<'_>, publishes: bool) -> Vec<u8> {
    let hello = Hello {
        min_version: 1,
        max_version: 1,
        features,
        max_payload: 1 << 20,
        idle_ms: 0,
        name: "bench",
        mechanism: "",
        credentials: b"",
    };
    let open = Open { link: 1, publishes, consumes: !publishes, kind, name, arguments: b"" };
    bytes_of([Frame::Hello(hello), Frame::Open(open)])
}
