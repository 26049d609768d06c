"""The golden vectors, in both directions."""

from __future__ import annotations

import dataclasses
import pathlib
import unittest
from random import Random
from typing import ClassVar, Dict, List, Optional, Set

import support
import vector_file
from msglib_client import frames
from msglib_client.decode import Decoder
from msglib_client.encode import encode
from msglib_client.errors import Code, ProtocolError
from msglib_client.features import ALL_FEATURES

CLASSES: Dict[str, type] = {
    kind.name: next(cls for cls in frames.Frame.__args__ if cls.TYPE is kind)  # type: ignore[attr-defined]
    for kind in frames.FrameType
}


class Vectors(unittest.TestCase):
    """Each vector of ``frames.txt`` is a sub-test."""

    path: ClassVar[pathlib.Path] = support.VECTORS
    least: ClassVar[int] = 120
    types: ClassVar[Set[frames.FrameType]] = set(frames.FrameType) - set(frames.FEATURES)
    errors: ClassVar[Set[str]] = {
        "FRAME_LENGTH",
        "FRAME_TOO_LARGE",
        "UNKNOWN_TYPE",
        "RESERVED_FLAG",
        "BAD_FIELD",
        "BAD_MAGIC",
    }
    vectors: List[vector_file.Vector]

    @classmethod
    def setUpClass(cls) -> None:
        cls.vectors = vector_file.read(cls.path)

    def test_there_are_enough_and_each_has_a_name_of_its_own(self) -> None:
        self.assertGreaterEqual(len(self.vectors), self.least)
        self.assertEqual(len({vector.name for vector in self.vectors}), len(self.vectors))

    def test_every_type_occurs_valid_and_every_error_of_the_codec_occurs(self) -> None:
        types = {frame.name for vector in self.vectors for frame in vector.frames}
        self.assertEqual(types, {kind.name for kind in self.types})
        errors = {vector.error for vector in self.vectors if vector.error is not None}
        self.assertEqual(errors, self.errors)

    def test_decoding_at_once(self) -> None:
        for vector in self.vectors:
            with self.subTest(vector.name):
                self.check(vector, [vector.data])

    def test_decoding_one_byte_at_a_time(self) -> None:
        for vector in self.vectors:
            with self.subTest(vector.name):
                self.check(vector, [vector.data[at : at + 1] for at in range(len(vector.data))])

    def test_decoding_cut_in_two_anywhere(self) -> None:
        for vector in self.vectors:
            if len(vector.data) <= 256:
                with self.subTest(vector.name):
                    for cut in range(len(vector.data) + 1):
                        self.check(vector, [vector.data[:cut], vector.data[cut:]])

    def test_encoding_gives_the_same_bytes(self) -> None:
        for vector in self.vectors:
            if vector.error is None and not vector.need_more:
                with self.subTest(vector.name):
                    encoded = b"".join(encode(_frame(expected)) for expected in vector.frames)
                    self.assertEqual(encoded.hex(), vector.data.hex())

    def test_no_cut_of_a_valid_stream_is_an_error(self) -> None:
        for vector in self.vectors:
            if vector.error is None and len(vector.data) <= 1100:
                with self.subTest(vector.name):
                    for length in range(len(vector.data)):
                        decoder = _decoder(vector)
                        decoder.feed(vector.data[:length])
                        self.assertIsNone(decoder.error)

    def test_damage_is_found_at_one_place_and_what_is_accepted_has_these_bytes_alone(self) -> None:
        random = Random(1)
        for vector in self.vectors:
            if len(vector.data) > 256:
                continue
            for _ in range(50):
                data = bytearray(vector.data)
                data[random.randrange(len(data))] = random.choice(
                    (0, 1, 2, 0x20, 0x7F, 0x80, 0xFF, random.randrange(256))
                )
                whole, in_bytes = _decoder(vector), _decoder(vector)
                found = whole.feed(bytes(data))
                with self.subTest(vector.name, data=data.hex()):
                    self.assertEqual([frame for byte in data for frame in in_bytes.feed(bytes([byte]))], found)
                    self.assertEqual(str(in_bytes.error), str(whole.error))
                    accepted = b"".join(map(encode, found))
                    self.assertEqual(accepted, bytes(data[: len(accepted)]))

    def check(self, vector: vector_file.Vector, pieces: List[bytes]) -> None:
        decoder = _decoder(vector)
        found = [frame for piece in pieces for frame in decoder.feed(piece)]
        self.assertEqual(found, [_frame(expected) for expected in vector.frames])
        error: Optional[ProtocolError] = decoder.error
        if vector.error is None:
            self.assertIsNone(error)
        else:
            assert error is not None
            self.assertEqual((error.code.name, error.offset), (vector.error, vector.offset))
        whole = vector.error is None and not vector.need_more
        self.assertEqual(decoder.offset == len(vector.data), whole)


