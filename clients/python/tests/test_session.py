"""The session, from HELLO to its links, and every cell of the tables of PROTOCOL §10.2 and §14.4."""

from __future__ import annotations

import unittest
from typing import Any, Dict, List, Optional

import support  # noqa: F401  (first: it makes the package importable)
import protocol_file
from scripted import Scripted
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code, ConnectionLost, LinkClosed, ProtocolError, Refused
from msglib_client.events import Ended, LinkEnded, PublishesConfirmed, PublishesRefused, Welcomed
from msglib_client.features import ALL_FEATURES, NO_FEATURES, Feature
from msglib_client.link import Link
from msglib_client.rules import LinkState
from msglib_client.session import Session


class Handshake(Scripted):
    def test_hello_comes_first_and_says_what_was_asked(self) -> None:
        self.session = Session(name="n", mechanism="m", credentials=b"\xff", max_payload=5, idle_ms=7)
        self.assertEqual(self.output(), [frames.Hello(1, 1, ALL_FEATURES, 5, 7, "n", "m", b"\xff")])

    def test_the_features_that_are_offered(self) -> None:
        for features in (NO_FEATURES, Feature.TOPICS, 1 << 63 | Feature.DRAIN):
            self.session = Session(features=features)
            self.decoder = Decoder()
            self.assertEqual(self.output(), [frames.Hello(features=features)])
            self.assertEqual(self.session.features, 0)
            self.received = 0
            self.greet(frames.Welcome(features=features))
            self.assertEqual(self.session.features, features)

    def test_a_hello_that_is_too_long_is_refused_here(self) -> None:
        too_long: List[Dict[str, Any]] = [
            {"name": "x" * 256},
            {"mechanism": "ü" * 128},
            {"credentials": bytes(16345)},
        ]
        for arguments in too_long:
            with self.assertRaises(ValueError):
                Session(**arguments)
        Session(credentials=bytes(16344))

    def test_welcome(self) -> None:
        welcome = frames.Welcome(max_payload=9, name="b")
        self.assertEqual(self.feed(welcome), [Welcomed(welcome)])
        self.assertEqual(self.session.welcome, welcome)

    def test_a_version_that_was_not_offered(self) -> None:
        self.assert_broke(Code.BAD_FIELD, 12, frames.Welcome(version=2))

    def test_a_feature_that_was_not_offered(self) -> None:
        self.assert_broke(Code.BAD_FIELD, 14, frames.Welcome(features=1 << 32))
        self.setUp()
        self.session = Session(features=Feature.TOPICS)
        self.assert_broke(Code.BAD_FIELD, 14, frames.Welcome(features=Feature.TOPICS | Feature.DRAIN))

    def test_a_refusal_is_raised_with_its_code_and_text(self) -> None:
        (event,) = self.feed(frames.Error(Code.BAD_CREDENTIALS, 0, "who are you?"))
        assert isinstance(event, Ended) and isinstance(event.error, Refused)
        self.assertEqual((event.error.code, event.error.text), (Code.BAD_CREDENTIALS, "who are you?"))
        self.assertFalse(event.error.code.again)
        self.assertEqual(self.output(), [])
        with self.assertRaisesRegex(Refused, "who are you"):
            self.session.open(1, publishes=True)

    def test_all_may_be_sent_before_welcome_up_to_16384_bytes(self) -> None:
        sent = len(encode(frames.Hello(name="test")))
        link = self.session.open(1, publishes=True)
        sent += 24
        room = frames.MAX_HELLO - sent - frames.HEADER_LENGTH - 8
        self.assertFalse(self.session.may_publish(link, room + 1))
        with self.assertRaises(BlockingIOError):
            self.session.publish(link, bytes(room + 1))
        self.session.publish(link, bytes(room))
        with self.assertRaises(BlockingIOError):
            self.session.close(link)
        self.assertEqual(len(self.session.take_output()), frames.MAX_HELLO)
        self.feed(frames.Welcome())
        self.session.publish(link, bytes(room + 1))

    def test_no_goodbye_beyond_those_bytes(self) -> None:
        link = self.session.open(1, publishes=True)
        self.session.publish(link, bytes(frames.MAX_HELLO - self.session.pending_output - frames.HEADER_LENGTH - 8))
        self.assertEqual(self.session.goodbye(), [Ended(None)])
        self.assertEqual(len(self.session.take_output()), frames.MAX_HELLO)

    def test_links_before_welcome_are_16(self) -> None:
        for _ in range(16):
            self.session.open(1, publishes=True)
        with self.assertRaises(BlockingIOError):
            self.session.open(1, publishes=True)
        self.greet()
        self.assertEqual(self.session.open(1, publishes=True).number, 17)

    def test_the_stream_ends_before_welcome(self) -> None:
        (event,) = self.session.receive_end()
        assert isinstance(event, Ended)
        self.assertIsInstance(event.error, ConnectionLost)


