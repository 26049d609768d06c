"""What each type of frame looks like: its flags, its lengths, its body (PROTOCOL §3, §14.2)."""

from __future__ import annotations

from typing import Callable, Dict, NamedTuple, Optional

from .body import BodyReader, BrokenRule, require
from .errors import Code
from .feature_bodies import (
    read_delivery_with,
    read_no_reply,
    read_producer,
    read_publish_with,
    read_reply,
    read_request,
    read_settle,
    read_settled,
)
from .frames import (
    FEATURES,
    HEADER_LENGTH,
    MAGIC,
    MAX_ARGUMENTS,
    MAX_HELLO,
    MAX_NAME,
    MAX_TEXT,
    Ack,
    Close,
    Closed,
    Confirmed,
    Credit,
    Delivery,
    Error,
    Frame,
    FrameType,
    Gap,
    GoingAway,
    Goodbye,
    Hello,
    Open,
    Opened,
    Ping,
    Pong,
    Publish,
    Refuse,
    Refused,
    User,
    Verdict,
    Welcome,
)


class Shape(NamedTuple):
    """What can be said of a type by its header, and how its body is read."""

    type: FrameType
    has_link: Optional[bool]
    """``None`` where any value may stand in the link field."""
    flags: int
    shortest: int
    """The least length, in bytes."""
    variable: int
    """How many bytes more there may be, but for the payload."""
    has_payload: bool
    read: Callable[[BodyReader], Frame]

    @property
    def features(self) -> int:
        """The features of which one must have been agreed on; 0 if none is needed."""
        return FEATURES.get(self.type, 0)


def _read_hello(body: BodyReader) -> Frame:
    at = body.at
    if body.take(4) != MAGIC:
        raise BrokenRule(Code.BAD_MAGIC, at, "HELLO must start with MSGL; is the peer a msglib client?")
    at = body.at
    versions = body.number(2), body.number(2)
    require(1 <= versions[0] <= versions[1], at, "the versions must be a range that starts at 1 or later")
    features, max_payload, idle_ms = body.number(8), body.number(4), body.number(4)
    at = body.at
    lengths = body.number(1), body.number(1), body.number(2)
    require(sum(lengths) == body.left, at, "name, mechanism and credentials must fill the frame")
    name, mechanism, credentials = body.text(lengths[0]), body.text(lengths[1]), body.take(lengths[2])
    return Hello(versions[0], versions[1], features, max_payload, idle_ms, name, mechanism, credentials)


def _read_welcome(body: BodyReader) -> Frame:
    version = body.positive(2, "version")
    features, max_payload, max_links, idle_ms = body.number(8), body.number(4), body.number(4), body.number(4)
    at = body.at
    length = body.number(1)
    require(length == body.left, at, "the name must fill the frame")
    return Welcome(version, features, max_payload, max_links, idle_ms, body.text(length))


def _read_open(body: BodyReader) -> Frame:
    require(body.flags != 0, 6, "a link must publish, consume or do both")
    kind = body.positive(2, "kind")
    name = body.name()
    require(body.left <= MAX_ARGUMENTS, body.at, f"arguments may have at most {MAX_ARGUMENTS} bytes")
    return Open(body.link, name, bool(body.flags & 1), bool(body.flags & 2), kind, body.rest())


def _read_refuse(body: BodyReader) -> Frame:
    first, last = body.first_and_last()
    at = body.at
    verdict = body.number(1)
    require(verdict <= 1, at, "the verdict must be 0 (again) or 1 (for good)")
    return Refuse(body.link, first, last, Verdict(verdict))


def _read_refused(body: BodyReader) -> Frame:
    first, last = body.first_and_last()
    return Refused(body.link, first, last, Code(body.number(2)), body.text(body.left))


def _read_error(body: BodyReader) -> Frame:
    return Error(Code(body.number(2)), body.number(8), body.text(body.left))


def _read_delivery(body: BodyReader) -> Frame:
    tag = body.positive(8, "tag")
    return Delivery(body.link, tag, body.positive(4, "count"), body.rest())


def _read_publish(body: BodyReader) -> Frame:
    return Publish(body.link, body.positive(8, "number"), body.rest(), bool(body.flags & 1))