class FeatureVectors(Vectors):
    """As much for ``features.txt``."""

    path = support.FEATURE_VECTORS
    least = 90
    types = set(frames.FEATURES)
    errors = {"FRAME_LENGTH", "FRAME_TOO_LARGE", "UNKNOWN_TYPE", "RESERVED_FLAG", "BAD_FIELD"}

    def test_no_type_is_known_without_one_of_its_features(self) -> None:
        for vector in self.vectors:
            for expected in vector.frames:
                needed = frames.FEATURES[frames.FrameType[expected.name]]
                for features in range(ALL_FEATURES + 1):
                    with self.subTest(vector.name, features=features):
                        decoder = Decoder(vector.max_payload, features)
                        known = bool(decoder.feed(vector.data))
                        self.assertEqual(known, bool(features & needed))
                        if not known:
                            assert decoder.error is not None
                            self.assertEqual((decoder.error.code, decoder.error.offset), (Code.UNKNOWN_TYPE, 4))


def _decoder(vector: vector_file.Vector) -> Decoder:
    return Decoder(vector.max_payload, vector.features)


def _frame(expected: vector_file.Expected) -> frames.Frame:
    """The package's frame for what the file says; every field must be said, and no other."""
    cls = CLASSES[expected.name]
    given = dict(expected.fields)
    if cls is frames.Open and "id" in given:
        given["name"] = given.pop("id")
    if cls is frames.Producer:
        number = given["id"]
        assert isinstance(number, bytes)
        given["id"] = int.from_bytes(number, "big")
    values: Dict[str, object] = {}
    for each in dataclasses.fields(cls):
        if each.name == "cause":
            values["cause"] = _cause(given)
            continue
        if "Optional" in str(each.type) and each.name not in given:
            continue
        value: object = given.pop(each.name)
        if each.name in ("text", "mechanism") or (each.name == "name" and cls is not frames.Open):
            assert isinstance(value, bytes)
            value = value.decode("utf-8")
        elif each.name == "code":
            assert isinstance(value, int)
            value = Code(value)
        elif each.name == "verdict":
            assert isinstance(value, int)
            value = frames.Verdict(value)
        elif each.name == "settling":
            assert isinstance(value, int)
            value = frames.Settling(value)
        values[each.name] = value
    if given:
        raise ValueError(f"{expected.name} has no fields {sorted(given)}")
    return cls(**values)  # type: ignore[no-any-return]


def _cause(given: Dict[str, vector_file.Value]) -> Optional[frames.Cause]:
    said = {key[len("cause_") :]: given.pop(key) for key in list(given) if key.startswith("cause_")}
    if not said:
        return None
    source = said.pop("id") if "id" in said else said.pop("name")
    reason, count, hops, first_ms = (said.pop(key) for key in ("reason", "count", "hops", "first_ms"))
    if said:
        raise ValueError(f"a cause has no fields {sorted(said)}")
    assert isinstance(reason, int) and isinstance(source, (int, bytes))
    return frames.Cause(Code(reason), int(count), int(hops), int(first_ms), source)


if __name__ == "__main__":
    unittest.main()
