"""The blocking client with a broker played by hand: topics."""

from __future__ import annotations

import support
from by_hand import ByHand
from msglib_client import (
    Code,
    ConnectionLost,
    LinkClosed,
    Refused,
    TopicMsg,
    TopicOverflow,
    TopicSettings,
    TopicSubscription,
    frames,
    publish_to_topic,
    subscribe_to_topic,
)
from msglib_client.frames import TOPIC_KIND


class Publishing(ByHand):
    def test_to_one_topic_after_the_other(self) -> None:
        publish_to_topic(self.connection, "a/b", b"1")
        publish_to_topic(self.connection, "a/b", b"2", retain=True)
        publish_to_topic(self.connection, "ü", b"3")
        self.hear(
            frames.Open(1, b"a/b", publishes=True, kind=TOPIC_KIND),
            frames.Publish(1, 1, b"1"),
            frames.PublishWith(1, 2, b"2", retain=True),
            frames.Open(2, "ü".encode(), publishes=True, kind=TOPIC_KIND),
            frames.Publish(2, 1, b"3"),
        )

    def test_to_many_topics_on_one_link(self) -> None:
        with self.connection.open_topic_publisher("a/#") as publisher:
            publisher.publish(b"1", topic="a/b")
            publisher.publish(b"2", topic=b"a/c", retain=True)
        self.hear(
            frames.Open(1, b"a/#", publishes=True, kind=TOPIC_KIND),
            frames.PublishWith(1, 1, b"1", topic=b"a/b"),
            frames.PublishWith(1, 2, b"2", retain=True, topic=b"a/c"),
            frames.Close(1),
        )

    def test_a_name_that_the_broker_does_not_take(self) -> None:
        publishing = support.InThread(lambda: publish_to_topic(self.connection, "a//b", b"", confirm=True))
        self.next_heard()
        self.say(frames.Closed(1, Code.BAD_NAME, "an empty level"))
        with self.assertRaisesRegex(Refused, "an empty level"):
            publishing.result()

    def test_names_that_cannot_be(self) -> None:
        for name in ("", "x" * 256):
            with self.assertRaises(ValueError):
                publish_to_topic(self.connection, name, b"")
            with self.assertRaises(ValueError):
                subscribe_to_topic(self.connection, name)
        with self.assertRaisesRegex(TypeError, "no id such as 7"):
            subscribe_to_topic(self.connection, 7)  # type: ignore[arg-type]
        for topic_filter in ("a/+", "#", b"+/b"):
            with self.assertRaisesRegex(ValueError, "is a filter and no topic"):
                publish_to_topic(self.connection, topic_filter, b"")
        self.hear_nothing()
        publish_to_topic(self.connection, "a+/#b", b"")
        self.hear(frames.Open(1, b"a+/#b", publishes=True, kind=TOPIC_KIND))


class Subscribing(ByHand):
    def subscribe(self, topic_filter: str = "a/+") -> TopicSubscription:
        sub = subscribe_to_topic(self.connection, topic_filter)
        self.hear(frames.Open(1, topic_filter.encode(), consumes=True, kind=TOPIC_KIND), frames.Credit(1, 16))
        self.say(frames.Opened(1))
        return sub

    def test_with_settings(self) -> None:
        settings = TopicSettings(group="g", overflow=TopicOverflow.KEEP_LATEST, buffer=7, retained=False)
        subscribe_to_topic(self.connection, "a", 0, settings=settings)
        self.hear(frames.Open(1, b"a", consumes=True, kind=TOPIC_KIND, arguments=settings.encode()))

    def test_what_a_message_says(self) -> None:
        sub = self.subscribe()
        self.say(
            frames.DeliveryWith(1, 1, 1, b"old", retained=True, topic=b"a/b"),
            frames.DeliveryWith(1, 2, 1, b"new", topic="a/ü".encode()),
        )
        self.assertEqual([next(sub), next(sub)], [TopicMsg(b"old", "a/b", True), TopicMsg(b"new", "a/ü")])

    def test_one_topic_alone_need_not_be_named(self) -> None:
        sub = self.subscribe("a/b")
        self.say(frames.Delivery(1, 1, 1, b"x"))
        self.assertEqual(next(sub), TopicMsg(b"x", "a/b"))

    def test_what_was_lost_is_told_with_the_next_message(self) -> None:
        sub = self.subscribe("a")
        self.say(
            frames.Delivery(1, 1, 1, b"1"),
            frames.Gap(1, 2),
            frames.Gap(1, 3),
            frames.Delivery(1, 2, 1, b"2"),
            frames.Delivery(1, 3, 1, b"3"),
            frames.Gap(1, 1),
            frames.Ping(1),
        )
        self.hear(frames.Pong(1))
        self.assertEqual([next(sub).lost_before for _ in range(3)], [0, 5, 0])
        self.assertEqual(sub.lost_count, 6)
        self.say(frames.Delivery(1, 4, 1, b"4"))
        self.assertEqual(next(sub).lost_before, 1)

    def test_messages_are_asked_for_as_they_are_read(self) -> None:
        sub = self.subscribe("a")
        self.say(*(frames.Delivery(1, tag, 1, b"") for tag in range(1, 9)))
        for _ in range(8):
            next(sub)
        self.hear(frames.Credit(1, 24))

    def test_what_has_arrived_when_the_broker_ends_it_can_still_be_read(self) -> None:
        sub = self.subscribe("a")
        self.say(frames.Delivery(1, 1, 1, b"last"), frames.Closed(1, Code.TOO_SLOW, "32 of 32 wait"), frames.Ping(1))
        self.hear(frames.Close(1), frames.Pong(1))
        self.assertEqual(next(sub).payload, b"last")
        with self.assertRaisesRegex(LinkClosed, "32 of 32 wait") as caught:
            next(sub)
        self.assertEqual(caught.exception.code, Code.TOO_SLOW)

    def test_what_has_arrived_when_the_connection_is_lost_can_still_be_read(self) -> None:
        sub = self.subscribe("a")
        self.say(frames.Delivery(1, 1, 1, b"last"))
        self.there.close()
        self.assertEqual(next(sub).payload, b"last")
        with self.assertRaises(ConnectionLost):
            next(sub)

    def test_closing_ends_the_loop(self) -> None:
        with self.subscribe("a") as sub:
            self.say(frames.Delivery(1, 1, 1, b"x"), frames.Ping(1))
            self.hear(frames.Pong(1))
        self.assertEqual(list(sub), [])
        self.hear(frames.Close(1))
