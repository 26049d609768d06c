"""Reads the tables and the conversation out of ``PROTOCOL.md``, to hold the package to the document's letter."""

from __future__ import annotations

import itertools
import re
from typing import Dict, List, NamedTuple, Tuple

import support


class Row(NamedTuple):
    """A row of §10.2 or §14.4."""

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


def table(number: str, which: int = 0) -> List[List[str]]:
    """The rows of a table in a section, the first one if not said, its heading first, without the line under that."""
    blocks = itertools.groupby(section(number).split("\n"), key=lambda line: line.startswith("|"))
    lines = [list(block) for is_table, block in blocks if is_table][which]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return rows[:1] + rows[2:]


def type_rows() -> List[List[str]]:
    """The types of §3 and §14.2, a row each; an additional last cell of §14.2 names the features."""
    return table("3")[1:] + table("14.2")[1:]


def length_rows() -> List[List[str]]:
    """The least and the greatest length of the types of §3 and §14.2, a row each."""
    halves = [half for row in table("3", 1)[1:] + table("14.2", 1)[1:] for half in (row[:3], row[3:])]
    return [[name, *half[1:]] for half in halves for name in half[0].split(", ") if name]


def who_may_send_what() -> List[Row]:
    """§10.2 and §14.4."""
    heading, *rows = table("10.2")
    same_heading, *feature_rows = table("14.4")
    if same_heading != heading:
        raise ValueError("the tables of §10.2 and §14.4 must have the same columns")
    connection, link = heading[2:5], heading[5:]
    return [
        Row(
            row[0],
            row[1],
            dict(zip(connection, row[2:5])),
            {state: cell for state, cell in zip(link, row[5:]) if cell},
        )
        for row in rows + feature_rows
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
