"""Links that a connection keeps for calls that name a channel."""

from __future__ import annotations

from typing import Callable, Dict, Generic, Optional, TypeVar, Union

from .handle import Handle

H = TypeVar("H", bound=Handle)
R = TypeVar("R")
Name = Union[int, bytes]


class Kept(Generic[H]):
    """One link for each name, opened when it is first needed and kept until it ends. Needs the connection's lock."""

    def __init__(self, open_one: Callable[[Name], H], end_is_told: bool = False) -> None:
        """``end_is_told``: whoever used a link was told of its end; otherwise the next call is to say it."""
        self._open_one = open_one
        self._end_is_told = end_is_told
        self._by_name: Dict[Name, H] = {}

    def use(self, name: Name, timeout_seconds: Optional[float], call: Callable[[H], R]) -> R:
        """Makes a call on the link; one that has ended is not used again."""
        handle = self._get(name)
        handle.timeout_seconds = timeout_seconds
        try:
            return call(handle)
        finally:
            if handle.ended and self._by_name.get(name) is handle:
                del self._by_name[name]

    def _get(self, name: Name) -> H:
        found = self._by_name.get(name)
        if found is not None and not (found.ended and self._end_is_told):
            return found
        self._by_name.pop(name, None)
        opened = self._open_one(name)
        # Opening may wait and so let another thread in; the first one stays.
        first = self._by_name.setdefault(name, opened)
        if first is not opened:
            opened.close()
        return first
