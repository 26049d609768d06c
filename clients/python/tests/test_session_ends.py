"""The session: how it ends, and how it shows that it is alive."""

from __future__ import annotations

import unittest
from typing import List, Type

import support  # noqa: F401  (first: it makes the package importable)
from scripted import Scripted
from msglib_client import frames
from msglib_client.encode import encode
from msglib_client.errors import Code, ConnectionLost, MsglibError, ProtocolError
from msglib_client.events import Ended, Event, PongReceived, PublishesConfirmed, UserReceived
from msglib_client.session import Session


class Ends(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.output()
        self.greet()
        self.link = self.opened()

    def assert_raises_everywhere(self, kind: Type[MsglibError], code: Code) -> None:
        for call in (
            lambda: self.session.open(1, publishes=True),
            lambda: self.session.close(self.link),
            lambda: self.session.publish(self.link, b""),
            lambda: self.session.grant(self.link, 1),
            lambda: self.session.ack(self.link, 1, 1),
            lambda: self.session.refuse(self.link, 1, 1, frames.Verdict.AGAIN),
            lambda: self.session.ping(),
            lambda: self.session.send_user(frames.User(0x8000)),
        ):
            with self.assertRaises(kind) as caught:
                call()
            assert isinstance(caught.exception, (ConnectionLost, ProtocolError))
            self.assertEqual(caught.exception.code, code)
        self.assertEqual(self.output(), [])

    def test_goodbye_from_here(self) -> None:
        self.session.publish(self.link, b"last", confirm=True)
        self.session.goodbye()
        self.session.goodbye()
        self.assertEqual(self.output(), [frames.Publish(1, 1, b"last", confirm=True), frames.Goodbye()])
        self.assert_raises_everywhere(ConnectionLost, Code.NONE)
        happened = self.feed(frames.Ping(1), frames.Confirmed(1, 1), frames.Goodbye())
        self.assertEqual(happened, [PublishesConfirmed(self.link, 1), Ended(None)])
        self.assertEqual(self.output(), [])
        self.assertIsNone(self.session.error)

    def test_goodbye_from_the_broker_is_answered_after_what_was_sent(self) -> None:
        self.session.publish(self.link, b"last")
        (event,) = self.feed(frames.Goodbye(Code.SHUTTING_DOWN, "noon"))
        assert isinstance(event, Ended) and isinstance(event.error, ConnectionLost)
        self.assertEqual((event.error.code, event.error.text), (Code.SHUTTING_DOWN, "noon"))
        self.assertEqual(self.output(), [frames.Publish(1, 1, b"last"), frames.Goodbye()])
        self.assert_raises_everywhere(ConnectionLost, Code.SHUTTING_DOWN)

    def test_error_from_the_broker_silences_this_side(self) -> None:
        self.session.publish(self.link, b"not sent any more")
        self.feed(frames.Ping(1), frames.Error(Code.TOO_SLOW, 77, "slow"))
        self.assertEqual(self.output(), [])
        self.assertTrue(self.session.nothing_more)
        self.assert_raises_everywhere(ConnectionLost, Code.TOO_SLOW)
        self.assertIn("77", str(self.session.error))

    def test_the_stream_ends(self) -> None:
        (event,) = self.session.receive_end("cut")
        assert isinstance(event, Ended)
        self.assert_raises_everywhere(ConnectionLost, Code.NONE)
        self.assertEqual(self.session.receive_end(), [])

    def test_a_broken_rule_is_said_and_final(self) -> None:
        self.assert_broke(Code.UNEXPECTED_FRAME, 0, frames.Pong(1), frames.Ack(1, 1, 1))
        self.assert_raises_everywhere(ProtocolError, Code.UNEXPECTED_FRAME)

    def test_a_broken_frame_behind_good_ones(self) -> None:
        before = self.received
        happened = self.session.receive(
            encode(frames.Pong(5)) + b"\0\0\0\x0c\0\x07" + bytes(6) + encode(frames.Pong(6))
        )
        self.assertEqual(happened[0], PongReceived(5))
        (last,) = happened[1:]
        assert isinstance(last, Ended) and isinstance(last.error, ProtocolError)
        self.assertEqual((last.error.code, last.error.offset), (Code.UNKNOWN_TYPE, before + 20 + 4))

    def test_the_first_broken_rule_counts(self) -> None:
        # The second frame is at fault by its state, the third by its bytes.
        before = self.received
        *_, last = self.session.receive(
            encode(frames.Pong(5)) + encode(frames.Hello()) + b"\0\0\0\x0c\0\x07" + bytes(6)
        )
        assert isinstance(last, Ended) and isinstance(last.error, ProtocolError)
        self.assertEqual((last.error.code, last.error.offset), (Code.UNEXPECTED_FRAME, before + 20))

    def test_every_cut_of_a_stream_gives_the_same(self) -> None:
        stream: List[frames.Frame] = [
            frames.Welcome(),
            frames.Opened(1),
            frames.Credit(1, 50),
            frames.Delivery(1, 1, 1, b"hello"),
            frames.User(0x9000, 1, 2, b"body"),
            frames.Ping(8),
            frames.Closed(1, Code.CHANNEL_DELETED, "gone"),
            frames.Opened(1),
        ]
        data = b"".join(map(encode, stream))

        def run(pieces: List[bytes]) -> List[str]:
            session = Session()
            session.grant(session.open(1, publishes=True, consumes=True), 1)
            happened = [_said(event) for piece in pieces for event in session.receive(piece)]
            return happened + [session.take_output().hex()]

        whole = run([data])
        self.assertIn("BAD_LINK", whole[-2])
        self.assertEqual(run([data[at : at + 1] for at in range(len(data))]), whole)
        for cut in range(len(data)):
            self.assertEqual(run([data[:cut], data[cut:]]), whole)


class SignsOfLife(Scripted):
    def test_the_latest_ping_is_answered(self) -> None:
        self.greet()
        self.assertEqual(self.feed(frames.Ping(1), frames.Ping(2)), [])
        self.assertEqual(self.output(), [frames.Pong(2)])
        self.assertEqual(self.output(), [])

    def test_pings_that_are_not_fetched_make_nothing_grow(self) -> None:
        self.greet()
        self.feed(*[frames.Ping(number) for number in range(1000)])
        self.assertEqual(self.session.pending_output, 0)

    def test_a_ping_from_here(self) -> None:
        self.greet()
        self.session.ping(5)
        self.assertEqual(self.output(), [frames.Ping(5)])
        self.assertEqual(self.feed(frames.Pong(5)), [PongReceived(5)])

    def test_a_ping_within_half_of_the_brokers_patience(self) -> None:
        self.output(now=0.0)
        self.assertIsNone(self.session.next_tick())
        self.feed(frames.Welcome(idle_ms=4000), now=1.0)
        self.assertEqual(self.session.next_tick(), 2.0)
        self.assertEqual(self.session.tick(1.9), [])
        self.assertEqual(self.output(1.9), [])
        self.session.tick(2.0)
        self.assertEqual(self.output(2.0), [frames.Ping(0)])
        self.assertEqual(self.session.next_tick(), 4.0)
        self.session.open(1, publishes=True)
        self.output(3.0)
        self.assertEqual(self.session.next_tick(), 5.0)

    def test_a_broker_that_seems_dead(self) -> None:
        self.session = Session(idle_ms=3000)
        self.feed(frames.Welcome(), now=1.0)
        self.output()
        self.feed(frames.Pong(), now=2.0)
        self.assertEqual(self.session.next_tick(), 5.0)
        self.assertEqual(self.session.tick(4.9), [])
        (event,) = self.session.tick(5.0)
        assert isinstance(event, Ended) and isinstance(event.error, ConnectionLost)
        self.assertEqual(event.error.code, Code.IDLE_TIMEOUT)
        (error,) = self.output()
        assert isinstance(error, frames.Error)
        self.assertEqual(error.code, Code.IDLE_TIMEOUT)
        self.assertIsNone(self.session.next_tick())

    def test_nothing_is_said_after_goodbye(self) -> None:
        self.session = Session(idle_ms=3000)
        self.feed(frames.Welcome(idle_ms=1000), now=0.0)
        self.session.goodbye()
        self.output()
        self.session.tick(0.9)
        self.feed(frames.Ping(1), now=1.0)
        self.assertEqual(self.output(), [])
        (event,) = self.session.tick(9.0)
        self.assertIsInstance(event, Ended)
        self.assertEqual(self.output(), [])

    def test_the_users_frames(self) -> None:
        self.greet(frames.Welcome(max_payload=2))
        frame = frames.User(0x8001, 0xFFFF, 7, b"ab")
        self.session.send_user(frame)
        self.assertEqual(self.output(), [frame])
        with self.assertRaises(ValueError):
            self.session.send_user(frames.User(0x8001, 0, 0, b"abc"))
        self.assertEqual(self.feed(frame), [UserReceived(frame)])


def _said(event: Event) -> str:
    """An event without the identity of its link."""
    error = getattr(event, "error", None)
    link = getattr(event, "link", None)
    plain = {key: value for key, value in vars(event).items() if key not in ("link", "error")}
    return f"{type(event).__name__} {link and link.number} {plain} {error}"


if __name__ == "__main__":
    unittest.main()
