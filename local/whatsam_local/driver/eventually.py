"""Waiting for a condition that nobody announces, with a limit."""

import time
from collections.abc import Callable

from whatsam_local.driver.errors import DriverError, WaitedTooLong

PAUSE = 0.2
"""Seconds between two looks."""


def eventually(condition: Callable[[], bool], timeout: float, what: str) -> float:
    """Look until `condition` holds; how long it took, in seconds. Raises `WaitedTooLong` with the last failure.

    A `DriverError` while looking counts as "not yet": parts of the cluster may be away on purpose.
    """
    start = time.monotonic()
    problem = ""
    while True:
        try:
            if condition():
                return time.monotonic() - start
            problem = ""
        except DriverError as error:
            problem = f" (last: {error})"
        if time.monotonic() - start > timeout:
            raise WaitedTooLong(f"not within {timeout:g} s: {what}{problem}")
        time.sleep(PAUSE)
