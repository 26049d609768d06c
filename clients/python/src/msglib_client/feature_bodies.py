"""Reads the bodies of the features' frames (PROTOCOL §14.2, §14.3, §15.4)."""

from __future__ import annotations

from typing import Optional

from .body import BodyReader, require
from .errors import Code
from .frames import (
    Cause,
    DeliveryWith,
    Frame,
    NoReply,
    Producer,
    PublishWith,
    Reply,
    Request,
    Settle,
    Settled,
    Settling,
)


def read_publish_with(body: BodyReader) -> Frame:
    """PUBLISH_WITH."""
    number = body.positive(8, "number")
    at = body.at
    present = body.field_set(5)
    retain = bool(body.flags & 2)
    require(present != 0 or retain, at, "a PUBLISH_WITH must say something that a PUBLISH cannot")
    delay_ms = body.field(8, "delay_ms") if present & 1 else None
    ttl_ms = body.field(8, "ttl_ms") if present & 2 else None
    priority = body.field(1, "priority") if present & 4 else None
    key = body.short_bytes("key") if present & 8 else None
    topic = body.short_bytes("topic") if present & 16 else None
    confirm = bool(body.flags & 1)
    return PublishWith(body.link, number, body.payload(), confirm, retain, delay_ms, ttl_ms, priority, key, topic)


def read_delivery_with(body: BodyReader) -> Frame:
    """DELIVERY_WITH."""
    tag, count = body.positive(8, "tag"), body.positive(4, "count")
    at = body.at
    present = body.field_set(5)
    retained = bool(body.flags & 1)
    require(present != 0 or retained, at, "a DELIVERY_WITH must say something that a DELIVERY cannot")
    message_id = body.field(8, "id") if present & 1 else None
    priority = body.field(1, "priority") if present & 2 else None
    key = body.short_bytes("key") if present & 4 else None
    topic = body.short_bytes("topic") if present & 8 else None
    cause = _read_cause(body) if present & 16 else None
    return DeliveryWith(body.link, tag, count, body.payload(), retained, message_id, priority, key, topic, cause)


def _read_cause(body: BodyReader) -> Cause:
    # What comes before the name has a fixed length, and is there or is not.
    body.require_left(17, "cause")
    reason, count = Code(body.number(2)), body.positive(4, "count")
    hops, first_ms = body.number(1), body.number(8)
    return Cause(reason, count, hops, first_ms, body.name())


def read_producer(body: BodyReader) -> Frame:
    """PRODUCER."""
    at = body.at
    producer_id = body.number(16)
    require(producer_id != 0, at, "a producer's id must not be 0")
    return Producer(body.link, producer_id, body.number(8))


def read_settle(body: BodyReader) -> Frame:
    """SETTLE."""
    first, last = body.first_and_last()
    at = body.at
    settling = body.number(1)
    require(settling <= max(Settling), at, f"settling must be 0 to {max(Settling):d}")
    delay_ms: Optional[int] = None
    priority: Optional[int] = None
    lease_ms: Optional[int] = None
    if settling == Settling.AGAIN:
        present = body.field_set(2)
        delay_ms = body.field(8, "delay_ms") if present & 1 else None
        priority = body.field(1, "priority") if present & 2 else None
    elif settling == Settling.EXTEND:
        lease_ms = body.field(8, "lease_ms")
    body.end()
    return Settle(body.link, first, last, Settling(settling), bool(body.flags & 1), delay_ms, priority, lease_ms)


def read_settled(body: BodyReader) -> Frame:
    """SETTLED."""
    first, last = body.first_and_last()
    return Settled(body.link, first, last, body.number(8))


def read_request(body: BodyReader) -> Frame:
    """REQUEST."""
    number = body.positive(8, "number")
    return Request(body.link, number, body.number(4), body.rest())


def read_reply(body: BodyReader) -> Frame:
    """REPLY."""
    return Reply(body.link, body.positive(8, "number"), body.rest())


def read_no_reply(body: BodyReader) -> Frame:
    """NO_REPLY."""
    number = body.positive(8, "number")
    return NoReply(body.link, number, Code(body.number(2)), body.text(body.left))
