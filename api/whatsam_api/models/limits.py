"""The outcome of counting a call."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Allowance:
    """What is left of a limit after a call was counted."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    """When the window has room again, in seconds since the epoch."""
