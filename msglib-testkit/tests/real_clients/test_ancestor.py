"""The client of msglib 0.2.0 from PyPI, unmodified, against the example `ancestor`.

Its reader takes one receive call for a whole field, so the payloads are small.
"""

import contextlib
import socket
import threading
import unittest

from msglib.client import blocking_pull_subscribe_to_queue, publish_to_q
from msglib.ios.io_sockets import IPv6, connect
from programs import BrokerProgram

GREETINGS = 1


class Ancestor(unittest.TestCase):

    def setUp(self):
        self._stack = contextlib.ExitStack()
        self.addCleanup(self._stack.close)
        self._broker = self._stack.enter_context(BrokerProgram("ancestor"))

    def connect(self, timeout_seconds=10):
        return self._stack.enter_context(connect(
            ip=IPv6.from_string("::1"), port=self._broker.port, timeout_seconds=timeout_seconds))

    def test_a_message_is_published_by_one_and_consumed_by_another(self):
        sender, receiver = self.connect(), self.connect()
        publish_to_q(connection=sender, q_id=GREETINGS, payload=b"Hello, world!")
        sub = blocking_pull_subscribe_to_queue(connection=receiver, q_id=GREETINGS)
        msg = next(sub)
        self.assertEqual(msg.payload, b"Hello, world!")
        msg.ack()

    def test_a_pull_waits_for_a_message_and_holds_nobody_up(self):
        sender, receiver, other = self.connect(), self.connect(), self.connect()
        sub = blocking_pull_subscribe_to_queue(connection=receiver, q_id=GREETINGS)
        received = []
        reader = threading.Thread(target=lambda: received.append(next(sub).payload))
        reader.start()
        # While it waits, others publish and consume: the ancestor's own broker would not.
        for number in range(5):
            publish_to_q(connection=other, q_id=2, payload=b"%d" % number)
            mine = blocking_pull_subscribe_to_queue(connection=other, q_id=2)
            self.assertEqual(next(mine).payload, b"%d" % number)
        publish_to_q(connection=sender, q_id=GREETINGS, payload=b"at last")
        reader.join(timeout=10)
        self.assertEqual(received, [b"at last"])

    def test_payloads_of_every_form_and_queues_of_every_size(self):
        sender, receiver = self.connect(), self.connect()
        payloads = [b"", b"\x00", b"\x7f", b"\x80", b"x" * 63, b"x" * 64, b"x" * 255, b"x" * 256, bytes(range(256)) * 4]
        for q_id in (0, 1, 127, 128, 2**32, 2**64 - 1):
            for payload in payloads:
                publish_to_q(connection=sender, q_id=q_id, payload=payload)
            sub = blocking_pull_subscribe_to_queue(connection=receiver, q_id=q_id)
            self.assertEqual([next(sub).payload for _ in payloads], payloads)

    def test_a_message_is_not_lost_to_one_who_left(self):
        with connect(ip=IPv6.from_string("::1"), port=self._broker.port, timeout_seconds=0.05) as impatient:
            sub = blocking_pull_subscribe_to_queue(connection=impatient, q_id=GREETINGS)
            with self.assertRaises(socket.timeout):
                next(sub)
        receiver = self.connect()
        sub = blocking_pull_subscribe_to_queue(connection=receiver, q_id=GREETINGS)
        # The broker has heard of the end by now, for it has answered something that came after it.
        publish_to_q(connection=receiver, q_id=2, payload=b"x")
        next(blocking_pull_subscribe_to_queue(connection=receiver, q_id=2))
        publish_to_q(connection=receiver, q_id=GREETINGS, payload=b"for you")
        self.assertEqual(next(sub).payload, b"for you")


if __name__ == "__main__":
    unittest.main()
