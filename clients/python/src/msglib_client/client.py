"""The calls that a user begins with: connect; publish and subscribe, to queues and topics; ask and answer."""

from __future__ import annotations

import math
import socket
from typing import Optional, Union

from . import frames
from .connection import Connection
from .deadline import Deadline
from .features import ALL_FEATURES
from .names import QueueId, TopicName
from .requests import Service
from .sender import Payload
from .session import Session
from .settings import QueueSettings, TopicSettings
from .subscription import Subscription
from .topics import TopicSubscription

__all__ = [
    "blocking_pull_subscribe_to_queue",
    "connect",
    "connect_over",
    "publish_to_q",
    "publish_to_topic",
    "request",
    "serve",
    "subscribe_to_topic",
]


def connect(
    host: str,
    port: int,
    timeout_seconds: Optional[float] = 10.0,
    *,
    name: str = "",
    mechanism: str = "",
    credentials: bytes = b"",
    max_payload: int = frames.DEFAULT_MAX_PAYLOAD,
    idle_seconds: float = 0.0,
    features: int = ALL_FEATURES,
    wait: bool = True,
) -> Connection:
    """Connects to a broker over TCP, by a name or an IPv4 or IPv6 address.

    ``timeout_seconds`` bounds this call (but for looking the name up) and, unless they are told otherwise, all later
    ones; ``None`` means for ever. ``name`` is for the broker's logs; ``mechanism`` and ``credentials`` are what the
    broker's author has agreed on. ``max_payload`` is the largest payload, in bytes, that may be delivered here. With
    ``idle_seconds`` the connection is given up when nothing arrives for so long; 0 means never. ``features`` are those
    of the protocol that are offered, all unless you say otherwise; what the broker has of them is in
    ``connection.features``. Without ``wait`` the call does not wait for the broker's answer, and a refusal is raised by
    whatever is called next.

    Raises ``Refused`` if the broker does not take the client, ``ProtocolError`` or ``ConnectionLost`` if it is no
    broker, ``TimeoutError``, another ``OSError`` if there is nobody at that address, ``ValueError`` for arguments that
    do not fit.
    """
    deadline = _deadline(timeout_seconds)
    session = _new_session(name, mechanism, credentials, max_payload, idle_seconds, features)
    stream = _connect_tcp(host, port, deadline)
    return _begin(stream, session, timeout_seconds, deadline, wait)


def connect_over(
    stream: socket.socket,
    timeout_seconds: Optional[float] = 10.0,
    *,
    name: str = "",
    mechanism: str = "",
    credentials: bytes = b"",
    max_payload: int = frames.DEFAULT_MAX_PAYLOAD,
    idle_seconds: float = 0.0,
    features: int = ALL_FEATURES,
    wait: bool = True,
) -> Connection:
    """As :func:`connect`, over a connected stream socket of any family, which then belongs to the connection."""
    deadline = _deadline(timeout_seconds)
    session = _new_session(name, mechanism, credentials, max_payload, idle_seconds, features)
    return _begin(stream, session, timeout_seconds, deadline, wait)


def publish_to_q(
    connection: Connection,
    q_id: QueueId,
    payload: Payload,
    confirm: bool = False,
    *,
    delay_seconds: Optional[float] = None,
    ttl_seconds: Optional[float] = None,
    priority: Optional[int] = None,
    key: Union[str, bytes, None] = None,
) -> None:
    """Sends a message to a queue.

    With ``confirm`` it returns when the broker has taken responsibility for the message. Without, it returns as soon as
    the message is under way, and nothing tells the caller if it gets lost: ``connection.refused_count`` counts what the
    broker refused, and a queue that it refuses is raised by the next call. In both cases it waits while the broker does
    not allow more messages. The first message to a queue opens a link to it, which the connection keeps.

    A message with ``delay_seconds`` is not delivered before that is over, one with ``ttl_seconds`` not after that is
    over. ``priority``, 0 to 255, the higher the sooner, and ``key``, 1 to 255 bytes, mean something in queues that were
    made with an order that goes by them: see :class:`QueueOrder`.

    Raises ``Refused`` if the broker does not take the message or the queue, ``TimeoutError`` (with ``confirm``, the
    message may or may not have been accepted), ``LinkClosed``, ``ConnectionLost``, ``FeatureNotServed`` for a delay and
    the like if the broker has none, ``ValueError`` if the payload is above the broker's limit.
    """
    connection.publish(
        q_id, payload, confirm, delay_seconds=delay_seconds, ttl_seconds=ttl_seconds, priority=priority, key=key
    )


def blocking_pull_subscribe_to_queue(
    connection: Connection, q_id: QueueId, prefetch: int = 1, *, settings: Optional[QueueSettings] = None
) -> Subscription:
    """Subscribes to a queue; ``next`` of the result waits for its next message.

    Up to ``prefetch`` messages are kept here unread, beside those that were handed out, so that the next one is there
    when it is asked for; nobody else gets those meanwhile. With 0 the broker sends a message only when somebody waits
    for it. With ``settings`` the queue must have them, or is made with them.

    Does not wait for the broker; if that refuses, ``next`` raises it.
    """
    return connection.subscribe(q_id, prefetch=prefetch, settings=settings)


