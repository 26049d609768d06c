"""What an OPEN can ask of a queue or of a subscription to a topic: its arguments (PROTOCOL §15.1, §16.3)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple, Union

from .names import QueueId, wire_name
from .times import milliseconds


class QueueOrder(enum.IntEnum):
    """Which message of a queue comes next."""

    FIFO = 0
    """The oldest."""
    PRIORITY = 1
    """One with the highest priority."""
    FAIR = 2
    """The keys take turns."""
    STICKY = 3
    """As FIFO, and the messages of one key go to one consumer."""
    LAST_VALUE = 4
    """As FIFO, and a message takes the place of the one with its key that waits."""


class QueueDispatch(enum.IntEnum):
    """Which consumer gets it."""

    ROUND_ROBIN = 0
    """They take turns."""
    LEAST_LOADED = 1
    """The one with the fewest messages in flight."""
    EXCLUSIVE = 2
    """One alone, as long as it is there."""


class QueueOverflow(enum.IntEnum):
    """What a queue does at its limit."""

    REFUSE_NEW = 0
    DROP_OLDEST = 1
    DROP_NEW = 2
    DEAD_LETTER_OLDEST = 3


class TopicOverflow(enum.IntEnum):
    """What a subscription to a topic does when its buffer is full."""

    DROP_OLDEST = 0
    DROP_NEW = 1
    KEEP_LATEST = 2
    """Keep the latest message of each topic."""
    DISCONNECT = 3
    """End the subscription, with ``TOO_SLOW``."""


@dataclass(frozen=True)
class QueueSettings:
    """How a queue is to be. What is ``None`` is left to the broker.

    A queue that is not there yet is made so. One that is there must be so, in what is given; else whoever opens it is
    refused with ``DECLARED_OTHERWISE``. All times are in seconds, of any fraction down to a millisecond.
    """

    order: Optional[QueueOrder] = None
    dispatch: Optional[QueueDispatch] = None
    lease_seconds: Optional[float] = None
    """A delivery that is not settled by then goes back; 0 for never."""
    max_deliveries: Optional[int] = None
    """After so many a message is a dead letter; 0 for no limit."""
    backoff_seconds: Optional[Tuple[float, float]] = None
    """The delay before the second attempt, and what it is doubled up to for each further one."""
    dead_letter: Optional[QueueId] = None
    """The queue that dead letters go to."""
    ttl_seconds: Optional[float] = None
    """The time to live of messages that do not say one; 0 for none."""
    delay_seconds: Optional[float] = None
    """The delay of messages that do not say one."""
    max_messages: Optional[int] = None
    max_bytes: Optional[int] = None
    overflow: Optional[QueueOverflow] = None

    def encode(self) -> bytes:
        """The arguments of an OPEN. Raises ``ValueError`` for a value that does not fit."""
        return _encode(
            {
                1: _number(">B", "order", self.order),
                2: _number(">B", "dispatch", self.dispatch),
                3: _time("lease_seconds", self.lease_seconds),
                4: _number(">I", "max_deliveries", self.max_deliveries),
                5: _backoff(self.backoff_seconds),
                6: _dead_letter(self.dead_letter),
                7: _time("ttl_seconds", self.ttl_seconds),
                8: _time("delay_seconds", self.delay_seconds),
                9: _number(">Q", "max_messages", self.max_messages),
                10: _number(">Q", "max_bytes", self.max_bytes),
                11: _number(">B", "overflow", self.overflow),
            }
        )


@dataclass(frozen=True)
class TopicSettings:
    """How a subscription to topics is to be. What is ``None`` is left to the broker."""

    group: Optional[Union[str, bytes]] = None
    """Each message goes to one subscription of those with the same filter and group; 1 to 255 bytes."""
    overflow: Optional[TopicOverflow] = None
    """What happens when the buffer is full; the broker's default is to drop the oldest."""
    buffer: Optional[int] = None
    """How many messages wait at the broker at most, beside those that wait here unread."""
    retained: Optional[bool] = None
    """Whether the last values of all topics that match come first; the broker's default is yes."""

    def encode(self) -> bytes:
        """The arguments of an OPEN. Raises ``ValueError`` for a value that does not fit."""
        return _encode(
            {
                1: None if self.group is None else wire_name(self.group, "a group"),
                2: _number(">B", "overflow", self.overflow),
                3: _number(">I", "buffer", self.buffer),
                4: _number(">B", "retained", self.retained),
            }
        )


def decode_settings(arguments: bytes) -> Dict[int, bytes]:
    """The settings of an OPEN's arguments, by their ids. Raises ``ValueError`` for what breaks the form of §15.1."""
    found: Dict[int, bytes] = {}
    at = 0
    while at < len(arguments):
        if len(arguments) - at < 3:
            raise ValueError(f"the setting at byte {at} of the arguments is cut off")
        number, length = struct.unpack_from(">BH", arguments, at)
        if found and number <= max(found):
            raise ValueError(f"setting {number} comes behind setting {max(found)}; ids must ascend")
        value = arguments[at + 3 : at + 3 + length]
        if len(value) < length:
            raise ValueError(f"the value of setting {number} is cut off")
        found[number] = value
        at += 3 + length
    return found


def _encode(settings: Mapping[int, Optional[bytes]]) -> bytes:
    """In ascending order of the ids, each an id, a length and a value."""
    return b"".join(
        struct.pack(">BH", number, len(value)) + value for number, value in settings.items() if value is not None
    )


def _number(layout: str, name: str, value: Optional[int]) -> Optional[bytes]:
    if value is None:
        return None
    if not isinstance(value, int):
        raise TypeError(f"{name} must be a number or of the enumeration of its values, {value!r} is not")
    most: int = 256 ** struct.calcsize(layout) - 1
    if not 0 <= value <= most:
        raise ValueError(f"{name} must be 0 to {most}, {value} is not")
    return struct.pack(layout, value)


def _time(name: str, seconds: Optional[float]) -> Optional[bytes]:
    return None if seconds is None else struct.pack(">Q", milliseconds(seconds, name))


def _backoff(seconds: Optional[Tuple[float, float]]) -> Optional[bytes]:
    if seconds is None:
        return None
    first, most = seconds
    return struct.pack(">QQ", milliseconds(first, "backoff_seconds"), milliseconds(most, "backoff_seconds"))


def _dead_letter(q_id: Optional[QueueId]) -> Optional[bytes]:
    if q_id is None:
        return None
    name = wire_name(q_id)
    return b"\0" + struct.pack(">Q", name) if isinstance(name, int) else b"\1" + name
