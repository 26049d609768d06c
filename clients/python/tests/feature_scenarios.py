"""What a user can rely on with a broker that has the features: queues with more, topics, requests."""

from __future__ import annotations

import abc
import itertools
import secrets
import time
import unittest
from typing import List

import support
from msglib_client import (
    Code,
    Connection,
    Feature,
    LinkClosed,
    NoReply,
    QueueOrder,
    QueueOverflow,
    QueueSettings,
    Refused,
    TooLate,
    TopicMsg,
    TopicOverflow,
    TopicSettings,
    blocking_pull_subscribe_to_queue,
    publish_to_q,
    publish_to_topic,
    request,
    serve,
    subscribe_to_topic,
)

_NAMES = itertools.count(1)
_SHORT_SECONDS = 0.02
"""A delay or lease that a test waits for; nothing fails if the machine is slower."""


class FeatureScenarios(abc.ABC):
    """To be mixed into a ``unittest.TestCase`` that can connect."""

    @abc.abstractmethod
    def connect(self) -> Connection:
        """A new connection to the broker under test."""

    def name(self) -> str:
        """A channel that no other test uses."""
        return f"feature-{next(_NAMES)}"

    @property
    def case(self) -> unittest.TestCase:
        assert isinstance(self, unittest.TestCase)
        return self

    def take(self, connection: Connection, q_id: str, count: int) -> List[bytes]:
        """The payloads of the next messages, acked."""
        payloads = []
        with blocking_pull_subscribe_to_queue(connection, q_id) as sub:
            for _ in range(count):
                msg = next(sub)
                payloads.append(msg.payload)
                msg.ack()
        return payloads

    def test_what_was_agreed_on(self) -> None:
        with self.connect() as connection:
            for feature in (Feature.QUEUES, Feature.TOPICS, Feature.REQUESTS):
                self.case.assertTrue(connection.features & feature, feature)

    # -- queues ----------------------------------------------------------------------------------------------------

    def test_the_higher_priority_comes_first(self) -> None:
        name = self.name()
        with self.connect() as connection:
            connection.declare_queue(name, QueueSettings(order=QueueOrder.PRIORITY))
            for priority in (1, 9, 5):
                publish_to_q(connection, name, b"%d" % priority, confirm=True, priority=priority)
            publish_to_q(connection, name, b"none", confirm=True)
            self.case.assertEqual(self.take(connection, name, 4), [b"9", b"5", b"1", b"none"])

    def test_a_key_and_what_a_message_says_of_itself(self) -> None:
        name = self.name()
        with self.connect() as connection:
            connection.declare_queue(name, QueueSettings(order=QueueOrder.LAST_VALUE))
            publish_to_q(connection, name, b"old", confirm=True, key="k")
            publish_to_q(connection, name, b"new", confirm=True, key="k")
            msg = next(blocking_pull_subscribe_to_queue(connection, name))
            self.case.assertEqual((msg.payload, msg.key), (b"new", b"k"))
            self.case.assertIsNotNone(msg.id)
            msg.ack(confirm=True)

    def test_delayed_and_expired(self) -> None:
        name, began = self.name(), time.monotonic()
        with self.connect() as connection:
            publish_to_q(connection, name, b"later", confirm=True, delay_seconds=_SHORT_SECONDS)
            publish_to_q(connection, name, b"too old", confirm=True, ttl_seconds=0)
            self.case.assertEqual(self.take(connection, name, 1), [b"later"])
            self.case.assertGreaterEqual(time.monotonic() - began, _SHORT_SECONDS)
            publish_to_q(connection, name, b"now", confirm=True)
            self.case.assertEqual(self.take(connection, name, 1), [b"now"])

    def test_declared_otherwise(self) -> None:
        name = self.name()
        with self.connect() as connection:
            settings = QueueSettings(lease_seconds=60, dead_letter="dead", overflow=QueueOverflow.DROP_OLDEST)
            connection.declare_queue(name, settings)
            connection.declare_queue(name, settings)
            with self.case.assertRaisesRegex(Refused, "lease") as caught:
                connection.declare_queue(name, QueueSettings(lease_seconds=61))
            self.case.assertEqual(caught.exception.code, Code.DECLARED_OTHERWISE)
            with self.case.assertRaises(Refused):
                next(blocking_pull_subscribe_to_queue(connection, name, settings=QueueSettings(max_deliveries=2)))

    def test_a_lease_that_is_over_and_one_that_is_extended(self) -> None:
        name = self.name()
        with self.connect() as connection:
            connection.declare_queue(name, QueueSettings(lease_seconds=_SHORT_SECONDS))
            publish_to_q(connection, name, b"x", confirm=True)
            sub = blocking_pull_subscribe_to_queue(connection, name)
            late = next(sub)
            while True:
                again = next(sub)
                self.case.assertGreater(again.count, late.count)
                try:
                    again.extend(support.SAFETY_NET_SECONDS, confirm=True)
                    break
                except TooLate:
                    pass  # This machine is slow; it comes once more.
            with self.case.assertRaises(TooLate):
                late.ack(confirm=True)
            again.ack(confirm=True)

    def test_given_back_for_later_with_another_priority(self) -> None:
        name = self.name()
        with self.connect() as connection:
            connection.declare_queue(name, QueueSettings(order=QueueOrder.PRIORITY))
            for payload in (b"1", b"2"):
                publish_to_q(connection, name, payload, confirm=True)
            sub = blocking_pull_subscribe_to_queue(connection, name, prefetch=0)
            first, second = next(sub), next(sub)
            began = time.monotonic()
            first.refuse(delay_seconds=_SHORT_SECONDS, priority=3)
            again = next(sub)
            self.case.assertGreaterEqual(time.monotonic() - began, _SHORT_SECONDS)
            self.case.assertEqual((again.payload, again.count, again.priority), (b"1", 2, 3))
            for msg in (second, again):
                msg.ack(confirm=True)

    def test_dead_letters_say_why(self) -> None:
        name, dead = self.name(), self.name()
        with self.connect() as connection:
            connection.declare_queue(name, QueueSettings(dead_letter=dead, max_deliveries=2))
            sub = blocking_pull_subscribe_to_queue(connection, name, prefetch=0)
            for reason, rounds in ((Code.REFUSED_FOR_GOOD, 1), (Code.TOO_MANY_DELIVERIES, 2)):
                publish_to_q(connection, name, b"x", confirm=True)
                for _ in range(rounds):
                    next(sub).refuse(for_good=reason is Code.REFUSED_FOR_GOOD, confirm=True)
                with blocking_pull_subscribe_to_queue(connection, dead) as undertaker:
                    msg = next(undertaker)
                    assert msg.cause is not None
                    self.case.assertEqual((msg.cause.reason, msg.cause.count), (reason, rounds))
                    self.case.assertEqual((msg.cause.hops, msg.cause.source), (1, name.encode()))
                    msg.ack(confirm=True)

    def test_what_a_producer_publishes_again_is_no_second_message(self) -> None:
        name, producer_id = self.name(), secrets.randbits(128) | 1
        with self.connect() as connection:
            with connection.open_publisher(name, producer_id=producer_id) as publisher:
                for payload in (b"1", b"2"):
                    publisher.publish(payload, confirm=True)
        with self.connect() as connection:
            # It has not heard of the second one.
            with connection.open_publisher(name, producer_id=producer_id, base=1) as publisher:
                for payload in (b"2", b"3"):
                    publisher.publish(payload, confirm=True)
            publish_to_q(connection, name, b"the end", confirm=True)
            self.case.assertEqual(self.take(connection, name, 4), [b"1", b"2", b"3", b"the end"])

    # -- topics ----------------------------------------------------------------------------------------------------

    def test_everybody_gets_what_their_filter_matches(self) -> None:
        root = self.name()
        with self.connect() as sender, self.connect() as receiver:
            everything = receiver.subscribe_to_topic(f"{root}/#", wait=True)
            temperatures = receiver.subscribe_to_topic(f"{root}/+/t", wait=True)
            one = receiver.subscribe_to_topic(f"{root}/a/t", wait=True)
            publish_to_topic(sender, f"{root}/a/t", b"21")
            with sender.open_topic_publisher(f"{root}/b/+") as publisher:
                publisher.publish(b"22", topic=f"{root}/b/t")
                publisher.publish(b"on", topic=f"{root}/b/lamp", confirm=True)
                with self.case.assertRaises(Refused) as caught:
                    publisher.publish(b"", topic=f"{root}/c/t", confirm=True)
                self.case.assertEqual(caught.exception.code, Code.BAD_NAME)
            expected = [(b"21", "a/t"), (b"22", "b/t"), (b"on", "b/lamp")]
            messages = [TopicMsg(payload, f"{root}/{topic}") for payload, topic in expected]
            self.case.assertEqual([next(everything) for _ in messages], messages)
            self.case.assertEqual([next(temperatures) for _ in messages[:2]], messages[:2])
            self.case.assertEqual(next(one), messages[0])

    def test_the_last_value_comes_first(self) -> None:
        topic = self.name()
        with self.connect() as connection:
            for payload in (b"old", b"kept"):
                publish_to_topic(connection, topic, payload, confirm=True, retain=True)
            with subscribe_to_topic(connection, topic) as sub:
                self.case.assertEqual(next(sub), TopicMsg(b"kept", topic, retained=True))
            settings = TopicSettings(retained=False)
            with connection.subscribe_to_topic(topic, settings=settings, wait=True) as sub:
                publish_to_topic(connection, topic, b"new")
                self.case.assertEqual(next(sub), TopicMsg(b"new", topic))

    def test_a_group_shares_the_messages(self) -> None:
        topic, settings, count = self.name(), TopicSettings(group="workers"), 10
        with self.connect() as connection:
            subs = [connection.subscribe_to_topic(topic, settings=settings, wait=True) for _ in range(2)]
            for number in range(count):
                publish_to_topic(connection, topic, b"%d" % number, confirm=True)
            payloads = []
            for sub in subs:
                for _ in range(count // 2):
                    payloads.append(next(sub).payload)
            self.case.assertEqual(sorted(payloads), sorted(b"%d" % number for number in range(count)))

    def test_who_is_too_slow_is_told_what_was_lost_or_closed(self) -> None:
        topic = self.name()
        with self.connect() as connection:
            drops = connection.subscribe_to_topic(topic, prefetch=0, settings=TopicSettings(buffer=2), wait=True)
            disconnects = connection.subscribe_to_topic(
                topic, prefetch=0, settings=TopicSettings(buffer=2, overflow=TopicOverflow.DISCONNECT), wait=True
            )
            for number in range(5):
                publish_to_topic(connection, topic, b"%d" % number, confirm=True)
            expected = [TopicMsg(b"3", topic, lost_before=3), TopicMsg(b"4", topic)]
            self.case.assertEqual([next(drops) for _ in expected], expected)
            self.case.assertEqual(drops.lost_count, 3)
            with self.case.assertRaises(LinkClosed) as caught:
                next(disconnects)
            self.case.assertEqual(caught.exception.code, Code.TOO_SLOW)

    def test_a_name_that_is_none(self) -> None:
        with self.connect() as connection, self.case.assertRaises(Refused) as caught:
            connection.subscribe_to_topic("a//b", wait=True)
        self.case.assertEqual(caught.exception.code, Code.BAD_NAME)

    # -- requests --------------------------------------------------------------------------------------------------

    def test_asking_and_answering(self) -> None:
        name, count = self.name(), 20
        with self.connect() as here, self.connect() as there:
            service = there.serve(name, wait=True)

            def answer() -> None:
                for _ in range(count):
                    asked = next(service)
                    asked.reply(asked.payload.upper())

            answering = support.InThread(answer)
            self.case.assertEqual(request(here, name, b"hello"), b"HELLO")
            pending = [here.start_request(name, b"x%d" % number) for number in range(count - 1)]
            self.case.assertEqual([each.result() for each in pending], [b"X%d" % number for number in range(count - 1)])
            answering.result()

    def test_all_the_ways_to_have_no_answer(self) -> None:
        name = self.name()
        with self.connect() as here, self.connect() as there:
            self.expect_no_reply(here, name, Code.NO_RESPONDER)
            service = serve(there, name)
            service.wait_until_open()
            refused = here.start_request(name, b"refuse it")
            next(service).refuse(0x8001, "not today")
            with self.case.assertRaisesRegex(NoReply, "not today") as caught:
                refused.result()
            self.case.assertEqual(caught.exception.code, 0x8001)
            with self.case.assertRaises(TimeoutError):
                request(here, name, b"", timeout_seconds=_SHORT_SECONDS)
            left = here.start_request(name, b"leave it")
            while next(service).payload != b"leave it":
                pass
            service.close()
            with self.case.assertRaises(NoReply) as caught:
                left.result()
            self.case.assertEqual(caught.exception.code, Code.RESPONDER_GONE)

    def expect_no_reply(self, connection: Connection, name: str, code: Code) -> None:
        with self.case.assertRaises(NoReply) as caught:
            request(connection, name, b"")
        self.case.assertEqual(caught.exception.code, code)
