"""From bytes to frames, strictly: each has one encoding, all else is an error with its place (PROTOCOL §2, §3)."""

from __future__ import annotations

import struct
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

from .errors import Code, ProtocolError
from .frames import (
    DEFAULT_MAX_PAYLOAD,
    FIRST_USER_TYPE,
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

_HEADER = struct.Struct(">IHHI")
_LONGEST_FRAME = 2**32 - 1


class Located(NamedTuple):
    """A frame and where its first byte was in its sender's stream."""

    offset: int
    frame: Frame


class Decoder:
    """Turns a peer's bytes into frames, however they were cut on their way.

    The first broken rule is final: it is kept in :attr:`error`, and whatever follows is not looked at.
    """

    def __init__(self, max_payload: int = DEFAULT_MAX_PAYLOAD) -> None:
        """``max_payload`` is the largest payload, in bytes, that this side has said it takes."""
        self.error: Optional[ProtocolError] = None
        """The rule that the peer broke, if it did. Frames before that have been returned."""
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._offset = 0
        self._header: Optional[_Header] = None

    @property
    def offset(self) -> int:
        """Where the next frame begins in the peer's stream, in bytes."""
        return self._offset

    def feed(self, data: bytes) -> List[Frame]:
        """Takes the next bytes and returns the frames that are now whole, oldest first; sets :attr:`error`."""
        return [located.frame for located in self.feed_located(data)]

    def feed_located(self, data: bytes) -> List[Located]:
        """As :meth:`feed`, with the place of each frame."""
        found: List[Located] = []
        if self.error is not None:
            return found
        self._buffer += data
        start = 0
        try:
            while True:
                end = self._whole_frame(start)
                if end is None:
                    break
                found.append(self._take(start, end))
                start = end
        except BrokenRule as broken:
            self.error = ProtocolError(broken.code, self._offset + broken.at, broken.rule)
            self._buffer.clear()
            return found
        del self._buffer[:start]
        return found

    def _whole_frame(self, start: int) -> Optional[int]:
        if self._header is None:
            if len(self._buffer) - start < HEADER_LENGTH:
                return None
            self._header = check_header(self._buffer, start, self._max_payload)
        end = start + self._header.length
        return end if end <= len(self._buffer) else None

    def _take(self, start: int, end: int) -> Located:
        header = self._header
        assert header is not None
        located = Located(
            self._offset, header.shape.read(BodyReader(header, bytes(memoryview(self._buffer)[start:end])))
        )
        self._offset += header.length
        self._header = None
        return located


def decode_one(frame: bytes) -> Frame:
    """The frame that these bytes are, whatever its payload's size; raises :class:`BrokenRule`."""
    header = check_header(frame, 0, _LONGEST_FRAME)
    require(header.length == len(frame), 0, "the length must be that of the frame")
    return header.shape.read(BodyReader(header, frame))


class BrokenRule(Exception):
    """A rule was broken ``at`` bytes behind the frame's first."""

    def __init__(self, code: Code, at: int, rule: str) -> None:
        super().__init__(code, at, rule)
        self.code = code
        self.at = at
        self.rule = rule


class _Header(NamedTuple):
    length: int
    kind: int
    flags: int
    link: int
    shape: "_Shape"


class BodyReader:
    """Reads the fields of one whole frame in their order."""

    def __init__(self, header: _Header, frame: bytes) -> None:
        self._header = header
        self._frame = frame
        self._at = HEADER_LENGTH

    @property
    def kind(self) -> int:
        """The number in the type field."""
        return self._header.kind

    @property
    def flags(self) -> int:
        """The flags field."""
        return self._header.flags

    @property
    def link(self) -> int:
        """The link field."""
        return self._header.link

    @property
    def at(self) -> int:
        """The next field's place, in bytes behind the frame's first."""
        return self._at

    @property
    def left(self) -> int:
        """How many bytes are left of the frame."""
        return len(self._frame) - self._at

    def number(self, size: int) -> int:
        """An unsigned integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "big")

    def positive(self, size: int, name: str) -> int:
        """An integer that must be 1 or more."""
        at = self._at
        value = self.number(size)
        require(value >= 1, at, f"{name} must be at least 1")
        return value

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        self._at += size
        return self._frame[self._at - size : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.left)

    def text(self, size: int) -> str:
        """The next ``size`` bytes, which must be UTF-8."""
        at = self._at
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BrokenRule(Code.BAD_FIELD, at + error.start, "a text must be UTF-8") from None

    def first_and_last(self) -> Tuple[int, int]:
        """The fields first and last."""
        first = self.positive(8, "first")
        at = self._at
        last = self.number(8)
        require(last >= first, at, "last must not be below first")
        return first, last


def require(holds: bool, at: int, rule: str) -> None:
    """Breaks off with BAD_FIELD at a place in the frame unless the rule holds."""
    if not holds:
        raise BrokenRule(Code.BAD_FIELD, at, rule)


def check_header(buffer: Union[bytes, bytearray], start: int, max_payload: int) -> _Header:
    """What the header at ``start`` says, checked in the order of §2.6."""
    length, kind, flags, link = _HEADER.unpack_from(buffer, start)
    if length < HEADER_LENGTH:
        raise BrokenRule(Code.FRAME_LENGTH, 0, f"a frame of {length} bytes is shorter than its header")
    shape = _SHAPES.get(FIRST_USER_TYPE if kind >= FIRST_USER_TYPE else kind)
    if shape is None:
        raise BrokenRule(Code.UNKNOWN_TYPE, 4, f"there is no frame type 0x{kind:04x}")
    if flags & ~shape.flags:
        raise BrokenRule(Code.RESERVED_FLAG, 6, f"the flags 0x{flags & ~shape.flags:04x} must be zero here")
    if shape.has_link is not None:
        wanted = "at least 1 in a frame of a link" if shape.has_link else "0 in a frame of the connection"
        require((link != 0) == shape.has_link, 8, f"the link must be {wanted}")
    if length < shape.shortest or (shape.longest is not None and length > shape.longest):
        raise BrokenRule(Code.FRAME_LENGTH, 0, f"a frame of type 0x{kind:04x} cannot have {length} bytes")
    if shape.longest is None and length > shape.shortest + max_payload:
        raise BrokenRule(Code.FRAME_TOO_LARGE, 0, f"a payload may have at most {max_payload} bytes")
    return _Header(length, kind, flags, link, shape)


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
    at = body.at
    form = body.number(1)
    require(form <= 1, at, "name_form must be 0 (an id) or 1 (bytes)")
    at = body.at
    length = body.number(1)
    require(length == 8 if form == 0 else length >= 1, at, "an id has 8 bytes, another name 1 to 255")
    require(length <= body.left, at, "the name must not be cut off")
    encoded = body.take(length)
    require(body.left <= MAX_ARGUMENTS, body.at, f"arguments may have at most {MAX_ARGUMENTS} bytes")
    name = int.from_bytes(encoded, "big") if form == 0 else encoded
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


class _Shape(NamedTuple):
    """What can be said of a type by its header, and how its body is read."""

    type: FrameType
    has_link: Optional[bool]
    flags: int
    shortest: int
    longest: Optional[int]  # None: the shortest and the payload
    read: Callable[[BodyReader], Frame]


def _shape(
    kind: FrameType, has_link: bool, fixed: int, variable: int, read: Callable[[BodyReader], Frame], flags: int = 0
) -> _Shape:
    shortest = HEADER_LENGTH + fixed
    return _Shape(kind, has_link, flags, shortest, shortest + variable, read)


_SHAPES: Dict[int, _Shape] = {
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
        _Shape(FrameType.PUBLISH, True, 1, 20, None, _read_publish),
        _shape(FrameType.CONFIRMED, True, 8, 0, lambda b: Confirmed(b.link, b.positive(8, "upto"))),
        _shape(FrameType.REFUSED, True, 18, MAX_TEXT, _read_refused),
        _Shape(FrameType.DELIVERY, True, 0, 24, None, _read_delivery),
        _shape(FrameType.ACK, True, 16, 0, lambda b: Ack(b.link, *b.first_and_last())),
        _shape(FrameType.REFUSE, True, 17, 0, _read_refuse),
        _Shape(FrameType.USER, None, 0xFFFF, 12, None, lambda b: User(b.kind, b.flags, b.link, b.rest())),
    )
}