class TheTable(Scripted):
    """§10.2 and §14.4, every row of the broker's and every column, driven through the session."""

    welcome = frames.Welcome(features=ALL_FEATURES)

    def frames_of_a_broker(self) -> Dict[str, frames.Frame]:
        return {
            "HELLO": frames.Hello(),
            "WELCOME": frames.Welcome(),
            "GOODBYE": frames.Goodbye(),
            "ERROR": frames.Error(Code.INTERNAL),
            "PING": frames.Ping(3),
            "PONG": frames.Pong(3),
            "OPEN": frames.Open(1, 1, publishes=True),
            "OPENED": frames.Opened(1),
            "CLOSE": frames.Close(1),
            "CLOSED": frames.Closed(1, Code.SHUTTING_DOWN),
            "CREDIT": frames.Credit(1, 100),
            "PUBLISH": frames.Publish(1, 1, b""),
            "CONFIRMED": frames.Confirmed(1, 1),
            "REFUSED": frames.Refused(1, 1, 1, Code.BUSY),
            "DELIVERY": frames.Delivery(1, 1, 1, b"x"),
            "ACK": frames.Ack(1, 1, 1),
            "REFUSE": frames.Refuse(1, 1, 1),
            "USER": frames.User(0x8000),
            "GOING_AWAY": frames.GoingAway(5000),
            "PUBLISH_WITH": frames.PublishWith(1, 1, b"", priority=1),
            "PRODUCER": frames.Producer(1, 1),
            "DELIVERY_WITH": frames.DeliveryWith(1, 1, 1, b"x", id=1),
            "SETTLE": frames.Settle(1, 1, 1, frames.Settling.ACK),
            "SETTLED": frames.Settled(1, 1, 1, 0),
            "GAP": frames.Gap(1, 1),
            "REQUEST": frames.Request(1, 1, 1000, b""),
            "REPLY": frames.Reply(1, 2, b""),
            "NO_REPLY": frames.NoReply(1, 2, Code.NO_RESPONDER),
        }

    def link_in(self, state: str) -> Optional[Link]:
        """Link 1 in a state, with something sent that has no outcome; in Free, and Closed, there is none.

        It leads to a channel of the user's, which may have messages and requests.
        """
        if state == "Free":
            return None
        link = self.session.open(1, publishes=True, consumes=True, kind=0x8000)
        self.session.publish(link, b"x", confirm=True)
        self.session.request(link, b"x", 1000)
        self.session.grant(link, 5)
        self.session.settle(link, 1, 1, frames.Settling.ACK, confirm=True)
        if state != "Opening":
            self.feed(frames.Opened(1))
        if state == "Closing":
            self.session.close(link)
        if state == "Closed":
            # A session answers CLOSED with its CLOSE at once, and so goes on to Free.
            self.feed(frames.Closed(1, Code.CHANNEL_DELETED))
        self.output()
        return link

    def check(self, frame: frames.Frame, rule: str) -> None:
        if rule == "U":
            self.assert_broke(Code.UNEXPECTED_FRAME, 0, frame)
        elif rule == "B":
            self.assert_broke(Code.BAD_LINK, 0, frame)
        else:
            happened = self.feed(frame)
            answer = self.output()
            for event in happened:
                self.assertFalse(isinstance(event, Ended) and isinstance(event.error, ProtocolError), event)
            if rule == "I":
                self.assertEqual((happened, answer, self.session.over), ([], [], False))
            else:
                # PING shows in the answer, all others as events.
                self.assertTrue(happened or answer)

    def test_every_cell_for_the_connection(self) -> None:
        for row in protocol_file.who_may_send_what():
            if row.sender == "broker" and not row.link:
                for state, rule in row.connection.items():
                    with self.subTest(f"{row.frame} in {state}"):
                        self.setUp()
                        self.output()
                        if state == "Fresh":
                            self.check_fresh(row.frame, rule)
                        elif state == "Greeted":
                            self.greet(self.welcome)
                            self.check(self.frames_of_a_broker()[row.frame], rule)
                        else:
                            self.check_over(row.frame, rule)

    def test_every_cell_for_a_link(self) -> None:
        rows = [row for row in protocol_file.who_may_send_what() if row.sender == "broker" and row.link]
        self.assertEqual(len(rows), 12)
        for row in rows:
            with self.subTest(f"{row.frame} in Fresh"):
                self.setUp()
                self.output()
                self.check_fresh(row.frame, row.connection["Fresh"])
            with self.subTest(f"{row.frame} in Over"):
                self.setUp()
                self.check_over(row.frame, row.connection["Over"])
            for state, rule in row.link.items():
                with self.subTest(f"{row.frame} on a link in {state}"):
                    self.setUp()
                    self.greet(self.welcome)
                    self.link_in(state)
                    self.check(self.frames_of_a_broker()[row.frame], rule)

    def check_fresh(self, frame: str, rule: str) -> None:
        if frames.FrameType[frame] in frames.FEATURES:
            # Before WELCOME there are no features, and so no such frame (§2.3).
            self.assertEqual(rule, "U")
            self.assert_broke(Code.UNKNOWN_TYPE, 4, self.frames_of_a_broker()[frame])
        else:
            self.check(self.frames_of_a_broker()[frame], rule)

    def check_over(self, frame: str, rule: str) -> None:
        # This side's GOODBYE was its last frame, so that there is no way to say what the broker did wrong.
        self.assertEqual(rule, "U")
        self.greet(self.welcome)
        self.link_in("Open")
        self.feed(frames.Goodbye())
        self.assertTrue(self.session.over)
        self.output()
        self.assertEqual(self.feed(self.frames_of_a_broker()[frame]), [])
        self.assertEqual(self.output(), [])


