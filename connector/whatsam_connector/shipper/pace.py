"""When a shipper looks again. Pure numbers: seconds."""

from typing import Final

FIRST_RETRY: Final = 0.25
LONGEST_RETRY: Final = 2.0


def retry_after(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(max(failures, 1) - 1, 8))
