"""A fake broker for each test, and what helps to play one by hand over a mere socket."""

from __future__ import annotations

import socket
import unittest
from typing import Optional

import support
from fake_broker import FakeBroker, Settings
from msglib_client import Connection, connect, frames
from msglib_client.encode import encode

FrameType = frames.FrameType


class WithBroker(unittest.TestCase):
    """A fake broker, which must find nothing wrong with the client."""

    def setUp(self) -> None:
        self.broker = FakeBroker(self.settings())
        self.broker.__enter__()
        self.addCleanup(self.finish)

    def settings(self) -> Settings:
        return Settings()

    def finish(self) -> None:
        self.broker.__exit__(None, None, None)
        self.assertEqual(self.broker.violations, [])

    def connect(self, timeout_seconds: Optional[float] = support.SAFETY_NET_SECONDS) -> Connection:
        connection = connect(self.broker.host, self.broker.port, timeout_seconds, name=self.id()[-100:])
        self.addCleanup(connection.abort)
        return connection


def end_from(there: socket.socket, connection: Connection) -> None:
    """Closes a connection, whose broker is a mere socket."""
    closing = support.InThread(connection.close)
    there.settimeout(support.SAFETY_NET_SECONDS)
    received = b""
    while not received.endswith(encoded(frames.Goodbye())):
        received += there.recv(65536)
    there.sendall(encoded(frames.Goodbye()))
    closing.result()


def read(there: socket.socket, most: int) -> bytes:
    """So many bytes, or what there is until the end."""
    there.settimeout(support.SAFETY_NET_SECONDS)
    received = bytearray()
    while len(received) < most:
        data = there.recv(min(65536, most - len(received)))
        if not data:
            break
        received += data
    return bytes(received)


def encoded(*sent: frames.Frame) -> bytes:
    return b"".join(map(encode, sent))
