"""A way into one queue, or into any channel that messages go into."""

from __future__ import annotations

from typing import Dict, Optional, Set, Tuple, Union

from . import events, frames
from .deadline import Deadline
from .driver import Driver
from .errors import Code, Refused
from .link import Link
from .names import checked_priority, key_bytes
from .rules import LinkState
from .sender import Payload, Sender, to_bytes
from .session import NO_FIELDS
from .times import milliseconds


class MessageSender(Sender):
    """Publishes, and knows what became of what was published."""

    def __init__(self, driver: Driver, link: Link, timeout_seconds: Optional[float]) -> None:
        """Made by a :class:`Connection`."""
        super().__init__(driver, link, timeout_seconds)
        self._confirmed_upto = 0
        self._awaited: Set[int] = set()
        self._refusals: Dict[int, Tuple[Code, str]] = {}

    def on_event(self, event: events.Event) -> None:
        """Keeps the outcomes that somebody waits for, and counts the refusals that nobody does."""
        if isinstance(event, events.PublishesConfirmed):
            self._confirmed_upto = max(self._confirmed_upto, event.upto)
        elif isinstance(event, events.PublishesRefused):
            awaited = [number for number in self._awaited if event.first <= number <= event.last]
            for number in awaited:
                self._refusals[number] = event.code, event.text
            self._count(event.last - event.first + 1 - len(awaited), event.code, event.text)
        elif isinstance(event, events.LinkEnded) and isinstance(self._link.error, Refused):
            # The OPEN was refused: nothing that was sent behind it had an effect (§5.2).
            self._count(self._link.next_number - 1 - len(self._awaited), event.code, event.text)

    def _publish(
        self, payload: Payload, confirm: bool, fields: frames.PublishFields, timeout_seconds: Optional[float]
    ) -> None:
        payload = to_bytes(payload)
        driver = self._driver
        deadline = self._until(timeout_seconds)
        with driver.lock:
            self._wait_until_allowed(payload, fields != NO_FIELDS, deadline)
            number = driver.session.publish(self._link, payload, confirm, fields)
            if confirm:
                self._awaited.add(number)
            driver.flush()
            if confirm:
                self._wait_for_outcome(number, deadline)

    def _count(self, refused: int, code: Code, text: str) -> None:
        if refused > 0:
            self._driver.refused_count += refused
            self._driver.last_refusal = Refused("the broker did not take a message", code, text)

    def _wait_for_outcome(self, number: int, deadline: Deadline) -> None:
        def has_outcome() -> bool:
            answered = number <= self._confirmed_upto or number in self._refusals
            return answered or self._link.state is LinkState.FREE

        try:
            self._driver.wait(has_outcome, deadline, "no confirm; the message may or may not have been accepted")
            refusal = self._refusals.get(number)
            if refusal is not None:
                raise Refused("the broker does not take the message", *refusal)
            if number > self._confirmed_upto:
                self._driver.check(self._link)
        finally:
            self._awaited.discard(number)
            self._refusals.pop(number, None)


class Publisher(MessageSender):
    """A way into one queue.

    Made by :meth:`Connection.open_publisher`, ended by :meth:`close` or at the end of ``with``; what was published
    before is not affected by that.
    """

    def publish(
        self,
        payload: Payload,
        confirm: bool = False,
        timeout_seconds: Optional[float] = None,
        *,
        delay_seconds: Optional[float] = None,
        ttl_seconds: Optional[float] = None,
        priority: Optional[int] = None,
        key: Union[str, bytes, None] = None,
    ) -> None:
        """As :func:`publish_to_q`."""
        self._publish(payload, confirm, queue_fields(delay_seconds, ttl_seconds, priority, key), timeout_seconds)


def queue_fields(
    delay_seconds: Optional[float],
    ttl_seconds: Optional[float],
    priority: Optional[int],
    key: Union[str, bytes, None],
) -> frames.PublishFields:
    """What is said beside a message for a queue (§15.2). Raises ``ValueError`` for what cannot be."""
    return frames.PublishFields(
        delay_ms=None if delay_seconds is None else milliseconds(delay_seconds, "delay_seconds"),
        ttl_ms=None if ttl_seconds is None else milliseconds(ttl_seconds, "ttl_seconds"),
        priority=checked_priority(priority),
        key=key_bytes(key),
    )
