"""From frames to their bytes: the one encoding that each has (PROTOCOL §2, §3, §14)."""

from __future__ import annotations

import struct
from typing import List, Optional, Tuple, Union

from . import decode
from .body import BrokenRule
from .frames import (
    FIRST_USER_TYPE,
    HEADER_LENGTH,
    MAGIC,
    MAX_NAME,
    MAX_TEXT,
    Ack,
    Cause,
    Close,
    Closed,
    Confirmed,
    Credit,
    Delivery,
    DeliveryWith,
    Error,
    Frame,
    Gap,
    GoingAway,
    Goodbye,
    Hello,
    NoReply,
    Open,
    Opened,
    Ping,
    Pong,
    Producer,
    Publish,
    PublishWith,
    Refuse,
    Refused,
    Reply,
    Request,
    Settle,
    Settled,
    Settling,
    User,
    Welcome,
    type_of,
)

_HEADER = struct.Struct(">IHHI")


def encode(frame: Frame) -> bytes:
    """The one encoding of a frame. A text for people is cut to 1,024 bytes.

    Raises ``ValueError`` for a frame that no receiver may accept.
    """
    try:
        flags, link, fields = _parts(frame)
        payload = _payload(frame)
        kind = type_of(frame)
        encoded = _HEADER.pack(HEADER_LENGTH + len(fields) + len(payload), kind, flags, link) + fields + payload
        # A payload cannot be wrong, and may be large: it is left out of the check.
        checked = _HEADER.pack(HEADER_LENGTH + len(fields), kind, flags, link) + fields
    except (struct.error, OverflowError) as error:
        raise ValueError(f"a number in {_brief(frame)} does not fit its field: {error}") from error
    _check_own(frame, checked)
    return encoded


def _payload(frame: Frame) -> bytes:
    if isinstance(frame, (Publish, PublishWith, Delivery, DeliveryWith, Request, Reply)):
        return frame.payload
    return frame.body if isinstance(frame, User) else b""


def _check_own(frame: Frame, encoded: bytes) -> None:
    # These two are frequent, and all that can be wrong with them is said here.
    if isinstance(frame, Publish) and frame.number >= 1 and frame.link >= 1:
        return
    if isinstance(frame, User) and FIRST_USER_TYPE <= frame.kind <= 0xFFFF:
        return
    try:
        fits = type(decode.decode_one(encoded)) is type(frame)
    except BrokenRule as broken:
        raise ValueError(f"{_brief(frame)} breaks the protocol: {broken.rule}") from None
    if not fits:
        raise ValueError(f"0x{type_of(frame):04x} is not the type of a {type(frame).__name__}")


def _brief(frame: Frame) -> str:
    said = repr(frame)
    return said if len(said) <= 300 else f"{said[:300]}…"


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_TEXT:
        return encoded
    return encoded[:MAX_TEXT].decode("utf-8", "ignore").encode("utf-8")


def _parts(frame: Frame) -> Tuple[int, int, bytes]:
    """Flags, link, and the body but for its payload."""
    pack = struct.pack
    if isinstance(frame, Publish):
        return int(frame.confirm), frame.link, pack(">Q", frame.number)
    if isinstance(frame, Ack):
        return 0, frame.link, pack(">QQ", frame.first, frame.last)
    if isinstance(frame, (Credit, Confirmed)):
        return 0, frame.link, pack(">Q", frame.upto)
    if isinstance(frame, Refuse):
        return 0, frame.link, pack(">QQB", frame.first, frame.last, frame.verdict)
    if isinstance(frame, Delivery):
        return 0, frame.link, pack(">QI", frame.tag, frame.count)
    if isinstance(frame, (Ping, Pong)):
        return 0, 0, pack(">Q", frame.token)
    if isinstance(frame, Open):
        return _parts_of_open(frame)
    if isinstance(frame, (Opened, Close)):
        return 0, frame.link, b""
    if isinstance(frame, Closed):
        return 0, frame.link, pack(">H", frame.code) + _text(frame.text)
    if isinstance(frame, Refused):
        return 0, frame.link, pack(">QQH", frame.first, frame.last, frame.code) + _text(frame.text)
    if isinstance(frame, Hello):
        return 0, 0, _body_of_hello(frame)
    if isinstance(frame, Welcome):
        return 0, 0, _body_of_welcome(frame)
    if isinstance(frame, Goodbye):
        return 0, 0, pack(">H", frame.code) + _text(frame.text)
    if isinstance(frame, Error):
        return 0, 0, pack(">HQ", frame.code, frame.offset) + _text(frame.text)
    if isinstance(frame, User):
        return frame.flags, frame.link, b""
    return _parts_of_features(frame)


def _body_of_hello(frame: Hello) -> bytes:
    name = frame.name.encode("utf-8")
    mechanism = frame.mechanism.encode("utf-8")
    lengths = struct.pack(">BBH", len(name), len(mechanism), len(frame.credentials))
    fixed = struct.pack(
        ">HHQII", frame.min_version, frame.max_version, frame.features, frame.max_payload, frame.idle_ms
    )
    return MAGIC + fixed + lengths + name + mechanism + frame.credentials


