"""Waiting for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def eventually(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Returns as soon as the condition holds; fails when it does not within the limit."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not hold within {seconds} s"
        time.sleep(POLL_SECONDS)
