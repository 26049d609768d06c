"""Times as users say them, in seconds, and as the wire has them, in milliseconds."""

from __future__ import annotations

from . import frames


def milliseconds(seconds: float, what: str, most: int = frames.MAX_U64) -> int:
    """The nearest number of milliseconds, but 0 for 0 alone, since 0 often means something else.

    Raises ``ValueError`` for what is negative, undefined, or above ``most`` milliseconds.
    """
    if not 0 <= seconds * 1000 <= most:
        raise ValueError(f"{what} must be 0 to {most // 1000} seconds, {seconds} is not")
    return max(1, round(seconds * 1000)) if seconds > 0 else 0
