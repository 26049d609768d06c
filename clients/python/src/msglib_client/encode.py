"""From frames to their bytes: the one encoding that each has (PROTOCOL §2, §3)."""

from __future__ import annotations

import struct
from typing import Tuple

from . import decode
from .frames import (
    FIRST_USER_TYPE,
    HEADER_LENGTH,
    MAGIC,
    MAX_TEXT,
    Ack,
    Close,
    Closed,
    Confirmed,
    Credit,
    Delivery,
    Error,
    Frame,
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
    Welcome,
    type_of,
)

_HEADER = struct.Struct(">IHHI")


def encode(frame: Frame) -> bytes:
    """The one encoding of a frame. A text for people is cut to 1,024 bytes.

    Raises ``ValueError`` for a frame that no receiver may accept.
    """
    try:
        flags, link, body = _parts(frame)
        length = HEADER_LENGTH + len(body)
        encoded = _HEADER.pack(length, type_of(frame), flags, link) + body
    except struct.error as error:
        raise ValueError(f"a number in {frame!r} does not fit its field: {error}") from error
    _check_own(frame, encoded)
    return encoded


def _check_own(frame: Frame, encoded: bytes) -> None:
    # The payload frames are frequent and large; all that can be wrong with them is said here, without a copy.
    if isinstance(frame, Publish) and frame.number >= 1 and frame.link >= 1:
        return
    if isinstance(frame, User) and FIRST_USER_TYPE <= frame.kind <= 0xFFFF:
        return
    try:
        fits = type(decode.decode_one(encoded)) is type(frame)
    except decode.BrokenRule as broken:
        raise ValueError(f"{frame!r} breaks the protocol: {broken.rule}") from None
    if not fits:
        raise ValueError(f"0x{type_of(frame):04x} is not the type of a {type(frame).__name__}")


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_TEXT:
        return encoded
    return encoded[:MAX_TEXT].decode("utf-8", "ignore").encode("utf-8")


def _parts(frame: Frame) -> Tuple[int, int, bytes]:
    """Flags, link and body."""
    pack = struct.pack
    if isinstance(frame, Publish):
        return int(frame.confirm), frame.link, pack(">Q", frame.number) + frame.payload
    if isinstance(frame, Ack):
        return 0, frame.link, pack(">QQ", frame.first, frame.last)
    if isinstance(frame, (Credit, Confirmed)):
        return 0, frame.link, pack(">Q", frame.upto)
    if isinstance(frame, Refuse):
        return 0, frame.link, pack(">QQB", frame.first, frame.last, frame.verdict)
    if isinstance(frame, Delivery):
        return 0, frame.link, pack(">QI", frame.tag, frame.count) + frame.payload
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
    return frame.flags, frame.link, frame.body


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
    form, name = (0, struct.pack(">Q", frame.name)) if isinstance(frame.name, int) else (1, frame.name)
    flags = int(frame.publishes) | int(frame.consumes) << 1
    return flags, frame.link, struct.pack(">HBB", frame.kind, form, len(name)) + name + frame.arguments