def _shape(
    kind: FrameType, has_link: bool, fixed: int, variable: int, read: Callable[[BodyReader], Frame], flags: int = 0
) -> Shape:
    return Shape(kind, has_link, flags, HEADER_LENGTH + fixed, variable, False, read)


def _with_payload(
    kind: FrameType, fixed: int, variable: int, read: Callable[[BodyReader], Frame], flags: int = 0
) -> Shape:
    return Shape(kind, True, flags, HEADER_LENGTH + fixed, variable, True, read)


# The most that the optional fields take: a key or topic has its length before it, a cause 17 bytes before the name.
_PUBLISH_FIELDS = 8 + 8 + 1 + 2 * (1 + MAX_NAME)
_DELIVERY_FIELDS = 8 + 1 + 2 * (1 + MAX_NAME) + 17 + MAX_NAME

SHAPES: Dict[int, Shape] = {
    int(shape.type): shape
    for shape in (
        _shape(FrameType.HELLO, False, 28, MAX_HELLO - HEADER_LENGTH - 28, _read_hello),
        _shape(FrameType.WELCOME, False, 23, MAX_NAME, _read_welcome),
        _shape(FrameType.GOODBYE, False, 2, MAX_TEXT, lambda b: Goodbye(Code(b.number(2)), b.text(b.left))),
        _shape(FrameType.ERROR, False, 10, MAX_TEXT, _read_error),
        _shape(FrameType.PING, False, 8, 0, lambda b: Ping(b.number(8))),
        _shape(FrameType.PONG, False, 8, 0, lambda b: Pong(b.number(8))),
        # A name has at least one byte.
        _shape(FrameType.OPEN, True, 5, MAX_NAME - 1 + MAX_ARGUMENTS, _read_open, flags=3),
        _shape(FrameType.OPENED, True, 0, 0, lambda b: Opened(b.link)),
        _shape(FrameType.CLOSE, True, 0, 0, lambda b: Close(b.link)),
        _shape(FrameType.CLOSED, True, 2, MAX_TEXT, lambda b: Closed(b.link, Code(b.number(2)), b.text(b.left))),
        _shape(FrameType.CREDIT, True, 8, 0, lambda b: Credit(b.link, b.number(8))),
        _with_payload(FrameType.PUBLISH, 8, 0, _read_publish, flags=1),
        _shape(FrameType.CONFIRMED, True, 8, 0, lambda b: Confirmed(b.link, b.positive(8, "upto"))),
        _shape(FrameType.REFUSED, True, 18, MAX_TEXT, _read_refused),
        _with_payload(FrameType.DELIVERY, 12, 0, _read_delivery),
        _shape(FrameType.ACK, True, 16, 0, lambda b: Ack(b.link, *b.first_and_last())),
        _shape(FrameType.REFUSE, True, 17, 0, _read_refuse),
        _shape(FrameType.GOING_AWAY, False, 4, 0, lambda b: GoingAway(b.number(4))),
        _with_payload(FrameType.PUBLISH_WITH, 10, _PUBLISH_FIELDS, read_publish_with, flags=3),
        _shape(FrameType.PRODUCER, True, 24, 0, read_producer),
        _with_payload(FrameType.DELIVERY_WITH, 14, _DELIVERY_FIELDS, read_delivery_with, flags=1),
        _shape(FrameType.SETTLE, True, 17, 11, read_settle, flags=1),
        _shape(FrameType.SETTLED, True, 24, 0, read_settled),
        _shape(FrameType.GAP, True, 8, 0, lambda b: Gap(b.link, b.positive(8, "lost"))),
        _with_payload(FrameType.REQUEST, 12, 0, read_request),
        _with_payload(FrameType.REPLY, 8, 0, read_reply),
        _shape(FrameType.NO_REPLY, True, 10, MAX_TEXT, read_no_reply),
        Shape(FrameType.USER, None, 0xFFFF, 12, 0, True, lambda b: User(b.kind, b.flags, b.link, b.rest())),
    )
}
"""The shape of each type, by its number; ``USER`` stands for its whole range."""
