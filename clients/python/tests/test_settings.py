"""The settings of an OPEN: their bytes, their bounds, and that they are those of PROTOCOL §15.1 and §16.3."""

from __future__ import annotations

import enum
import re
import unittest
from typing import Any, Dict, List, Type

import support  # noqa: F401  (first: it makes the package importable)
import protocol_file
from msglib_client.settings import (
    TopicOverflow,
    QueueDispatch,
    QueueOrder,
    QueueOverflow,
    QueueSettings,
    TopicSettings,
    decode_settings,
)

FULL_QUEUE = QueueSettings(
    order=QueueOrder.LAST_VALUE,
    dispatch=QueueDispatch.EXCLUSIVE,
    lease_seconds=30,
    max_deliveries=5,
    backoff_seconds=(0.1, 60),
    dead_letter="dead",
    ttl_seconds=3600,
    delay_seconds=0.0005,
    max_messages=1000,
    max_bytes=2**40,
    overflow=QueueOverflow.DEAD_LETTER_OLDEST,
)
FULL_TOPIC = TopicSettings(group="g", overflow=TopicOverflow.DISCONNECT, buffer=10, retained=False)


class Bytes(unittest.TestCase):
    def test_nothing_said_is_no_bytes(self) -> None:
        self.assertEqual((QueueSettings().encode(), TopicSettings().encode()), (b"", b""))

    def test_all_of_a_queue(self) -> None:
        expected = """
            01 0001 04
            02 0001 02
            03 0008 0000000000007530
            04 0004 00000005
            05 0010 0000000000000064 000000000000ea60
            06 0005 01 64656164
            07 0008 000000000036ee80
            08 0008 0000000000000001
            09 0008 00000000000003e8
            0a 0008 0000010000000000
            0b 0001 03
        """
        self.assertEqual(FULL_QUEUE.encode().hex(), "".join(expected.split()))

    def test_all_of_a_topic(self) -> None:
        expected = "01 0001 67  02 0001 03  03 0004 0000000a  04 0001 00"
        self.assertEqual(FULL_TOPIC.encode().hex(), "".join(expected.split()))

    def test_a_dead_letter_queue_by_its_id(self) -> None:
        self.assertEqual(QueueSettings(dead_letter=7).encode().hex(), "060009" + "00" + "0000000000000007")

    def test_the_least_times_are_not_0_unless_they_are(self) -> None:
        for seconds, said in ((0, 0), (1e-9, 1), (0.0014, 1), (0.0016, 2), (1.1, 1100)):
            with self.subTest(seconds):
                (value,) = decode_settings(QueueSettings(lease_seconds=seconds).encode()).values()
                self.assertEqual(int.from_bytes(value, "big"), said)

    def test_values_that_do_not_fit(self) -> None:
        wrong: List[Dict[str, Any]] = [
            {"lease_seconds": -1},
            {"lease_seconds": float("nan")},
            {"ttl_seconds": float("inf")},
            {"delay_seconds": 2**64 / 1000},
            {"backoff_seconds": (1, -1)},
            {"max_deliveries": 2**32},
            {"max_deliveries": -1},
            {"max_messages": 2**64},
            {"max_bytes": -1},
            {"order": 256},
            {"dead_letter": ""},
            {"dead_letter": "x" * 256},
            {"dead_letter": -1},
        ]
        for arguments in wrong:
            with self.subTest(str(arguments)[:40]), self.assertRaises(ValueError):
                QueueSettings(**arguments).encode()
        wrong = [{"group": ""}, {"group": "x" * 256}, {"buffer": 2**32}, {"buffer": -1}, {"overflow": 256}]
        for arguments in wrong:
            with self.subTest(str(arguments)[:40]), self.assertRaises(ValueError):
                TopicSettings(**arguments).encode()

    def test_the_greatest_values_fit(self) -> None:
        QueueSettings(max_deliveries=2**32 - 1, max_messages=2**64 - 1, dead_letter="x" * 255).encode()
        TopicSettings(group="x" * 255, buffer=2**32 - 1).encode()

    def test_decoding_gives_the_settings_or_says_what_is_wrong(self) -> None:
        self.assertEqual(list(decode_settings(FULL_QUEUE.encode())), list(range(1, 12)))
        self.assertEqual(decode_settings(FULL_TOPIC.encode()), {1: b"g", 2: b"\3", 3: b"\0\0\0\n", 4: b"\0"})
        for wrong, why in (
            ("010001", "value of setting 1 is cut off"),
            ("0100", "byte 0 .* cut off"),
            ("010001040200", "byte 4 .* cut off"),
            ("0200010001000100", "ascend"),
            ("0100010001000100", "ascend"),
        ):
            with self.subTest(wrong), self.assertRaisesRegex(ValueError, why):
                decode_settings(bytes.fromhex(wrong))


class TheDocument(unittest.TestCase):
    """§15.1 and §16.3."""

    LENGTHS = {"u8": 1, "u32": 4, "u64": 8, "u64, u64": 16}

    def check(self, section: str, arguments: bytes, choices: Dict[str, Type[enum.IntEnum]]) -> None:
        encoded = decode_settings(arguments)
        rows = protocol_file.table(section)[1:]
        self.assertEqual([int(row[0]) for row in rows], list(encoded))
        for row in rows:
            with self.subTest(row[1]):
                if row[2] in self.LENGTHS:
                    self.assertEqual(len(encoded[int(row[0])]), self.LENGTHS[row[2]])
                if row[1] in choices:
                    said = [int(number) for number in re.findall(r"(?:^|, |: )(\d+) ", row[3])]
                    self.assertEqual(said, list(choices[row[1]]))

    def test_settings_of_a_queue(self) -> None:
        choices: Dict[str, Type[enum.IntEnum]] = {
            "order": QueueOrder,
            "dispatch": QueueDispatch,
            "overflow": QueueOverflow,
        }
        self.check("15.1", FULL_QUEUE.encode(), choices)
        names = [row[1] for row in protocol_file.table("15.1")[1:]]
        self.assertEqual(names, [_plain(name) for name in vars(FULL_QUEUE)])

    def test_settings_of_a_topic(self) -> None:
        self.check("16.3", FULL_TOPIC.encode(), {"overflow": TopicOverflow})
        names = [row[1] for row in protocol_file.table("16.3")[1:]]
        self.assertEqual(names, [_plain(name) for name in vars(FULL_TOPIC)])


def _plain(field: str) -> str:
    """A setting's name in the document for the field's name here."""
    name, separator, _ = field.partition("_seconds")
    return f"{name}_ms" if separator and name != "backoff" else name


if __name__ == "__main__":
    unittest.main()
