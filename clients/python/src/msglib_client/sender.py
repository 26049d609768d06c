"""What goes into a channel: each when the broker allows it."""

from __future__ import annotations

from typing import Union

from .deadline import Deadline
from .handle import Handle

Payload = Union[bytes, bytearray, memoryview]
"""What can be published, asked and answered: any bytes."""


def to_bytes(payload: Payload) -> bytes:
    """The bytes themselves, copied only if they could change. Raises ``TypeError`` for what is none."""
    if isinstance(payload, str):
        raise TypeError("a payload is bytes, not str; text needs an encoding, as in text.encode('utf-8')")
    return payload if isinstance(payload, bytes) else bytes(memoryview(payload))


class Sender(Handle):
    """A way into a channel, for messages or for requests."""

    def _wait_until_allowed(self, payload: bytes, needs_welcome: bool, deadline: Deadline) -> None:
        """Waits until the session takes a message, or says why it never will. Needs the lock."""
        driver, link = self._driver, self._link

        def allowed() -> bool:
            if driver.session.leaving or not link.usable:
                return True  # It raises why.
            if needs_welcome and driver.session.welcome is None:
                return False
            return driver.session.may_publish(link, len(payload)) and driver.has_room()

        driver.wait(allowed, deadline, "the broker does not allow more messages yet; nothing was sent")
