"""The simulator's clock: wall time for people and protocols, monotonic time for intervals.

Monotonic values are `CLOCK_MONOTONIC` seconds, so they compare with those of any other process on the same machine.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import NamedTuple


class Instant(NamedTuple):
    """One moment, as both clocks saw it."""

    wall: datetime
    monotonic: float


class Clock:
    """The machine's clocks; unit tests put their own in its place."""

    def now(self) -> Instant:
        return Instant(datetime.now(UTC), time.monotonic())

    def monotonic(self) -> float:
        """`CLOCK_MONOTONIC`, seconds."""
        return time.monotonic()

    def seconds(self) -> int:
        """Unix seconds, as stanzas carry them."""
        return int(time.time())
