"""The frames of the msglib protocol, version 1, as values (PROTOCOL §3), and the numbers that are fixed (§11).

Their bytes are the affair of :mod:`.encode` and :mod:`.decode`; who may send them when is in :mod:`.rules`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar, Union

from .errors import Code

HEADER_LENGTH = 12
"""Bytes of a frame's header."""
MAX_HELLO = 16_384
"""The longest HELLO, and the most that a client may send before WELCOME, in bytes."""
MAX_TEXT = 1_024
"""The longest text for people, in bytes of UTF-8."""
MAX_NAME = 255
"""The longest name of a channel or peer, in bytes."""
MAX_ARGUMENTS = 4_096
"""The longest arguments of an OPEN, in bytes."""
DEFAULT_MAX_PAYLOAD = 16 * 1024 * 1024
"""The payload that a side takes unless it says otherwise, in bytes."""
QUEUE_KIND = 1
"""The kind of channel that is a queue."""
FIRST_USER_TYPE = 0x8000
"""The first of the frame types that belong to the users."""
MAX_U64 = 2**64 - 1
"""The end of the range of numbers and tags; as credit it allows all."""
MAGIC = b"MSGL"
"""What every HELLO's body starts with."""


class FrameType(enum.IntEnum):
    """The numbers of §3. ``USER`` stands for its whole range, 0x8000 to 0xFFFF."""

    HELLO = 0x0001
    WELCOME = 0x0002
    GOODBYE = 0x0003
    ERROR = 0x0004
    PING = 0x0005
    PONG = 0x0006
    OPEN = 0x0010
    OPENED = 0x0011
    CLOSE = 0x0012
    CLOSED = 0x0013
    CREDIT = 0x0014
    PUBLISH = 0x0020
    CONFIRMED = 0x0021
    REFUSED = 0x0022
    DELIVERY = 0x0030
    ACK = 0x0031
    REFUSE = 0x0032
    USER = 0x8000


class Verdict(enum.IntEnum):
    """What is to become of a refused delivery."""

    AGAIN = 0
    """Deliver it again, at once."""
    FOR_GOOD = 1
    """Never again."""


@dataclass(frozen=True)
class Hello:
    """The client's first frame (§4.1)."""

    TYPE: ClassVar[FrameType] = FrameType.HELLO
    min_version: int = 1
    max_version: int = 1
    features: int = 0
    max_payload: int = DEFAULT_MAX_PAYLOAD
    idle_ms: int = 0
    name: str = ""
    mechanism: str = ""
    credentials: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Welcome:
    """The broker's first frame (§4.2)."""

    TYPE: ClassVar[FrameType] = FrameType.WELCOME
    version: int = 1
    features: int = 0
    max_payload: int = DEFAULT_MAX_PAYLOAD
    max_links: int = 65_536
    idle_ms: int = 0
    name: str = ""


@dataclass(frozen=True)
class Goodbye:
    """The last frame of a side when nothing is wrong (§8.2)."""

    TYPE: ClassVar[FrameType] = FrameType.GOODBYE
    code: Code = Code.NONE
    text: str = ""


@dataclass(frozen=True)
class Error:
    """The last frame of a side that cannot go on (§8.1)."""

    TYPE: ClassVar[FrameType] = FrameType.ERROR
    code: Code
    offset: int = 0
    text: str = ""


@dataclass(frozen=True)
class Ping:
    """Asks for a Pong with the same token (§8.3)."""

    TYPE: ClassVar[FrameType] = FrameType.PING
    token: int = 0


@dataclass(frozen=True)
class Pong:
    """Answers a Ping (§8.3)."""

    TYPE: ClassVar[FrameType] = FrameType.PONG
    token: int = 0


@dataclass(frozen=True)
class Open:
    """Opens a link to a channel, which is named by an id (``int``) or by ``bytes`` (§5.2)."""

    TYPE: ClassVar[FrameType] = FrameType.OPEN
    link: int
    name: Union[int, bytes]
    publishes: bool = False
    consumes: bool = False
    kind: int = QUEUE_KIND
    arguments: bytes = b""


@dataclass(frozen=True)
class Opened:
    """The link is open (§5.2)."""

    TYPE: ClassVar[FrameType] = FrameType.OPENED
    link: int


@dataclass(frozen=True)
class Close:
    """The client's last frame on a link (§5.4)."""

    TYPE: ClassVar[FrameType] = FrameType.CLOSE
    link: int


@dataclass(frozen=True)
class Closed:
    """The broker's last frame on a link (§5.4)."""

    TYPE: ClassVar[FrameType] = FrameType.CLOSED
    link: int
    code: Code = Code.NONE
    text: str = ""


@dataclass(frozen=True)
class Credit:
    """Allows what has numbers up to ``upto`` (§6.2)."""

    TYPE: ClassVar[FrameType] = FrameType.CREDIT
    link: int
    upto: int


@dataclass(frozen=True)
class Publish:
    """A message on its way in (§7.1)."""

    TYPE: ClassVar[FrameType] = FrameType.PUBLISH
    link: int
    number: int
    payload: bytes
    confirm: bool = False


@dataclass(frozen=True)
class Confirmed:
    """The publishes up to ``upto`` have their outcome (§7.2)."""

    TYPE: ClassVar[FrameType] = FrameType.CONFIRMED
    link: int
    upto: int


@dataclass(frozen=True)
class Refused:
    """The publishes from ``first`` to ``last`` were not accepted (§7.3)."""

    TYPE: ClassVar[FrameType] = FrameType.REFUSED
    link: int
    first: int
    last: int
    code: Code
    text: str = ""


@dataclass(frozen=True)
class Delivery:
    """A message on its way out (§7.4)."""

    TYPE: ClassVar[FrameType] = FrameType.DELIVERY
    link: int
    tag: int
    count: int
    payload: bytes


@dataclass(frozen=True)
class Ack:
    """The deliveries from ``first`` to ``last`` are done with (§7.5)."""

    TYPE: ClassVar[FrameType] = FrameType.ACK
    link: int
    first: int
    last: int


@dataclass(frozen=True)
class Refuse:
    """The deliveries from ``first`` to ``last`` were not done with (§7.6)."""

    TYPE: ClassVar[FrameType] = FrameType.REFUSE
    link: int
    first: int
    last: int
    verdict: Verdict = Verdict.AGAIN


@dataclass(frozen=True)
class User:
    """A frame whose meaning belongs to whoever wrote the broker and its clients (§12.3)."""

    TYPE: ClassVar[FrameType] = FrameType.USER
    kind: int
    """The frame's type, 0x8000 to 0xFFFF."""
    flags: int = 0
    link: int = 0
    body: bytes = b""


Frame = Union[
    Hello,
    Welcome,
    Goodbye,
    Error,
    Ping,
    Pong,
    Open,
    Opened,
    Close,
    Closed,
    Credit,
    Publish,
    Confirmed,
    Refused,
    Delivery,
    Ack,
    Refuse,
    User,
]
"""Any frame of version 1."""


def type_of(frame: Frame) -> int:
    """The number in the frame's type field."""
    return frame.kind if isinstance(frame, User) else int(frame.TYPE)
