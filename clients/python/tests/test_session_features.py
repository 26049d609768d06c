"""The session: what is said and heard of the features of PROTOCOL §14 to §18, and what is not without them."""

from __future__ import annotations

import unittest
from typing import Callable, List

import support  # noqa: F401  (first: it makes the package importable)
from scripted import Scripted
from msglib_client import frames
from msglib_client.encode import encode
from msglib_client.errors import Code, FeatureNotServed
from msglib_client.events import (
    Delivered,
    LeaveAnnounced,
    LinkEnded,
    Missed,
    NotReplied,
    Replied,
    Requested,
    SettlesConfirmed,
    Welcomed,
)
from msglib_client.features import ALL_FEATURES, NO_FEATURES, Feature
from msglib_client.frames import SERVICE_KIND, TOPIC_KIND, PublishFields, Settling
from msglib_client.link import Link
from msglib_client.session import Session


class WithFeatures(Scripted):
    """A session that has agreed on all features, and has links to everything."""

    def setUp(self) -> None:
        super().setUp()
        self.output()
        self.greet(frames.Welcome(features=ALL_FEATURES, max_payload=10))

    def open(self, kind: int = frames.QUEUE_KIND, publishes: bool = True, consumes: bool = True) -> Link:
        link = self.session.open(b"name", kind=kind, publishes=publishes, consumes=consumes)
        if consumes:
            self.session.grant(link, 10)
        self.feed(frames.Opened(link.number))
        self.output()
        return link


class AgreeingOnThem(Scripted):
    def calls(self) -> List[Callable[[], object]]:
        """All that needs a feature."""
        queue = self.session.open(1, publishes=True, consumes=True)
        users = self.session.open(1, publishes=True, consumes=True, kind=0x8000)
        return [
            lambda: self.session.open(b"t", publishes=True, kind=TOPIC_KIND),
            lambda: self.session.open(b"s", consumes=True, kind=SERVICE_KIND),
            lambda: self.session.publish(queue, b"", fields=PublishFields(priority=1)),
            lambda: self.session.publish(users, b"", fields=PublishFields(retain=True)),
            lambda: self.session.producer(queue, 1, 0),
            lambda: self.session.settle(queue, 1, 1, Settling.ACK),
            lambda: self.session.request(users, b"", 1),
            lambda: self.session.reply(users, 1, b""),
            lambda: self.session.no_reply(users, 1, Code.INTERNAL),
        ]

    def test_before_welcome_all_that_needs_one_has_to_wait(self) -> None:
        calls = self.calls()
        self.output()
        for call in calls:
            with self.assertRaisesRegex(BlockingIOError, "HELLO"):
                call()
        self.assertEqual(self.output(), [])

    def test_without_them_it_is_refused_here_and_the_session_goes_on(self) -> None:
        self.greet(frames.Welcome(name="small"))
        calls = self.calls()
        self.output()
        for call in calls:
            with self.assertRaisesRegex(FeatureNotServed, "'small' does not serve"):
                call()
        self.assertEqual(self.output(), [])
        self.session.ping()

    def test_what_was_not_offered_need_not_be_waited_for(self) -> None:
        self.session = Session(features=NO_FEATURES)
        for call in self.calls():
            with self.assertRaisesRegex(FeatureNotServed, "not offered: connect with it"):
                call()

    def test_the_error_names_the_feature(self) -> None:
        self.greet()
        with self.assertRaises(FeatureNotServed) as caught:
            self.session.require(Feature.REQUESTS, "a request")
        self.assertEqual(caught.exception.feature, Feature.REQUESTS)
        self.assertIn("a request needs the feature REQUESTS", str(caught.exception))
        with self.assertRaisesRegex(FeatureNotServed, "QUEUES or bit 40"):
            self.session.require(Feature.QUEUES | 1 << 40, "this")

    def test_the_fields_of_a_publish_go_with_the_kind_of_channel(self) -> None:
        self.greet(frames.Welcome(features=Feature.TOPICS))
        queue, topic = self.session.open(1, publishes=True), self.session.open(b"t", publishes=True, kind=TOPIC_KIND)
        users = self.session.open(1, publishes=True, kind=0x8000)
        with self.assertRaisesRegex(FeatureNotServed, "QUEUES"):
            self.session.publish(queue, b"", fields=PublishFields(priority=1))
        self.session.publish(topic, b"", fields=PublishFields(retain=True))
        self.session.publish(users, b"", fields=PublishFields(priority=1))

    def test_frames_of_a_feature_right_behind_the_welcome_are_known(self) -> None:
        link = self.session.open(1, consumes=True)
        self.session.grant(link, 1)
        welcome = frames.Welcome(features=Feature.QUEUES)
        happened = self.feed(welcome, frames.Opened(1), frames.DeliveryWith(1, 1, 1, b"x", id=3))
        self.assertEqual((happened[0], happened[2]), (Welcomed(welcome), Delivered(link, 1, 1, b"x", id=3)))

    def test_frames_of_a_feature_that_was_not_agreed_on_are_not_known(self) -> None:
        for features in (NO_FEATURES, Feature.QUEUES | Feature.REQUESTS | Feature.DRAIN):
            self.setUp()
            self.greet(frames.Welcome(features=features))
            self.assert_broke(Code.UNKNOWN_TYPE, 4, frames.Gap(1, 1))


