"""This client with the project's own broker, publisher and consumer: the example programs, run as processes.

MSGLIB_BROKER, MSGLIB_PUBLISH and MSGLIB_CONSUME are their paths. Without them these tests are skipped, or fail if
MSGLIB_REQUIRE_BROKER is 1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import unittest
from typing import ClassVar, List

import support
from msglib_client import Connection, ConnectionLost, blocking_pull_subscribe_to_queue, connect, publish_to_q
from feature_scenarios import FeatureScenarios
from scenarios import Scenarios

PROGRAMS = {name: os.environ.get(f"MSGLIB_{name.upper()}", "") for name in ("broker", "publish", "consume")}
CLIENT = support.HERE.parent
REQUIRED = os.environ.get("MSGLIB_REQUIRE_BROKER") == "1"


class BrokerProcess:
    """The broker's program; it serves until its input ends."""

    def __init__(self, path: str) -> None:
        self._process = subprocess.Popen(
            [path, "--listen", "[::1]:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        with _SafetyNet(self._process):
            line = self._output.readline()
        found = re.fullmatch(r"listening on \[::1\]:([0-9]+)\n", line)
        if found is None:
            self.kill()
            raise AssertionError(f"the broker's first line must say where it listens, not {line!r}")
        self.port = int(found[1])

    def stop(self) -> str:
        """Ends it in good order; returns the rest of what it printed."""
        assert self._process.stdin is not None
        with _SafetyNet(self._process):
            self._process.stdin.close()
            rest = self._output.read()
            status = self._process.wait()
        self._output.close()
        if status != 0:
            raise AssertionError(f"the broker ended with status {status}")
        return rest

    def kill(self) -> None:
        """Ends it in any case."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


class WithBrokerProcess(unittest.TestCase):
    """One broker for all tests of a class."""

    broker: ClassVar[BrokerProcess]

    @classmethod
    def setUpClass(cls) -> None:
        missing = [f"MSGLIB_{name.upper()}" for name, path in PROGRAMS.items() if not path]
        if missing:
            says = f"set {', '.join(missing)} to the paths of the example programs"
            if REQUIRED:
                raise AssertionError(f"{says}: MSGLIB_REQUIRE_BROKER is 1")
            raise unittest.SkipTest(says)
        cls.broker = BrokerProcess(PROGRAMS["broker"])

    @classmethod
    def tearDownClass(cls) -> None:
        cls.broker.stop()

    def connect(self) -> Connection:
        connection = connect("::1", self.broker.port, support.SAFETY_NET_SECONDS, name=self.id()[-100:])
        self.addCleanup(connection.abort)
        return connection

    def run_program(self, name: str, *arguments: str) -> str:
        """Runs ``publish`` or ``consume`` to its end; returns what it printed."""
        return _finish(self.start_program(name, *arguments))

    def start_program(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [PROGRAMS[name], "--connect", f"[::1]:{self.broker.port}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.addCleanup(_reap, process)
        return process


class OnRealBroker(WithBrokerProcess, Scenarios):
    """All that must hold with any broker, from Python to Python."""


class FeaturesOnRealBroker(WithBrokerProcess, FeatureScenarios):
    """What the features add."""


class AcrossLanguages(WithBrokerProcess):
    def test_from_python_to_rust(self) -> None:
        messages = ["Hello, world!", "Grüße", "three"]
        with self.connect() as connection:
            for message in messages:
                publish_to_q(connection, "python-to-rust", message.encode("utf-8"), confirm=True)
        printed = self.run_program("consume", "--queue", "python-to-rust", "--count", "3")
        self.assertEqual(printed.splitlines(), messages)

    def test_from_python_to_a_consumer_that_waits(self) -> None:
        consumer = self.start_program("consume", "--queue", "python-to-waiting-rust", "--count", "2")
        with self.connect() as connection:
            for payload in (b"1", b"2"):
                publish_to_q(connection, "python-to-waiting-rust", payload, confirm=True)
        self.assertEqual(_finish(consumer).splitlines(), ["1", "2"])

    def test_from_rust_to_python(self) -> None:
        self.run_program("publish", "--queue", "rust-to-python", "--message", "Grüße aus Rust", "--count", "3")
        with self.connect() as connection:
            sub = blocking_pull_subscribe_to_queue(connection, "rust-to-python")
            for _ in range(3):
                msg = next(sub)
                self.assertTrue(msg.payload.startswith("Grüße aus Rust".encode("utf-8")), msg.payload)
                self.assertEqual(msg.count, 1)
                msg.ack()
            with self.assertRaises(TimeoutError):
                sub.receive(timeout_seconds=0.005)

    def test_from_rust_to_rust_with_python_in_between(self) -> None:
        self.run_program("publish", "--queue", "there", "--message", "pass it on")
        with self.connect() as connection:
            msg = next(blocking_pull_subscribe_to_queue(connection, "there"))
            publish_to_q(connection, "back", msg.payload.upper(), confirm=True)
            msg.ack()
        self.assertEqual(self.run_program("consume", "--queue", "back", "--count", "1").splitlines(), ["PASS IT ON"])

    def test_what_a_vanished_python_consumer_held_goes_to_rust(self) -> None:
        self.run_program("publish", "--queue", "vanishing", "--message", "not lost")
        consumer = self.connect()
        held = next(blocking_pull_subscribe_to_queue(consumer, "vanishing"))
        self.assertEqual(held.payload, b"not lost")
        consumer.abort()
        self.assertEqual(self.run_program("consume", "--queue", "vanishing", "--count", "1").splitlines(), ["not lost"])


class Examples(WithBrokerProcess):
    """What new users see first."""

    def run_python(self, *arguments: str) -> List[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(CLIENT / "src")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.addCleanup(_reap, process)
        return _finish(process).splitlines()

    def test_each_of_the_readme_prints_what_it_says(self) -> None:
        text = (CLIENT / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        printed = [self.run_python("-c", block.replace("12345", str(self.broker.port))) for block in blocks]
        self.assertEqual(
            printed,
            [
                ["b'Hello, world!' 1"],
                ["b'put out the fire' 9", "b'sweep' None"],
                [],
                ["sensors/kitchen/temperature b'21' True"],
                ["b'2.50'", "the request has no answer (UNKNOWN_0x8001: we have apples only)"],
            ],
        )

    def test_topics_and_requests(self) -> None:
        printed = self.run_python(str(CLIENT / "examples" / "topics_and_requests.py"), str(self.broker.port))
        self.assertEqual(printed, ["home/kitchen/temperature 21.0", "69.8", "celsius or fahrenheit?"])


class TheEndOfTheBroker(WithBrokerProcess):
    """A broker of its own, which ends in the test."""

    def test_it_says_goodbye_or_hangs_up_and_prints_its_counters(self) -> None:
        broker = BrokerProcess(PROGRAMS["broker"])
        self.addCleanup(broker.kill)
        connection = connect("::1", broker.port, support.SAFETY_NET_SECONDS)
        self.addCleanup(connection.abort)
        publish_to_q(connection, "last", b"x", confirm=True)
        self.assertNotEqual(broker.stop().strip(), "")
        with self.assertRaises(ConnectionLost):
            publish_to_q(connection, "last", b"x", confirm=True)


class _SafetyNet:
    """Kills a process that has not done in time what the block waits for."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._timer = threading.Timer(support.SAFETY_NET_SECONDS, process.kill)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def _finish(process: "subprocess.Popen[str]") -> str:
    try:
        output, errors = process.communicate(timeout=support.SAFETY_NET_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"the program did not end; it said {output!r} and {errors!r}") from None
    if process.returncode != 0:
        raise AssertionError(f"the program ended with status {process.returncode}: {errors}")
    return output


def _reap(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
    process.communicate()


if __name__ == "__main__":
    unittest.main()
