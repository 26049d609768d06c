"""Who may send what, and when: the tables of PROTOCOL §10 and §14.4, as data."""

from __future__ import annotations

import enum
from typing import Dict, Mapping, Tuple

from .frames import FrameType


class Side(enum.Enum):
    """Who sends."""

    CLIENT = "client"
    BROKER = "broker"


class ConnectionState(enum.IntEnum):
    """What a receiver has seen of its peer's half (§10.1)."""

    FRESH = 0
    GREETED = 1
    OVER = 2


class LinkState(enum.IntEnum):
    """The life of a link (§5.3)."""

    FREE = 0
    OPENING = 1
    OPEN = 2
    CLOSING = 3
    CLOSED = 4


class Rule(enum.Enum):
    """What a receiver does with a frame, by the tables of §10.2 and §14.4."""

    ACCEPT = "A"
    IGNORE = "I"
    UNEXPECTED = "U"
    BAD_LINK = "B"


# One row of §10.2 or §14.4 each: sender, frame, then the connection's states, then (where it says anything) the link's.
_TABLE = """
client HELLO     AUU
client WELCOME   UUU
client GOODBYE   UAU
client ERROR     AAU
client PING      UAU
client PONG      UAU
client OPEN      UAU ABBBB
client OPENED    UUU
client CLOSE     UAU BAABA
client CLOSED    UUU
client CREDIT    UAU BAABI
client PUBLISH   UAU BAABI
client CONFIRMED UUU
client REFUSED   UUU
client DELIVERY  UUU
client ACK       UAU BAABI
client REFUSE    UAU BAABI
client USER      UAU
broker HELLO     UUU
broker WELCOME   AUU
broker GOODBYE   UAU
broker ERROR     AAU
broker PING      UAU
broker PONG      UAU
broker OPEN      UUU
broker OPENED    UAU BABIB
broker CLOSE     UUU
broker CLOSED    UAU BAAAB
broker CREDIT    UAU BBAIB
broker PUBLISH   UUU
broker CONFIRMED UAU BBAAB
broker REFUSED   UAU BBAAB
broker DELIVERY  UAU BBAIB
broker ACK       UUU
broker REFUSE    UUU
broker USER      UAU
client GOING_AWAY    UUU
client PUBLISH_WITH  UAU BAABI
client PRODUCER      UAU BAABI
client DELIVERY_WITH UUU
client SETTLE        UAU BAABI
client SETTLED       UUU
client GAP           UUU
client REQUEST       UAU BAABI
client REPLY         UAU BAABI
client NO_REPLY      UAU BAABI
broker GOING_AWAY    UAU
broker PUBLISH_WITH  UUU
broker PRODUCER      UUU
broker DELIVERY_WITH UAU BBAIB
broker SETTLE        UUU
broker SETTLED       UAU BBAAB
broker GAP           UAU BBAIB
broker REQUEST       UAU BBAIB
broker REPLY         UAU BBAAB
broker NO_REPLY      UAU BBAAB
"""

_Key = Tuple[Side, FrameType]


def _read_table(column: int) -> Dict[_Key, Tuple[Rule, ...]]:
    rules: Dict[_Key, Tuple[Rule, ...]] = {}
    for line in _TABLE.split("\n"):
        cells = line.split()
        if len(cells) > column:
            rules[Side(cells[0]), FrameType[cells[1]]] = tuple(map(Rule, cells[column]))
    return rules


CONNECTION_RULES: Mapping[_Key, Tuple[Rule, ...]] = _read_table(2)
"""For each sender and type: the rule for each :class:`ConnectionState`."""
LINK_RULES: Mapping[_Key, Tuple[Rule, ...]] = _read_table(3)
"""For each sender and type of a frame with a link: the rule for each :class:`LinkState`."""
