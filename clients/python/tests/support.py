"""What the tests share: where things are, and calls on threads. Import it first: it makes the package importable."""

from __future__ import annotations

import os
import pathlib
import sys
import threading
from typing import Callable, Generic, Optional, TypeVar

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

REPOSITORY = HERE.parents[2]
PROTOCOL = REPOSITORY / "PROTOCOL.md"
VECTORS = pathlib.Path(os.environ.get("MSGLIB_VECTORS", str(REPOSITORY / "vectors" / "frames.txt")))
FEATURE_VECTORS = pathlib.Path(os.environ.get("MSGLIB_FEATURE_VECTORS", str(REPOSITORY / "vectors" / "features.txt")))

SAFETY_NET_SECONDS = 10.0
"""How long anything in a test may take. Nothing does, unless it is broken."""

T = TypeVar("T")


class InThread(Generic[T]):
    """Runs a call on a thread of its own; :meth:`result` waits for what it returns or raises."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._value: Optional[T] = None
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> T:
        self._thread.join(SAFETY_NET_SECONDS)
        if self._thread.is_alive():
            raise AssertionError("the call did not return in time")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:
            self._error = error
