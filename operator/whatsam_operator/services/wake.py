"""When to plan again: at once when somebody may have come free, a little later when the world only goes its way.

A plan of a large fleet costs a fifth of a second, and such a fleet says something all the time: every session that
connects writes its status. Those who wait for the operator (a lost worker, a session that was handed over, a new
object) must not wait for that; the rest is gathered into one plan a second at most.
"""

import asyncio
import contextlib
from typing import Final

DEBOUNCE: Final = 0.01
"""Seconds between the first sign of a change and the plan: changes come in bursts."""
PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 0.5
"""A large fleet's plan is followed by a pause of so many times its own length, in seconds at most: writes and reads
need the event loop, too."""
GATHER: Final = 8.0
LONGEST_GATHER: Final = 1.0
"""The same, in addition, while nothing is urgent."""


class Wake:
    """One per term of leadership."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._urgent = asyncio.Event()

    def now(self) -> None:
        """Somebody may wait for the next plan."""
        self._urgent.set()
        self._asked.set()

    def soon(self) -> None:
        """The next plan could come out differently, and nobody waits for it."""
        self._asked.set()

    async def wait(self, tick: float, last_plan: float) -> None:
        """Until it is time for the next plan, `tick` seconds (and the pauses) at most; the last took `last_plan`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(tick):
                await self._asked.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(last_plan * GATHER, LONGEST_GATHER)):
                await self._urgent.wait()
        await asyncio.sleep(max(DEBOUNCE, min(last_plan * PAUSE, LONGEST_PAUSE)))
        self._asked.clear()
        self._urgent.clear()
