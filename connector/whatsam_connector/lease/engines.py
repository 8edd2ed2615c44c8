"""Every engine process of this boot, as the fences see them: armed together, killed together, confirmed dead.

Spawns go through here, so that no engine can come to life without the keeper knowing it: a spawn counts as a living
engine from before the fork until the exit is confirmed, and a renewal that falls into a spawn reaches it right after.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from whatsam_connector.clock import Clock
from whatsam_connector.errors import Fenced
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import supervisor_timer
from whatsam_core.logging import get_logger

_log = get_logger(__name__)


class FencedEngine(Protocol):
    """What the fences need of an engine process."""

    @property
    def pid(self) -> int:
        """Process id, for the log."""
        ...

    @property
    def exited(self) -> "asyncio.Future[Any]":
        """Done once the process is reaped: the only proof of its death."""
        ...

    async def arm(self, deadline: float) -> None:
        """Let the kernel kill it at `deadline` (CLOCK_BOOTTIME)."""
        ...

    def kill(self) -> None:
        """SIGKILL, at once."""
        ...


class FenceTimer(Protocol):
    """The supervisor's own kernel timer."""

    def arm(self, deadline: float) -> None:
        """Let the kernel kill this process at `deadline` (CLOCK_BOOTTIME)."""
        ...

    def disarm(self) -> None:
        """Take the deadline away."""
        ...


Engine = TypeVar("Engine", bound=FencedEngine)


class LivingEngines:
    """The set of engine processes that live or are being born."""

    def __init__(self, tenure: Tenure, clock: Clock, timer: FenceTimer, *, arm_timeout: float) -> None:
        self._tenure = tenure
        self._clock = clock
        self._timer = timer
        self._arm_timeout = arm_timeout
        self._living: set[FencedEngine] = set()
        self._being_born = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    def __len__(self) -> int:
        """How many live or are being born."""
        return len(self._living) + self._being_born

    async def spawn(self, start: Callable[[float], Awaitable[Engine]]) -> Engine:
        """Start an engine with the present deadline. Raises `Fenced` when the Lease is not confirmed."""
        if not self._tenure.holds(self._clock.boottime()):
            raise Fenced("the Lease is not confirmed, so no engine may be started")
        deadline = self._tenure.engine_deadline()
        self._being_born += 1
        self._refresh_timer()
        try:
            engine = await start(deadline)
            self._living.add(engine)
        finally:
            self._being_born -= 1
            self._refresh_timer()
        engine.exited.add_done_callback(lambda _: self._buried(engine))
        if self._tenure.engine_deadline() > deadline:  # renewed while it was being born
            await self._arm(engine, self._tenure.engine_deadline())
        return engine

    async def arm_all(self) -> None:
        """Give every engine the deadline of the latest renewal. One that does not answer keeps its old one."""
        self._refresh_timer()
        deadline = self._tenure.engine_deadline()
        await asyncio.gather(*(self._arm(engine, deadline) for engine in tuple(self._living)))

    def kill_all(self) -> None:
        """SIGKILL to all; `confirm_dead` tells when they are gone."""
        for engine in tuple(self._living):
            engine.kill()

    async def confirm_dead(self, timeout: float) -> bool:
        """Whether all are reaped within `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._nobody.wait()
        except TimeoutError:
            return False
        return True

    async def _arm(self, engine: FencedEngine, deadline: float) -> None:
        try:
            async with asyncio.timeout(self._arm_timeout):
                await engine.arm(deadline)
        except Exception as error:  # noqa: BLE001  # a dying engine may fail in any way; its old deadline still holds
            _log.warning("engine.arm_failed", pid=engine.pid, error=repr(error))

    def _buried(self, engine: FencedEngine) -> None:
        self._living.discard(engine)
        self._refresh_timer()

    def _refresh_timer(self) -> None:
        """Armed while any engine may live; the supervisor has nothing to fear from its own timer otherwise."""
        if len(self) == 0:
            self._nobody.set()
        else:
            self._nobody.clear()
        deadline = supervisor_timer(len(self), self._tenure.renewed_at, self._tenure.timings)
        if deadline is None:
            self._timer.disarm()
        else:
            self._timer.arm(deadline)
