"""The session: numbers, credit and outcomes of what is published and delivered, and what is not encoded."""

from __future__ import annotations

import unittest

import support  # noqa: F401  (first: it makes the package importable)
from scripted import Scripted
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code, LinkClosed, MsglibError, ProtocolError, Refused
from msglib_client.events import Delivered, Ended, LinkOpened, PublishCredit, PublishesConfirmed, PublishesRefused
from msglib_client.session import Session


class Publishing(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.output()
        self.greet(frames.Welcome(max_payload=10))

    def test_the_first_16_need_no_credit_and_not_even_the_answer(self) -> None:
        link = self.session.open(1, publishes=True)
        self.output()
        self.assertEqual([self.session.publish(link, b"x") for _ in range(16)], list(range(1, 17)))
        self.assertEqual(self.output(), [frames.Publish(1, number, b"x") for number in range(1, 17)])
        with self.assertRaises(BlockingIOError):
            self.session.publish(link, b"x")
        self.assertEqual(self.feed(frames.Opened(1), frames.Credit(1, 17)), [LinkOpened(link), PublishCredit(link)])
        self.assertEqual(self.session.publish(link, b"x", confirm=True), 17)
        self.assertFalse(self.session.may_publish(link, 1))
        self.assertEqual(self.output(), [frames.Publish(1, 17, b"x", confirm=True)])

    def test_credit_may_stay_and_not_go_back(self) -> None:
        self.opened()
        self.feed(frames.Credit(1, 20), frames.Credit(1, 20), frames.Credit(1, frames.MAX_U64))
        self.assert_broke(Code.CREDIT, 0, frames.Credit(1, frames.MAX_U64 - 1))

    def test_credit_below_what_holds_without_any_goes_back(self) -> None:
        self.opened()
        self.assert_broke(Code.CREDIT, 0, frames.Ping(), frames.Credit(1, 15))

    def test_credit_for_publishes_on_a_link_that_has_none(self) -> None:
        self.opened(publishes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.Credit(1, 100))

    def test_a_payload_above_the_brokers_limit_is_refused_here(self) -> None:
        link = self.opened()
        with self.assertRaisesRegex(ValueError, "11 bytes"):
            self.session.publish(link, bytes(11))
        self.session.publish(link, bytes(10))

    def test_publishing_on_a_link_to_consume(self) -> None:
        link = self.opened(publishes=False)
        with self.assertRaises(ValueError):
            self.session.publish(link, b"")

    def test_outcomes_beyond_what_was_sent_are_cut(self) -> None:
        link = self.opened()
        self.session.publish(link, b"1")
        self.assertEqual(
            self.feed(
                frames.Refused(1, 1, 9, Code.BUSY, "b"), frames.Refused(1, 8, 9, Code.BUSY), frames.Confirmed(1, 9)
            ),
            [PublishesRefused(link, 1, 1, Code.BUSY, "b"), PublishesConfirmed(link, 1)],
        )


class Consuming(Scripted):
    def setUp(self) -> None:
        super().setUp()
        self.output()
        self.greet()
        self.link = self.opened(publishes=False)

    def delivery(self, tag: int) -> frames.Delivery:
        return frames.Delivery(1, tag, 1, b"x")

    def test_deliveries_within_the_credit(self) -> None:
        self.session.grant(self.link, 2)
        self.assertEqual(self.output(), [frames.Credit(1, 2)])
        self.assertEqual(
            self.feed(self.delivery(1), frames.Delivery(1, 2, 7, b"")),
            [Delivered(self.link, 1, 1, b"x"), Delivered(self.link, 2, 7, b"")],
        )
        self.assert_broke(Code.CREDIT, 0, self.delivery(3))

    def test_without_credit_there_is_none(self) -> None:
        self.assert_broke(Code.CREDIT, 0, self.delivery(1))

    def test_a_tag_left_out_or_used_twice(self) -> None:
        self.session.grant(self.link, 5)
        self.assert_broke(Code.BAD_NUMBER, 0, self.delivery(1), self.delivery(3))
        self.setUp()
        self.session.grant(self.link, 5)
        self.assert_broke(Code.BAD_NUMBER, 0, self.delivery(1), self.delivery(1))

    def test_a_delivery_on_a_link_to_publish(self) -> None:
        link = self.session.open(2, publishes=True)
        self.feed(frames.Opened(link.number))
        self.assert_broke(Code.BAD_LINK, 0, frames.Delivery(link.number, 1, 1, b""))

    def test_what_was_allowed_stays_so(self) -> None:
        self.session.grant(self.link, 5)
        self.session.grant(self.link, 5)
        self.session.grant(self.link, 3)
        self.assertEqual(self.output(), [frames.Credit(1, 5)])

    def test_settling(self) -> None:
        self.session.grant(self.link, 5)
        self.feed(*map(self.delivery, (1, 2, 3)))
        self.output()
        self.session.ack(self.link, 1, 2)
        self.session.refuse(self.link, 3, 3, frames.Verdict.FOR_GOOD)
        self.assertEqual(self.output(), [frames.Ack(1, 1, 2), frames.Refuse(1, 3, 3, frames.Verdict.FOR_GOOD)])

    def test_deliveries_to_a_link_that_was_given_up_are_not_even_counted(self) -> None:
        self.session.close(self.link)
        self.assertEqual(self.feed(self.delivery(9), self.delivery(4)), [])

    def test_a_payload_above_what_was_said_in_hello(self) -> None:
        self.session = Session(max_payload=3)
        self.feed(frames.Welcome())
        self.opened()
        self.session.grant(self.session.open(2, consumes=True), 1)
        data = encode(frames.Delivery(1, 1, 1, b"four"))
        (event,) = self.session.receive(data[: frames.HEADER_LENGTH])
        assert isinstance(event, Ended) and isinstance(event.error, ProtocolError)
        self.assertEqual(event.error.code, Code.FRAME_TOO_LARGE)


class Encoding(unittest.TestCase):
    def test_a_frame_that_nobody_may_accept_is_not_encoded(self) -> None:
        for frame in (
            frames.Ping(-1),
            frames.Ping(2**64),
            frames.Opened(0),
            frames.Publish(1, 0, b""),
            frames.Publish(0, 1, b""),
            frames.Delivery(1, 1, 0, b""),
            frames.Ack(1, 2, 1),
            frames.Refuse(1, 1, 1, 2),  # type: ignore[arg-type]
            frames.User(0x0005, 0, 0, bytes(8)),
            frames.User(0x10000),
            frames.Hello(min_version=2),
            frames.Welcome(name="x" * 256),
            frames.Open(1, 1),
        ):
            with self.subTest(repr(frame)), self.assertRaises(ValueError):
                encode(frame)

    def test_a_long_text_is_cut_between_characters(self) -> None:
        decoder = Decoder()
        (frame,) = decoder.feed(encode(frames.Goodbye(Code.NONE, "x" + "☃" * 400)))
        self.assertEqual(frame, frames.Goodbye(Code.NONE, "x" + "☃" * 341))

    def test_errors_say_what_where_and_why(self) -> None:
        error: MsglibError = Refused("no link", Code.QUEUE_FULL, "10 of 10")
        self.assertEqual(str(error), "no link (QUEUE_FULL: 10 of 10)")
        self.assertEqual(str(LinkClosed("ended here")), "ended here")
        self.assertEqual(str(ProtocolError(Code.BAD_FIELD, 7, "a rule")), "BAD_FIELD at byte 7: a rule")


if __name__ == "__main__":
    unittest.main()
