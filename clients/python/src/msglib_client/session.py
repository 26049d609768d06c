"""A client's side of one connection, without a socket, a clock or a thread.

Bytes from the broker go into :meth:`Session.receive`, which says what happened as events; bytes for the broker come out
of :meth:`Session.take_output`. The time is whatever clock the caller reads, in seconds; it only has to go forwards. A
session is not for several threads at once.
"""

from __future__ import annotations

from typing import Optional, Union

from . import frames
from .conversation import Conversation
from .errors import Code, LinkClosed, Refused
from .features import QUEUES_OR_TOPICS, Feature
from .link import LINKS_BEFORE_WELCOME, Link
from .rules import LinkState

NO_FIELDS = frames.PublishFields()
"""Nothing beside the payload."""
_KIND_FEATURES = {frames.TOPIC_KIND: Feature.TOPICS, frames.SERVICE_KIND: Feature.REQUESTS}
_KIND_NAMES = {frames.TOPIC_KIND: "a topic", frames.SERVICE_KIND: "a service"}


class Session(Conversation):
    """The state of one connection, from HELLO to the end, and what can be said in it."""

    def open(
        self,
        name: Union[int, bytes],
        *,
        publishes: bool = False,
        consumes: bool = False,
        kind: int = frames.QUEUE_KIND,
        arguments: bytes = b"",
    ) -> Link:
        """Opens a link, which can be used at once.

        Raises ``BlockingIOError`` if that has to wait for WELCOME, ``FeatureNotServed`` for a kind of channel that the
        broker does not have, ``Refused`` if all links are in use, ``ValueError`` for a name, kind or arguments outside
        their bounds.
        """
        self.check()
        if kind in _KIND_FEATURES:
            self.require(_KIND_FEATURES[kind], _KIND_NAMES[kind])
        most = self.welcome.max_links if self.welcome is not None else LINKS_BEFORE_WELCOME
        number = next((n for n in range(1, self._highest_link + 1) if n not in self._links), self._highest_link + 1)
        if number > most:
            if self.welcome is None:
                raise BlockingIOError("no more links before WELCOME")
            raise Refused(f"all {most} links are in use", Code.TOO_MANY_LINKS)
        self._send(frames.Open(number, name, publishes, consumes, kind, arguments))
        link = self._links[number] = Link(number, publishes, consumes, kind)
        self._highest_link = max(self._highest_link, number)
        return link

    def close(self, link: Link) -> None:
        """Gives a link up: deliveries in flight go back, outcomes still arrive. Does nothing the second time."""
        self.check()
        if not link.usable:
            return
        self._send(frames.Close(link.number))
        link.state = LinkState.CLOSING
        link.error = LinkClosed("the link was closed here")

    def may_publish(self, link: Link, payload_length: int) -> bool:
        """Whether :meth:`publish` or :meth:`request` would not raise ``BlockingIOError``, once WELCOME is there."""
        return link.next_number <= link.publish_upto and self.fits(frames.HEADER_LENGTH + 8 + payload_length)

    def publish(
        self, link: Link, payload: bytes, confirm: bool = False, fields: frames.PublishFields = NO_FIELDS
    ) -> int:
        """Sends a message, with what is to be said beside it, and returns its number.

        Raises ``BlockingIOError`` without credit, or for fields before WELCOME, ``ValueError`` if the payload is above
        what the broker takes, ``FeatureNotServed`` for fields that it does not know.
        """
        self._check_for_publishing(link, payload, link.takes_messages)
        frame: Union[frames.Publish, frames.PublishWith]
        if fields == NO_FIELDS:
            frame = frames.Publish(link.number, link.next_number, payload, confirm)
        else:
            self._require_fields(link)
            frame = frames.PublishWith(link.number, link.next_number, payload, confirm, *fields)
        return self._send_numbered(link, frame)

    def producer(self, link: Link, producer_id: int, base: int) -> None:
        """Says who publishes on the link: from then on publish n has the sequence ``base`` + n (§15.6).

        Raises ``ValueError`` if that was said before, or is said too late, ``FeatureNotServed``, and
        ``BlockingIOError`` before WELCOME.
        """
        self.require(Feature.QUEUES, "a producer")
        link.check()
        if not link.publishes:
            raise ValueError("this link was not opened to publish")
        if link.has_producer or link.next_number > 1:
            raise ValueError("a producer is named once, before the link's first publish")
        self._send(frames.Producer(link.number, producer_id, base))
        link.has_producer = True

    def request(self, link: Link, payload: bytes, deadline_ms: int) -> int:
        """Asks, and returns the request's number; exactly one of ``Replied`` and ``NotReplied`` says what came of it.

        Unless the link ends before. Raises as :meth:`publish`.
        """
        self._check_for_publishing(link, payload, link.takes_requests)
        self.require(Feature.REQUESTS, "a request")
        number = self._send_numbered(link, frames.Request(link.number, link.next_number, deadline_ms, payload))
        link.unanswered.add(number)
        return number

    def reply(self, link: Link, tag: int, payload: bytes) -> None:
        """Answers the request with that tag. Raises ``ValueError`` if the payload is above what the broker takes."""
        self._check_for_answering(link)
        self._check_payload(payload)
        self._send(frames.Reply(link.number, tag, payload))

    def no_reply(self, link: Link, tag: int, code: Code, text: str = "") -> None:
        """Says that the request with that tag gets no answer, and why."""
        self._check_for_answering(link)
        self._send(frames.NoReply(link.number, tag, code, text))

    def grant(self, link: Link, upto: int) -> None:
        """Allows deliveries up to the tag ``upto``; what is allowed already stays so."""
        self._check_for_consuming(link)
        if upto > link.delivery_upto:
            self._send(frames.Credit(link.number, upto))
            link.delivery_upto = upto

    def ack(self, link: Link, first: int, last: int) -> None:
        """The deliveries from ``first`` to ``last`` are done with."""
        self._check_for_consuming(link)
        self._send(frames.Ack(link.number, first, last))

    def refuse(self, link: Link, first: int, last: int, verdict: frames.Verdict) -> None:
        """The deliveries from ``first`` to ``last`` were not done with."""
        self._check_for_consuming(link)
        self._send(frames.Refuse(link.number, first, last, verdict))

    def settle(
        self,
        link: Link,
        first: int,
        last: int,
        settling: frames.Settling,
        *,
        confirm: bool = False,
        delay_ms: Optional[int] = None,
        priority: Optional[int] = None,
        lease_ms: Optional[int] = None,
    ) -> None:
        """What becomes of the deliveries from ``first`` to ``last`` (§15.4).

        With ``confirm`` a ``SettlesConfirmed`` says how many it has changed. ``delay_ms`` and ``priority`` belong to
        ``AGAIN``, ``lease_ms`` to ``EXTEND``, which must have it; 0 is the queue's own.
        Raises ``FeatureNotServed``, ``ValueError`` for what does not fit together.
        """
        self.require(Feature.QUEUES, "settling in other ways than ACK and REFUSE")
        self._check_for_consuming(link)
        self._send(frames.Settle(link.number, first, last, settling, confirm, delay_ms, priority, lease_ms))
        if confirm:
            link.unsettled.append((first, last))

    def ping(self, token: int = 0) -> None:
        """Asks for a sign of life."""
        self.check()
        self._send(frames.Ping(token))

    def send_user(self, frame: frames.User) -> None:
        """Sends a frame of the user's own."""
        self.check()
        self._check_payload(frame.body)
        self._send(frame)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _check_for_publishing(self, link: Link, payload: bytes, right_kind: bool) -> None:
        self.check()
        link.check()
        if not link.publishes:
            raise ValueError("this link was not opened to publish")
        if not right_kind:
            raise ValueError("a service takes requests and no messages, a queue or topic the reverse")
        self._check_payload(payload)
        if not self.may_publish(link, len(payload)):
            raise BlockingIOError("the broker does not allow another publish yet")

    def _check_for_consuming(self, link: Link) -> None:
        self.check()
        link.check()
        if not link.consumes:
            raise ValueError("this link was not opened to consume")

    def _check_for_answering(self, link: Link) -> None:
        self._check_for_consuming(link)
        if not link.takes_requests:
            raise ValueError("a queue or topic has no requests that could be answered")
        self.require(Feature.REQUESTS, "a request")

    def _check_payload(self, payload: bytes) -> None:
        if self.welcome is not None and len(payload) > self.welcome.max_payload:
            raise ValueError(f"the payload has {len(payload)} bytes; the broker takes {self.welcome.max_payload}")

    def _require_fields(self, link: Link) -> None:
        if link.kind == frames.QUEUE_KIND:
            self.require(Feature.QUEUES, "a delay, time to live, priority or key of a message")
        elif link.kind == frames.TOPIC_KIND:
            self.require(Feature.TOPICS, "a topic or last value")
        else:
            self.require(QUEUES_OR_TOPICS, "what is said beside a payload")

    def _send_numbered(self, link: Link, frame: Union[frames.Publish, frames.PublishWith, frames.Request]) -> int:
        self._send(frame)
        link.next_number += 1
        return frame.number
