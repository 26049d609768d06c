"""The blocking client with a broker played by hand: queues with more than a plain one, and a broker that goes away."""

from __future__ import annotations

import socket
from typing import Callable, List, Set, Tuple

import support
from by_hand import ByHand
from msglib_client import (
    AckableQMsg,
    AlreadySettled,
    Cause,
    Code,
    Feature,
    FeatureNotServed,
    GoingAway,
    LinkClosed,
    QueueOrder,
    QueueSettings,
    Refused,
    Subscription,
    TooLate,
    blocking_pull_subscribe_to_queue,
    connect_over,
    frames,
    publish_to_q,
    publish_to_topic,
    request,
    serve,
    subscribe_to_topic,
)
from msglib_client.features import NO_FEATURES
from msglib_client.frames import Settling, Verdict

SETTINGS = QueueSettings(order=QueueOrder.PRIORITY, lease_seconds=30)


class Publishing(ByHand):
    def test_what_is_said_beside_a_message(self) -> None:
        publish_to_q(self.connection, "jobs", b"plain")
        publish_to_q(self.connection, "jobs", b"x", delay_seconds=1.5, ttl_seconds=2, priority=7, key="kü")
        publish_to_q(self.connection, "jobs", b"y", priority=0, key=b"\xff")
        self.hear(
            frames.Open(1, b"jobs", publishes=True),
            frames.Publish(1, 1, b"plain"),
            frames.PublishWith(1, 2, b"x", delay_ms=1500, ttl_ms=2000, priority=7, key="kü".encode()),
            frames.PublishWith(1, 3, b"y", priority=0, key=b"\xff"),
        )

    def test_a_confirm_of_it(self) -> None:
        publishing = support.InThread(lambda: publish_to_q(self.connection, 1, b"x", confirm=True, priority=1))
        self.hear(frames.Open(1, 1, publishes=True), frames.PublishWith(1, 1, b"x", True, priority=1))
        self.say(frames.Opened(1), frames.Refused(1, 1, 1, Code.QUEUE_FULL, "1 of 1"), frames.Confirmed(1, 1))
        with self.assertRaises(Refused) as caught:
            publishing.result()
        self.assertEqual(caught.exception.code, Code.QUEUE_FULL)

    def test_what_cannot_be_said(self) -> None:
        calls: List[Tuple[str, Callable[[], None]]] = [
            ("delay_seconds must be", lambda: publish_to_q(self.connection, 1, b"", delay_seconds=-1)),
            ("a priority must be 0 to 255, 256", lambda: publish_to_q(self.connection, 1, b"", priority=256)),
            ("a key must have 1 to 255", lambda: publish_to_q(self.connection, 1, b"", key="")),
            ("a key must have 1 to 255", lambda: publish_to_q(self.connection, 1, b"", key="k" * 256)),
            ("a key is text", lambda: publish_to_q(self.connection, 1, b"", key=5)),  # type: ignore[arg-type]
            ("needs an encoding", lambda: publish_to_q(self.connection, 1, "text")),  # type: ignore[arg-type]
        ]
        for said, call in calls:
            with self.assertRaisesRegex((ValueError, TypeError), said):
                call()
        publish_to_q(self.connection, 1, b"x")
        self.hear(frames.Open(1, 1, publishes=True), frames.Publish(1, 1, b"x"))

    def test_a_producer_that_goes_on_where_it_was(self) -> None:
        with self.connection.open_publisher("jobs", producer_id=7, base=3) as publisher:
            publisher.publish(b"the fourth")
        self.hear(
            frames.Open(1, b"jobs", publishes=True),
            frames.Producer(1, 7, 3),
            frames.Publish(1, 1, b"the fourth"),
            frames.Close(1),
        )

    def test_a_producer_that_cannot_be(self) -> None:
        for producer_id, base in ((0, 0), (-1, 0), (2**128, 0), (1, -1), (1, 2**64)):
            with self.assertRaises(ValueError):
                self.connection.open_publisher(1, producer_id=producer_id, base=base)
        self.hear_nothing()


