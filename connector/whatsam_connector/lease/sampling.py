"""Writes down every minute how many sessions this worker has and what they cost. Run by `lifecycle`.

Nothing depends on it: when PostgreSQL is away, samples are missing for that time, and nothing is made up for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_core.lease import Load
from whatsam_core.logging import get_logger

PERIOD: Final = 60.0
"""Seconds between two samples: 43,200 rows of a worker in 30 days."""

_log = get_logger(__name__)


class Sampler:
    """One per process."""

    def __init__(
        self,
        write: Callable[[int, Load], Awaitable[None]],
        count_sessions: Callable[[], int],
        measure_load: Callable[[], Load],
        first: float,
    ) -> None:
        """`first`: part of a period (0 to 1) before the first sample, so that workers do not all write at once."""
        self._write = write
        self._count = count_sessions
        self._measure = measure_load
        self._first = first

    async def run(self) -> None:
        """For ever."""
        await asyncio.sleep(self._first * PERIOD)
        while True:
            try:
                await self._write(self._count(), self._measure())
            except DatabaseUnavailable as error:
                _log.info("sample.skipped", reason=str(error))
            await asyncio.sleep(PERIOD)