class Links(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.output()
        self.greet()

    def test_numbers_go_up_and_are_used_again_when_they_are_free(self) -> None:
        first, second = (self.session.open(name, publishes=True) for name in (1, b"two"))
        self.assertEqual((first.number, second.number), (1, 2))
        self.session.close(first)
        self.assertEqual(self.session.open(3, publishes=True).number, 3)
        self.feed(frames.Closed(1))
        again = self.session.open(4, consumes=True)
        self.assertEqual(again.number, 1)
        self.assertEqual(self.output()[-1], frames.Open(1, 4, consumes=True))
        self.assertFalse(first.usable)
        self.assertTrue(again.usable)

    def test_no_more_links_than_the_broker_takes(self) -> None:
        self.setUp_with(frames.Welcome(max_links=2))
        links = [self.session.open(1, publishes=True) for _ in range(2)]
        with self.assertRaises(Refused) as caught:
            self.session.open(1, publishes=True)
        self.assertEqual(caught.exception.code, Code.TOO_MANY_LINKS)
        self.session.close(links[0])
        self.feed(frames.Closed(1))
        self.session.open(1, publishes=True)

    def setUp_with(self, welcome: frames.Welcome) -> None:
        Scripted.setUp(self)
        self.output()
        self.greet(welcome)

    def test_what_cannot_be_opened_is_refused_here(self) -> None:
        cannot_be: List[Dict[str, Any]] = [
            {"name": b""},
            {"name": bytes(256)},
            {"name": -1},
            {"name": 2**64},
            {"name": 1, "kind": 0},
            {"name": 1, "kind": 0x10000},
            {"name": 1, "arguments": bytes(4097)},
            {"name": 1, "publishes": False},
        ]
        for arguments in cannot_be:
            with self.subTest(str(arguments)[:40]), self.assertRaises(ValueError):
                self.session.open(**{"publishes": True, **arguments})
        self.assertEqual(self.output(), [])

    def test_a_refused_link_is_answered_with_close(self) -> None:
        link = self.session.open(1, publishes=True)
        self.output()
        self.assertEqual(self.feed(frames.Closed(1, Code.NOT_ALLOWED, "no")), [LinkEnded(link, Code.NOT_ALLOWED, "no")])
        self.assertEqual(self.output(), [frames.Close(1)])
        with self.assertRaises(Refused) as caught:
            self.session.publish(link, b"")
        self.assertEqual((caught.exception.code, caught.exception.text), (Code.NOT_ALLOWED, "no"))

    def test_a_link_that_the_broker_ends(self) -> None:
        link = self.opened()
        self.feed(frames.Closed(1, Code.CHANNEL_DELETED))
        self.assertEqual(self.output(), [frames.Close(1)])
        with self.assertRaises(LinkClosed) as caught:
            self.session.ack(link, 1, 1)
        self.assertEqual(caught.exception.code, Code.CHANNEL_DELETED)

    def test_closing_twice_says_it_once_and_both_closes_may_cross(self) -> None:
        link = self.opened()
        self.session.close(link)
        self.session.close(link)
        self.assertEqual(self.output(), [frames.Close(1)])
        self.assertEqual(self.feed(frames.Closed(1, Code.CHANNEL_DELETED)), [LinkEnded(link, Code.CHANNEL_DELETED, "")])
        self.assertEqual(self.output(), [])
        self.assertIs(link.state, LinkState.FREE)

    def test_outcomes_still_arrive_on_a_link_that_was_given_up(self) -> None:
        link = self.opened()
        self.session.publish(link, b"1")
        self.session.publish(link, b"2")
        self.session.close(link)
        happened = self.feed(
            frames.Refused(1, 2, 2, Code.BUSY), frames.Confirmed(1, 2), frames.Credit(1, 99), frames.Closed(1)
        )
        self.assertEqual(
            happened,
            [
                PublishesRefused(link, 2, 2, Code.BUSY, ""),
                PublishesConfirmed(link, 2),
                LinkEnded(link, Code.NONE, ""),
            ],
        )

    def test_a_link_given_up_before_its_answer(self) -> None:
        link = self.session.open(1, consumes=True)
        self.session.close(link)
        self.assertEqual(self.feed(frames.Opened(1)), [])
        self.assertEqual(self.feed(frames.Closed(1)), [LinkEnded(link, Code.NONE, "")])


if __name__ == "__main__":
    unittest.main()
