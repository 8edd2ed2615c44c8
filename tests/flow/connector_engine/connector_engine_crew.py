"""A pool of real engine processes, and sessions that come back as their runners would bring them back."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from connector_engine_rig import LIMIT_SECONDS, Account, Rig, Running

from whatsam_connector.fence import boottime
from whatsam_connector.supervision import (
    Connected,
    EngineExit,
    EnginePool,
    EngineProcess,
    MemberEvent,
    MoveReason,
    MoveWanted,
    OfflineDrained,
    PoolSettings,
    SessionEngine,
)


class Seat(Running):
    """One session of the crew and everything that was said of it, over all its engines."""

    def __init__(self, account: Account) -> None:
        super().__init__()
        self.account = account
        self.engine: SessionEngine
        self.ends: list[EngineExit] = []

    @property
    def uid(self) -> str:
        return self.account.uid


@dataclass
class Counts:
    """What the pool reports."""

    ended: list[EngineExit] = field(default_factory=list[EngineExit])
    moved: list[MoveReason] = field(default_factory=list[MoveReason])


class _Observer:
    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def ended(self, ended: EngineExit) -> None:
        self._counts.ended.append(ended)

    def replaced(self, reason: MoveReason) -> None:
        self._counts.moved.append(reason)


class Crew:
    """The pool and its sessions."""

    def __init__(self, rig: Rig, settings: PoolSettings) -> None:
        self.rig = rig
        self.counts = Counts()
        self.processes: list[EngineProcess] = []
        self.pool = EnginePool(self._launch, settings, time.monotonic, _Observer(self.counts))
        self.tasks: set[asyncio.Task[None]] = set()

    async def _launch(self) -> EngineProcess:
        process = await EngineProcess.launch(
            environment=self.rig.environment,
            run_dir=self.rig.run_dir,
            deadline=boottime() + 3600,
            program=self.rig.engine.program,
        )
        self.processes.append(process)
        return process

    async def start(self, *accounts: Account) -> list[Seat]:
        """Start sessions at the same time and wait until all are connected."""
        seats = [Seat(account) for account in accounts]
        await asyncio.gather(*(self.seat(seat) for seat in seats))
        for seat in seats:
            await seat.event(OfflineDrained)
        return seats

    async def seat(self, seat: Seat, *, debug: bool = False, proxy: str | None = None) -> None:
        """Give a session an engine."""

        def on_event(event: MemberEvent) -> None:
            if isinstance(event, MoveWanted):
                self.task(self._move(seat))
            else:
                seat.on_event(event)

        session = replace(seat.account.session(), debug=debug, proxy=proxy)
        seat.engine = await self.pool.start(session, on_event)

    async def back(self, seat: Seat, nth: int = 2) -> None:
        """The end of its engine, a new one, and its nth connection."""
        seat.ends.append(await asyncio.wait_for(seat.engine.exited, LIMIT_SECONDS))
        await self.seat(seat)
        await seat.event(Connected, nth=nth)

    async def _move(self, seat: Seat) -> None:
        engine = seat.engine
        await engine.disconnect(seat.uid)
        await engine.stop(20)
        await self.seat(seat)

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@asynccontextmanager
async def crew(rig: Rig, **settings: object) -> AsyncGenerator[Crew]:
    """A crew whose processes all end with it."""
    made = Crew(rig, PoolSettings(**settings))  # type: ignore[arg-type]  # the caller's keywords are the settings' fields
    running = asyncio.create_task(made.pool.run())
    try:
        yield made
    finally:
        made.pool.close()
        running.cancel()
        for task in tuple(made.tasks):
            task.cancel()
        await asyncio.wait([running])
        for process in made.processes:
            process.kill()
        for process in made.processes:
            await process.exited


async def paired(rig: Rig, new_number: Callable[[], str], count: int) -> list[Account]:
    """Accounts with a device each, none of them running."""
    accounts = [rig.account(new_number()) for _ in range(count)]
    for account in accounts:
        running = await rig.pair(account)
        await running.process.stop(20)
    return accounts


async def holds(condition: Callable[[], bool]) -> None:
    """Wait for a condition that nothing announces."""

    async def until() -> None:
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)

    await asyncio.wait_for(until(), LIMIT_SECONDS)
