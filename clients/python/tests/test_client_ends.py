"""The blocking client over real sockets, against the fake broker: how connections end, and stay alive."""

from __future__ import annotations

import socket
import threading
import unittest
from typing import Any, List, Sequence, Type

import support
from msglib_client import (
    Code,
    Connection,
    ConnectionLost,
    MsglibError,
    ProtocolError,
    connect,
    connect_over,
    frames,
    publish_to_q,
)
from msglib_client.decode import Decoder
from with_broker import WithBroker, encoded, read

FrameType = frames.FrameType


class Ends(WithBroker):
    """However it ends, whoever waits is told why, and no thread or socket stays."""

    def waiting(self, connection: Connection) -> List["support.InThread[object]"]:
        """A publisher that waits for its confirm and a reader that waits for a message."""
        self.broker.change(confirms=False)
        sub = connection.subscribe(1, wait=True)
        waiting: List[support.InThread[object]] = [
            support.InThread(lambda: publish_to_q(connection, 2, b"x", confirm=True)),
            support.InThread(lambda: next(sub)),
        ]
        self.broker.wait_until(lambda: self.broker.count(FrameType.PUBLISH) == 1)
        return waiting

    def assert_all_raise(
        self, waiting: Sequence["support.InThread[Any]"], kind: Type[MsglibError], code: Code, text: str = ""
    ) -> None:
        for each in waiting:
            with self.assertRaises(kind) as caught:
                each.result()
            error = caught.exception
            assert isinstance(error, (ConnectionLost, ProtocolError))
            self.assertEqual(error.code, code)
            if isinstance(error, ConnectionLost):
                self.assertEqual(error.text, text)

    def assert_nothing_is_left(self, connection: Connection) -> None:
        connection.close()
        self.broker.wait_until(lambda: not self.broker.connections)
        names = [thread.name for thread in threading.enumerate()]
        self.assertNotIn("msglib-connection", names)

    def test_the_broker_says_goodbye(self) -> None:
        connection = self.connect()
        waiting = self.waiting(connection)
        self.broker.say_to_all(frames.Goodbye(Code.SHUTTING_DOWN, "noon"), over=True)
        self.assert_all_raise(waiting, ConnectionLost, Code.SHUTTING_DOWN, "noon")
        self.assert_nothing_is_left(connection)
        self.assertEqual(self.broker.received[-1], frames.Goodbye())

    def test_the_broker_gives_up(self) -> None:
        connection = self.connect()
        waiting = self.waiting(connection)
        self.broker.say_to_all(frames.Error(Code.TOO_SLOW, 0, "slow"), over=True)
        self.assert_all_raise(waiting, ConnectionLost, Code.TOO_SLOW, "slow")
        self.assert_nothing_is_left(connection)
        self.assertEqual(self.broker.count(FrameType.GOODBYE), 0)

    def test_the_broker_vanishes(self) -> None:
        connection = self.connect()
        waiting = self.waiting(connection)
        self.broker.vanish()
        self.assert_all_raise(waiting, ConnectionLost, Code.NONE)
        self.assert_nothing_is_left(connection)

    def test_the_broker_breaks_a_rule_and_is_told(self) -> None:
        connection = self.connect()
        waiting = self.waiting(connection)
        self.broker.say_to_all(frames.Opened(9))
        self.assert_all_raise(waiting, ProtocolError, Code.BAD_LINK)
        self.broker.wait_until(lambda: self.broker.count(FrameType.ERROR) == 1)
        self.assert_nothing_is_left(connection)

    def test_the_broker_speaks_nonsense_in_the_middle(self) -> None:
        connection = self.connect()
        waiting = self.waiting(connection)
        self.broker.write_to_all(b"\xff" * 50)
        self.assert_all_raise(waiting, ProtocolError, Code.FRAME_TOO_LARGE)
        self.assert_nothing_is_left(connection)

    def test_what_was_not_sent_before_the_broker_gave_up_never_is(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, wait=False) as connection:
            payload = bytes(8 * 1024 * 1024)
            there.sendall(encoded(frames.Welcome()))
            connection.wait_for_welcome()
            publishing = support.InThread(lambda: publish_to_q(connection, 1, payload, confirm=True))
            self.assertEqual(len(read(there, 1000)), 1000)
            there.sendall(encoded(frames.Error(Code.TOO_SLOW)))
            self.assert_all_raise([publishing], ConnectionLost, Code.TOO_SLOW)
            self.assertLess(len(read(there, len(payload))), len(payload) - 1000)

    def test_a_broker_that_broke_a_rule_can_read_why_before_it_is_cut_off(self) -> None:
        here, there = socket.socketpair()
        with there, connect_over(here, support.SAFETY_NET_SECONDS, wait=False) as connection:
            there.sendall(encoded(frames.Ping()))
            with self.assertRaises(ProtocolError):
                connection.wait_for_welcome()
            (hello, error) = Decoder().feed(read(there, 100_000))
            self.assertIsInstance(hello, frames.Hello)
            self.assertIsInstance(error, frames.Error)
            # This side has ended its half, and still takes what comes.
            there.sendall(bytes(1000))

    def test_closing_here_while_others_wait(self) -> None:
        connection = self.connect()
        publishing, reading = self.waiting(connection)
        connection.close()
        with self.assertRaises(ConnectionLost):
            publishing.result()
        with self.assertRaises(StopIteration):
            reading.result()
        self.assert_nothing_is_left(connection)

    def test_aborting_here_while_others_wait(self) -> None:
        connection = self.connect()
        publishing, reading = self.waiting(connection)
        connection.abort()
        with self.assertRaises(ConnectionLost):
            publishing.result()
        with self.assertRaises(StopIteration):
            reading.result()
        self.assert_nothing_is_left(connection)
        self.assertEqual(self.broker.count(FrameType.GOODBYE), 0)

    def test_a_broker_that_does_not_answer_goodbye(self) -> None:
        self.broker.change(answers_goodbye=False)
        connection = self.connect()
        with self.assertRaisesRegex(TimeoutError, "GOODBYE"):
            connection.close(timeout_seconds=0.02)
        self.assert_nothing_is_left(connection)

    def test_an_end_that_no_call_has_told_of_is_raised_by_close(self) -> None:
        connection = self.connect()
        publish_to_q(connection, 1, b"x")
        self.broker.wait_until(lambda: self.broker.count(FrameType.PUBLISH) == 1)
        self.broker.say_to_all(frames.Error(Code.INTERNAL, 0, "oh"), over=True)
        self.broker.wait_until(lambda: not self.broker.connections)
        with self.assertRaises(ConnectionLost) as caught:
            connection.close()
        self.assertEqual(caught.exception.code, Code.INTERNAL)
        self.assert_nothing_is_left(connection)

    def test_an_error_inside_with_is_not_hidden_by_another(self) -> None:
        with self.assertRaises(KeyError):
            with self.connect():
                self.broker.vanish()
                raise KeyError("the user's")

    def test_nothing_works_after_a_close(self) -> None:
        connection = self.connect()
        connection.close()
        for call in (
            lambda: publish_to_q(connection, 1, b""),
            lambda: publish_to_q(connection, 1, b"", confirm=True),
            lambda: connection.open_publisher(1),
            lambda: connection.subscribe(1),
            lambda: connection.subscribe(1, wait=True),
        ):
            with self.assertRaises(MsglibError):
                call()

    def test_pings_are_answered_while_nobody_calls(self) -> None:
        with self.connect():
            self.broker.say_to_all(frames.Ping(77))
            self.broker.wait_until(lambda: frames.Pong(77) in self.broker.received)

    def test_a_ping_when_the_broker_wants_signs_of_life(self) -> None:
        self.broker.change(welcome=frames.Welcome(idle_ms=20))
        with self.connect():
            self.broker.wait_until(lambda: self.broker.count(FrameType.PING) >= 2)

    def test_a_broker_that_says_nothing_for_too_long(self) -> None:
        with connect(self.broker.host, self.broker.port, idle_seconds=0.02) as connection:
            with self.assertRaises(ConnectionLost) as caught:
                next(connection.subscribe(1))
            self.assertEqual(caught.exception.code, Code.IDLE_TIMEOUT)
            self.broker.wait_until(lambda: self.broker.count(FrameType.ERROR) == 1)


if __name__ == "__main__":
    unittest.main()
