"""Long pieces of work: begun by a call, done by whichever replica has time, resumed by another one if that dies."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID, uuid4

from whatsam_api.errors import ApiError, JobNotFound, Unavailable
from whatsam_api.models.history import JobRow
from whatsam_api.storage.jobs import JobStore
from whatsam_core.logging import get_logger

log = get_logger()

HOLD = timedelta(seconds=60)
"""How long a worker has for one step: a job whose worker died goes on after that."""
PAUSE = timedelta(seconds=5)
"""Before a job is tried again whose database or file store is away."""
LOOK = 10.0
"""Seconds between looks for jobs that other replicas were told of, or left behind."""
WORKERS = 2
"""Jobs that one replica works on at a time: an export of years must not hold up the deletion of a session."""


class Ended(Exception):
    """A job has come to its end. Not an error: what a step says to be called no more."""

    def __init__(self, progress: int, object_key: str | None = None) -> None:
        super().__init__("done")
        self.progress = progress
        self.object_key = object_key


class Work(Protocol):
    """One kind of job."""

    async def step(self, job: JobRow) -> tuple[int, int | None, dict[str, Any]]:
        """Do the next piece: progress, total and where to go on. Raises `Ended` when that was the last one.

        A step may be done twice: the process may die before it can say that it is done.
        """
        ...


class JobService:
    """Jobs of sessions that the caller was found to own."""

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._begun = asyncio.Event()

    async def begin(
        self, tenant: str, session: str, kind: str, parameters: Mapping[str, Any], *, job: UUID | None = None
    ) -> JobRow:
        """Begin a job, unless one that asks for the same is under way: then that one.

        With an id of the caller's making there is one job for it, ever; a failed one is tried again.
        """
        if job is None:
            for known in await self._jobs.of_session(tenant, session, kind, 20):
                if known.state in {"waiting", "running"} and known.parameters == parameters:
                    return known
        row = await self._jobs.add(job or uuid4(), tenant, session, kind, dict(parameters))
        if row.state == "failed" and job is not None:
            await self._jobs.again(row)
        self._begun.set()
        return row

    async def get(self, tenant: str, session: str, kind: str, job: UUID) -> JobRow:
        """One job. Raises `JobNotFound`."""
        row = await self._jobs.get(tenant, session, kind, job)
        if row is None:
            raise JobNotFound("there is no such job in this session")
        return row

    async def recent(self, tenant: str, session: str, kind: str) -> list[JobRow]:
        """The session's jobs of late, newest first."""
        return await self._jobs.of_session(tenant, session, kind, 50)

    async def wait(self, seconds: float) -> None:
        """Until a job was begun here, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._begun.wait()
        except TimeoutError:
            pass
        self._begun.clear()


class JobRunner:
    """Works jobs off, for ever."""

    def __init__(self, jobs: JobStore, service: JobService, kinds: Mapping[str, Work]) -> None:
        self._jobs = jobs
        self._service = service
        self._kinds = kinds

    async def run(self) -> None:
        """For ever; run it as a task."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            try:
                job = await self._jobs.take(HOLD)
            except ApiError:
                job = None
            if job is None:
                await self._service.wait(LOOK)
            else:
                await self._do(job)

    async def _do(self, job: JobRow) -> None:
        log.info("job.taken", job=str(job.id), kind=job.kind, session=job.session, progress=job.progress)
        try:
            while True:
                # A step that takes longer than the hold would be done by two at once; its own limits are shorter.
                progress, total, cursor = await self._kinds[job.kind].step(job)
                await self._jobs.step(job, HOLD, progress=progress, total=total, cursor=cursor)
                job = job.model_copy(update={"progress": progress, "total": total, "cursor": cursor})
        except Ended as end:
            await self._end(job, "done", progress=end.progress, object_key=end.object_key)
        except Unavailable as error:
            log.info("job.waiting", job=str(job.id), reason=error.message)
            await self._pause(job)
        except Exception as error:  # a job must not end the worker, and its owner must hear of it
            log.error("job.failed", job=str(job.id), kind=job.kind, exc_info=error)
            await self._end(job, "failed", error="something is broken on our side")

    async def _end(
        self, job: JobRow, state: str, *, progress: int | None = None, object_key: str | None = None,
        error: str | None = None,
    ) -> None:  # fmt: skip
        try:
            done = job.progress if progress is None else progress
            await self._jobs.end(job, state, progress=done, object_key=object_key, error=error)
            log.info("job.ended", job=str(job.id), kind=job.kind, session=job.session, state=state, progress=done)
        except ApiError as away:  # the next worker does the last step again
            log.info("job.waiting", job=str(job.id), reason=away.message)

    async def _pause(self, job: JobRow) -> None:
        try:
            await self._jobs.put_back(job, PAUSE)
        except ApiError:
            log.info("job.left", job=str(job.id))  # its hold ends by itself
