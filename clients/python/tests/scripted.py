"""A session whose peer says what a test tells it to: no socket, no clock, no thread."""

from __future__ import annotations

import unittest
from typing import List

import support  # noqa: F401  (first: it makes the package importable)
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code, ProtocolError
from msglib_client.events import Ended, Event
from msglib_client.features import ALL_FEATURES
from msglib_client.link import Link
from msglib_client.session import Session


class Scripted(unittest.TestCase):
    """A session, and what its peer sees of it."""

    def setUp(self) -> None:
        self.session = Session(name="test")
        self.decoder = Decoder(features=ALL_FEATURES)
        self.received = 0

    def feed(self, *sent: frames.Frame, now: float = 0.0) -> List[Event]:
        """The broker sends frames."""
        data = b"".join(map(encode, sent))
        self.received += len(data)
        return self.session.receive(data, now)

    def output(self, now: float = 0.0) -> List[frames.Frame]:
        """What the session has sent since the last time."""
        found = self.decoder.feed(self.session.take_output(now))
        self.assertIsNone(self.decoder.error)
        return found

    def greet(self, welcome: frames.Welcome = frames.Welcome(name="broker")) -> None:
        self.feed(welcome)
        self.output()

    def opened(self, publishes: bool = True, consumes: bool = True) -> Link:
        link = self.session.open(1, publishes=publishes, consumes=consumes)
        self.feed(frames.Opened(link.number))
        self.output()
        return link

    def assert_broke(self, code: Code, at: int, *sent: frames.Frame) -> None:
        """The frames break a rule ``at`` a byte of the last of them: it is said to the broker, and is the end."""
        before = self.received + sum(len(encode(frame)) for frame in sent[:-1])
        *_, last = self.feed(*sent)
        assert isinstance(last, Ended) and isinstance(last.error, ProtocolError)
        self.assertEqual((last.error.code, last.error.offset), (code, before + at))
        error = self.output()[-1]
        assert isinstance(error, frames.Error)
        self.assertEqual((error.code, error.offset), (code, before + at))
        self.assertEqual(self.feed(frames.Ping(1)), [])
        self.assertEqual(self.output(), [])
