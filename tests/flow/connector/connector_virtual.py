"""Virtual time for the connector's flow tests: whole minutes in milliseconds, the same order on every run."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class _Selector(selectors.SelectSelector):
    """Never waits: what the loop would wait for a timer is added to its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            # Nothing is due and nobody will come, but for a thread (a file is read): wait for that in real time.
            return super().select(1.0)
        if not ready and timeout:
            ready = super().select(0.0005)  # a thread that is just done comes before time goes on
            if not ready:
                self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is its own."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.time


class VirtualClock:
    """The connector's clocks, all from the loop."""

    def boottime(self) -> float:
        return asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time() - 1000.0)


def run(main: Coroutine[Any, Any, Result], limit: float = 3600.0) -> Result:
    """Run to the end in virtual time; `limit` virtual seconds at most."""

    async def bounded() -> Result:
        async with asyncio.timeout(limit):
            return await main

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(bounded())


async def until(condition: Any, limit: float = 60.0) -> None:
    """Wait, in virtual time, until the condition holds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110  # any condition of the world; the waiting costs no real time
            await asyncio.sleep(0.05)