class Declaring(ByHand):
    def test_a_queue_with_settings(self) -> None:
        declaring = support.InThread(lambda: self.connection.declare_queue("jobs", SETTINGS))
        self.hear(frames.Open(1, b"jobs", publishes=True, arguments=SETTINGS.encode()))
        self.say(frames.Opened(1))
        declaring.result()
        self.hear(frames.Close(1))

    def test_one_that_is_there_with_others(self) -> None:
        declaring = support.InThread(lambda: self.connection.declare_queue("jobs", SETTINGS))
        self.next_heard()
        self.say(frames.Closed(1, Code.DECLARED_OTHERWISE, "another lease"))
        with self.assertRaisesRegex(Refused, "another lease") as caught:
            declaring.result()
        self.assertEqual(caught.exception.code, Code.DECLARED_OTHERWISE)

    def test_subscribing_and_publishing_with_settings(self) -> None:
        blocking_pull_subscribe_to_queue(self.connection, 1, settings=SETTINGS)
        self.connection.open_publisher(1, settings=SETTINGS)
        encoded = SETTINGS.encode()
        self.hear(
            frames.Open(1, 1, consumes=True, arguments=encoded),
            frames.Credit(1, 1),
            frames.Open(2, 1, publishes=True, arguments=encoded),
        )

    def test_settings_are_the_arguments(self) -> None:
        with self.assertRaisesRegex(ValueError, "arguments"):
            self.connection.subscribe(1, settings=SETTINGS, arguments=b"x")
        with self.assertRaisesRegex(TypeError, "order must be a number or of the enumeration"):
            self.connection.declare_queue(1, QueueSettings(order="priority"))  # type: ignore[arg-type]
        with self.assertRaisesRegex(ValueError, "lease_seconds"):
            self.connection.declare_queue(1, QueueSettings(lease_seconds=-1))
        self.hear_nothing()

    def test_before_the_broker_has_answered_it_waits(self) -> None:
        connection = self.connect()
        declaring = support.InThread(lambda: connection.declare_queue(1, SETTINGS))
        publishing = support.InThread(lambda: connection.publish(2, b"x", priority=1))
        self.say(frames.Welcome(features=Feature.QUEUES))
        names: Set[object] = set()
        while len(names) < 2:
            heard = self.next_heard()
            if isinstance(heard, frames.Open):
                names.add(heard.name)
                self.say(frames.Opened(heard.link))
        declaring.result()
        publishing.result()


class Consuming(ByHand):
    def subscription(self, *deliveries: frames.Frame) -> Subscription:
        """A subscription that has these deliveries."""
        sub = self.connection.subscribe("jobs", prefetch=16)
        self.hear(frames.Open(1, b"jobs", consumes=True), frames.Credit(1, 16))
        self.say(frames.Opened(1), *deliveries)
        return sub

    def messages(self, count: int) -> List[AckableQMsg]:
        sub = self.subscription(*(frames.Delivery(1, tag, 1, b"%d" % tag) for tag in range(1, count + 1)))
        return [next(sub) for _ in range(count)]

    def test_what_a_delivery_says(self) -> None:
        cause = Cause(Code.EXPIRED, 2, 1, 500, b"source")
        sub = self.subscription(
            frames.Delivery(1, 1, 1, b"plain"),
            frames.DeliveryWith(1, 2, 3, b"x", id=2**64 - 1, priority=9, key=b"k", cause=cause),
        )
        plain, full = next(sub), next(sub)
        self.assertEqual((plain.id, plain.priority, plain.key, plain.cause), (None, None, None, None))
        self.assertEqual((full.payload, full.count, full.id), (b"x", 3, 2**64 - 1))
        self.assertEqual((full.priority, full.key, full.cause), (9, b"k", cause))

    def test_all_ways_to_settle(self) -> None:
        ways: List[Tuple[Callable[[AckableQMsg], None], Callable[[int], frames.Frame]]] = [
            (lambda m: m.ack(), lambda t: frames.Ack(1, t, t)),
            (lambda m: m.refuse(), lambda t: frames.Refuse(1, t, t, Verdict.AGAIN)),
            (lambda m: m.refuse(for_good=True), lambda t: frames.Refuse(1, t, t, Verdict.FOR_GOOD)),
            (
                lambda m: m.refuse(delay_seconds=0),
                lambda t: frames.Settle(1, t, t, Settling.AGAIN, delay_ms=0),
            ),
            (
                lambda m: m.refuse(delay_seconds=2.5, priority=3),
                lambda t: frames.Settle(1, t, t, Settling.AGAIN, delay_ms=2500, priority=3),
            ),
            (lambda m: m.extend(), lambda t: frames.Settle(1, t, t, Settling.EXTEND, lease_ms=0)),
            (lambda m: m.extend(60), lambda t: frames.Settle(1, t, t, Settling.EXTEND, lease_ms=60_000)),
        ]
        messages = self.messages(len(ways))
        for tag, (msg, (settle, expected)) in enumerate(zip(messages, ways), 1):
            settle(msg)
            self.hear(expected(tag))

    def test_settling_with_what_does_not_belong_together(self) -> None:
        (msg,) = self.messages(1)
        calls: List[Callable[[], None]] = [
            lambda: msg.refuse(for_good=True, delay_seconds=1),
            lambda: msg.refuse(for_good=True, priority=1),
            lambda: msg.refuse(priority=256),
            lambda: msg.extend(0),
            lambda: msg.extend(-1),
        ]
        for call in calls:
            with self.assertRaises(ValueError):
                call()
        msg.ack()
        self.hear(frames.Ack(1, 1, 1))

    def test_a_message_is_extended_often_and_settled_once(self) -> None:
        (msg,) = self.messages(1)
        msg.extend()
        msg.extend()
        msg.ack()
        for call in (msg.extend, msg.ack, msg.refuse):
            with self.assertRaises(AlreadySettled):
                call()

    def test_who_asks_is_told_whether_it_was_in_time(self) -> None:
        messages = self.messages(4)
        calls = [
            (lambda: messages[0].ack(confirm=True), Settling.ACK, None),
            (lambda: messages[1].refuse(confirm=True), Settling.AGAIN, None),
            (lambda: messages[2].refuse(True, confirm=True), Settling.FOR_GOOD, None),
            (lambda: messages[3].extend(confirm=True), Settling.EXTEND, 0),
        ]
        waiting = []
        for tag, (call, settling, lease_ms) in enumerate(calls, 1):
            waiting.append(support.InThread(call))
            self.hear(frames.Settle(1, tag, tag, settling, confirm=True, lease_ms=lease_ms))
        self.say(*(frames.Settled(1, tag, tag, tag % 2) for tag in (1, 2, 3, 4)))
        waiting[0].result()
        waiting[2].result()
        for late in (waiting[1], waiting[3]):
            with self.assertRaises(TooLate):
                late.result()

    def test_an_answer_that_came_after_the_time_out_is_not_the_next_ones(self) -> None:
        first, second = self.messages(2)
        first._subscription.timeout_seconds = 0.01
        with self.assertRaisesRegex(TimeoutError, "may or may not"):
            first.ack(confirm=True)
        first._subscription.timeout_seconds = support.SAFETY_NET_SECONDS
        acking = support.InThread(lambda: second.ack(confirm=True))
        self.hear(*(frames.Settle(1, tag, tag, Settling.ACK, confirm=True) for tag in (1, 2)))
        self.say(frames.Settled(1, 1, 1, 0), frames.Settled(1, 2, 2, 1))
        acking.result()

    def test_the_link_ends_before_the_answer(self) -> None:
        (msg,) = self.messages(1)
        acking = support.InThread(lambda: msg.ack(confirm=True))
        self.next_heard()
        self.say(frames.Closed(1, Code.CHANNEL_DELETED))
        with self.assertRaises(LinkClosed) as caught:
            acking.result()
        self.assertEqual(caught.exception.code, Code.CHANNEL_DELETED)


