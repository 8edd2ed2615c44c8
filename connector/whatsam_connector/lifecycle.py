"""The life of a connector process: Lease first, then sessions; at the end sessions first, then the Lease.

Built by `factory`, run by `main`. Its exit code tells the kubelet (and people) how it ended.
"""

import asyncio
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from whatsam_connector.assignments.leaving import Patience
from whatsam_connector.assignments.successor import Successor
from whatsam_connector.assignments.worker import Worker
from whatsam_connector.http.server import HttpServer
from whatsam_connector.http.stores import Stores
from whatsam_connector.http.tokens import TokenChecker
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.keeper import KeeperEnd, LeaseKeeper
from whatsam_connector.lease.sampling import Sampler
from whatsam_connector.messages import leftovers
from whatsam_connector.messages.mailroom import Mailroom
from whatsam_connector.messages.media.downloader import Downloader
from whatsam_connector.state import StateKeeper
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_connector.supervision import EnginePool
from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import Cluster

_log = get_logger(__name__)

_CONFIRM = 3.0
"""Seconds for killed engines to be reaped."""
LAST_CALL = 15.0
"""Seconds before the end of the grace period in which all sessions let go, with a successor or without one: the final
state of each must be stored by then."""
_RELEASE = 5.0
"""Seconds for the API server to take the last word about the Lease; without it the Lease expires."""


class ExitCode(IntEnum):
    """How the process ended."""

    OK = 0
    """Told to end; every session was handed over."""
    UNCLEAN = 1
    """Told to end; not every session could be handed over in time."""
    REVOKED = 3
    """The Lease was taken away: the container restarts as a new boot."""


@dataclass(frozen=True)
class Parts:
    """What a connector consists of."""

    cluster: Cluster
    database: Database
    table: MessageTable
    state: StateKeeper
    engines: LivingEngines
    pool: EnginePool
    keeper: LeaseKeeper
    worker: Worker
    successor: Successor
    mailroom: Mailroom
    tokens: TokenChecker
    server: HttpServer
    stores: Stores
    downloader: Downloader
    sampler: Sampler
    sessions_dir: Path
    shutdown_grace: float


class Connector:
    """One boot."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._told_to_end = asyncio.Event()
        self._in_a_hurry = asyncio.Event()

    async def run(self) -> ExitCode:
        """Live; returns when everything has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        parts = self._parts
        serving = asyncio.create_task(parts.server.run_until_stopped(), name="http")
        try:
            await parts.state.start()
            return await self._live()
        finally:
            parts.server.stop()
            await _bounded(parts.state.stop(), _CONFIRM)
            await _bounded(parts.database.close(), _CONFIRM)
            await _bounded(parts.cluster.close(), _CONFIRM)
            await _bounded(serving, _CONFIRM)

    def _signalled(self) -> None:
        if self._told_to_end.is_set():
            self._in_a_hurry.set()
        self._told_to_end.set()

    async def _live(self) -> ExitCode:
        parts = self._parts
        if not await self._first(parts.keeper.acquire()):
            return ExitCode.OK  # told to end before anything was taken
        keeping = asyncio.create_task(parts.keeper.run(), name="lease")
        working = [
            asyncio.create_task(work, name=name)
            for name, work in (
                ("stores", parts.stores.watch()),
                ("engines", parts.pool.run()),
                ("assignments", parts.worker.run()),
                ("successor", parts.successor.run()),
                ("mailroom", parts.mailroom.ring_for_ever(self._keys, parts.worker.wake)),
                ("media", parts.downloader.run()),
                ("samples", parts.sampler.run()),
                ("leftovers", leftovers.take_over_for_ever(parts.sessions_dir, parts.table, self._uids)),
            )
        ]
        warming = asyncio.create_task(parts.tokens.warm_up(), name="tokens")
        ending = asyncio.create_task(self._told_to_end.wait(), name="signal")
        try:
            await asyncio.wait({keeping, ending, *working}, return_when=asyncio.FIRST_COMPLETED)
            for work in working:
                if work.done():
                    work.result()  # none of them ends by itself: raises what broke it
            if keeping.done():
                return await self._revoked(keeping)
            return await self._shut_down(keeping)
        finally:
            parts.pool.close()
            # Whatever happened: no engine outlives this boot's decision to end.
            parts.engines.kill_all()
            for task in (warming, ending, *working, keeping):
                task.cancel()
            await asyncio.wait({warming, ending, *working, keeping}, timeout=_CONFIRM)

    async def _shut_down(self, keeping: "asyncio.Task[KeeperEnd]") -> ExitCode:
        parts = self._parts
        _log.info("connector.draining", sessions=len(parts.worker))
        parts.keeper.drain()
        parts.successor.drain()
        parts.pool.close()
        patience = Patience(last_call=max(parts.shutdown_grace - LAST_CALL, parts.shutdown_grace / 2))
        handing_over = asyncio.create_task(parts.worker.hand_over(patience), name="hand over")
        hurry = asyncio.create_task(self._in_a_hurry.wait(), name="second signal")
        await asyncio.wait(
            {handing_over, hurry, keeping}, timeout=parts.shutdown_grace, return_when=asyncio.FIRST_COMPLETED
        )
        complete = handing_over.done() and handing_over.exception() is None
        for task in (handing_over, hurry):
            task.cancel()
        if keeping.done():
            return await self._revoked(keeping)
        if not complete:
            _log.error("connector.not_handed_over", sessions=len(parts.worker), engines=len(parts.engines))
        parts.engines.kill_all()
        if not await parts.engines.confirm_dead(_CONFIRM):
            # Somebody may still run: only the expiry of the Lease, after the kernel's timers, proves the contrary.
            _log.critical("connector.lease_left_to_expire", engines=len(parts.engines))
            return ExitCode.UNCLEAN
        released = await parts.keeper.release(_RELEASE)
        _log.info("connector.ended", released=released, complete=complete)
        return ExitCode.OK if complete and released else ExitCode.UNCLEAN

    async def _revoked(self, keeping: "asyncio.Task[KeeperEnd]") -> ExitCode:
        keeping.result()  # raises what broke the keeper, if anything did
        await self._parts.engines.confirm_dead(_CONFIRM)
        return ExitCode.REVOKED

    async def _first(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do this unless told to end before it is done. Whether it was done."""
        doing = asyncio.create_task(work)
        ending = asyncio.create_task(self._told_to_end.wait())
        await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not doing.done():
            doing.cancel()
            return False
        doing.result()
        return True

    def _keys(self) -> list[str]:
        return [runner.key for runner in self._parts.worker.running()]

    def _uids(self) -> set[str]:
        return set(self._parts.worker.states())


async def _bounded(ending: Coroutine[Any, Any, Any] | asyncio.Task[Any], seconds: float) -> None:
    """Do not let the end of one part keep the process from ending."""
    try:
        async with asyncio.timeout(seconds):
            await ending
    except TimeoutError:
        _log.warning("connector.part_did_not_end")
