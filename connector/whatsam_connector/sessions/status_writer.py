"""Writes one session's status: the newest report only, with preconditions, for as long as it takes.

One task per session. Reports that come while a write is under way replace each other; an API server that is away costs
nothing but time. Whoever writes an object that is not ours any more learns it here and must stop (`on_lost`).
"""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from whatsam_connector.clock import Clock
from whatsam_connector.sessions.report import Report
from whatsam_connector.sessions.status_patch import Holder, ReplicationView, status_patch
from whatsam_core.logging import get_logger
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage.cluster_errors import ClusterError, Conflict, Forbidden, NotFound

_log = get_logger(__name__)

_PROGRESS = timedelta(seconds=5)
"""Progress of the replication is looked at this often: it comes several times a second, and only people read it."""
_FIRST_RETRY = 0.2
_LONGEST_RETRY = 3.0
"""Seconds; short, because people wait for a status and the API server limits by itself (429)."""


class SessionObjects(Protocol):
    """Session objects in the Kubernetes API."""

    async def read(self, name: str) -> WhatsAppSession:
        """A fresh read. Raises `ClusterError`."""
        ...

    async def patch_status(self, name: str, patch: dict[str, Any]) -> WhatsAppSession:
        """Apply a merge patch to the status. Raises `ClusterError`."""
        ...


class StatusWriter:
    """The status of one session under one epoch."""

    def __init__(
        self,
        objects: SessionObjects,
        session: WhatsAppSession,
        holder: Holder,
        clock: Clock,
        on_lost: Callable[[], None],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._objects = objects
        self._session = session
        self._holder = holder
        self._clock = clock
        self._on_lost = on_lost
        self._chance = chance
        self._wanted: Report | None = None
        self._replication: ReplicationView | None = None
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._lost = False
        self.gone = False
        """The session does not exist any more."""

    @property
    def session(self) -> WhatsAppSession:
        """The newest object that was seen."""
        return self._session

    def observe(self, session: WhatsAppSession) -> None:
        """The watch has shown an object. It may be behind what our own last write was answered with."""
        if self._adopt(session):
            self._poke()

    def _adopt(self, seen: WhatsAppSession) -> bool:
        """Know what was seen, unless something newer is known."""
        newer = seen.metadata.version >= self._session.metadata.version
        if newer:
            self._session = seen
        return newer

    def publish(self, wanted: Report) -> None:
        """Let the status say this; a report that was not written yet is dropped for it."""
        self._wanted = wanted
        self._poke()

    def replicated(self, view: ReplicationView) -> None:
        """The replication has moved; written with the next change, or by itself now and then."""
        before, self._replication = self._replication, view
        now = self._clock.now()
        if before is None or before.behind != view.behind or now - self._looked_at >= _PROGRESS:
            self._looked_at = now
            self._poke()

    async def settled(self) -> None:
        """Wait until everything published is written, or the session is lost."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write for ever; ends when the session is lost."""
        failures = 0
        try:
            while not self._lost:
                await self._wake.wait()
                self._wake.clear()
                try:
                    await self._write()
                    failures = 0
                except ClusterError as error:
                    failures += 1
                    if failures == 1:
                        _log.warning("status.not_written", session=self._session.metadata.name, error=error.message)
                    self._wake.set()
                    await asyncio.sleep(self._pause(failures))
        finally:
            self._idle.set()  # whoever waits for a status that nobody writes any more must not wait for ever

    def _poke(self) -> None:
        if not self._lost:
            self._idle.clear()
            self._wake.set()

    def _pause(self, failures: int) -> float:
        bound = min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(failures - 1, 8))
        return bound * (0.5 + 0.5 * self._chance())

    async def _write(self) -> None:
        """One attempt to bring the object to what is wanted. Raises `ClusterError` when it should be tried again."""
        if self._wanted is None:
            self._idle.set()
            return
        if not self._holder.holds(self._session):
            await self._look_again()  # the watch may have shown us the end; a fresh read says it for certain
            if self._lost:
                return
        patch = status_patch(self._session, self._wanted, self._replication, self._clock.now())
        if patch is not None:
            try:
                self._adopt(await self._objects.patch_status(self._session.metadata.name, patch))
            except (Conflict, Forbidden, NotFound):
                # Somebody wrote meanwhile, or it is not ours to write: the fresh object says which.
                await self._look_again()
                raise
        if not self._wake.is_set():
            self._idle.set()

    async def _look_again(self) -> None:
        try:
            fresh = await self._objects.read(self._session.metadata.name)
        except NotFound:
            self.gone = True
            self._lose()
            return
        if fresh.metadata.uid != self._session.metadata.uid:
            self.gone = True
            self._lose()
            return
        self._session = fresh
        if not self._holder.holds(fresh):
            self._lose()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._idle.set()
            self._on_lost()
