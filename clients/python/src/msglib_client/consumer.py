"""What arrives on a link, one after the other, as much of it as was allowed."""

from __future__ import annotations

import collections
from typing import ClassVar, Deque, Generic, Iterator, Optional, TypeVar

from . import events, frames
from .driver import Driver
from .errors import ConnectionLost, GoingAway, LinkClosed
from .handle import Handle
from .link import Link

T = TypeVar("T")


class Consumer(Handle, Generic[T]):
    """Something to call ``next`` on: a subscription to a queue or to topics, or a service's requests.

    ``next`` waits. It raises ``TimeoutError`` when the connection's time is up (``BlockingIOError`` if that time is 0),
    and can be called again: nothing is lost, and nothing asked for twice. It raises ``Refused`` or ``LinkClosed`` when
    the broker has ended the link, ``ConnectionLost``, ``GoingAway`` when the broker is about to end the connection and
    will send nothing new; and ``StopIteration`` after :meth:`close`, here or of the connection.
    """

    _LOST_AT_THE_END: ClassVar[bool] = True
    """Whether what is unread when the link ends is somebody else's from then on."""

    def __init__(self, driver: Driver, link: Link, prefetch: int, timeout_seconds: Optional[float]) -> None:
        """Made by a :class:`Connection`."""
        super().__init__(driver, link, timeout_seconds)
        self._prefetch = prefetch
        self._unread: Deque[T] = collections.deque()
        self._taken = 0
        self._waiting = 0
        self._closed_here = False
        self._grant()

    def receive(self, timeout_seconds: Optional[float] = None) -> T:
        """As ``next``, with a time-out of its own; raises ``LinkClosed`` or ``ConnectionLost`` after a close here."""
        driver = self._driver
        deadline = self._until(timeout_seconds)

        def arrived_or_ended() -> bool:
            leaves = driver.session.leaving or driver.leaves_at is not None
            return bool(self._unread) or not self._link.usable or leaves

        with driver.lock:
            self._waiting += 1
            try:
                self._grant()
                driver.flush()
                driver.wait(arrived_or_ended, deadline, "nothing has arrived in time")
            finally:
                self._waiting -= 1
            if self._LOST_AT_THE_END or self._closed_here or driver.closing or not self._unread:
                driver.check(self._link)
            if not self._unread:
                raise GoingAway("the broker is going away and delivers nothing more; settle what is held, connect anew")
            item = self._unread.popleft()
            self._taken += 1
            self._grant()
            driver.flush()
            return item

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        try:
            return self.receive()
        except (LinkClosed, ConnectionLost):
            if self._closed_here or self._driver.closing:
                raise StopIteration from None
            raise

    def close(self) -> None:
        """Ends it, without waiting; what is unread or not settled goes back to where it came from."""
        with self._driver.lock:
            self._closed_here = True
            super().close()
            self._unread.clear()

    def on_event(self, event: events.Event) -> None:
        """Keeps what has arrived until somebody reads it, or it goes back."""
        item = self._item_of(event)
        if item is not None:
            self._unread.append(item)
        elif isinstance(event, (events.LinkEnded, events.Ended)):
            if self._LOST_AT_THE_END or self._driver.closing:
                self._unread.clear()
        elif isinstance(event, events.Welcomed):
            self._grant()

    def _item_of(self, event: events.Event) -> Optional[T]:
        """What is handed out for an event; ``None`` for those that bring nothing."""
        raise NotImplementedError

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
