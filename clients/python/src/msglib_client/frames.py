"""The frames of the msglib protocol, version 1, as values (PROTOCOL §3, §14.2), and the numbers that are fixed (§11).

Their bytes are the affair of :mod:`.encode` and :mod:`.decode`; who may send them when is in :mod:`.rules`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import ClassVar, Mapping, NamedTuple, Optional, Union

from .errors import Code
from .features import QUEUES_OR_TOPICS, Feature

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
TOPIC_KIND = 2
"""The kind of channel that is a topic (§16)."""
SERVICE_KIND = 3
"""The kind of channel that is a service (§17)."""
FIRST_USER_TYPE = 0x8000
"""The first of the frame types that belong to the users."""
MAX_U64 = 2**64 - 1
"""The end of the range of numbers and tags; as credit it allows all."""
MAX_U32 = 2**32 - 1
"""The longest deadline, in milliseconds."""
MAGIC = b"MSGL"
"""What every HELLO's body starts with."""


class FrameType(enum.IntEnum):
    """The numbers of §3 and §14.2. ``USER`` stands for its whole range, 0x8000 to 0xFFFF."""

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
    GOING_AWAY = 0x0009
    PUBLISH_WITH = 0x0023
    PRODUCER = 0x0024
    DELIVERY_WITH = 0x0033
    SETTLE = 0x0034
    SETTLED = 0x0036
    GAP = 0x0037
    REQUEST = 0x0040
    REPLY = 0x0041
    NO_REPLY = 0x0042
    USER = 0x8000


FEATURES: Mapping[FrameType, Feature] = {
    FrameType.GOING_AWAY: Feature.DRAIN,
    FrameType.PUBLISH_WITH: QUEUES_OR_TOPICS,
    FrameType.PRODUCER: Feature.QUEUES,
    FrameType.DELIVERY_WITH: QUEUES_OR_TOPICS,
    FrameType.SETTLE: Feature.QUEUES,
    FrameType.SETTLED: Feature.QUEUES,
    FrameType.GAP: Feature.TOPICS,
    FrameType.REQUEST: Feature.REQUESTS,
    FrameType.REPLY: Feature.REQUESTS,
    FrameType.NO_REPLY: Feature.REQUESTS,
}
"""The features of which one must have been agreed on for a type to be known (§14.2). All others always are."""


class Verdict(enum.IntEnum):
    """What is to become of a refused delivery."""

    AGAIN = 0
    """Deliver it again, at once."""
    FOR_GOOD = 1
    """Never again."""


class Settling(enum.IntEnum):
    """What a SETTLE does (§15.4)."""

    ACK = 0
    """As ACK."""
    AGAIN = 1
    """As REFUSE with verdict 0, not before a delay is over, and with another priority."""
    FOR_GOOD = 2
    """As REFUSE with verdict 1."""
    EXTEND = 3
    """Not settled: the lease begins anew."""


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


@dataclass(frozen=True)
class GoingAway:
    """The broker will end the connection in so many milliseconds (§18)."""

    TYPE: ClassVar[FrameType] = FrameType.GOING_AWAY
    deadline_ms: int


@dataclass(frozen=True)
class PublishWith:
    """A message on its way in, with what is to be said beside it (§14.3)."""

    TYPE: ClassVar[FrameType] = FrameType.PUBLISH_WITH
    link: int
    number: int
    payload: bytes
    confirm: bool = False
    retain: bool = False
    delay_ms: Optional[int] = None
    ttl_ms: Optional[int] = None
    priority: Optional[int] = None
    key: Optional[bytes] = None
    topic: Optional[bytes] = None


class PublishFields(NamedTuple):
    """What a PUBLISH_WITH says beside its payload; ``None`` for what it does not."""

    retain: bool = False
    delay_ms: Optional[int] = None
    ttl_ms: Optional[int] = None
    priority: Optional[int] = None
    key: Optional[bytes] = None
    topic: Optional[bytes] = None


@dataclass(frozen=True)
class Producer:
    """Who publishes on the link, across connections: publish n has the sequence ``base`` + n (§15.6)."""

    TYPE: ClassVar[FrameType] = FrameType.PRODUCER
    link: int
    id: int
    base: int = 0


@dataclass(frozen=True)
class Cause:
    """Why a message became a dead letter (§15.5)."""

    reason: Code
    """``REFUSED_FOR_GOOD``, ``TOO_MANY_DELIVERIES``, ``EXPIRED`` or ``DROPPED``."""
    count: int
    """How often it had been delivered in the queue that it comes from; 1 at the least."""
    hops: int
    """How often it has become a dead letter by now."""
    first_ms: int
    """How many milliseconds ago it became one for the first time."""
    source: Union[int, bytes]
    """The queue that it comes from, by its id or its name."""


@dataclass(frozen=True)
class DeliveryWith:
    """A message on its way out, with what is to be said beside it (§14.3)."""

    TYPE: ClassVar[FrameType] = FrameType.DELIVERY_WITH
    link: int
    tag: int
    count: int
    payload: bytes
    retained: bool = False
    id: Optional[int] = None
    priority: Optional[int] = None
    key: Optional[bytes] = None
    topic: Optional[bytes] = None
    cause: Optional[Cause] = None


@dataclass(frozen=True)
class Settle:
    """What becomes of the deliveries from ``first`` to ``last`` (§15.4).

    ``delay_ms`` and ``priority`` belong to ``AGAIN`` alone, ``lease_ms`` to ``EXTEND``, which must have one.
    """

    TYPE: ClassVar[FrameType] = FrameType.SETTLE
    link: int
    first: int
    last: int
    settling: Settling
    confirm: bool = False
    delay_ms: Optional[int] = None
    priority: Optional[int] = None
    lease_ms: Optional[int] = None


@dataclass(frozen=True)
class Settled:
    """How many deliveries a SETTLE with ``confirm`` has changed (§15.4)."""

    TYPE: ClassVar[FrameType] = FrameType.SETTLED
    link: int
    first: int
    last: int
    count: int


@dataclass(frozen=True)
class Gap:
    """So many deliveries are missing here (§16.5)."""

    TYPE: ClassVar[FrameType] = FrameType.GAP
    link: int
    lost: int


@dataclass(frozen=True)
class Request:
    """A question, on its way to the broker or to who answers it (§17.2)."""

    TYPE: ClassVar[FrameType] = FrameType.REQUEST
    link: int
    number: int
    deadline_ms: int
    payload: bytes


@dataclass(frozen=True)
class Reply:
    """The answer to a request (§17.3)."""

    TYPE: ClassVar[FrameType] = FrameType.REPLY
    link: int
    number: int
    payload: bytes


@dataclass(frozen=True)
class NoReply:
    """The outcome of a request that has no answer (§17.3)."""

    TYPE: ClassVar[FrameType] = FrameType.NO_REPLY
    link: int
    number: int
    code: Code
    text: str = ""


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
    GoingAway,
    PublishWith,
    Producer,
    DeliveryWith,
    Settle,
    Settled,
    Gap,
    Request,
    Reply,
    NoReply,
    User,
]
"""Any frame of version 1."""


def type_of(frame: Frame) -> int:
    """The number in the frame's type field."""
    return frame.kind if isinstance(frame, User) else int(frame.TYPE)
