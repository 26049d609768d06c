"""Reads the tables and the conversation out of ``PROTOCOL.md``, to hold the package to the document's letter."""

from __future__ import annotations

import itertools
import re
from typing import Dict, List, NamedTuple, Tuple

import support


class Row(NamedTuple):
    """A row of §10.2."""

    sender: str
    frame: str
    connection: Dict[str, str]
    link: Dict[str, str]


def section(number: str) -> str:
    """A section's text, with its subsections, by its number."""
    text = support.PROTOCOL.read_text("utf-8")
    found = re.search(rf"^(#+) {re.escape(number)}\.? .*?$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"PROTOCOL.md has no section {number}")
    following = re.search(rf"^#{{2,{len(found[1])}}} ", text[found.end() :], re.MULTILINE)
    return text[found.end() :] if following is None else text[found.end() :][: following.start()]


def table(number: str) -> List[List[str]]:
    """The rows of the first table in a section, its heading first, without the line under that."""
    lines = section(number).split("\n")
    lines = list(itertools.dropwhile(lambda line: not line.startswith("|"), lines))
    lines = list(itertools.takewhile(lambda line: line.startswith("|"), lines))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[:1] + rows[2:]


def who_may_send_what() -> List[Row]:
    """§10.2."""
    heading, *rows = table("10.2")
    connection, link = heading[2:5], heading[5:]
    return [
        Row(
            row[0],
            row[1],
            dict(zip(connection, row[2:5])),
            {state: cell for state, cell in zip(link, row[5:]) if cell},
        )
        for row in rows
    ]


def conversation() -> List[Tuple[str, str, bytes]]:
    """§13: who sends, what it says the frame is, and its bytes."""
    found: List[Tuple[str, str, bytes]] = []
    for line in section("13").split("```")[1].strip().split("\n"):
        if line.startswith("    "):
            sender, title, data = found[-1]
            found[-1] = sender, title, data + bytes.fromhex(line)
        else:
            found.append(({"C": "client", "B": "broker"}[line[0]], line[2:], b""))
    return found
