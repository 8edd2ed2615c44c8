"""When a shipper looks again, and how much of a processor its routine may take. Times in seconds."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

FIRST_RETRY: Final = 0.25
LONGEST_RETRY: Final = 2.0


def retry_after(failures: int) -> float:
    """Seconds until the next try after so many failures in a row."""
    return min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(max(failures, 1) - 1, 8))


LOOK_ANYWAY: Final = 10.0
"""A database is asked after this time even when its file does not look changed, which no writer of ours can do."""
GLANCE_ANYWAY: Final = 2.0
"""Between two glances at a file of which the kernel would have told a change: should it ever fail to."""
TELL_QUIET: Final = 5.0
"""Between two words about all sessions that are still quiet. Nobody waits for them: whoever does is in a hurry."""
SETTLED: Final = 0.05
"""Age of a file's time stamp from which it certainly tells the next write: the kernel stamps in milliseconds."""
LOG_SETTLED: Final = 2.0
"""Age of a write-ahead log's time stamp from which nothing of what it tells is on its way to the index any more."""
_SHARE: Final = 40.0
"""Idle time after each routine store, in terms of the processor time that it took here. The store spends as much."""
_LONGEST_PAUSE: Final = 0.25


class Gate:
    """One routine store after the other, with pauses: a worker with many busy sessions would do nothing else.

    It delays only what nobody waits for. A session that has used half of its send credit, an answer that needs the last
    inbound key, and a flush pass by it.
    """

    def __init__(self, processor: Callable[[], float] = time.process_time) -> None:
        self._processor = processor
        self._one = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, urgent: asyncio.Event) -> AsyncGenerator[None]:
        """Wait for one's turn, or until it has become urgent."""
        if not await self._acquire(urgent):
            yield
            return
        began = self._processor()
        try:
            yield
        finally:
            pause = min(_LONGEST_PAUSE, _SHARE * (self._processor() - began))
            asyncio.get_running_loop().call_later(pause, self._one.release)

    async def _acquire(self, urgent: asyncio.Event) -> bool:
        turn, alarm = asyncio.ensure_future(self._one.acquire()), asyncio.ensure_future(urgent.wait())
        try:
            await asyncio.wait({turn, alarm}, return_when=asyncio.FIRST_COMPLETED)
            return turn.done()
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._one.release()
            raise
        finally:
            alarm.cancel()
            if not turn.done():
                turn.cancel()