class Queues(WithFeatures):
    def test_a_plain_publish_stays_what_it_is(self) -> None:
        link = self.open()
        self.session.publish(link, b"x", confirm=True, fields=PublishFields())
        self.assertEqual(self.output(), [frames.Publish(1, 1, b"x", confirm=True)])

    def test_what_is_said_beside_a_payload(self) -> None:
        link = self.open()
        fields = PublishFields(delay_ms=0, ttl_ms=1, priority=2, key=b"k")
        self.assertEqual([self.session.publish(link, b"x", True, fields), self.session.publish(link, b"y")], [1, 2])
        self.assertEqual(
            self.output(),
            [
                frames.PublishWith(1, 1, b"x", True, False, 0, 1, 2, b"k"),
                frames.Publish(1, 2, b"y"),
            ],
        )

    def test_what_does_not_fit_is_not_sent_and_uses_no_number(self) -> None:
        link = self.open()
        for fields in (
            PublishFields(delay_ms=-1),
            PublishFields(ttl_ms=2**64),
            PublishFields(priority=256),
            PublishFields(key=b""),
            PublishFields(topic=bytes(256)),
        ):
            with self.subTest(fields), self.assertRaises(ValueError):
                self.session.publish(link, b"x", fields=fields)
        with self.assertRaisesRegex(ValueError, "11 bytes"):
            self.session.publish(link, bytes(11), fields=PublishFields(priority=1))
        self.assertEqual(self.output(), [])
        self.assertEqual(self.session.publish(link, b"x"), 1)

    def test_what_a_delivery_says(self) -> None:
        link = self.open()
        cause = frames.Cause(Code.EXPIRED, 1, 2, 3, b"source")
        self.assertEqual(
            self.feed(
                frames.Delivery(1, 1, 1, b"plain"),
                frames.DeliveryWith(1, 2, 3, b"more", True, 4, 5, b"k", b"t", cause),
            ),
            [
                Delivered(link, 1, 1, b"plain"),
                Delivered(link, 2, 3, b"more", True, 4, 5, b"k", b"t", cause),
            ],
        )

    def test_tags_and_credit_are_those_of_deliveries(self) -> None:
        self.open()
        self.assert_broke(Code.BAD_NUMBER, 0, frames.DeliveryWith(1, 2, 1, b"", id=1))
        self.setUp()
        self.session.open(1, consumes=True)
        self.assert_broke(Code.CREDIT, 0, frames.Opened(1), frames.DeliveryWith(1, 1, 1, b"", id=1))
        self.setUp()
        self.open(consumes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.DeliveryWith(1, 1, 1, b"", id=1))

    def test_settling_in_all_ways(self) -> None:
        link = self.open()
        self.session.settle(link, 1, 1, Settling.ACK, confirm=True)
        self.session.settle(link, 2, 3, Settling.AGAIN)
        self.session.settle(link, 4, 4, Settling.AGAIN, delay_ms=5, priority=6)
        self.session.settle(link, 5, 5, Settling.FOR_GOOD)
        self.session.settle(link, 6, 6, Settling.EXTEND, lease_ms=0)
        self.assertEqual(
            self.output(),
            [
                frames.Settle(1, 1, 1, Settling.ACK, True),
                frames.Settle(1, 2, 3, Settling.AGAIN),
                frames.Settle(1, 4, 4, Settling.AGAIN, False, 5, 6),
                frames.Settle(1, 5, 5, Settling.FOR_GOOD),
                frames.Settle(1, 6, 6, Settling.EXTEND, lease_ms=0),
            ],
        )

    def test_settling_with_what_does_not_belong_to_it(self) -> None:
        link = self.open()
        wrong: List[Callable[[], object]] = [
            lambda: self.session.settle(link, 1, 1, Settling.ACK, delay_ms=1),
            lambda: self.session.settle(link, 1, 1, Settling.FOR_GOOD, priority=1),
            lambda: self.session.settle(link, 1, 1, Settling.EXTEND),
            lambda: self.session.settle(link, 1, 1, Settling.AGAIN, lease_ms=1),
            lambda: self.session.settle(link, 0, 1, Settling.ACK, confirm=True),
            lambda: self.session.settle(self.open(consumes=False), 1, 1, Settling.ACK),
        ]
        for call in wrong:
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(self.output(), [])
        self.assertEqual(list(link.unsettled), [])

    def test_confirms_of_settling_come_in_their_order(self) -> None:
        link = self.open()
        self.session.settle(link, 1, 5, Settling.ACK, confirm=True)
        self.session.settle(link, 3, 3, Settling.ACK)
        self.session.settle(link, 2, 2, Settling.EXTEND, confirm=True, lease_ms=0)
        self.assertEqual(
            self.feed(frames.Settled(1, 1, 5, 4), frames.Settled(1, 2, 2, 0)),
            [SettlesConfirmed(link, 1, 5, 4), SettlesConfirmed(link, 2, 2, 0)],
        )

    def test_a_confirm_of_what_was_not_asked_says_nothing(self) -> None:
        link = self.open()
        self.assertEqual(self.feed(frames.Settled(1, 1, 1, 1)), [])
        self.session.settle(link, 1, 1, Settling.ACK, confirm=True)
        self.assertEqual(self.feed(frames.Settled(1, 2, 2, 1)), [])
        self.assertEqual(self.feed(frames.Settled(1, 1, 1, 1)), [SettlesConfirmed(link, 1, 1, 1)])

    def test_a_confirm_on_a_link_that_does_not_consume(self) -> None:
        self.open(consumes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.Settled(1, 1, 1, 1))

    def test_confirms_still_arrive_on_a_link_that_was_given_up(self) -> None:
        link = self.open()
        self.session.settle(link, 1, 1, Settling.ACK, confirm=True)
        self.session.close(link)
        self.assertEqual(
            self.feed(frames.Settled(1, 1, 1, 1), frames.Closed(1)),
            [SettlesConfirmed(link, 1, 1, 1), LinkEnded(link, Code.NONE, "")],
        )

    def test_a_producer_comes_first_and_once(self) -> None:
        link = self.session.open(1, publishes=True)
        self.session.producer(link, 2**128 - 1, 7)
        self.session.publish(link, b"x")
        self.assertEqual(
            self.output()[1:],
            [frames.Producer(1, 2**128 - 1, 7), frames.Publish(1, 1, b"x")],
        )
        with self.assertRaises(ValueError):
            self.session.producer(link, 1, 0)
        late = self.open()
        self.session.publish(late, b"x")
        consumer = self.open(publishes=False)
        self.output()
        calls: List[Callable[[], object]] = [
            lambda: self.session.producer(late, 1, 0),
            lambda: self.session.producer(consumer, 1, 0),
            lambda: self.session.producer(self.open(), 0, 0),
            lambda: self.session.producer(self.open(), 2**128, 0),
            lambda: self.session.producer(self.open(), -1, 0),
            lambda: self.session.producer(self.open(), 1, 2**64),
        ]
        for call in calls:
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(self.output(), [])


