"""Reads ``vectors/frames.txt`` and ``vectors/features.txt``; their format is described at their tops."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Tuple, Union

Value = Union[int, bool, bytes]


@dataclass
class Expected:
    """A frame as the file describes it."""

    name: str
    fields: Dict[str, Value] = field(default_factory=dict)


@dataclass
class Vector:
    """One block of the file."""

    name: str = ""
    sender: str = ""
    max_payload: int = 1024
    features: int = 0
    data: bytes = b""
    frames: List[Expected] = field(default_factory=list)
    error: Optional[str] = None
    offset: Optional[int] = None
    need_more: bool = False


def read(path: pathlib.Path) -> List[Vector]:
    """All vectors; raises ``ValueError`` for a line that the format does not allow."""
    return [_vector(block) for block in _blocks(path.read_text("utf-8"))]


def _blocks(text: str) -> Iterator[List[Tuple[str, str]]]:
    block: List[Tuple[str, str]] = []
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        if not line:
            if block:
                yield block
            block = []
        elif line.startswith("    "):
            key, value = block[-1]
            if key != "bytes":
                raise ValueError(f"only bytes go on: {line!r}")
            block[-1] = key, f"{value} {line.strip()}"
        else:
            key, separator, value = line.partition(": ")
            if not separator:
                raise ValueError(f"not a line of key and value: {line!r}")
            block.append((key, value))


def _vector(block: List[Tuple[str, str]]) -> Vector:
    vector = Vector()
    for key, value in block:
        if key == "name":
            vector.name = value
        elif key == "from" and value in ("client", "broker", "both"):
            vector.sender = value
        elif key == "max_payload":
            vector.max_payload = int(value)
        elif key == "features":
            vector.features = int(value)
        elif key == "bytes":
            vector.data = _bytes(value)
        elif key == "frame":
            vector.frames.append(Expected(value))
        elif key.startswith("field."):
            vector.frames[-1].fields[key[len("field.") :]] = _value(value)
        elif key == "error":
            vector.error = value
        elif key == "offset":
            vector.offset = int(value)
        elif (key, value) == ("need_more", "true"):
            vector.need_more = True
        else:
            raise ValueError(f"unknown in {vector.name}: {key}: {value}")
    if not (vector.name and vector.sender and vector.data):
        raise ValueError(f"name, from or bytes is missing: {block}")
    if (vector.error is None) != (vector.offset is None) or (vector.error is not None and vector.need_more):
        raise ValueError(f"the end of {vector.name} does not fit together")
    return vector


def _value(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("hex(") and text.endswith(")"):
        return _bytes(text[4:-1])
    return int(text)


def _bytes(text: str) -> bytes:
    token = re.compile(r"([0-9a-f]{2})(?: |$)|repeat\(0x([0-9a-f]{2}), ([0-9]+)\)(?: |$)")
    data, at = bytearray(), 0
    while at < len(text):
        found = token.match(text, at)
        if found is None:
            raise ValueError(f"not hex pairs or a repeat: {text[at:]!r}")
        data += bytes.fromhex(found[1]) if found[1] else bytes.fromhex(found[2]) * int(found[3])
        at = found.end()
    return bytes(data)
