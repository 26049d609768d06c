"""The calls that a user begins with: connect, publish to a queue, subscribe to one."""

from __future__ import annotations

import math
import socket
from typing import Optional

from . import frames
from .connection import Connection, QueueId
from .deadline import Deadline
from .publisher import Payload
from .session import Session
from .subscription import Subscription

__all__ = ["Payload", "QueueId", "blocking_pull_subscribe_to_queue", "connect", "connect_over", "publish_to_q"]


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
    wait: bool = True,
) -> Connection:
    """Connects to a broker over TCP, by a name or an IPv4 or IPv6 address.

    ``timeout_seconds`` bounds this call (but for looking the name up) and, unless they are told otherwise, all later
    ones; ``None`` means for ever. ``name`` is for the broker's logs; ``mechanism`` and ``credentials`` are what the
    broker's author has agreed on. ``max_payload`` is the largest payload, in bytes, that may be delivered here. With
    ``idle_seconds`` the connection is given up when nothing arrives for so long; 0 means never. Without ``wait`` the
    call does not wait for the broker's answer, and a refusal is raised by whatever is called next.

    Raises ``Refused`` if the broker does not take the client, ``ProtocolError`` or ``ConnectionLost`` if it is no
    broker, ``TimeoutError``, another ``OSError`` if there is nobody at that address, ``ValueError`` for arguments that
    do not fit.
    """
    deadline = _deadline(timeout_seconds)
    session = _new_session(name, mechanism, credentials, max_payload, idle_seconds)
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
    wait: bool = True,
) -> Connection:
    """As :func:`connect`, over a connected stream socket of any family, which then belongs to the connection."""
    deadline = _deadline(timeout_seconds)
    session = _new_session(name, mechanism, credentials, max_payload, idle_seconds)
    return _begin(stream, session, timeout_seconds, deadline, wait)


def publish_to_q(connection: Connection, q_id: QueueId, payload: Payload, confirm: bool = False) -> None:
    """Sends a message to a queue.

    With ``confirm`` it returns when the broker has taken responsibility for the message. Without, it returns as soon as
    the message is under way, and nothing tells the caller if it gets lost: ``connection.refused_count`` counts what the
    broker refused, and a queue that it refuses is raised by the next call. In both cases it waits while the broker does
    not allow more messages. The first message to a queue opens a link to it, which the connection keeps.

    Raises ``Refused`` if the broker does not take the message or the queue, ``TimeoutError`` (with ``confirm``, the
    message may or may not have been accepted), ``LinkClosed``, ``ConnectionLost``, ``ValueError`` if the payload is
    above the broker's limit.
    """
    connection.publish(q_id, payload, confirm)


def blocking_pull_subscribe_to_queue(connection: Connection, q_id: QueueId, prefetch: int = 1) -> Subscription:
    """Subscribes to a queue; ``next`` of the result waits for its next message.

    Up to ``prefetch`` messages are kept here unread, beside those that were handed out, so that the next one is there
    when it is asked for; nobody else gets those meanwhile. With 0 the broker sends a message only when somebody waits
    for it.

    Does not wait for the broker; if that refuses, ``next`` raises it.
    """
    return connection.subscribe(q_id, prefetch=prefetch)


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


def _new_session(name: str, mechanism: str, credentials: bytes, max_payload: int, idle_seconds: float) -> Session:
    return Session(
        name=name,
        mechanism=mechanism,
        credentials=bytes(credentials),
        max_payload=max_payload,
        idle_ms=round(idle_seconds * 1000),
    )
