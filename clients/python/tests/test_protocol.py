"""The package says the same as the document that it was written from: types, lengths, codes, limits, tables, §13."""

from __future__ import annotations

import re
import unittest

import support  # noqa: F401  (first: it makes the package importable)
import protocol_file
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code
from msglib_client.events import Delivered
from msglib_client.features import ALL_FEATURES, NO_FEATURES, Feature
from msglib_client.link import INITIAL_PUBLISH_CREDIT, LINKS_BEFORE_WELCOME
from msglib_client.rules import CONNECTION_RULES, LINK_RULES, Side
from msglib_client.session import Session
from msglib_client.shapes import SHAPES


class Tables(unittest.TestCase):
    """§3, §9, §10, §11 and §14."""

    def test_types(self) -> None:
        said = {row[1]: int(row[0].split("–")[0].strip("`"), 16) for row in protocol_file.type_rows()}
        self.assertEqual(said, {kind.name: int(kind) for kind in frames.FrameType})

    def test_scopes_and_flags(self) -> None:
        scopes = {"connection": False, "link": True, "any": None}
        for row in protocol_file.type_rows():
            with self.subTest(row[1]):
                shape = SHAPES[frames.FrameType[row[1]]]
                self.assertIs(shape.has_link, scopes[row[3]])
                users = row[4] == "the user's"
                said = 0xFFFF if users else sum(int(bit) for bit in re.findall(r"\d+", row[4]))
                self.assertEqual(shape.flags, said)

    def test_lengths(self) -> None:
        rows = protocol_file.length_rows()
        self.assertEqual({row[0] for row in rows}, {kind.name for kind in frames.FrameType})
        for name, least, greatest in rows:
            with self.subTest(name):
                shape = SHAPES[frames.FrameType[name]]
                fixed, payload, _ = greatest.partition(" + P")
                self.assertEqual(shape.shortest, _number(least))
                self.assertEqual((shape.shortest + shape.variable, shape.has_payload), (_number(fixed), bool(payload)))

    def test_features(self) -> None:
        bits = {row[1]: 1 << int(row[0]) for row in protocol_file.table("14.1")[1:]}
        self.assertEqual(bits, {feature.name: int(feature) for feature in Feature})
        self.assertEqual(sum(bits.values()), ALL_FEATURES)

    def test_the_features_of_each_type(self) -> None:
        rows = protocol_file.table("14.2")[1:]
        said = {row[1]: sum(Feature[name] for name in row[6].split(", ")) for row in rows}
        self.assertEqual(said, {kind.name: int(features) for kind, features in frames.FEATURES.items()})

    def test_what_a_settling_is(self) -> None:
        rows = protocol_file.table("15.4")[1:]
        self.assertEqual([int(row[0]) for row in rows], list(frames.Settling))

    def test_codes_and_whether_to_try_again(self) -> None:
        rows = [row for row in protocol_file.table("9")[1:] if row[1]]
        self.assertEqual({row[1]: int(row[0].strip("`"), 16) for row in rows}, {code.name: int(code) for code in Code})
        self.assertEqual({row[1]: row[3] == "yes" for row in rows}, {code.name: code.again for code in Code})

    def test_a_code_that_is_not_known_is_kept_and_counts_as_no(self) -> None:
        for number in (0x0001, 0x8000, 0xFFFF):
            code = Code(number)
            self.assertEqual((code, int(code), code.again), (number, number, False))
            self.assertIn(f"{number:04X}", code.name)
        for number in (-1, 0x10000):
            with self.assertRaises(ValueError):
                Code(number)

    def test_limits(self) -> None:
        said = {row[0]: row[1] for row in protocol_file.table("11")[1:]}
        for name, here in {
            "a frame's header": frames.HEADER_LENGTH,
            "HELLO; all before WELCOME": frames.MAX_HELLO,
            "a text": frames.MAX_TEXT,
            "a channel's name": frames.MAX_NAME,
            "name and mechanism in HELLO, name in WELCOME": frames.MAX_NAME,
            "arguments of an OPEN": frames.MAX_ARGUMENTS,
            "links before WELCOME": LINKS_BEFORE_WELCOME,
            "publishes before the first CREDIT": INITIAL_PUBLISH_CREDIT,
        }.items():
            with self.subTest(name):
                self.assertEqual(_number(said[name]), here)
        self.assertEqual(said["payload of PUBLISH, DELIVERY, USER"], f"{frames.DEFAULT_MAX_PAYLOAD // 2**20} MiB")

    def test_who_may_send_what(self) -> None:
        rows = protocol_file.who_may_send_what()
        self.assertEqual(len(rows), 2 * len(frames.FrameType))
        for row in rows:
            with self.subTest(f"{row.frame} from {row.sender}"):
                key = Side(row.sender), frames.FrameType[row.frame]
                self.assertEqual([rule.value for rule in CONNECTION_RULES[key]], list(row.connection.values()))
                self.assertEqual([rule.value for rule in LINK_RULES.get(key, ())], list(row.link.values()))


def _number(text: str) -> int:
    return int(re.sub(r"[^0-9]", "", text))


class Conversation(unittest.TestCase):
    """§13."""

    def test_every_frame_is_what_it_says_and_has_these_bytes_alone(self) -> None:
        for sender, title, data in protocol_file.conversation():
            with self.subTest(f"{sender}: {title}"):
                decoder = Decoder()
                (frame,) = decoder.feed(data)
                self.assertIsNone(decoder.error)
                self.assertEqual(frame.TYPE.name, re.split("[: ]", title)[0])
                self.assertEqual(encode(frame), data)

    def test_a_session_says_its_client_part_byte_for_byte(self) -> None:
        lines = protocol_file.conversation()
        session = Session(name="demo", features=NO_FEATURES)
        link = session.open(1, publishes=True, consumes=True)
        session.publish(link, b"Hello, world!", confirm=True)
        session.grant(link, 1)
        sent = session.take_output()
        for sender, _, data in lines:
            if sender == "broker":
                for event in session.receive(data):
                    if isinstance(event, Delivered):
                        session.ack(link, event.tag, event.tag)
                        session.goodbye()
        sent += session.take_output()
        self.assertEqual(sent, b"".join(data for sender, _, data in lines if sender == "client"))
        self.assertTrue(session.over)
        self.assertIsNone(session.error)


if __name__ == "__main__":
    unittest.main()
