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

from .client import (
    blocking_pull_subscribe_to_queue,
    connect,
    connect_over,
    publish_to_q,
    publish_to_topic,
    request,
    serve,
    subscribe_to_topic,
)
from .connection import Connection
from .errors import (
    AlreadySettled,
    Code,
    ConnectionLost,
    FeatureNotServed,
    GoingAway,
    LinkClosed,
    MsglibError,
    NoReply,
    ProtocolError,
    Refused,
    TooLate,
)
from .features import Feature
from .frames import Cause
from .names import QueueId, TopicName
from .publisher import Publisher
from .requests import Caller, PendingReply, Request, Service
from .sender import Payload
from .settings import QueueDispatch, QueueOrder, QueueOverflow, QueueSettings, TopicOverflow, TopicSettings
from .subscription import AckableQMsg, Subscription
from .topics import TopicMsg, TopicPublisher, TopicSubscription

__all__ = [
    "AckableQMsg",
    "AlreadySettled",
    "Caller",
    "Cause",
    "Code",
    "Connection",
    "ConnectionLost",
    "Feature",
    "FeatureNotServed",
    "GoingAway",
    "LinkClosed",
    "MsglibError",
    "NoReply",
    "Payload",
    "PendingReply",
    "ProtocolError",
    "Publisher",
    "QueueDispatch",
    "QueueId",
    "QueueOrder",
    "QueueOverflow",
    "QueueSettings",
    "Refused",
    "Request",
    "Service",
    "Subscription",
    "TooLate",
    "TopicMsg",
    "TopicName",
    "TopicOverflow",
    "TopicPublisher",
    "TopicSettings",
    "TopicSubscription",
    "blocking_pull_subscribe_to_queue",
    "connect",
    "connect_over",
    "publish_to_q",
    "publish_to_topic",
    "request",
    "serve",
    "subscribe_to_topic",
]
