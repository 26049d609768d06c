"""The features with which version 1 grows (PROTOCOL §12.1, §14.1)."""

from __future__ import annotations

import enum


class Feature(enum.IntFlag):
    """The bits of HELLO and WELCOME. What one adds may be used once both sides have said it."""

    QUEUES = 1 << 0
    """Settings, delays, times to live, priorities, keys, leases, dead letters and producers (§15)."""
    TOPICS = 1 << 1
    """Topics (§16)."""
    REQUESTS = 1 << 2
    """Services (§17)."""
    DRAIN = 1 << 3
    """A broker that says beforehand that it goes away (§18)."""


NO_FEATURES = Feature(0)
"""Version 1 as it began."""
ALL_FEATURES = Feature.QUEUES | Feature.TOPICS | Feature.REQUESTS | Feature.DRAIN
"""All that this package knows, which is what it offers unless told otherwise."""
QUEUES_OR_TOPICS = Feature.QUEUES | Feature.TOPICS
"""Who has either knows PUBLISH_WITH and DELIVERY_WITH (§14.2)."""


def names(features: int) -> str:
    """The features' names for people; a bit that has none is the user's own (§12.3)."""
    bits = (1 << at for at in range(64) if features >> at & 1)
    return " or ".join(Feature(bit).name or f"bit {bit.bit_length() - 1}" for bit in bits)
