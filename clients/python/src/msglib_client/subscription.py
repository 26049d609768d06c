"""The messages of one queue, and what becomes of them."""

from __future__ import annotations

import collections
from types import TracebackType
from typing import Callable, Deque, Iterator, Optional, Type

from . import events, frames
from .deadline import Deadline
from .driver import Driver, LinkUser
from .errors import AlreadySettled, ConnectionLost, LinkClosed
from .session import Session


class Subscription(LinkUser):
    """The messages of a queue, one after the other; made by :func:`blocking_pull_subscribe_to_queue`.

    ``next(subscription)`` waits for a message. It raises ``TimeoutError`` when the connection's time is up
    (``BlockingIOError`` if that time is 0), and can be called again: nothing is lost, and nothing asked for twice. It
    raises ``Refused`` or ``LinkClosed`` when the broker has ended the subscription, ``ConnectionLost``; and
    ``StopIteration`` after :meth:`close`, here or of the connection.
    """

    def __init__(self, driver: Driver, link: events.Link, prefetch: int, timeout_seconds: Optional[float]) -> None:
        """Use :func:`blocking_pull_subscribe_to_queue` instead."""
        self.timeout_seconds = timeout_seconds
        """How long ``next`` may take, as that of :class:`Connection`; may be changed."""
        self._driver = driver
        self._link = link
        self._prefetch = prefetch
        self._unread: Deque[events.Delivered] = collections.deque()
        self._taken = 0
        self._waiting = 0
        self._closed_here = False
        self._grant()

    def receive(self, timeout_seconds: Optional[float] = None) -> "AckableQMsg":
        """As ``next``, with a time-out of its own; raises ``LinkClosed`` or ``ConnectionLost`` after a close here."""
        driver = self._driver
        deadline = self._until(timeout_seconds)

        def arrived_or_ended() -> bool:
            return bool(self._unread) or not self._link.usable or driver.session.leaving

        with driver.lock:
            self._waiting += 1
            try:
                self._grant()
                driver.flush()
                driver.wait(arrived_or_ended, deadline, "no message has arrived in time")
            finally:
                self._waiting -= 1
            driver.check(self._link)
            delivered = self._unread.popleft()
            self._taken += 1
            self._grant()
            driver.flush()
            return AckableQMsg(driver, delivered)

    def __iter__(self) -> Iterator["AckableQMsg"]:
        return self

    def __next__(self) -> "AckableQMsg":
        try:
            return self.receive()
        except (LinkClosed, ConnectionLost):
            if self._closed_here or self._driver.closing:
                raise StopIteration from None
            raise

    def wait_until_open(self, timeout_seconds: Optional[float] = None) -> None:
        """Waits until the broker has taken the subscription.

        Raises ``Refused`` if it does not, ``TimeoutError``, ``ConnectionLost``.
        """
        with self._driver.lock:
            self._driver.wait_until_open(self._link, self._until(timeout_seconds))

    def close(self) -> None:
        """Ends the subscription, without waiting; messages that are not settled go back to the queue."""
        with self._driver.lock:
            self._closed_here = True
            self._driver.close_link(self._link)
            self._unread.clear()

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def on_event(self, event: events.Event) -> None:
        """Keeps what was delivered until somebody reads it, or it goes back to the queue."""
        if isinstance(event, events.Delivered):
            self._unread.append(event)
        elif isinstance(event, (events.LinkEnded, events.Ended)):
            self._unread.clear()
        elif isinstance(event, events.Welcomed):
            self._grant()

    def _until(self, timeout_seconds: Optional[float]) -> Deadline:
        return Deadline.after(self.timeout_seconds if timeout_seconds is None else timeout_seconds)

    def _grant(self) -> None:
        """Allows what the prefetch and those who wait need; what was asked for and has not come yet still counts."""
        allowed = self._link.delivery_upto - self._taken
        few = allowed < self._waiting or allowed <= self._prefetch // 2
        wanted = self._taken + max(self._waiting, self._prefetch)
        session = self._driver.session
        if few and wanted > self._link.delivery_upto and self._link.usable and not session.leaving:
            # Before WELCOME there may be no room left; the Welcomed event comes back here.
            if session.fits(frames.HEADER_LENGTH + 8):
                session.grant(self._link, wanted)


class AckableQMsg:
    """A message that was delivered here, and is in flight until it is settled by :meth:`ack` or :meth:`refuse`.

    Both may be called from any thread and in any order among messages. They return when the word is under way.
    """

    def __init__(self, driver: Driver, delivered: events.Delivered) -> None:
        """Made by a :class:`Subscription`."""
        self.payload = delivered.payload
        """What was published."""
        self.count = delivered.count
        """Which attempt this is to deliver the message to anyone, from 1."""
        self._driver = driver
        self._link = delivered.link
        self._tag = delivered.tag
        self._settled = False

    def ack(self) -> None:
        """The message is done with, for good.

        Raises ``AlreadySettled`` the second time, ``LinkClosed`` or ``ConnectionLost`` if the message went back to the
        queue.
        """
        self._settle(lambda session: session.ack(self._link, self._tag, self._tag))

    def refuse(self, for_good: bool = False) -> None:
        """The message was not done with: it is delivered again at once, to whoever is next, or ``for_good`` never.

        Raises as :meth:`ack`.
        """
        verdict = frames.Verdict.FOR_GOOD if for_good else frames.Verdict.AGAIN
        self._settle(lambda session: session.refuse(self._link, self._tag, self._tag, verdict))

    def __repr__(self) -> str:
        return f"<AckableQMsg {len(self.payload)} bytes, count {self.count}>"

    def _settle(self, send: Callable[[Session], None]) -> None:
        with self._driver.lock:
            if self._settled:
                raise AlreadySettled("a message can be acknowledged or refused once only")
            send(self._driver.session)
            self._settled = True
            self._driver.flush()
