"""Keeps the history in order, in the background: months ahead, retention, sessions that went, files nobody refers to.

Every replica runs it, one at a time does a round. All of it happens in small steps that may be done twice, with pauses
between them, so that it neither holds up the traffic nor has to begin anew after a crash.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from whatsam_api.errors import ApiError
from whatsam_api.services.erasing import Erasing
from whatsam_api.services.jobs import JobService
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.erasure import AT_ONCE, ErasureStore
from whatsam_api.storage.jobs import JobStore
from whatsam_api.storage.media_files import FileStore
from whatsam_api.storage.sessions import SessionStore
from whatsam_api.storage.upkeep import UpkeepStore
from whatsam_core.logging import get_logger

log = get_logger()

ROUND = timedelta(hours=1)
LOOK = 60.0
"""Seconds between looks whether a round is due."""
PAUSE = 0.05
"""Seconds between two batches: the traffic goes first."""
KEPT_AFTER_DELETION = timedelta(hours=72)
"""Rows of a session that was deleted with `Retain`: as long as the operator keeps its auth state."""
EVENTS_KEPT = timedelta(days=30)
"""Events, for webhooks and replays; records of the journal that waited in vain; samples of workers."""
EXPORTS_KEPT = timedelta(days=7)
JOBS_KEPT = timedelta(days=30)
YOUNG_FILE = timedelta(hours=13)
"""A file that is younger may belong to a message that is not written yet: who finds it in the store does not store it
anew within 12 hours, and an hour is more than any call takes."""
OLD_MONTH = timedelta(days=62)
"""Months that ended so long ago are dropped when they are empty."""
SUSPECTS_AT_ONCE = 200
FOLDERS_A_ROUND = 8
"""Of each tenant's 256: within 32 rounds all of them are looked through."""


class Upkeep:
    """The background job."""

    def __init__(  # noqa: PLR0917 - the stores it keeps in order
        self,
        sessions: SessionStore,
        store: UpkeepStore,
        erasure: ErasureStore,
        jobs: JobStore,
        service: JobService,
        keys: ApiKeyStore,
        files: FileStore | None,
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._erasure = erasure
        self._jobs = jobs
        self._service = service
        self._keys = keys
        self._files = files

    async def run(self) -> None:
        """For ever; run it as a task."""
        await self._sessions.synced.wait()
        while True:
            try:
                if await self._store.take_turn(ROUND):
                    await self.round()
            except ApiError as error:
                log.info("upkeep.delayed", reason=error.message)
            await asyncio.sleep(LOOK)

    async def round(self) -> None:
        """Everything once. Raises `ApiError` where it has to stop; the next round goes on."""
        now = datetime.now(UTC)
        await self._store.make_months()
        await self._retain(now)
        await self._departed()
        await self._until_done("upkeep.aged", lambda: self._store.delete_aged(EVENTS_KEPT, AT_ONCE))
        await self._expire_exports()
        await self._jobs.forget(JOBS_KEPT)
        await self._sweep_files(now)
        for name in await self._store.drop_empty_months(now - OLD_MONTH):
            log.info("history.month_dropped", partition=name)

    async def _retain(self, now: datetime) -> None:
        """Delete what sessions want to keep no longer (`spec.history.retentionDays`)."""
        for session in self._sessions.all_cached():
            days = session.spec.history.retention_days
            if days is None:
                continue
            tenant, key = session.spec.tenant, f"{session.metadata.namespace}/{session.metadata.name}"
            before = now - timedelta(days=days)
            await self._until_done("upkeep.retention", _older(self._erasure.older, tenant, key, before), key)
            await self._until_done("upkeep.retention", _older(self._erasure.older_around, tenant, key, before), key)

    async def _departed(self) -> None:
        """Sessions that were deleted with `Retain` and did not come back."""
        for one in await self._store.departed(KEPT_AFTER_DELETION):
            name = one.session.partition("/")[2]
            known = self._sessions.cached(name)
            if known is None or known.spec.tenant != one.tenant:
                job = Erasing.job_of(one.tenant, one.session, one.at.isoformat())
                await self._service.begin(one.tenant, one.session, "erase", {"whole": True}, job=job)
                await self._keys.remove_all(one.tenant, one.session)
                log.info("upkeep.departed", session=one.session)
            await self._store.settle(one)

    async def _expire_exports(self) -> None:
        for job in await self._jobs.exports_to_remove(None, None, EXPORTS_KEPT):
            if self._files is not None:
                await self._files.delete_all(self._files.export_key(job.tenant, str(job.id)))
            await self._jobs.expire(job.id)

    async def _sweep_files(self, now: datetime) -> None:
        if self._files is None:
            return
        await self._suspect_some(self._files, now)
        while suspects := await self._store.suspects(SUSPECTS_AT_ONCE):
            for tenant, sha256 in suspects:
                await self._judge_file(self._files, tenant, sha256, now)
            await self._store.still_at_it()

    async def _suspect_some(self, files: FileStore, now: datetime) -> None:
        """Files that never had a message (the call that brought them failed): a few folders of each tenant a round."""
        for tenant in await self._store.tenants():
            for number in range(FOLDERS_A_ROUND):
                folder = (int(now.timestamp() // ROUND.total_seconds()) * FOLDERS_A_ROUND + number) % 256
                await self._suspect_folder(files, tenant, f"{folder:02x}", now - YOUNG_FILE)
                await asyncio.sleep(PAUSE)

    async def _suspect_folder(self, files: FileStore, tenant: str, folder: str, before: datetime) -> None:
        old = [sha256 for sha256, modified in await files.media_in(tenant, folder) if modified < before]
        for first in range(0, len(old), SUSPECTS_AT_ONCE):
            hashes = old[first : first + SUSPECTS_AT_ONCE]
            used = await self._store.referenced(tenant, hashes)
            await self._store.suspect(tenant, [sha256 for sha256 in hashes if sha256 not in used])

    async def _judge_file(self, files: FileStore, tenant: str, sha256: str, now: datetime) -> None:
        try:
            key = files.media_key(tenant, sha256)
        except ValueError:  # nothing can lie there; one such row must not end the upkeep of everybody
            log.warning("upkeep.no_file_has_this_name", tenant=tenant)
            await self._store.clear(tenant, sha256)
            return
        modified = await files.modified(key)
        if modified is not None and modified > now - YOUNG_FILE:
            await self._store.look_again(tenant, sha256, modified + YOUNG_FILE)
            return
        if modified is not None and not await self._store.referenced(tenant, [sha256]):
            await files.delete(key)
            log.info("upkeep.file_deleted", tenant=tenant)
        await self._store.clear(tenant, sha256)

    async def _until_done(self, what: str, batch: Callable[[], Awaitable[int]], session: str | None = None) -> None:
        total = 0
        while (deleted := await batch()) > 0:
            total += deleted
            await self._store.still_at_it()
            await asyncio.sleep(PAUSE)
        if total:
            log.info(what, session=session, rows=total)


def _older(
    delete: Callable[[str, str, datetime], Awaitable[int]], tenant: str, session: str, before: datetime
) -> Callable[[], Awaitable[int]]:
    return lambda: delete(tenant, session, before)