class Topics(WithFeatures):
    def test_a_topic_and_its_last_value(self) -> None:
        link = self.session.open(b"a/+", publishes=True, kind=TOPIC_KIND)
        self.session.publish(link, b"x", fields=PublishFields(topic=b"a/b", retain=True))
        self.assertEqual(
            self.output(),
            [
                frames.Open(1, b"a/+", publishes=True, kind=TOPIC_KIND),
                frames.PublishWith(1, 1, b"x", retain=True, topic=b"a/b"),
            ],
        )

    def test_a_gap_between_deliveries(self) -> None:
        link = self.open(TOPIC_KIND, publishes=False)
        self.assertEqual(
            self.feed(
                frames.DeliveryWith(1, 1, 1, b"1", topic=b"a/b"),
                frames.Gap(1, 2**64 - 1),
                frames.DeliveryWith(1, 2, 1, b"2", True, topic=b"a/c"),
            ),
            [
                Delivered(link, 1, 1, b"1", topic=b"a/b"),
                Missed(link, 2**64 - 1),
                Delivered(link, 2, 1, b"2", True, topic=b"a/c"),
            ],
        )

    def test_a_gap_on_a_link_that_does_not_consume(self) -> None:
        self.open(TOPIC_KIND, consumes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.Gap(1, 1))


