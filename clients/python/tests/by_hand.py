"""The blocking client over a pair of sockets, whose other end a test plays by hand, frame by frame."""

from __future__ import annotations

import collections
import socket
import unittest
from typing import Deque

import support
from msglib_client import Connection, connect_over, frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.features import ALL_FEATURES


class ByHand(unittest.TestCase):
    """A connection, greeted by a broker that has all features."""

    FEATURES: int = ALL_FEATURES

    def setUp(self) -> None:
        self.connection = self.connect()
        self.say(frames.Welcome(features=self.FEATURES, name="hand"))
        self.connection.wait_for_welcome()

    def connect(self) -> Connection:
        """A connection whose HELLO was heard and not answered; what was played before is forgotten."""
        here, self.there = socket.socketpair()
        self.there.settimeout(support.SAFETY_NET_SECONDS)
        self.addCleanup(self.there.close)
        self._decoder = Decoder(features=ALL_FEATURES)
        self._heard: Deque[frames.Frame] = collections.deque()
        connection = connect_over(here, support.SAFETY_NET_SECONDS, wait=False)
        self.addCleanup(connection.abort)
        self.assertIsInstance(self.next_heard(), frames.Hello)
        return connection

    def say(self, *said: frames.Frame) -> None:
        self.there.sendall(b"".join(map(encode, said)))

    def next_heard(self) -> frames.Frame:
        """The next frame of the client."""
        while not self._heard:
            data = self.there.recv(65536)
            self.assertNotEqual(data, b"", "the client has hung up")
            self._heard.extend(self._decoder.feed(data))
            self.assertIsNone(self._decoder.error)
        return self._heard.popleft()

    def hear(self, *expected: frames.Frame) -> None:
        """The next frames of the client are these."""
        self.assertEqual([self.next_heard() for _ in expected], list(expected))

    def hear_nothing(self) -> None:
        """What was done so far has sent nothing: a PING is answered first."""
        self.say(frames.Ping(77))
        self.hear(frames.Pong(77))
