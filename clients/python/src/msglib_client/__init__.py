"""A blocking client for msglib brokers, in plain Python.

    >>> import msglib_client
    >>> with msglib_client.connect("::1", 12345) as connection:                           # doctest: +SKIP
    ...     msglib_client.publish_to_q(connection, "greetings", b"Hello, world!", confirm=True)
    ...     for msg in msglib_client.blocking_pull_subscribe_to_queue(connection, "greetings"):
    ...         print(msg.payload)
    ...         msg.ack()

Every object may be used from several threads at once. Below this stands a client without sockets, clocks or threads,
for whoever brings their own loop: :mod:`msglib_client.session`, :mod:`msglib_client.encode`,
:mod:`msglib_client.decode`.
"""

from __future__ import annotations

from .client import Payload, QueueId, blocking_pull_subscribe_to_queue, connect, connect_over, publish_to_q
from .connection import Connection
from .errors import AlreadySettled, Code, ConnectionLost, LinkClosed, MsglibError, ProtocolError, Refused
from .publisher import Publisher
from .subscription import AckableQMsg, Subscription

__all__ = [
    "AckableQMsg",
    "AlreadySettled",
    "Code",
    "Connection",
    "ConnectionLost",
    "LinkClosed",
    "MsglibError",
    "Payload",
    "ProtocolError",
    "Publisher",
    "QueueId",
    "Refused",
    "Subscription",
    "blocking_pull_subscribe_to_queue",
    "connect",
    "connect_over",
    "publish_to_q",
]
