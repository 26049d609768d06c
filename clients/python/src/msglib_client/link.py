"""What a :class:`~.session.Session` keeps of each link, and what it makes of the frames that come on one."""

from __future__ import annotations

import collections
import copy
from typing import Deque, List, NoReturn, Optional, Set, Tuple, Union

from . import events, frames
from .errors import Code, MsglibError, ProtocolError
from .rules import LinkState

INITIAL_PUBLISH_CREDIT = 16
"""How many publishes a link allows before the broker's first CREDIT (§6.2)."""
LINKS_BEFORE_WELCOME = 16
"""The highest link number before WELCOME (§5.2)."""


class Link:
    """One way to one channel. It stays what it is when its number goes to another."""

    def __init__(self, number: int, publishes: bool, consumes: bool, kind: int = frames.QUEUE_KIND) -> None:
        self.number = number
        """The number on the wire; free for others once the state is FREE."""
        self.publishes = publishes
        self.consumes = consumes
        self.kind = kind
        """What kind of channel it leads to."""
        self.state = LinkState.OPENING
        self.error: Optional[MsglibError] = None
        """Why the link cannot be used any more: Refused or LinkClosed; ``None`` as long as it can."""
        self.next_number = 1
        """The number of the next publish or request."""
        self.publish_upto = INITIAL_PUBLISH_CREDIT
        """The last number that the broker allows."""
        self.next_tag = 1
        """The tag of the next delivery or request."""
        self.delivery_upto = 0
        """The last tag that this side allows."""
        self.has_producer = False
        """Whether PRODUCER was said."""
        self.unsettled: Deque[Tuple[int, int]] = collections.deque()
        """First and last of each SETTLE whose SETTLED has not come, oldest first."""
        self.unanswered: Set[int] = set()
        """The numbers of the requests that have no outcome."""

    @property
    def usable(self) -> bool:
        """Whether frames may be sent on the link; true from the start, before the broker has answered."""
        return self.error is None

    def check(self) -> None:
        """Raises :attr:`error`, if there is one."""
        if self.error is not None:
            raise copy.copy(self.error)

    @property
    def takes_messages(self) -> bool:
        """Whether there are publishes and deliveries on it (§17.1)."""
        return self.kind != frames.SERVICE_KIND

    @property
    def takes_requests(self) -> bool:
        """Whether there are requests on it (§17.1)."""
        return self.kind not in (frames.QUEUE_KIND, frames.TOPIC_KIND)

    def receive(self, offset: int, frame: "FrameOnLink") -> List[events.Event]:
        """What a frame means that the table lets pass. Raises ``ProtocolError`` for what breaks a rule."""
        if isinstance(frame, (frames.Delivery, frames.DeliveryWith)):
            return [self._receive_delivery(offset, frame)]
        if isinstance(frame, frames.Request):
            return [self._receive_request(offset, frame)]
        if isinstance(frame, (frames.Settled, frames.Gap)):
            return self._receive_for_consumer(offset, frame)
        if not self.publishes:
            _bad_link(offset, f"{frame.TYPE.name} on link {self.number}, which was not opened to publish")
        if isinstance(frame, (frames.Reply, frames.NoReply)):
            return self._receive_outcome(offset, frame)
        return self._receive_for_publisher(offset, frame)

    def _receive_delivery(self, offset: int, frame: Union[frames.Delivery, frames.DeliveryWith]) -> events.Event:
        self._require_kind(offset, frame, self.takes_messages)
        self._take_tag(offset, frame, frame.tag)
        if isinstance(frame, frames.Delivery):
            return events.Delivered(self, frame.tag, frame.count, frame.payload)
        return events.Delivered(
            self,
            frame.tag,
            frame.count,
            frame.payload,
            frame.retained,
            frame.id,
            frame.priority,
            frame.key,
            frame.topic,
            frame.cause,
        )

    def _receive_request(self, offset: int, frame: frames.Request) -> events.Event:
        self._require_kind(offset, frame, self.takes_requests)
        self._take_tag(offset, frame, frame.number)
        return events.Requested(self, frame.number, frame.deadline_ms, frame.payload)

    def _take_tag(self, offset: int, frame: "FrameOnLink", tag: int) -> None:
        self._require_consumes(offset, frame)
        if tag != self.next_tag:
            raise ProtocolError(Code.BAD_NUMBER, offset, f"the delivery must have the tag {self.next_tag}")
        if tag > self.delivery_upto:
            raise ProtocolError(Code.CREDIT, offset, f"deliveries are allowed up to the tag {self.delivery_upto}")
        self.next_tag += 1

    def _receive_for_consumer(self, offset: int, frame: Union[frames.Settled, frames.Gap]) -> List[events.Event]:
        self._require_consumes(offset, frame)
        if isinstance(frame, frames.Gap):
            return [events.Missed(self, frame.lost)]
        # What answers no SETTLE says nothing.
        if not self.unsettled or self.unsettled[0] != (frame.first, frame.last):
            return []
        self.unsettled.popleft()
        return [events.SettlesConfirmed(self, frame.first, frame.last, frame.count)]

    def _receive_outcome(self, offset: int, frame: Union[frames.Reply, frames.NoReply]) -> List[events.Event]:
        self._require_kind(offset, frame, self.takes_requests)
        if frame.number not in self.unanswered:
            return []
        self.unanswered.remove(frame.number)
        if isinstance(frame, frames.Reply):
            return [events.Replied(self, frame.number, frame.payload)]
        return [events.NotReplied(self, frame.number, frame.code, frame.text)]

    def _receive_for_publisher(self, offset: int, frame: "FrameForPublisher") -> List[events.Event]:
        if isinstance(frame, frames.Credit):
            if frame.upto < self.publish_upto:
                rule_text = f"credit may not go back from {self.publish_upto} to {frame.upto}"
                raise ProtocolError(Code.CREDIT, offset, rule_text)
            self.publish_upto = frame.upto
            return [events.PublishCredit(self)]
        if isinstance(frame, frames.Confirmed):
            return [events.PublishesConfirmed(self, min(frame.upto, self.next_number - 1))]
        last = min(frame.last, self.next_number - 1)
        if frame.first > last:
            return []
        return [events.PublishesRefused(self, frame.first, last, frame.code, frame.text)]

    def _require_consumes(self, offset: int, frame: "FrameOnLink") -> None:
        if not self.consumes:
            _bad_link(offset, f"{frame.TYPE.name} on link {self.number}, which was not opened to consume")

    def _require_kind(self, offset: int, frame: "FrameOnLink", holds: bool) -> None:
        if not holds:
            _bad_link(offset, f"{frame.TYPE.name} on link {self.number}, which leads to a channel of kind {self.kind}")


FrameForPublisher = Union[frames.Credit, frames.Confirmed, frames.Refused]
"""What tells a publisher what has become of its messages, and how many it may send."""
FrameOnLink = Union[
    frames.Delivery,
    frames.DeliveryWith,
    frames.Request,
    frames.Settled,
    frames.Gap,
    frames.Reply,
    frames.NoReply,
    FrameForPublisher,
]
"""What a broker sends on a link between OPENED and CLOSED."""


def _bad_link(offset: int, rule: str) -> NoReturn:
    raise ProtocolError(Code.BAD_LINK, offset, rule)
