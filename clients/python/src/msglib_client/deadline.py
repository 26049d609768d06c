"""How long a blocking call may take."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple, Optional


class Deadline(NamedTuple):
    """A moment after which a call gives up."""

    at: Optional[float]
    """When, on the monotonic clock, in seconds; ``None`` for never."""
    polling: bool
    """Whether the call must not wait at all, and says ``BlockingIOError`` instead, as a socket with time-out 0 does."""

    @classmethod
    def after(cls, timeout_seconds: Optional[float]) -> "Deadline":
        """So many seconds from now; ``None`` for never. Raises ``ValueError`` for a negative or undefined number."""
        if timeout_seconds is None:
            return cls(None, False)
        if not timeout_seconds >= 0:
            raise ValueError(f"a time-out cannot be {timeout_seconds} seconds")
        return cls(time.monotonic() + timeout_seconds, timeout_seconds == 0)

    def left(self) -> Optional[float]:
        """Seconds until then, at least 0 and no more than the system can wait; ``None`` for ever."""
        if self.at is None:
            return None
        return min(max(0.0, self.at - time.monotonic()), threading.TIMEOUT_MAX)

    def error(self, what: str) -> OSError:
        """What to raise when the time is up."""
        return BlockingIOError(what) if self.polling else TimeoutError(what)
