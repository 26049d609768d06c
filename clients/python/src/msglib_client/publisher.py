"""A way into one queue."""

from __future__ import annotations

from types import TracebackType
from typing import Dict, Optional, Set, Tuple, Type, Union

from . import events
from .deadline import Deadline
from .driver import Driver, LinkUser
from .errors import Code, Refused
from .rules import LinkState

Payload = Union[bytes, bytearray, memoryview]
"""What can be published: any bytes."""


class Publisher(LinkUser):
    """A way into one queue.

    Made by :meth:`Connection.open_publisher`, ended by :meth:`close` or at the end of ``with``.
    """

    def __init__(self, driver: Driver, link: events.Link, timeout_seconds: Optional[float]) -> None:
        """Use :meth:`Connection.open_publisher` instead."""
        self.timeout_seconds = timeout_seconds
        """How long a call may take unless it is told otherwise, as that of :class:`Connection`; may be changed."""
        self._driver = driver
        self._link = link
        self._confirmed_upto = 0
        self._awaited: Set[int] = set()
        self._refusals: Dict[int, Tuple[Code, str]] = {}

    def publish(self, payload: Payload, confirm: bool = False, timeout_seconds: Optional[float] = None) -> None:
        """As :func:`publish_to_q`."""
        payload = payload if isinstance(payload, bytes) else bytes(memoryview(payload))
        driver, link = self._driver, self._link
        deadline = self._until(timeout_seconds)

        def may_publish() -> bool:
            if driver.session.leaving or not link.usable:
                return True  # It raises why.
            return driver.session.may_publish(link, len(payload)) and driver.has_room()

        with driver.lock:
            driver.wait(may_publish, deadline, "the broker does not allow more messages yet; nothing was sent")
            number = driver.session.publish(link, payload, confirm)
            if confirm:
                self._awaited.add(number)
            driver.flush()
            if confirm:
                self._wait_for_outcome(number, deadline)

    def wait_until_open(self, timeout_seconds: Optional[float] = None) -> None:
        """Waits until the broker has taken the link.

        Raises ``Refused`` if it does not, ``TimeoutError``, ``ConnectionLost``.
        """
        with self._driver.lock:
            self._driver.wait_until_open(self._link, self._until(timeout_seconds))

    def close(self) -> None:
        """Gives the way up, without waiting; what was published before is not affected."""
        with self._driver.lock:
            self._driver.close_link(self._link)

    @property
    def ended(self) -> bool:
        """Whether nothing can be published here any more."""
        return not self._link.usable

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

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

    def _until(self, timeout_seconds: Optional[float]) -> Deadline:
        return Deadline.after(self.timeout_seconds if timeout_seconds is None else timeout_seconds)

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