class Services(WithFeatures):
    def test_exactly_one_outcome_each_in_any_order(self) -> None:
        link = self.open(SERVICE_KIND, consumes=False)
        numbers = [self.session.request(link, payload, 1000) for payload in (b"1", b"2", b"3")]
        self.assertEqual(numbers, [1, 2, 3])
        self.assertEqual(self.output()[1], frames.Request(1, 2, 1000, b"2"))
        self.assertEqual(
            self.feed(
                frames.NoReply(1, 3, Code.RESPONDER_GONE, "went"),
                frames.Reply(1, 3, b"late"),
                frames.Reply(1, 1, b"one"),
                frames.Reply(1, 1, b"one again"),
                frames.NoReply(1, 9, Code.BUSY),
            ),
            [NotReplied(link, 3, Code.RESPONDER_GONE, "went"), Replied(link, 1, b"one")],
        )
        self.assertEqual(link.unanswered, {2})

    def test_the_first_16_need_no_credit(self) -> None:
        link = self.open(SERVICE_KIND, consumes=False)
        for _ in range(16):
            self.session.request(link, b"", 1)
        with self.assertRaises(BlockingIOError):
            self.session.request(link, b"", 1)
        self.feed(frames.Credit(1, 17))
        self.assertEqual(self.session.request(link, b"", 1), 17)

    def test_answering(self) -> None:
        link = self.open(SERVICE_KIND, publishes=False)
        self.assertEqual(
            self.feed(frames.Request(1, 1, 500, b"?"), frames.Request(1, 2, 0, b"")),
            [Requested(link, 1, 500, b"?"), Requested(link, 2, 0, b"")],
        )
        self.session.reply(link, 2, b"!")
        self.session.no_reply(link, 1, Code(0x9000), "not today")
        self.assertEqual(self.output(), [frames.Reply(1, 2, b"!"), frames.NoReply(1, 1, Code(0x9000), "not today")])
        with self.assertRaisesRegex(ValueError, "11 bytes"):
            self.session.reply(link, 2, bytes(11))

    def test_requests_have_the_tags_and_credit_of_deliveries(self) -> None:
        self.open(SERVICE_KIND)
        self.assert_broke(Code.BAD_NUMBER, 0, frames.Request(1, 2, 1, b""))
        self.setUp()
        self.session.open(b"s", consumes=True, kind=SERVICE_KIND)
        self.assert_broke(Code.CREDIT, 0, frames.Opened(1), frames.Request(1, 1, 1, b""))

    def test_numbers_and_tags_are_shared_with_messages_where_there_are_both(self) -> None:
        link = self.open(0x8000)
        numbers = [self.session.publish(link, b""), self.session.request(link, b"", 1), self.session.publish(link, b"")]
        self.assertEqual(numbers, [1, 2, 3])
        self.assertEqual(
            self.feed(frames.Request(1, 1, 1, b""), frames.Delivery(1, 2, 1, b"")),
            [Requested(link, 1, 1, b""), Delivered(link, 2, 1, b"")],
        )

    def test_requests_and_messages_stay_on_links_of_their_own(self) -> None:
        for kind, frame in (
            (SERVICE_KIND, frames.Delivery(1, 1, 1, b"")),
            (SERVICE_KIND, frames.DeliveryWith(1, 1, 1, b"", id=1)),
            (TOPIC_KIND, frames.Request(1, 1, 1, b"")),
            (frames.QUEUE_KIND, frames.Request(1, 1, 1, b"")),
            (frames.QUEUE_KIND, frames.Reply(1, 1, b"")),
            (TOPIC_KIND, frames.NoReply(1, 1, Code.BUSY)),
        ):
            with self.subTest(kind=kind, frame=frame):
                self.setUp()
                self.open(kind)
                self.assert_broke(Code.BAD_LINK, 0, frame)
        self.setUp()
        service, queue = self.open(SERVICE_KIND), self.open()
        for call in (
            lambda: self.session.publish(service, b""),
            lambda: self.session.request(queue, b"", 1),
            lambda: self.session.reply(queue, 1, b""),
            lambda: self.session.no_reply(queue, 1, Code.BUSY),
        ):
            with self.assertRaises(ValueError):
                call()
        self.assertEqual(self.output(), [])

    def test_outcomes_and_requests_on_links_of_the_other_direction(self) -> None:
        self.open(SERVICE_KIND, publishes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.Reply(1, 1, b""))
        self.setUp()
        self.open(SERVICE_KIND, publishes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.NoReply(1, 1, Code.BUSY))
        self.setUp()
        self.open(SERVICE_KIND, consumes=False)
        self.assert_broke(Code.BAD_LINK, 0, frames.Request(1, 1, 1, b""))


