"""Topics: publish to one, or to many of a filter; receive what matches a filter (PROTOCOL §16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from . import events, frames
from .consumer import Consumer
from .driver import Driver
from .link import Link
from .names import TopicName, topic_name
from .publisher import MessageSender
from .sender import Payload


class TopicPublisher(MessageSender):
    """A way into a topic, or into all that a filter matches.

    Made by :meth:`Connection.open_topic_publisher`, ended by :meth:`close` or at the end of ``with``; what was
    published before is not affected by that.
    """

    def publish(
        self,
        payload: Payload,
        confirm: bool = False,
        timeout_seconds: Optional[float] = None,
        *,
        topic: Optional[TopicName] = None,
        retain: bool = False,
    ) -> None:
        """As :func:`publish_to_topic`; if this leads to a filter, each message needs a ``topic`` that it matches."""
        fields = frames.PublishFields(retain=retain, topic=None if topic is None else topic_name(topic))
        self._publish(payload, confirm, fields, timeout_seconds)


@dataclass(frozen=True)
class TopicMsg:
    """A message of a topic. There is nothing to settle."""

    payload: bytes
    """What was published."""
    topic: str
    """Where it was published."""
    retained: bool = False
    """Whether it is the topic's last value, kept from before the subscription."""
    lost_before: int = 0
    """How many messages are missing between the one before and this one, since this side was too slow."""


class TopicSubscription(Consumer[TopicMsg]):
    """The messages of all topics that match a filter; made by :func:`subscribe_to_topic`.

    What has arrived when the broker ends the subscription, or the connection, can still be read.
    """

    _LOST_AT_THE_END = False

    def __init__(
        self, driver: Driver, link: Link, topic_filter: bytes, prefetch: int, timeout_seconds: Optional[float]
    ) -> None:
        """Use :func:`subscribe_to_topic` instead."""
        super().__init__(driver, link, prefetch, timeout_seconds)
        self.lost_count = 0
        """How many messages are missing so far, read or unread."""
        self._filter = topic_filter
        self._lost_before_next = 0

    def _item_of(self, event: events.Event) -> Optional[TopicMsg]:
        if isinstance(event, events.Missed):
            self.lost_count += event.lost
            self._lost_before_next += event.lost
        if not isinstance(event, events.Delivered):
            return None
        # A filter that is a name needs no topic with each message (§16.4).
        topic = self._filter if event.topic is None else event.topic
        lost, self._lost_before_next = self._lost_before_next, 0
        return TopicMsg(event.payload, topic.decode("utf-8", "replace"), event.retained, lost)
