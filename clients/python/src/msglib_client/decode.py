"""From bytes to frames, strictly: each has one encoding, all else is an error with its place (PROTOCOL §2, §3, §14)."""

from __future__ import annotations

import struct
from typing import List, NamedTuple, Optional, Tuple, Union

from .body import BodyReader, BrokenRule, Header, require
from .errors import Code, ProtocolError
from .features import ALL_FEATURES
from .frames import DEFAULT_MAX_PAYLOAD, FIRST_USER_TYPE, HEADER_LENGTH, Frame
from .shapes import SHAPES, Shape

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

    def __init__(self, max_payload: int = DEFAULT_MAX_PAYLOAD, features: int = 0) -> None:
        """``max_payload`` is the largest payload, in bytes, that this side has said it takes."""
        self.error: Optional[ProtocolError] = None
        """The rule that the peer broke, if it did. Frames before that have been returned."""
        self.features = features
        """The features that were agreed on: no other's frames are known. May be set between two frames (§12.1)."""
        self._max_payload = max_payload
        self._buffer = bytearray()
        self._start = 0
        self._offset = 0
        self._header: Optional[Tuple[Header, Shape]] = None

    @property
    def offset(self) -> int:
        """Where the next frame begins in the peer's stream, in bytes."""
        return self._offset

    def feed(self, data: bytes) -> List[Frame]:
        """Takes the next bytes and returns the frames that are now whole, oldest first; sets :attr:`error`."""
        self.push(data)
        found: List[Frame] = []
        while True:
            located = self.next_located()
            if located is None:
                return found
            found.append(located.frame)

    def push(self, data: bytes) -> None:
        """Takes the next bytes, for :meth:`next_located`."""
        if self.error is None:
            del self._buffer[: self._start]
            self._start = 0
            self._buffer += data

    def next_located(self) -> Optional[Located]:
        """The next frame, with its place; ``None`` if it is not whole yet, or breaks a rule: sets :attr:`error`."""
        if self.error is not None:
            return None
        try:
            return self._next()
        except BrokenRule as broken:
            self.error = ProtocolError(broken.code, self._offset + broken.at, broken.rule)
            self._buffer.clear()
            return None

    def _next(self) -> Optional[Located]:
        if self._header is None:
            if len(self._buffer) - self._start < HEADER_LENGTH:
                return None
            self._header = check_header(self._buffer, self._start, self._max_payload, self.features)
        header, shape = self._header
        end = self._start + header.length
        if end > len(self._buffer):
            return None
        frame = shape.read(BodyReader(header, bytes(memoryview(self._buffer)[self._start : end])))
        located = Located(self._offset, frame)
        self._start = end
        self._offset += header.length
        self._header = None
        return located


def decode_one(frame: bytes) -> Frame:
    """The frame that these bytes are, whatever its payload's size; raises :class:`~.body.BrokenRule`."""
    header, shape = check_header(frame, 0, _LONGEST_FRAME, ALL_FEATURES)
    require(header.length == len(frame), 0, "the length must be that of the frame")
    return shape.read(BodyReader(header, frame))


def check_header(buffer: Union[bytes, bytearray], start: int, max_payload: int, features: int) -> Tuple[Header, Shape]:
    """What the header at ``start`` says, checked in the order of §2.6."""
    length, kind, flags, link = _HEADER.unpack_from(buffer, start)
    if length < HEADER_LENGTH:
        raise BrokenRule(Code.FRAME_LENGTH, 0, f"a frame of {length} bytes is shorter than its header")
    shape = SHAPES.get(FIRST_USER_TYPE if kind >= FIRST_USER_TYPE else kind)
    if shape is None:
        raise BrokenRule(Code.UNKNOWN_TYPE, 4, f"there is no frame type 0x{kind:04x}")
    if shape.features and not shape.features & features:
        raise BrokenRule(Code.UNKNOWN_TYPE, 4, f"{shape.type.name} belongs to a feature that was not agreed on")
    if flags & ~shape.flags:
        raise BrokenRule(Code.RESERVED_FLAG, 6, f"the flags 0x{flags & ~shape.flags:04x} must be zero here")
    if shape.has_link is not None:
        wanted = "at least 1 in a frame of a link" if shape.has_link else "0 in a frame of the connection"
        require((link != 0) == shape.has_link, 8, f"the link must be {wanted}")
    longest = shape.shortest + shape.variable
    if length < shape.shortest or (not shape.has_payload and length > longest):
        raise BrokenRule(Code.FRAME_LENGTH, 0, f"a frame of type 0x{kind:04x} cannot have {length} bytes")
    if shape.has_payload and length > longest + max_payload:
        raise BrokenRule(Code.FRAME_TOO_LARGE, 0, f"a payload may have at most {max_payload} bytes")
    return Header(length, kind, flags, link, max_payload), shape
