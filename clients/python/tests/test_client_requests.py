"""The blocking client with a broker played by hand: asking a service, and being one."""

from __future__ import annotations

from typing import Tuple

import support
from by_hand import ByHand
from msglib_client import (
    AlreadySettled,
    Code,
    ConnectionLost,
    LinkClosed,
    NoReply,
    Refused,
    Service,
    frames,
    request,
    serve,
)
from msglib_client.frames import SERVICE_KIND


class Asking(ByHand):
    def hear_request(self) -> frames.Request:
        heard = self.next_heard()
        assert isinstance(heard, frames.Request)
        return heard

    def begin(self, timeout_seconds: float = 60) -> "Tuple[support.InThread[bytes], frames.Request]":
        """A request of another thread that was heard."""
        asking = support.InThread(lambda: request(self.connection, "prices", b"apples", timeout_seconds))
        self.hear(frames.Open(1, b"prices", publishes=True, kind=SERVICE_KIND))
        self.say(frames.Opened(1))
        return asking, self.hear_request()

    def test_a_reply(self) -> None:
        asking, heard = self.begin()
        self.assertEqual((heard.link, heard.number, heard.payload), (1, 1, b"apples"))
        self.assertTrue(55_000 < heard.deadline_ms <= 60_000, heard.deadline_ms)
        self.say(frames.Reply(1, 1, b"2.50"))
        self.assertEqual(asking.result(), b"2.50")

    def test_the_link_is_kept(self) -> None:
        asking, _ = self.begin()
        self.say(frames.Reply(1, 1, b""))
        asking.result()
        pending = self.connection.start_request("prices", b"pears")
        self.assertEqual((self.hear_request().number, pending.done), (2, False))

    def test_why_there_is_no_reply(self) -> None:
        asking, _ = self.begin()
        self.say(frames.NoReply(1, 1, Code(0x8001), "apples only"))
        with self.assertRaisesRegex(NoReply, "apples only") as caught:
            asking.result()
        self.assertEqual((caught.exception.code, caught.exception.text), (0x8001, "apples only"))

    def test_no_reply_in_time_says_the_broker(self) -> None:
        asking, _ = self.begin()
        self.say(frames.NoReply(1, 1, Code.TIMED_OUT, "no answer came in time"))
        with self.assertRaisesRegex(TimeoutError, "no answer"):
            asking.result()

    def test_several_at_once_are_answered_in_any_order(self) -> None:
        pending = [self.connection.start_request("prices", b"%d" % number) for number in range(3)]
        self.next_heard()
        self.assertEqual([self.hear_request().number for _ in range(3)], [1, 2, 3])
        self.say(frames.Opened(1), frames.Reply(1, 3, b"third"), frames.NoReply(1, 1, Code.RESPONDER_GONE))
        self.assertEqual(pending[2].result(), b"third")
        for _ in range(2):
            with self.assertRaises(NoReply):
                pending[0].result()
        self.assertEqual([each.done for each in pending], [True, False, True])
        with self.assertRaises(BlockingIOError):
            pending[1].result(timeout_seconds=0)

    def test_a_reply_after_the_time_out_is_the_requests_own(self) -> None:
        pending = self.connection.start_request("prices", b"apples", timeout_seconds=0.01)
        with self.assertRaisesRegex(TimeoutError, "no answer"):
            pending.result()
        self.next_heard()
        self.say(frames.Opened(1), frames.Reply(1, 1, b"late"))
        self.assertEqual(pending.result(support.SAFETY_NET_SECONDS), b"late")

    def test_without_an_end_it_waits_as_long_as_can_be_said(self) -> None:
        self.connection.timeout_seconds = None
        self.connection.start_request("prices", b"")
        self.next_heard()
        self.assertEqual(self.hear_request().deadline_ms, 2**32 - 1)
        with self.assertRaisesRegex(ValueError, "takes time"):
            request(self.connection, "prices", b"", timeout_seconds=0)

    def test_a_service_that_is_refused(self) -> None:
        asking, _ = self.begin()
        self.say(frames.Closed(1, Code.SHUTTING_DOWN, "later"))
        with self.assertRaises(LinkClosed):
            asking.result()
        again = support.InThread(lambda: request(self.connection, "prices", b""))
        self.hear(frames.Close(1), frames.Open(1, b"prices", publishes=True, kind=SERVICE_KIND))
        self.say(frames.Closed(1, Code.NOT_ALLOWED, "not you"))
        with self.assertRaisesRegex(Refused, "not you"):
            again.result()

    def test_the_connection_is_lost(self) -> None:
        asking, _ = self.begin()
        self.there.close()
        with self.assertRaises(ConnectionLost):
            asking.result()


class Answering(ByHand):
    def serve(self, *requests: frames.Frame) -> Service:
        service = serve(self.connection, "prices", prefetch=4)
        self.hear(frames.Open(1, b"prices", consumes=True, kind=SERVICE_KIND), frames.Credit(1, 4))
        self.say(frames.Opened(1), *requests)
        return service

    def test_replies_and_refusals_in_any_order(self) -> None:
        service = self.serve(frames.Request(1, 1, 1000, b"apples"), frames.Request(1, 2, 60_000, b"pears"))
        first, second = next(service), next(service)
        self.hear(frames.Credit(1, 6))
        self.assertEqual((first.payload, second.payload), (b"apples", b"pears"))
        self.assertTrue(0 <= first.seconds_left <= 1 and 50 < second.seconds_left <= 60)
        second.refuse(0x8001, "no pears")
        first.reply(bytearray(b"2.50"))
        self.hear(frames.NoReply(1, 2, Code(0x8001), "no pears"), frames.Reply(1, 1, b"2.50"))
        for asked in (first, second):
            with self.assertRaises(AlreadySettled):
                asked.reply(b"")
            with self.assertRaises(AlreadySettled):
                asked.refuse(Code.INTERNAL)
        self.hear_nothing()

    def test_what_cannot_be_an_answer_can_be_made_good(self) -> None:
        service = self.serve(frames.Request(1, 1, 1000, b""))
        asked = next(service)
        with self.assertRaises(ValueError):
            asked.refuse(0x10000)
        asked.reply(b"")
        self.hear(frames.Reply(1, 1, b""))

    def test_after_the_end_there_is_nobody_to_answer(self) -> None:
        with self.serve(frames.Request(1, 1, 1000, b"")) as service:
            asked = next(service)
        with self.assertRaises(LinkClosed):
            asked.reply(b"")
        self.assertEqual(list(service), [])

    def test_those_who_wait_for_a_request_are_told_of_the_end(self) -> None:
        service = self.serve()
        reader = support.InThread(lambda: next(service))
        self.say(frames.Closed(1, Code.SHUTTING_DOWN))
        with self.assertRaises(LinkClosed):
            reader.result()
