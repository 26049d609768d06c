//! Any valid frame with optional fields (PROTOCOL §14.3, §15.4).

use super::OwnedFrame;
use super::frame::{any_u64, at_least_one, channels, codes, links, numbers, owned, payloads, ranges};
use msglib_proto::{Cause, DeliveryOptions, Frame, Payload, PublishOptions, Settling};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub(super) fn publishes() -> BoxedStrategy<OwnedFrame> {
    let fields = (option::of(any_u64()), option::of(any_u64()), option::of(any::<u8>()), words(), words());
    let parts = (links(), numbers(), any::<bool>(), any::<bool>(), fields, payloads());
    owned(parts, |(link, number, confirm, retain, (delay_ms, ttl_ms, priority, key, topic), payload)| {
        let (delay_ms, ttl_ms, priority) = (*delay_ms, *ttl_ms, *priority);
        let options = PublishOptions { delay_ms, ttl_ms, priority, key: key.as_deref(), topic: topic.as_deref() };
        // With nothing to be said there is a plain frame for it.
        let retain = *retain || options.is_empty();
        let (link, number, confirm, payload) = (*link, *number, *confirm, Payload::from(payload));
        Frame::PublishWith { link, number, confirm, retain, options, payload }
    })
}

pub(super) fn deliveries() -> BoxedStrategy<OwnedFrame> {
    let cause = (codes(), at_least_one(), any::<u8>(), any_u64(), channels());
    let fields = (option::of(any_u64()), option::of(any::<u8>()), words(), words(), option::of(cause));
    let parts = (links(), numbers(), at_least_one(), any::<bool>(), fields, payloads());
    owned(parts, |(link, tag, count, retained, (id, priority, key, topic, cause), payload)| {
        let cause = cause.as_ref().map(|(reason, count, hops, first_ms, source)| {
            let (reason, count, hops, first_ms) = (*reason, *count, *hops, *first_ms);
            Cause { reason, count, hops, first_ms, source: source.borrow() }
        });
        let (key, topic) = (key.as_deref(), topic.as_deref());
        let options = DeliveryOptions { id: *id, priority: *priority, key, topic, cause };
        let retained = *retained || options.is_empty();
        let (link, tag, count, payload) = (*link, *tag, *count, Payload::from(payload));
        Frame::DeliveryWith { link, tag, count, retained, options, payload }
    })
}

pub(super) fn settles() -> BoxedStrategy<OwnedFrame> {
    let again = (option::of(any_u64()), option::of(any::<u8>()))
        .prop_map(|(delay_ms, priority)| Settling::Again { delay_ms, priority });
    let extend = any_u64().prop_map(|lease_ms| Settling::Extend { lease_ms });
    let settling = prop_oneof![Just(Settling::Ack), again, Just(Settling::ForGood), extend];
    owned((links(), ranges(), any::<bool>(), settling), |(link, (first, last), confirm, settling)| Frame::Settle {
        link: *link,
        first: *first,
        last: *last,
        confirm: *confirm,
        settling: *settling,
    })
}

/// Keys and topics: 1 to 255 bytes.
fn words() -> impl Strategy<Value = Option<Vec<u8>>> + Clone {
    option::of(prop_oneof![vec(any::<u8>(), 1..20), Just(vec![b'k']), Just(vec![0xFF; 255])])
}
