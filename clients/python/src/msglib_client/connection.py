"""A connection to a broker."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Callable, Optional, Type, TypeVar, Union

from . import frames
from .deadline import Deadline
from .driver import Driver
from .errors import MsglibError, Refused
from .features import Feature
from .kept import Kept
from .link import Link
from .names import QueueId, TopicName, is_filter, topic_name, wire_name
from .publisher import Publisher
from .requests import Caller, PendingReply, Service
from .sender import Payload
from .session import Session
from .settings import QueueSettings, TopicSettings
from .subscription import Subscription
from .topics import TopicPublisher, TopicSubscription

T = TypeVar("T")

# How long close waits if the connection never does.
_CLOSE_SECONDS = 10.0


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
        self._publishers = Kept(lambda name: self.open_publisher(name))
        self._topic_publishers = Kept(lambda name: self.open_topic_publisher(bytes(name)))
        self._callers = Kept(lambda name: self.open_caller(name), end_is_told=True)
        self._driver = Driver(stream, session)
        with self._driver.lock:
            self._driver.flush()
        self._driver.start()

    @property
    def welcome(self) -> Optional[frames.Welcome]:
        """What the broker said of itself; ``None`` before it has."""
        return self._driver.session.welcome

    @property
    def features(self) -> Feature:
        """What of the protocol's features the broker has, of those that were offered; none before it has answered."""
        return Feature(self._driver.session.features)

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

    @property
    def going_away(self) -> Optional[float]:
        """In how many seconds the broker will end the connection, if it has said so: settle what is held, and go.

        ``next`` of all that waits for something new raises ``GoingAway`` from then on.
        """
        with self._driver.lock:
            return None if self._driver.leaves_at is None else self._driver.leaves_at.left()

    # -- queues ----------------------------------------------------------------------------------------------------

    def declare_queue(self, q_id: QueueId, settings: QueueSettings, timeout_seconds: Optional[float] = None) -> None:
        """Sees to it that a queue is there, with these settings, and waits for the broker's word.

        Raises ``Refused``, with ``DECLARED_OTHERWISE`` if it is there with others; ``FeatureNotServed`` if the broker
        has no such queues; ``TimeoutError``, ``ConnectionLost``.
        """
        with self.open_publisher(q_id, settings=settings) as publisher:
            publisher.wait_until_open(timeout_seconds)

    def open_publisher(
        self,
        q_id: QueueId,
        *,
        settings: Optional[QueueSettings] = None,
        producer_id: Optional[int] = None,
        base: int = 0,
        kind: int = frames.QUEUE_KIND,
        arguments: bytes = b"",
        wait: bool = False,
    ) -> Publisher:
        """A way into a queue of one's own, or into a channel of another ``kind`` with ``arguments``.

        With ``settings`` the queue must have them, or is made with them. With ``wait`` it returns when the broker has
        taken the link, or raises ``Refused``.

        With a ``producer_id`` the broker knows what this producer has published before, on other connections too: the
        publish with the number n, from 1, is the ``base`` + n-th of this producer to this queue, and what it has
        accepted before has no second effect. So after the loss of a connection one with the same id, and as ``base``
        the number of the messages whose outcome is known, publishes the others again. The id is 1 to 2¹²⁸−1 and
        random, as of ``secrets.randbits(128)``, so that no two producers have the same.
        """
        if producer_id is not None and not 0 < producer_id < 1 << 128:
            raise ValueError(f"a producer's id must be 1 to 2**128 - 1, {producer_id} is not")
        if not 0 <= base <= frames.MAX_U64:
            raise ValueError(f"base must be 0 to 2**64 - 1, {base} is not")
        deadline = self._until(None)
        with self._driver.lock:
            if producer_id is not None:
                self._when_welcome(lambda: self._driver.session.require(Feature.QUEUES, "a producer"), deadline)
            encoded = self._queue_arguments(settings, arguments, deadline)
            link = self._open(wire_name(q_id), kind, encoded, deadline, publishes=True)
            if producer_id is not None:
                self._driver.session.producer(link, producer_id, base)
            publisher = Publisher(self._driver, link, self.timeout_seconds)
            self._driver.attach(link, publisher)
            self._driver.flush()
        if wait:
            publisher.wait_until_open()
        return publisher

    def publish(
        self,
        q_id: QueueId,
        payload: Payload,
        confirm: bool = False,
        timeout_seconds: Optional[float] = None,
        *,
        delay_seconds: Optional[float] = None,
        ttl_seconds: Optional[float] = None,
        priority: Optional[int] = None,
        key: Union[str, bytes, None] = None,
    ) -> None:
        """As :func:`publish_to_q`, with a time-out of its own."""

        def publish(publisher: Publisher) -> None:
            publisher.publish(
                payload,
                confirm,
                timeout_seconds,
                delay_seconds=delay_seconds,
                ttl_seconds=ttl_seconds,
                priority=priority,
                key=key,
            )

        # One hold of the lock, but for waiting: a refusal cannot come between the first message and its OPEN.
        with self._driver.lock:
            self._publishers.use(wire_name(q_id), self.timeout_seconds, publish)

    def subscribe(
        self,
        q_id: QueueId,
        *,
        prefetch: int = 1,
        settings: Optional[QueueSettings] = None,
        kind: int = frames.QUEUE_KIND,
        arguments: bytes = b"",
        wait: bool = False,
    ) -> Subscription:
        """As :func:`blocking_pull_subscribe_to_queue`, for any ``kind`` of channel that delivers as queues do.

        With ``settings`` the queue must have them, or is made with them. With ``wait`` it returns when the broker has
        taken the subscription, or raises ``Refused``.
        """
        _check_prefetch(prefetch)
        deadline = self._until(None)
        with self._driver.lock:
            encoded = self._queue_arguments(settings, arguments, deadline)
            link = self._open(wire_name(q_id), kind, encoded, deadline, consumes=True)
            subscription = Subscription(self._driver, link, prefetch, self.timeout_seconds)
            self._driver.attach(link, subscription)
            self._driver.flush()
        if wait:
            subscription.wait_until_open()
        return subscription

    # -- topics ----------------------------------------------------------------------------------------------------

    def open_topic_publisher(self, topic_or_filter: TopicName, *, wait: bool = False) -> TopicPublisher:
        """A way into a topic of one's own, or into all that a filter matches, on one link.

        Raises ``FeatureNotServed`` if the broker has no topics; with ``wait`` as :meth:`open_publisher`.
        """
        name = topic_name(topic_or_filter)
        with self._driver.lock:
            link = self._open(name, frames.TOPIC_KIND, b"", self._until(None), publishes=True)
            publisher = TopicPublisher(self._driver, link, self.timeout_seconds)
            self._driver.attach(link, publisher)
            self._driver.flush()
        if wait:
            publisher.wait_until_open()
        return publisher

    def publish_to_topic(
        self,
        topic: TopicName,
        payload: Payload,
        confirm: bool = False,
        timeout_seconds: Optional[float] = None,
        *,
        retain: bool = False,
    ) -> None:
        """As :func:`publish_to_topic`, with a time-out of its own."""
        name = topic_name(topic)
        if is_filter(name):
            raise ValueError(f"{topic!r} is a filter and no topic; open_topic_publisher leads to all that it matches")
        with self._driver.lock:
            self._topic_publishers.use(
                name,
                self.timeout_seconds,
                lambda publisher: publisher.publish(payload, confirm, timeout_seconds, retain=retain),
            )

    def subscribe_to_topic(
        self,
        topic_filter: TopicName,
        *,
        prefetch: int = 16,
        settings: Optional[TopicSettings] = None,
        wait: bool = False,
    ) -> TopicSubscription:
        """As :func:`subscribe_to_topic`; with ``wait`` it returns when the broker has taken the subscription."""
        _check_prefetch(prefetch)
        name = topic_name(topic_filter)
        arguments = b"" if settings is None else settings.encode()
        with self._driver.lock:
            link = self._open(name, frames.TOPIC_KIND, arguments, self._until(None), consumes=True)
            subscription = TopicSubscription(self._driver, link, name, prefetch, self.timeout_seconds)
            self._driver.attach(link, subscription)
            self._driver.flush()
        if wait:
            subscription.wait_until_open()
        return subscription

    # -- requests --------------------------------------------------------------------------------------------------

    def open_caller(self, service: QueueId, *, wait: bool = False) -> Caller:
        """A way to ask one service, of one's own.

        Raises ``FeatureNotServed`` if the broker has no services; with ``wait`` as :meth:`open_publisher`.
        """
        with self._driver.lock:
            link = self._open(wire_name(service), frames.SERVICE_KIND, b"", self._until(None), publishes=True)
            caller = Caller(self._driver, link, self.timeout_seconds)
            self._driver.attach(link, caller)
            self._driver.flush()
        if wait:
            caller.wait_until_open()
        return caller

    def request(self, service: QueueId, payload: Payload, timeout_seconds: Optional[float] = None) -> bytes:
        """As :func:`request`."""
        return self.start_request(service, payload, timeout_seconds).result()

    def start_request(
        self, service: QueueId, payload: Payload, timeout_seconds: Optional[float] = None
    ) -> PendingReply:
        """Asks, and returns as soon as the request is under way; ``result`` of what it returns waits for the answer."""
        with self._driver.lock:
            return self._callers.use(
                wire_name(service), self.timeout_seconds, lambda caller: caller.start(payload, timeout_seconds)
            )

    def serve(self, service: QueueId, *, prefetch: int = 1, wait: bool = False) -> Service:
        """As :func:`serve`; with ``wait`` it returns when the broker has taken it, or raises ``Refused``."""
        _check_prefetch(prefetch)
        with self._driver.lock:
            link = self._open(wire_name(service), frames.SERVICE_KIND, b"", self._until(None), consumes=True)
            responder = Service(self._driver, link, prefetch, self.timeout_seconds)
            self._driver.attach(link, responder)
            self._driver.flush()
        if wait:
            responder.wait_until_open()
        return responder

    # -- its end ---------------------------------------------------------------------------------------------------

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

    def _queue_arguments(self, settings: Optional[QueueSettings], arguments: bytes, deadline: Deadline) -> bytes:
        if settings is None:
            return bytes(arguments)
        if arguments:
            raise ValueError("settings are the arguments of a queue; there cannot be others as well")
        encoded = settings.encode()
        self._when_welcome(lambda: self._driver.session.require(Feature.QUEUES, "a queue with settings"), deadline)
        return encoded

    def _open(
        self,
        name: Union[int, bytes],
        kind: int,
        arguments: bytes,
        deadline: Deadline,
        *,
        publishes: bool = False,
        consumes: bool = False,
    ) -> Link:
        session = self._driver.session
        return self._when_welcome(
            lambda: session.open(name, publishes=publishes, consumes=consumes, kind=kind, arguments=arguments),
            deadline,
        )

    def _when_welcome(self, do: Callable[[], T], deadline: Deadline) -> T:
        """Does it, behind the WELCOME if it cannot be done before."""
        session = self._driver.session
        while True:
            try:
                return do()
            except BlockingIOError:
                self._driver.wait(
                    lambda: session.welcome is not None, deadline, "the broker has not answered the HELLO"
                )

    def _until(self, timeout_seconds: Optional[float]) -> Deadline:
        return Deadline.after(self.timeout_seconds if timeout_seconds is None else timeout_seconds)


def _check_prefetch(prefetch: int) -> None:
    if prefetch < 0:
        raise ValueError("prefetch cannot be negative")
