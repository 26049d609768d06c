"""What a user can rely on, whichever broker there is: the same scenarios for the fake one and the real one."""

from __future__ import annotations

import abc
import enum
import functools
import itertools
import queue as threads_queue
import threading
import unittest
from typing import List

import support
from msglib_client import (
    AckableQMsg,
    AlreadySettled,
    Code,
    Connection,
    LinkClosed,
    QueueId,
    Refused,
    blocking_pull_subscribe_to_queue,
    publish_to_q,
)

_NAMES = itertools.count(1)


class QueueIds(enum.IntEnum):
    """As users name their queues."""

    GREETINGS = 1_000_001


class Scenarios(abc.ABC):
    """To be mixed into a ``unittest.TestCase`` that can connect."""

    @abc.abstractmethod
    def connect(self) -> Connection:
        """A new connection to the broker under test."""

    def name(self) -> str:
        """A queue that no other test uses."""
        return f"scenario-{next(_NAMES)}"

    @property
    def case(self) -> unittest.TestCase:
        assert isinstance(self, unittest.TestCase)
        return self

    def take(self, connection: Connection, q_id: QueueId, count: int) -> List[AckableQMsg]:
        """The next messages, not settled."""
        sub = blocking_pull_subscribe_to_queue(connection, q_id)
        return [next(sub) for _ in range(count)]

    def test_publish_one_read_one(self) -> None:
        with self.connect() as sender, self.connect() as receiver:
            publish_to_q(connection=sender, q_id=QueueIds.GREETINGS, payload=b"Hello, world!")
            sub = blocking_pull_subscribe_to_queue(connection=receiver, q_id=QueueIds.GREETINGS)

            # Reading blocks until there is a message, so it has a thread of its own.
            class Reader(threading.Thread):
                msg: AckableQMsg

                def run(self) -> None:
                    self.msg = next(sub)

            reader = Reader()
            reader.start()
            reader.join(support.SAFETY_NET_SECONDS)
            self.case.assertEqual((reader.msg.payload, reader.msg.count), (b"Hello, world!", 1))
            reader.msg.ack()

    def test_the_reader_waits_before_there_is_a_message(self) -> None:
        name = self.name()
        with self.connect() as sender, self.connect() as receiver:
            sub = receiver.subscribe(name, prefetch=0, wait=True)
            reader = support.InThread(lambda: next(sub))
            publish_to_q(sender, name, b"late", confirm=True)
            msg = reader.result()
            self.case.assertEqual(msg.payload, b"late")
            msg.ack()

    def test_ids_and_names_are_different_queues_text_is_its_utf_8(self) -> None:
        with self.connect() as connection:
            number = 2_000_000
            publish_to_q(connection, number, b"id", confirm=True)
            publish_to_q(connection, str(number), b"name", confirm=True)
            publish_to_q(connection, "Grüße", b"text", confirm=True)
            for q_id, payload in ((str(number).encode(), b"name"), (number, b"id"), ("Grüße".encode(), b"text")):
                (msg,) = self.take(connection, q_id, 1)
                self.case.assertEqual(msg.payload, payload)
                msg.ack()

    def test_many_messages_stay_in_order(self) -> None:
        name, count = self.name(), 1000
        with self.connect() as sender, self.connect() as receiver:

            def publish() -> None:
                for number in range(count):
                    publish_to_q(sender, name, b"%d" % number, confirm=number == count - 1)

            publishing = support.InThread(publish)
            sub = blocking_pull_subscribe_to_queue(receiver, name, prefetch=32)
            for number in range(count):
                msg = next(sub)
                self.case.assertEqual(msg.payload, b"%d" % number)
                msg.ack()
            publishing.result()
            self.case.assertEqual(sender.refused_count, 0)

    def test_payloads_of_no_and_of_many_bytes(self) -> None:
        name = self.name()
        large = bytes(range(256)) * 4096
        with self.connect() as connection:
            for payload in (b"", large, b"\0"):
                publish_to_q(connection, name, payload, confirm=True)
            messages = self.take(connection, name, 3)
            self.case.assertEqual([msg.payload for msg in messages], [b"", large, b"\0"])
            for msg in reversed(messages):
                msg.ack()

    def test_trying_again_after_a_time_out_loses_nothing_and_takes_nothing_twice(self) -> None:
        name = self.name()
        with self.connect() as sender, self.connect() as receiver, self.connect() as other:
            sub = blocking_pull_subscribe_to_queue(receiver, name, prefetch=0)
            for _ in range(3):
                with self.case.assertRaises(TimeoutError):
                    sub.receive(timeout_seconds=0.005)
                with self.case.assertRaises(BlockingIOError):
                    sub.receive(timeout_seconds=0)
            for payload in (b"1", b"2", b"3"):
                publish_to_q(sender, name, payload, confirm=True)
            # All the calls above have asked for one message together: the others are for others.
            (second, third) = self.take(other, name, 2)
            first = next(sub)
            payloads = [msg.payload for msg in (first, second, third)]
            self.case.assertEqual(payloads, [b"1", b"2", b"3"])
            self.case.assertEqual({msg.count for msg in (first, second, third)}, {1})
            for msg in (first, second, third):
                msg.ack()

    def test_what_a_vanished_consumer_held_comes_again_with_its_count_raised(self) -> None:
        name = self.name()
        with self.connect() as connection:
            for payload in (b"1", b"2", b"3"):
                publish_to_q(connection, name, payload, confirm=True)
            consumer = self.connect()
            first, second = self.take(consumer, name, 2)
            first.ack()
            # So that the ack is there before the end: the broker has answered something behind it.
            publish_to_q(consumer, self.name(), b"", confirm=True)
            consumer.abort()
            again, third = self.take(connection, name, 2)
            self.case.assertEqual((again.payload, again.count), (second.payload, 2))
            self.case.assertEqual(third.payload, b"3")
            again.ack()
            third.ack()

    def test_refused_for_now_and_for_good(self) -> None:
        name = self.name()
        with self.connect() as connection:
            for payload in (b"1", b"2"):
                publish_to_q(connection, name, payload, confirm=True)
            sub = blocking_pull_subscribe_to_queue(connection, name, prefetch=0)
            for count in (1, 2, 3):
                msg = next(sub)
                self.case.assertEqual((msg.payload, msg.count), (b"1", count))
                msg.refuse(for_good=count == 3)
            msg = next(sub)
            self.case.assertEqual((msg.payload, msg.count), (b"2", 1))
            msg.ack()
            with self.case.assertRaises(TimeoutError):
                sub.receive(timeout_seconds=0.005)

    def test_a_message_is_settled_once(self) -> None:
        name = self.name()
        with self.connect() as connection:
            publish_to_q(connection, name, b"", confirm=True)
            (msg,) = self.take(connection, name, 1)
            msg.ack()
            for settle in (msg.ack, msg.refuse):
                with self.case.assertRaises(AlreadySettled):
                    settle()

    def test_acks_from_another_thread_while_this_one_waits_for_the_next(self) -> None:
        name, count = self.name(), 50
        with self.connect() as sender, self.connect() as receiver:
            sub = blocking_pull_subscribe_to_queue(receiver, name, prefetch=0)
            taken: "threads_queue.Queue[AckableQMsg]" = threads_queue.Queue()

            def read() -> None:
                for _ in range(count):
                    taken.put(next(sub))

            reader = support.InThread(read)
            for _ in range(count):
                publish_to_q(sender, name, b"x", confirm=True)
                taken.get(timeout=support.SAFETY_NET_SECONDS).ack()
            reader.result()
        with self.connect() as connection:
            publish_to_q(connection, name, b"the only one left", confirm=True)
            (msg,) = self.take(connection, name, 1)
            self.case.assertEqual((msg.payload, msg.count), (b"the only one left", 1))
            msg.ack()

    def test_several_threads_publish_and_read_on_one_connection(self) -> None:
        name, threads, each = self.name(), 4, 50
        with self.connect() as connection:
            sub = blocking_pull_subscribe_to_queue(connection, name, prefetch=8)

            def publish(thread: int) -> None:
                for number in range(each):
                    publish_to_q(connection, name, b"%d %d" % (thread, number), confirm=number % 2 == 0)

            def read() -> List[bytes]:
                found = []
                for _ in range(each):
                    msg = next(sub)
                    found.append(msg.payload)
                    msg.ack()
                return found

            publishers = [support.InThread(functools.partial(publish, thread)) for thread in range(threads)]
            readers = [support.InThread(read) for _ in range(threads)]
            for publisher in publishers:
                publisher.result()
            found = sorted(payload for reader in readers for payload in reader.result())
            expected = sorted(b"%d %d" % (thread, number) for thread in range(threads) for number in range(each))
            self.case.assertEqual(found, expected)

    def test_a_channel_of_no_known_kind_is_refused_and_the_connection_goes_on(self) -> None:
        name = self.name()
        with self.connect() as connection:
            with self.case.assertRaises(Refused) as caught:
                connection.open_publisher(name, kind=0xFFFE, wait=True)
            self.case.assertEqual(caught.exception.code, Code.UNKNOWN_KIND)
            sub = connection.subscribe(name, arguments=b"a queue takes none")
            with self.case.assertRaises(Refused) as caught:
                next(sub)
            self.case.assertEqual(caught.exception.code, Code.BAD_ARGUMENTS)
            publish_to_q(connection, name, b"fine", confirm=True)

    def test_a_subscription_that_is_closed_gives_back_what_it_held(self) -> None:
        name = self.name()
        with self.connect() as connection:
            publish_to_q(connection, name, b"x", confirm=True)
            with blocking_pull_subscribe_to_queue(connection, name) as sub:
                held = next(sub)
            with self.case.assertRaises(LinkClosed):
                held.ack()
            with self.case.assertRaises(StopIteration):
                next(sub)
            (msg,) = self.take(connection, name, 1)
            self.case.assertEqual((msg.payload, msg.count), (b"x", 2))
            msg.ack()

    def test_closing_the_connection_ends_the_loop_of_a_reader(self) -> None:
        connection = self.connect()
        sub = connection.subscribe(self.name(), wait=True)
        reader = support.InThread(lambda: list(sub))
        connection.close()
        self.case.assertEqual(reader.result(), [])
        connection.close()

    def test_what_was_published_before_a_close_has_arrived(self) -> None:
        name, count = self.name(), 200
        with self.connect() as sender:
            for number in range(count):
                publish_to_q(sender, name, b"%d" % number)
        with self.connect() as receiver:
            messages = self.take(receiver, name, count)
            self.case.assertEqual([msg.payload for msg in messages], [b"%d" % number for number in range(count)])