def publish_to_topic(
    connection: Connection, topic: TopicName, payload: Payload, confirm: bool = False, *, retain: bool = False
) -> None:
    """Sends a message to everybody whose filter matches the topic, as many or few as there are.

    A topic's name has levels that ``/`` separates: ``"sensors/kitchen/temperature"``. With ``retain`` the topic keeps
    the message as its last value, which those who subscribe later get first; an empty payload then removes it. With
    ``confirm`` it returns when the message was given to the subscriptions. The first message to a topic opens a link
    to it, which the connection keeps; for very many topics :meth:`Connection.open_topic_publisher` needs one alone.

    Raises as :func:`publish_to_q`.
    """
    connection.publish_to_topic(topic, payload, confirm, retain=retain)


def subscribe_to_topic(
    connection: Connection, topic_filter: TopicName, prefetch: int = 16, *, settings: Optional[TopicSettings] = None
) -> TopicSubscription:
    """Subscribes to all topics that match a filter; ``next`` of the result waits for the next message.

    In a filter ``+`` stands for any one level, and ``#``, as the last, for all further ones:
    ``"sensors/+/temperature"``, ``"sensors/#"``. Up to ``prefetch`` messages wait here unread; what more there is waits
    at the broker, as much as ``settings`` say, and what was lost then is counted by ``lost_before`` of the next
    message. The last values that were kept come first, unless ``settings`` say otherwise.

    Raises ``FeatureNotServed`` if the broker has no topics. Does not wait for the broker; if that refuses, ``next``
    raises it.
    """
    return connection.subscribe_to_topic(topic_filter, prefetch=prefetch, settings=settings)


def request(
    connection: Connection, service: QueueId, payload: Payload, timeout_seconds: Optional[float] = None
) -> bytes:
    """Asks a service, and returns the answer of one of those that serve it.

    Raises ``TimeoutError`` if no answer came in time; ``NoReply`` if there is none: nobody serves it
    (``NO_RESPONDER``), who had the request went away (``RESPONDER_GONE``), or said so with a code of its own;
    ``FeatureNotServed`` if the broker has no services; ``Refused``, ``LinkClosed``, ``ConnectionLost``, and
    ``ValueError`` if the payload is above the broker's limit. But for ``NO_RESPONDER`` the request may have had its
    effect.
    """
    return connection.request(service, payload, timeout_seconds)


def serve(connection: Connection, service: QueueId, prefetch: int = 1) -> Service:
    """Answers the requests to a service: ``next`` of the result waits for the next one.

    Up to ``prefetch`` requests wait here unread. Several may serve the same, here and elsewhere: each request goes to
    one of them.

    Raises ``FeatureNotServed`` if the broker has no services. Does not wait for the broker; if that refuses, ``next``
    raises it.
    """
    return connection.serve(service, prefetch=prefetch)


def _connect_tcp(host: str, port: int, deadline: Deadline) -> socket.socket:
    """The first of the host's addresses that answers."""
    last_error: Optional[OSError] = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        stream = socket.socket(family, kind, protocol)
        try:
            left = deadline.left()
            if left == 0.0:
                raise socket.timeout("timed out")
            stream.settimeout(left)
            stream.connect(address)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        except socket.timeout as error:  # not a TimeoutError before Python 3.10
            stream.close()
            raise TimeoutError(f"nobody answered at {host} port {port}") from error
        except OSError as error:
            stream.close()
            last_error = error
    if last_error is None:
        raise OSError(f"{host} has no address")
    raise OSError(last_error.errno, f"cannot connect to {host} port {port}: {last_error.strerror}") from last_error


def _deadline(timeout_seconds: Optional[float]) -> Deadline:
    if timeout_seconds == 0:
        raise ValueError("connecting takes time; set timeout_seconds of the connection to 0 afterwards instead")
    return Deadline.after(timeout_seconds)


def _begin(
    stream: socket.socket,
    session: Session,
    timeout_seconds: Optional[float],
    deadline: Deadline,
    wait: bool,
) -> Connection:
    connection = Connection(stream, session, timeout_seconds)
    if wait:
        try:
            left = deadline.left()
            # 0 would mean not to wait, and not that the time is up.
            connection.wait_for_welcome(math.inf if left is None else max(left, 0.001))
        except BaseException:
            connection.abort()
            raise
    return connection


def _new_session(
    name: str, mechanism: str, credentials: bytes, max_payload: int, idle_seconds: float, features: int
) -> Session:
    return Session(
        name=name,
        mechanism=mechanism,
        credentials=bytes(credentials),
        max_payload=max_payload,
        idle_ms=round(idle_seconds * 1000),
        features=features,
    )