class GoingAway(WithFeatures):
    def test_it_is_told_again_and_everything_else_goes_on(self) -> None:
        link = self.open()
        self.assertEqual(
            self.feed(frames.GoingAway(5000), frames.GoingAway(0)), [LeaveAnnounced(5000), LeaveAnnounced(0)]
        )
        self.session.ack(link, 1, 1)
        self.session.publish(link, b"")
        self.assertFalse(self.session.leaving)


class Encoding(unittest.TestCase):
    def test_a_frame_of_a_feature_that_nobody_may_accept_is_not_encoded(self) -> None:
        for frame in (
            frames.GoingAway(2**32),
            frames.PublishWith(1, 1, b""),
            frames.PublishWith(1, 0, b"", retain=True),
            frames.PublishWith(0, 1, b"", retain=True),
            frames.PublishWith(1, 1, b"", key=b""),
            frames.PublishWith(1, 1, b"", topic=bytes(256)),
            frames.Producer(1, 0),
            frames.Producer(1, 2**128),
            frames.DeliveryWith(1, 1, 1, b""),
            frames.DeliveryWith(1, 1, 0, b"", id=1),
            frames.DeliveryWith(1, 1, 1, b"", cause=frames.Cause(Code.DROPPED, 0, 1, 0, 1)),
            frames.DeliveryWith(1, 1, 1, b"", cause=frames.Cause(Code.DROPPED, 1, 256, 0, 1)),
            frames.DeliveryWith(1, 1, 1, b"", cause=frames.Cause(Code.DROPPED, 1, 1, 0, b"")),
            frames.Settle(1, 2, 1, Settling.ACK),
            frames.Settle(1, 1, 1, 4),  # type: ignore[arg-type]
            frames.Settled(1, 0, 1, 0),
            frames.Gap(1, 0),
            frames.Request(1, 1, 2**32, b""),
            frames.Request(1, 0, 1, b""),
            frames.Reply(1, 0, b""),
            frames.NoReply(1, 0, Code.BUSY),
        ):
            with self.subTest(repr(frame)), self.assertRaises(ValueError):
                encode(frame)

    def test_what_is_wrong_is_said_without_the_whole_of_a_large_payload(self) -> None:
        with self.assertRaises(ValueError) as caught:
            encode(frames.PublishWith(1, 1, bytes(100_000), priority=256))
        self.assertLess(len(str(caught.exception)), 500)


if __name__ == "__main__":
    unittest.main()
