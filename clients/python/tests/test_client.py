"""The blocking client over real sockets, against the fake broker: connecting, publishing, consuming."""

from __future__ import annotations

import socket
import unittest
from typing import Any, Dict, List

import support
from fake_broker import Settings
from msglib_client import (
    AlreadySettled,
    Code,
    ConnectionLost,
    LinkClosed,
    ProtocolError,
    Refused,
    blocking_pull_subscribe_to_queue,
    connect,
    connect_over,
    frames,
    publish_to_q,
)
from msglib_client.features import ALL_FEATURES
from scenarios import Scenarios
from with_broker import WithBroker, encoded, end_from, read

FrameType = frames.FrameType


class OnFakeBroker(WithBroker, Scenarios):
    """All that must hold with any broker."""


class Connecting(WithBroker):
    def test_what_is_said_of_either_side(self) -> None:
        connection = connect(
            self.broker.host,
            self.broker.port,
            name="me",
            mechanism="token",
            credentials=b"\xff",
            max_payload=99,
            idle_seconds=30,
        )
        with connection:
            assert connection.welcome is not None
            self.assertEqual(connection.welcome.name, "fake")
        self.assertEqual(self.broker.received[0], frames.Hello(1, 1, ALL_FEATURES, 99, 30_000, "me", "token", b"\xff"))
        self.assertEqual(self.broker.received[1:], [frames.Goodbye()])

    def test_a_refusal(self) -> None:
        self.broker.change(refuse_clients=frames.Error(Code.TOO_MANY_CONNECTIONS, 0, "1 of 1"))
        with self.assertRaises(Refused) as caught:
            self.connect()
        self.assertEqual((caught.exception.code, caught.exception.text), (Code.TOO_MANY_CONNECTIONS, "1 of 1"))
        self.assertTrue(caught.exception.code.again)

    def test_a_refusal_that_was_not_waited_for(self) -> None:
        self.broker.change(refuse_clients=frames.Error(Code.BAD_CREDENTIALS, 0, "no"))
        connection = connect(self.broker.host, self.broker.port, wait=False)
        with self.assertRaises(Refused):
            publish_to_q(connection, 1, b"", confirm=True)
        connection.close()
        connection = connect(self.broker.host, self.broker.port, wait=False)
        self.broker.wait_until(lambda: self.broker.count(FrameType.HELLO) == 2)
        with self.assertRaises(Refused):
            connection.close()
        connection.close()

    def test_nobody_is_there(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        with self.assertRaisesRegex(ConnectionRefusedError, str(port)):
            connect("127.0.0.1", port)

    def test_a_broker_that_does_not_answer(self) -> None:
        self.broker.change(answers_hello=False)
        with self.assertRaisesRegex(TimeoutError, "HELLO"):
            self.connect(timeout_seconds=0.05)

    def test_a_broker_that_hangs_up(self) -> None:
        self.broker.change(answers_hello=False)
        connecting = support.InThread(self.connect)
        self.broker.wait_until(lambda: self.broker.count(FrameType.HELLO) == 1)
        self.broker.vanish()
        with self.assertRaises(ConnectionLost):
            connecting.result()

    def test_something_that_is_no_broker(self) -> None:
        here, there = socket.socketpair()
        with there:
            there.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with self.assertRaises(ProtocolError) as caught:
                connect_over(here, 5)
            self.assertEqual((caught.exception.code, caught.exception.offset), (Code.UNKNOWN_TYPE, 4))

    def test_arguments_that_do_not_fit(self) -> None:
        wrong: List[Dict[str, Any]] = [
            {"name": "x" * 256},
            {"credentials": bytes(20_000)},
            {"timeout_seconds": 0},
            {"timeout_seconds": -1},
        ]
        for arguments in wrong:
            with self.subTest(str(arguments)[:30]), self.assertRaises(ValueError):
                connect(self.broker.host, self.broker.port, **arguments)
        self.assertEqual(self.broker.received, [])

    def test_queues_that_cannot_be(self) -> None:
        with self.connect() as connection:
            for q_id in (-1, 2**64, "", b"", "x" * 256, "ü" * 128):
                with self.subTest(str(q_id)[:10]), self.assertRaises(ValueError):
                    publish_to_q(connection, q_id, b"")

    def test_publishing_and_subscribing_before_the_broker_has_answered(self) -> None:
        self.broker.change(answers_hello=False)
        with connect(self.broker.host, self.broker.port, wait=False) as connection:
            for number in range(16):
                publish_to_q(connection, 1, b"%d" % number)
            sub = blocking_pull_subscribe_to_queue(connection, 1)
            self.broker.wait_until(lambda: self.broker.count(FrameType.CREDIT) == 1)
            self.assertIsNone(connection.welcome)
            self.broker.answer_hello()
            for number in range(16):
                msg = next(sub)
                self.assertEqual(msg.payload, b"%d" % number)
                msg.ack()
            self.assertIsNotNone(connection.welcome)

    def test_more_than_may_be_sent_before_welcome_waits_for_it(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, wait=False) as connection:
            publishing = support.InThread(lambda: publish_to_q(connection, 1, bytes(20_000)))
            subs = support.InThread(lambda: [connection.subscribe(2) for _ in range(20)])
            there.settimeout(support.SAFETY_NET_SECONDS)
            received = 0
            while received < 40 + 24 + 15 * (24 + 20):
                received += len(there.recv(65536))
            self.assertLessEqual(received, frames.MAX_HELLO)
            there.sendall(encoded(frames.Welcome()))
            publishing.result()
            self.assertEqual(len(subs.result()), 20)
            while received < 20_000:
                received += len(there.recv(65536))
            end_from(there, connection)

    def test_credit_that_did_not_fit_before_welcome_is_given_behind_it(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, wait=False) as connection:
            # A HELLO, two OPENs to ids and this PUBLISH are all that may be sent.
            publish_to_q(connection, 1, bytes(frames.MAX_HELLO - 40 - 2 * 24 - 20))
            connection.subscribe(2, prefetch=5)
            self.assertEqual(len(read(there, frames.MAX_HELLO)), frames.MAX_HELLO)
            there.sendall(encoded(frames.Welcome()))
            self.assertEqual(read(there, 20), encoded(frames.Credit(2, 5)))
            end_from(there, connection)

    def test_over_a_socket_of_the_users_own(self) -> None:
        stream = socket.create_connection((self.broker.host, self.broker.port))
        with connect_over(stream) as connection:
            publish_to_q(connection, 1, b"x", confirm=True)
        self.assertEqual(stream.fileno(), -1)


class Publishing(WithBroker):
    def settings(self) -> Settings:
        return Settings(
            welcome=frames.Welcome(max_payload=2 * 1024 * 1024, name="fake"),
            limits={1: 2},
            forbidden={2: "not this one"},
        )

    def test_a_full_queue_and_a_confirm(self) -> None:
        with self.connect() as connection:
            for _ in range(2):
                publish_to_q(connection, 1, b"x", confirm=True)
            with self.assertRaises(Refused) as caught:
                publish_to_q(connection, 1, b"x", True)
            self.assertEqual((caught.exception.code, caught.exception.text), (Code.QUEUE_FULL, "2 of 2"))
            self.assertEqual(connection.refused_count, 0)
            msg = next(blocking_pull_subscribe_to_queue(connection, 1))
            publish_to_q(connection, 1, b"x", confirm=True)
            msg.ack()

    def test_a_full_queue_and_no_confirm_is_counted(self) -> None:
        with self.connect() as connection:
            for _ in range(5):
                publish_to_q(connection, 1, b"x")
            with self.assertRaises(Refused):
                publish_to_q(connection, 1, b"x", confirm=True)
            self.assertEqual(connection.refused_count, 3)
            assert connection.last_refusal is not None
            self.assertEqual(connection.last_refusal.code, Code.QUEUE_FULL)

    def test_a_forbidden_queue(self) -> None:
        with self.connect() as connection:
            for _ in range(2):
                with self.assertRaises(Refused) as caught:
                    publish_to_q(connection, 2, b"x", confirm=True)
                self.assertEqual((caught.exception.code, caught.exception.text), (Code.NOT_ALLOWED, "not this one"))
            with self.assertRaises(Refused):
                next(blocking_pull_subscribe_to_queue(connection, 2))
            publish_to_q(connection, 3, b"x", confirm=True)

    def test_a_forbidden_queue_and_no_confirm_is_counted_and_raised_by_the_next_call(self) -> None:
        with self.connect() as connection:
            publish_to_q(connection, 2, b"x")
            publish_to_q(connection, 3, b"behind it", confirm=True)
            self.assertEqual(connection.refused_count, 1)
            with self.assertRaises(Refused):
                publish_to_q(connection, 2, b"x")

    def test_only_refusals_are_counted_when_a_link_ends(self) -> None:
        with self.connect() as connection:
            for _ in range(3):
                publish_to_q(connection, 1, b"x")
            publish_to_q(connection, 3, b"behind it", confirm=True)
            self.broker.delete(1)
            publish_to_q(connection, 3, b"behind it", confirm=True)
            self.assertEqual(connection.refused_count, 1)

    def test_a_queue_that_is_deleted_can_be_opened_anew(self) -> None:
        with self.connect() as connection:
            publish_to_q(connection, 5, b"x", confirm=True)
            self.broker.delete(5)
            publish_to_q(connection, 3, b"behind it", confirm=True)
            with self.assertRaises(LinkClosed) as caught:
                publish_to_q(connection, 5, b"x", confirm=True)
            self.assertEqual((caught.exception.code, caught.exception.text), (Code.CHANNEL_DELETED, "gone"))
            publish_to_q(connection, 5, b"y", confirm=True)
            self.assertEqual([msg.payload for msg in self.broker.queue(5).ready], [b"y"])

    def test_a_payload_above_the_brokers_limit_goes_nowhere(self) -> None:
        with self.connect() as connection:
            with self.assertRaises(ValueError):
                publish_to_q(connection, 3, bytes(2 * 1024 * 1024 + 1))
            publish_to_q(connection, 3, b"fine", confirm=True)
        self.assertEqual(self.broker.count(FrameType.PUBLISH), 1)

    def test_payloads_of_other_types(self) -> None:
        with self.connect() as connection:
            publish_to_q(connection, 3, bytearray(b"ab"), confirm=True)
            publish_to_q(connection, 3, memoryview(b"cd"), confirm=True)
            with self.assertRaises(TypeError):
                publish_to_q(connection, 3, "text")  # type: ignore[arg-type]
        self.assertEqual([msg.payload for msg in self.broker.queue(3).ready], [b"ab", b"cd"])

    def test_no_confirm_in_time(self) -> None:
        self.broker.change(confirms=False)
        with self.connect() as connection:
            publisher = connection.open_publisher(3)
            with self.assertRaisesRegex(TimeoutError, "may or may not"):
                publisher.publish(b"x", confirm=True, timeout_seconds=0.02)
            publishing = support.InThread(lambda: publisher.publish(b"y", confirm=True))
            self.broker.wait_until(lambda: self.broker.count(FrameType.PUBLISH) == 2)
            self.broker.say_to_all(frames.Refused(1, 1, 1, Code.BUSY))
            self.broker.say_to_all(frames.Confirmed(1, 2))
            publishing.result()
            self.assertEqual(connection.refused_count, 1)

    def test_a_broker_that_stops_reading_stops_the_publisher_and_nothing_else(self) -> None:
        with self.connect() as connection:
            publisher = connection.open_publisher(3, wait=True)
            self.broker.say_to_all(frames.Credit(1, frames.MAX_U64))
            publisher.publish(b"", confirm=True)
            self.broker.change(reads=False)
            sent = 0
            with self.assertRaisesRegex(TimeoutError, "nothing was sent"):
                for _ in range(1000):
                    publisher.publish(bytes(1024 * 1024), timeout_seconds=0.1)
                    sent += 1
            self.assertLess(sent, 100)
            self.broker.change(reads=True)
            publisher.publish(b"last", confirm=True)
            self.assertEqual(len(self.broker.queue(3).ready), sent + 2)
            # The test's own CREDIT let the client go beyond what the broker keeps count of.
            self.broker.violations.clear()

    def test_without_credit_a_publisher_waits(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, wait=False) as connection:
            publisher = connection.open_publisher(1)
            there.sendall(encoded(frames.Welcome(), frames.Opened(1)))
            publisher.wait_until_open()
            for _ in range(16):
                publisher.publish(b"x")
            for _ in range(2):
                with self.assertRaises(TimeoutError):
                    publisher.publish(b"x", timeout_seconds=0.005)
                with self.assertRaises(BlockingIOError):
                    publisher.publish(b"x", timeout_seconds=0)
            publishing = support.InThread(lambda: publisher.publish(b"x"))
            there.sendall(encoded(frames.Credit(1, 17)))
            publishing.result()
            end_from(there, connection)


class Consuming(WithBroker):
    def test_prefetch_says_how_many_messages_wait_here(self) -> None:
        with self.connect() as connection:
            for number in range(10):
                publish_to_q(connection, 1, b"%d" % number, confirm=True)
            for prefetch, in_flight in ((0, 0), (1, 1), (3, 3)):
                with connection.subscribe(1, prefetch=prefetch, wait=True):
                    publish_to_q(connection, 2, b"behind it", confirm=True)
                    self.assertEqual(10 - len(self.broker.queue(1).ready), in_flight)
            with self.assertRaises(ValueError):
                connection.subscribe(1, prefetch=-1)

    def test_a_loop_over_messages(self) -> None:
        with self.connect() as connection:
            for number in range(10):
                publish_to_q(connection, 1, b"%d" % number)
            found: List[bytes] = []
            for msg in blocking_pull_subscribe_to_queue(connection, 1):
                found.append(msg.payload)
                msg.ack()
                if len(found) == 10:
                    break
            self.assertEqual(found, [b"%d" % number for number in range(10)])
            self.assertIn("1 bytes, count 1", repr(msg))
        self.assertEqual(self.broker.queue(1).acked, 10)

    def test_polling(self) -> None:
        with self.connect() as connection:
            connection.timeout_seconds = 0
            sub = blocking_pull_subscribe_to_queue(connection, 1)
            with self.assertRaises(BlockingIOError):
                next(sub)
            publish_to_q(connection, 1, b"x")
            self.broker.wait_until(lambda: not self.broker.queue(1).ready and self.broker.queue(1).links != [])
            for _ in range(10_000_000):
                try:
                    msg = next(sub)
                    break
                except BlockingIOError:
                    continue
            msg.ack()

    def test_a_queue_that_is_deleted(self) -> None:
        with self.connect() as connection:
            publish_to_q(connection, 1, b"x", confirm=True)
            sub = connection.subscribe(1)
            held = next(sub)
            reader = support.InThread(lambda: next(sub))
            self.broker.delete(1)
            with self.assertRaises(LinkClosed) as caught:
                reader.result()
            self.assertEqual(caught.exception.code, Code.CHANNEL_DELETED)
            for _ in range(2):
                with self.assertRaises(LinkClosed):
                    held.ack()
            sub.close()

    def test_closing_a_subscription_in_use_ends_its_loop(self) -> None:
        with self.connect() as connection:
            sub = connection.subscribe(1, wait=True)
            reader = support.InThread(lambda: list(sub))
            sub.close()
            sub.close()
            self.assertEqual(reader.result(), [])
            with self.assertRaises(LinkClosed):
                sub.receive()
            publish_to_q(connection, 1, b"goes on", confirm=True)

    def test_settling_after_the_connection_is_gone(self) -> None:
        connection = self.connect()
        for _ in range(2):
            publish_to_q(connection, 1, b"x", confirm=True)
        sub = connection.subscribe(1)
        held, settled = next(sub), next(sub)
        settled.ack()
        connection.close()
        with self.assertRaises(ConnectionLost):
            held.ack()
        with self.assertRaises(AlreadySettled):
            settled.ack()


if __name__ == "__main__":
    unittest.main()
