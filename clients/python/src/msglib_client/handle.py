"""A link as its user holds it: what publishers, subscriptions, callers and services have in common."""

from __future__ import annotations

from types import TracebackType
from typing import Optional, Type, TypeVar

from .deadline import Deadline
from .driver import Driver, LinkUser
from .link import Link

H = TypeVar("H", bound="Handle")


class Handle(LinkUser):
    """One's own way to one channel, ended by :meth:`close` or at the end of ``with``."""

    def __init__(self, driver: Driver, link: Link, timeout_seconds: Optional[float]) -> None:
        """Made by a :class:`Connection`."""
        self.timeout_seconds = timeout_seconds
        """How long a call may take unless it is told otherwise, as that of :class:`Connection`; may be changed."""
        self._driver = driver
        self._link = link

    def wait_until_open(self, timeout_seconds: Optional[float] = None) -> None:
        """Waits until the broker has taken the link.

        Raises ``Refused`` if it does not, ``TimeoutError``, ``ConnectionLost``.
        """
        with self._driver.lock:
            self._driver.wait_until_open(self._link, self._until(timeout_seconds))

    def close(self) -> None:
        """Gives the way up, without waiting."""
        with self._driver.lock:
            self._driver.close_link(self._link)

    @property
    def ended(self) -> bool:
        """Whether the way cannot be used any more."""
        return not self._link.usable

    def __enter__(self: H) -> H:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def _until(self, timeout_seconds: Optional[float]) -> Deadline:
        return Deadline.after(self.timeout_seconds if timeout_seconds is None else timeout_seconds)