def _body_of_welcome(frame: Welcome) -> bytes:
    name = frame.name.encode("utf-8")
    fixed = (frame.version, frame.features, frame.max_payload, frame.max_links, frame.idle_ms, len(name))
    return struct.pack(">HQIIIB", *fixed) + name


def _parts_of_open(frame: Open) -> Tuple[int, int, bytes]:
    flags = int(frame.publishes) | int(frame.consumes) << 1
    return flags, frame.link, struct.pack(">H", frame.kind) + _name(frame.name) + frame.arguments


def _name(name: Union[int, bytes]) -> bytes:
    """name_form, name_length and name."""
    form, encoded = (0, struct.pack(">Q", name)) if isinstance(name, int) else (1, name)
    return struct.pack(">BB", form, len(encoded)) + encoded


# -- the frames of the features ------------------------------------------------------------------------------------

_FeatureFrame = Union[GoingAway, PublishWith, Producer, DeliveryWith, Settle, Settled, Gap, Request, Reply, NoReply]


def _parts_of_features(frame: _FeatureFrame) -> Tuple[int, int, bytes]:
    pack = struct.pack
    if isinstance(frame, GoingAway):
        return 0, 0, pack(">I", frame.deadline_ms)
    if isinstance(frame, PublishWith):
        return int(frame.confirm) | int(frame.retain) << 1, frame.link, _fields_of_publish_with(frame)
    if isinstance(frame, Producer):
        return 0, frame.link, frame.id.to_bytes(16, "big") + pack(">Q", frame.base)
    if isinstance(frame, DeliveryWith):
        return int(frame.retained), frame.link, _fields_of_delivery_with(frame)
    if isinstance(frame, Settle):
        return int(frame.confirm), frame.link, _body_of_settle(frame)
    if isinstance(frame, Settled):
        return 0, frame.link, pack(">QQQ", frame.first, frame.last, frame.count)
    if isinstance(frame, Gap):
        return 0, frame.link, pack(">Q", frame.lost)
    if isinstance(frame, Request):
        return 0, frame.link, pack(">QI", frame.number, frame.deadline_ms)
    if isinstance(frame, Reply):
        return 0, frame.link, pack(">Q", frame.number)
    return 0, frame.link, pack(">QH", frame.number, frame.code) + _text(frame.text)


def _fields_of_publish_with(frame: PublishWith) -> bytes:
    fields = [
        _number(">Q", frame.delay_ms),
        _number(">Q", frame.ttl_ms),
        _number(">B", frame.priority),
        _short_bytes("key", frame.key),
        _short_bytes("topic", frame.topic),
    ]
    return struct.pack(">Q", frame.number) + _optional(fields)


def _fields_of_delivery_with(frame: DeliveryWith) -> bytes:
    fields = [
        _number(">Q", frame.id),
        _number(">B", frame.priority),
        _short_bytes("key", frame.key),
        _short_bytes("topic", frame.topic),
        _cause(frame.cause),
    ]
    return struct.pack(">QI", frame.tag, frame.count) + _optional(fields)


def _cause(cause: Optional[Cause]) -> Optional[bytes]:
    if cause is None:
        return None
    fixed = struct.pack(">HIBQ", cause.reason, cause.count, cause.hops, cause.first_ms)
    return fixed + _name(cause.source)


def _body_of_settle(frame: Settle) -> bytes:
    fixed = struct.pack(">QQB", frame.first, frame.last, frame.settling)
    if frame.settling is not Settling.AGAIN and (frame.delay_ms is not None or frame.priority is not None):
        raise ValueError("a delay and a priority belong to a message that is delivered again")
    if (frame.settling is Settling.EXTEND) != (frame.lease_ms is not None):
        raise ValueError("a lease belongs to a message that is not settled, which must have one")
    if frame.settling is Settling.AGAIN:
        return fixed + _optional([_number(">Q", frame.delay_ms), _number(">B", frame.priority)])
    return fixed if frame.lease_ms is None else fixed + struct.pack(">Q", frame.lease_ms)


def _optional(fields: List[Optional[bytes]]) -> bytes:
    """The field set, and those of the optional fields that are there (§14.3)."""
    present = sum(1 << at for at, field in enumerate(fields) if field is not None)
    return struct.pack(">H", present) + b"".join(field for field in fields if field is not None)


def _number(layout: str, value: Optional[int]) -> Optional[bytes]:
    return None if value is None else struct.pack(layout, value)


def _short_bytes(name: str, value: Optional[bytes]) -> Optional[bytes]:
    if value is None:
        return None
    if not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"a {name} must have 1 to {MAX_NAME} bytes, this one has {len(value)}")
    return bytes((len(value),)) + value
