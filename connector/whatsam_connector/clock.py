"""The clocks a connector lives by, in one object that tests replace.

Three clocks, because three questions are asked: how long ago was something, suspended time included (fences);
how long ago as other processes of this machine measure it (journal, shipper); what to write down for people.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the connector takes the time from."""

    def boottime(self) -> float:
        """Seconds of CLOCK_BOOTTIME: goes on while the machine sleeps. The fences' clock."""
        ...

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC: comparable between the processes of this machine."""
        ...

    def now(self) -> datetime:
        """UTC, for records that people read. Decides nothing."""
        ...


class SystemClock:
    """The machine's clocks."""

    def boottime(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def monotonic(self) -> float:
        """Seconds of CLOCK_MONOTONIC."""
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)
