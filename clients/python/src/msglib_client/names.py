"""How channels and messages are named (PROTOCOL §5.1, §15.2, §16.1)."""

from __future__ import annotations

from typing import Optional, Union, overload

from . import frames

QueueId = Union[int, str, bytes]
"""How a queue is named: an id (an ``int``, so an ``enum.IntEnum`` as well) or a name of 1 to 255 bytes.

A ``str`` is its UTF-8. The id 1 and the name ``"1"`` are two different queues.
"""

TopicName = Union[str, bytes]
"""How a topic is named, or a filter: levels of UTF-8 that ``/`` separates, 1 to 255 bytes in all."""


@overload
def wire_name(name: TopicName, what: str = ...) -> bytes: ...


@overload
def wire_name(name: QueueId, what: str = ...) -> Union[int, bytes]: ...


def wire_name(name: QueueId, what: str = "a name") -> Union[int, bytes]:
    """A name as OPEN has it. Raises ``ValueError`` for what cannot be one."""
    if isinstance(name, int):
        if not 0 <= name <= frames.MAX_U64:
            raise ValueError(f"an id must fit 64 bits without a sign, {name} does not")
        return int(name)
    encoded = name.encode("utf-8") if isinstance(name, str) else bytes(name)
    if not 1 <= len(encoded) <= frames.MAX_NAME:
        raise ValueError(f"{what} must have 1 to {frames.MAX_NAME} bytes, this one has {len(encoded)}")
    return encoded


def topic_name(name: TopicName) -> bytes:
    """As :func:`wire_name`, for what has no ids."""
    if isinstance(name, int):
        raise TypeError(f"a topic has a name and no id such as {name}")
    return wire_name(name, "a topic or filter")


def is_filter(name: bytes) -> bool:
    """Whether a topic's name stands for more than one (§16.1)."""
    return not {b"+", b"#"}.isdisjoint(name.split(b"/"))


def key_bytes(key: Union[str, bytes, None]) -> Optional[bytes]:
    """A message's key as PUBLISH_WITH has it. Raises ``TypeError`` or ``ValueError`` for what cannot be one."""
    if key is None:
        return None
    if isinstance(key, int):
        raise TypeError(f"a key is text or bytes, {key} is not")
    return wire_name(key, "a key")


def checked_priority(priority: Optional[int]) -> Optional[int]:
    """A message's priority. Raises ``ValueError`` if it does not fit."""
    if priority is not None and not 0 <= priority <= 255:
        raise ValueError(f"a priority must be 0 to 255, {priority} is not")
    return priority
