"""What a :class:`~.session.Session` keeps of each link, and what it can report."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Optional, Union

from . import frames
from .errors import Code, MsglibError
from .rules import LinkState

INITIAL_PUBLISH_CREDIT = 16
"""How many publishes a link allows before the broker's first CREDIT (§6.2)."""
LINKS_BEFORE_WELCOME = 16
"""The highest link number before WELCOME (§5.2)."""


class Link:
    """One way to one channel. It stays what it is when its number goes to another."""

    def __init__(self, number: int, publishes: bool, consumes: bool) -> None:
        self.number = number
        """The number on the wire; free for others once the state is FREE."""
        self.publishes = publishes
        self.consumes = consumes
        self.state = LinkState.OPENING
        self.error: Optional[MsglibError] = None
        """Why the link cannot be used any more: Refused or LinkClosed; ``None`` as long as it can."""
        self.next_number = 1
        """The number of the next publish."""
        self.publish_upto = INITIAL_PUBLISH_CREDIT
        """The last number that the broker allows."""
        self.next_tag = 1
        """The tag of the next delivery."""
        self.delivery_upto = 0
        """The last tag that this side allows."""

    @property
    def usable(self) -> bool:
        """Whether frames may be sent on the link; true from the start, before the broker has answered."""
        return self.error is None

    def check(self) -> None:
        """Raises :attr:`error`, if there is one."""
        if self.error is not None:
            raise copy.copy(self.error)


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
    """A message has arrived; it is in flight until :meth:`Session.ack` or :meth:`Session.refuse`."""

    link: Link
    tag: int
    count: int
    payload: bytes


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
    PongReceived,
    UserReceived,
    Ended,
]
"""What :meth:`Session.receive` can report."""
