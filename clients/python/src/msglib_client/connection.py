"""A connection to a broker."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Dict, Optional, Type, Union

from . import events, frames
from .deadline import Deadline
from .driver import Driver
from .errors import MsglibError, Refused
from .publisher import Payload, Publisher
from .session import Session
from .subscription import Subscription

# How long close waits if the connection never does.
_CLOSE_SECONDS = 10.0

QueueId = Union[int, str, bytes]
"""How a queue is named: an id (an ``int``, so an ``enum.IntEnum`` as well) or a name of 1 to 255 bytes.

A ``str`` is its UTF-8. The id 1 and the name ``"1"`` are two different queues.
"""


class Connection:
    """A connection to a broker; made by :func:`connect`, ended by :meth:`close` or at the end of ``with``.

    It has one thread of its own, which moves bytes, answers the broker's PINGs and sends its own, so that the
    connection stays alive while nobody calls it. Whatever is not closed keeps its thread and its socket.
    """

    def __init__(self, stream: socket.socket, session: Session, timeout_seconds: Optional[float]) -> None:
        """Use :func:`connect` or :func:`connect_over` instead."""
        self.timeout_seconds = timeout_seconds
        """How long a call may take unless it is told otherwise, in seconds; ``None`` for ever.

        0 does not wait at all: what would block raises ``BlockingIOError`` in place of ``TimeoutError``. Publishers and
        subscriptions take it over when they are made.
        """
        self._publishers: Dict[Union[int, bytes], Publisher] = {}
        self._driver = Driver(stream, session)
        with self._driver.lock:
            self._driver.flush()
        self._driver.start()

    @property
    def welcome(self) -> Optional[frames.Welcome]:
        """What the broker said of itself; ``None`` before it has."""
        return self._driver.session.welcome

    @property
    def refused_count(self) -> int:
        """How many messages the broker did not take although nobody waited for a confirm.

        If it refuses a queue, all that was published there until then counts. What was under way without a confirm when
        the broker ended an open link, or the connection ended, may be lost and is not counted.
        """
        return self._driver.refused_count

    @property
    def last_refusal(self) -> Optional[Refused]:
        """Why the latest message that :attr:`refused_count` counts was not taken."""
        return self._driver.last_refusal

    def wait_for_welcome(self, timeout_seconds: Optional[float] = None) -> frames.Welcome:
        """Waits until the broker took the connection. Raises ``Refused``, ``ConnectionLost``, ``TimeoutError``."""
        deadline = self._until(timeout_seconds)
        with self._driver.lock:
            session = self._driver.session
            self._driver.wait(lambda: session.welcome is not None, deadline, "the broker has not answered the HELLO")
            assert session.welcome is not None
            return session.welcome

    def open_publisher(
        self, q_id: QueueId, *, kind: int = frames.QUEUE_KIND, arguments: bytes = b"", wait: bool = False
    ) -> Publisher:
        """A way into a queue, or into a channel of another ``kind`` with ``arguments``, of one's own.

        With ``wait`` it returns when the broker has taken the link, or raises ``Refused``.
        """
        with self._driver.lock:
            link = self._open(_wire_name(q_id), kind, arguments, publishes=True)
            publisher = Publisher(self._driver, link, self.timeout_seconds)
            self._driver.attach(link, publisher)
            self._driver.flush()
        if wait:
            publisher.wait_until_open()
        return publisher

    def subscribe(
        self,
        q_id: QueueId,
        *,
        prefetch: int = 1,
        kind: int = frames.QUEUE_KIND,
        arguments: bytes = b"",
        wait: bool = False,
    ) -> Subscription:
        """As :func:`blocking_pull_subscribe_to_queue`, for any ``kind`` of channel that delivers as queues do.

        With ``wait`` it returns when the broker has taken the subscription, or raises ``Refused``.
        """
        if prefetch < 0:
            raise ValueError("prefetch cannot be negative")
        with self._driver.lock:
            link = self._open(_wire_name(q_id), kind, arguments, consumes=True)
            subscription = Subscription(self._driver, link, prefetch, self.timeout_seconds)
            self._driver.attach(link, subscription)
            self._driver.flush()
        if wait:
            subscription.wait_until_open()
        return subscription

    def publish(
        self, q_id: QueueId, payload: Payload, confirm: bool = False, timeout_seconds: Optional[float] = None
    ) -> None:
        """As :func:`publish_to_q`, with a time-out of its own."""
        name = _wire_name(q_id)
        # One hold of the lock, but for waiting: a refusal cannot come between the first message and its OPEN.
        with self._driver.lock:
            publisher = self._publisher_to(name)
            try:
                publisher.publish(payload, confirm, timeout_seconds)
            finally:
                if publisher.ended and self._publishers.get(name) is publisher:
                    del self._publishers[name]

    def close(self, timeout_seconds: Optional[float] = None) -> None:
        """Ends the connection in good order: says GOODBYE and waits for the broker's. Does nothing the second time.

        What was delivered here and not settled goes back to its queue. The socket is closed in any case. Raises
        ``TimeoutError`` or ``ConnectionLost`` if the connection does not, or did not, end in good order and no other
        call has said so yet; what was published last without a confirm may then be lost. If the connection's own
        time-out is 0, and none is given here, it is 10 seconds.
        """
        polling = timeout_seconds is None and self.timeout_seconds == 0
        deadline = self._until(_CLOSE_SECONDS if polling else timeout_seconds)
        driver = self._driver
        in_order = False
        try:
            with driver.lock:
                if driver.closing:
                    return
                driver.closing = True
                driver.dispatch(driver.session.goodbye())
                driver.flush()
                driver.lock.notify_all()  # Whoever waits for a message has nothing to wait for.
                driver.wait_or_end(lambda: False, deadline, "the broker has not said GOODBYE")
                in_order = True
                if driver.session.error is not None and not driver.session.error_raised:
                    driver.session.check()
        finally:
            # The thread's own patience is bounded; without a word from the broker there is no more of it.
            driver.stop(deadline.left() if in_order else 0.0)

    def abort(self) -> None:
        """Drops the connection as a crash would, at once and without a word."""
        with self._driver.lock:
            self._driver.closing = True
        self._driver.stop()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        try:
            self.close()
        except (MsglibError, OSError):
            if error is None:
                raise

    def _publisher_to(self, name: Union[int, bytes]) -> Publisher:
        publisher = self._publishers.get(name)
        if publisher is None:
            publisher = self.open_publisher(name)
            # Opening may wait and so let another thread in; the first one stays.
            first = self._publishers.setdefault(name, publisher)
            if first is not publisher:
                publisher.close()
            return first
        publisher.timeout_seconds = self.timeout_seconds
        return publisher

    def _open(
        self,
        name: Union[int, bytes],
        kind: int,
        arguments: bytes,
        *,
        publishes: bool = False,
        consumes: bool = False,
    ) -> events.Link:
        deadline = self._until(None)
        session = self._driver.session
        while True:
            try:
                return session.open(name, publishes=publishes, consumes=consumes, kind=kind, arguments=bytes(arguments))
            except BlockingIOError:
                self._driver.wait(
                    lambda: session.welcome is not None, deadline, "the broker has not answered the HELLO"
                )

    def _until(self, timeout_seconds: Optional[float]) -> Deadline:
        return Deadline.after(self.timeout_seconds if timeout_seconds is None else timeout_seconds)


def _wire_name(q_id: QueueId) -> Union[int, bytes]:
    if isinstance(q_id, int):
        if not 0 <= q_id <= frames.MAX_U64:
            raise ValueError(f"a queue's id must fit 64 bits without a sign, {q_id} does not")
        return int(q_id)
    name = q_id.encode("utf-8") if isinstance(q_id, str) else bytes(q_id)
    if not 1 <= len(name) <= frames.MAX_NAME:
        raise ValueError(f"a queue's name must have 1 to {frames.MAX_NAME} bytes, this one has {len(name)}")
    return name
