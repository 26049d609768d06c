"""What can go wrong, and the codes with which a broker says so."""

from __future__ import annotations

import enum
from typing import Optional

from . import features


class Code(enum.IntEnum):
    """The codes of ERROR, GOODBYE, CLOSED, REFUSED and NO_REPLY, and of a dead letter's cause.

    A number that is not listed is kept: ``Code(0x9001)`` is a member of its own, equal to ``0x9001``.
    """

    NONE = 0x0000
    FRAME_LENGTH = 0x0101
    FRAME_TOO_LARGE = 0x0102
    UNKNOWN_TYPE = 0x0103
    RESERVED_FLAG = 0x0104
    BAD_FIELD = 0x0105
    BAD_MAGIC = 0x0106
    NO_COMMON_VERSION = 0x0107
    UNEXPECTED_FRAME = 0x0108
    BAD_LINK = 0x0109
    CREDIT = 0x010A
    BAD_NUMBER = 0x010B
    HANDSHAKE_TIMEOUT = 0x010C
    IDLE_TIMEOUT = 0x010D
    BAD_CREDENTIALS = 0x0201
    TOO_MANY_CONNECTIONS = 0x0202
    SHUTTING_DOWN = 0x0203
    TOO_SLOW = 0x0204
    UNKNOWN_KIND = 0x0301
    NOT_ALLOWED = 0x0302
    TOO_MANY_LINKS = 0x0303
    BAD_ARGUMENTS = 0x0304
    CHANNEL_DELETED = 0x0305
    TOO_MANY_CHANNELS = 0x0306
    CONSUMER_TOO_SMALL = 0x0307
    DECLARED_OTHERWISE = 0x0308
    BAD_NAME = 0x0309
    QUEUE_FULL = 0x0401
    BUSY = 0x0402
    MESSAGE_TOO_LARGE = 0x0403
    TOO_OLD = 0x0404
    NO_RESPONDER = 0x0405
    TIMED_OUT = 0x0406
    RESPONDER_GONE = 0x0407
    EXPIRED = 0x0408
    TOO_MANY_DELIVERIES = 0x0409
    REFUSED_FOR_GOOD = 0x040A
    DROPPED = 0x040B
    INTERNAL = 0x0F01

    @classmethod
    def _missing_(cls, value: object) -> Optional["Code"]:
        if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_0x{value:04X}"
        unknown._value_ = value
        return unknown

    @property
    def again(self) -> bool:
        """Whether the same thing, tried later and unchanged, can succeed. Unknown codes count as "no"."""
        return self in _AGAIN


_AGAIN = frozenset(
    {
        Code.NONE,
        Code.HANDSHAKE_TIMEOUT,
        Code.IDLE_TIMEOUT,
        Code.TOO_MANY_CONNECTIONS,
        Code.SHUTTING_DOWN,
        Code.TOO_SLOW,
        Code.TOO_MANY_LINKS,
        Code.TOO_MANY_CHANNELS,
        Code.QUEUE_FULL,
        Code.BUSY,
        Code.NO_RESPONDER,
        Code.TIMED_OUT,
        Code.RESPONDER_GONE,
        Code.INTERNAL,
    }
)


class MsglibError(Exception):
    """The base of every error that this package defines."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class _WithCode(MsglibError):
    """An error that carries what the broker said."""

    def __init__(self, message: str, code: Code = Code.NONE, text: str = "") -> None:
        super().__init__(message, code, text)
        self.code = code
        """Why, as a number."""
        self.text = text
        """Why, for people; may be empty."""

    def __str__(self) -> str:
        if self.code is Code.NONE and not self.text:
            return str(self.args[0])
        return f"{self.args[0]} ({self.code.name}{': ' if self.text else ''}{self.text})"


class Refused(_WithCode):
    """The broker did not take the connection, the link or the message; ``code.again`` says if trying later can help."""


class LinkClosed(_WithCode):
    """The way to this channel has ended, here or at the broker, which says why; the connection goes on."""


class ConnectionLost(_WithCode):
    """The connection has ended. Publishes that were not confirmed until then may or may not have been accepted."""


class NoReply(_WithCode):
    """A request has no answer: nobody is there, who had it went away or said so, or the broker does not take it."""


class GoingAway(MsglibError):
    """The broker will end the connection and delivers nothing more; what is held here can still be settled."""


class FeatureNotServed(MsglibError):
    """A call needs a feature of the protocol that was not agreed on with this broker."""

    def __init__(self, message: str, feature: int = 0) -> None:
        super().__init__(message, feature)
        self.feature = feature
        """Which one, as its bit; one of several if there is more than one bit."""

    @classmethod
    def of(cls, what: str, feature: int, offered: int, broker: str) -> "FeatureNotServed":
        """Says ``what`` needs it, who does not have it, and what to do."""
        needs = f"{what} needs the feature {features.names(feature)}"
        if not feature & offered:
            return cls(f"{needs}, which was not offered: connect with it in ``features``", feature)
        named = f"the broker {broker!r}" if broker else "the broker"
        return cls(f"{needs}, which {named} does not serve: do without it, or connect to one that does", feature)


class AlreadySettled(MsglibError):
    """A message was acknowledged or refused, or a request answered, a second time."""


class TooLate(MsglibError):
    """A message was settled, or its lease extended, when it was no longer this consumer's."""


class ProtocolError(MsglibError):
    """A peer broke a rule of the protocol; nothing more can be understood of what it sends."""

    def __init__(self, code: Code, offset: int, rule: str) -> None:
        super().__init__(code, offset, rule)
        self.code = code
        """Which kind of rule."""
        self.offset = offset
        """Where: bytes from the first one that the peer sent, from 0."""
        self.rule = rule
        """What should have been, for people."""

    def __str__(self) -> str:
        return f"{self.code.name} at byte {self.offset}: {self.rule}"
