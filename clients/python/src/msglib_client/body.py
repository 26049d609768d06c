"""Reads the fields of a frame's body, and says where the first one is that breaks a rule (PROTOCOL §3, §14.3)."""

from __future__ import annotations

from typing import NamedTuple, Tuple, Union

from .errors import Code
from .frames import HEADER_LENGTH, MAX_NAME


class BrokenRule(Exception):
    """A rule was broken ``at`` bytes behind the frame's first."""

    def __init__(self, code: Code, at: int, rule: str) -> None:
        super().__init__(code, at, rule)
        self.code = code
        self.at = at
        self.rule = rule


def require(holds: bool, at: int, rule: str) -> None:
    """Breaks off with BAD_FIELD at a place in the frame unless the rule holds."""
    if not holds:
        raise BrokenRule(Code.BAD_FIELD, at, rule)


class Header(NamedTuple):
    """What a header says, and the largest payload that may follow it."""

    length: int
    kind: int
    flags: int
    link: int
    max_payload: int


class BodyReader:
    """Reads the fields of one whole frame in their order."""

    def __init__(self, header: Header, frame: bytes) -> None:
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

    def name(self) -> Union[int, bytes]:
        """The fields name_form, name_length and name."""
        at = self._at
        form = self.number(1)
        require(form <= 1, at, "name_form must be 0 (an id) or 1 (bytes)")
        at = self._at
        length = self.number(1)
        require(length == 8 if form == 0 else length >= 1, at, "an id has 8 bytes, another name 1 to 255")
        require(length <= self.left, at, "the name must not be cut off")
        encoded = self.take(length)
        return int.from_bytes(encoded, "big") if form == 0 else encoded

    # -- optional fields (§14.3) -----------------------------------------------------------------------------------

    def field_set(self, size: int) -> int:
        """The field set, of which ``size`` bits are known."""
        at = self._at
        present = self.field(2, "set")
        require(present >> size == 0, at, f"the bits 0x{present >> size << size:04x} of set must be zero")
        return present

    def field(self, size: int, name: str) -> int:
        """An integer that a frame may be too short for."""
        self.require_left(size, name)
        return self.number(size)

    def short_bytes(self, name: str) -> bytes:
        """A length of one byte, and 1 to 255 bytes."""
        at = self._at
        length = self.field(1, name)
        require(length >= 1, at, f"{name} must have 1 to {MAX_NAME} bytes")
        self.require_left(length, name)
        return self.take(length)

    def require_left(self, size: int, name: str) -> None:
        """Requires that so many bytes are left."""
        require(self.left >= size, self._at, f"{name} must not be cut off")

    def payload(self) -> bytes:
        """All that is left, whose size the header could not tell."""
        most = self._header.max_payload
        if self.left > most:
            raise BrokenRule(Code.FRAME_TOO_LARGE, 0, f"a payload may have at most {most} bytes")
        return self.rest()

    def end(self) -> None:
        """Requires that nothing is left."""
        require(self.left == 0, self._at, "nothing may follow here")
