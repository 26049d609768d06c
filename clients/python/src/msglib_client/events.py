"""What a :class:`~.session.Session` can report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional, Union

from . import frames
from .errors import Code, MsglibError

if TYPE_CHECKING:
    from .link import Link


@dataclass(frozen=True)
class Welcomed:
    """The broker took the connection."""

    welcome: frames.Welcome


@dataclass(frozen=True)
class LinkOpened:
    """The broker took the link."""

    link: Link


@dataclass(frozen=True)
class LinkEnded:
    """The broker's last word on a link; ``link.error`` says why it ended."""

    link: Link
    code: Code
    text: str


@dataclass(frozen=True)
class PublishCredit:
    """``link.publish_upto`` has moved on."""

    link: Link


@dataclass(frozen=True)
class PublishesConfirmed:
    """The publishes up to ``upto`` have their outcome: accepted, but for those that were refused before."""

    link: Link
    upto: int


@dataclass(frozen=True)
class PublishesRefused:
    """The publishes from ``first`` to ``last`` had no effect."""

    link: Link
    first: int
    last: int
    code: Code
    text: str


@dataclass(frozen=True)
class Delivered:
    """A message has arrived; one of a queue is in flight until it is settled. What was not said is ``None``."""

    link: Link
    tag: int
    count: int
    payload: bytes
    retained: bool = False
    id: Optional[int] = None
    priority: Optional[int] = None
    key: Optional[bytes] = None
    topic: Optional[bytes] = None
    cause: Optional[frames.Cause] = None


@dataclass(frozen=True)
class Missed:
    """So many deliveries are missing between those before and after it."""

    link: Link
    lost: int


@dataclass(frozen=True)
class SettlesConfirmed:
    """The oldest SETTLE that asked for a confirm, from ``first`` to ``last``, has changed ``count`` deliveries."""

    link: Link
    first: int
    last: int
    count: int


@dataclass(frozen=True)
class Requested:
    """A request has arrived, which waits for an answer for so many milliseconds more."""

    link: Link
    tag: int
    deadline_ms: int
    payload: bytes


@dataclass(frozen=True)
class Replied:
    """The outcome of a request: its answer."""

    link: Link
    number: int
    payload: bytes


@dataclass(frozen=True)
class NotReplied:
    """The outcome of a request that has no answer, and why."""

    link: Link
    number: int
    code: Code
    text: str


@dataclass(frozen=True)
class LeaveAnnounced:
    """The broker will end the connection in so many milliseconds; no new deliveries come."""

    deadline_ms: int


@dataclass(frozen=True)
class PongReceived:
    """The broker's answer to a PING."""

    token: int


@dataclass(frozen=True)
class UserReceived:
    """A frame of the user's own."""

    frame: frames.User


@dataclass(frozen=True)
class Ended:
    """The connection is over. ``error`` is ``None`` after an orderly end that this side began."""

    error: Optional[MsglibError]


Event = Union[
    Welcomed,
    LinkOpened,
    LinkEnded,
    PublishCredit,
    PublishesConfirmed,
    PublishesRefused,
    Delivered,
    Missed,
    SettlesConfirmed,
    Requested,
    Replied,
    NotReplied,
    LeaveAnnounced,
    PongReceived,
    UserReceived,
    Ended,
]
"""What :meth:`~.session.Session.receive` can report."""