class WithoutFeatures(ByHand):
    FEATURES = NO_FEATURES

    def test_each_call_says_what_is_missing_and_sends_nothing(self) -> None:
        connection = self.connection
        sub = connection.subscribe(1)
        publisher = connection.open_publisher(1)
        self.say(frames.Opened(1), frames.Delivery(1, 1, 1, b"x"))
        msg = next(sub)
        self.hear(
            frames.Open(1, 1, consumes=True),
            frames.Credit(1, 1),
            frames.Open(2, 1, publishes=True),
            frames.Credit(1, 2),
        )
        calls: List[Tuple[str, Callable[[], object]]] = [
            ("QUEUES", lambda: connection.declare_queue(2, SETTINGS)),
            ("QUEUES", lambda: connection.subscribe(2, settings=QueueSettings())),
            ("QUEUES", lambda: connection.open_publisher(2, producer_id=1)),
            ("QUEUES", lambda: publisher.publish(b"", priority=1)),
            ("QUEUES", lambda: msg.ack(confirm=True)),
            ("QUEUES", lambda: msg.refuse(delay_seconds=1)),
            ("QUEUES", lambda: msg.extend()),
            ("TOPICS", lambda: publish_to_topic(connection, "t", b"")),
            ("TOPICS", lambda: subscribe_to_topic(connection, "t")),
            ("REQUESTS", lambda: request(connection, "s", b"")),
            ("REQUESTS", lambda: serve(connection, "s")),
        ]
        for feature, call in calls:
            with self.assertRaisesRegex(FeatureNotServed, f"{feature}, which the broker 'hand' does not serve"):
                call()
        msg.ack()
        self.hear(frames.Ack(1, 1, 1))
        self.assertEqual(connection.features, NO_FEATURES)

    def test_what_was_not_offered(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, features=Feature.TOPICS, wait=False) as connection:
            with self.assertRaisesRegex(FeatureNotServed, "QUEUES, which was not offered"):
                connection.declare_queue(1, SETTINGS)
            connection.abort()


class ABrokerThatGoesAway(ByHand):
    def test_what_is_there_is_read_and_settled_and_nothing_new_is_waited_for(self) -> None:
        sub = self.connection.subscribe(1, prefetch=2)
        self.assertIsNone(self.connection.going_away)
        self.say(frames.Opened(1), frames.Delivery(1, 1, 1, b"x"), frames.GoingAway(60_000))
        msg = next(sub)
        with self.assertRaisesRegex(GoingAway, "settle what is held"):
            next(sub)
        left = self.connection.going_away
        assert left is not None
        self.assertTrue(50 < left <= 60, left)
        msg.ack()
        publish_to_q(self.connection, 1, b"still")
        self.say(frames.GoingAway(1_000))
        self.say(frames.Ping(1))
        while self.next_heard() != frames.Pong(1):
            pass
        left = self.connection.going_away
        assert left is not None
        self.assertLessEqual(left, 1)

    def test_those_who_wait_are_told(self) -> None:
        sub = self.connection.subscribe(1)
        reader = support.InThread(lambda: next(sub))
        self.say(frames.Opened(1), frames.GoingAway(60_000))
        with self.assertRaises(GoingAway):
            reader.result()
