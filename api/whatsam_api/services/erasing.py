"""Erasures, step by step: everything of a session, or everything about one person in it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from whatsam_api.models.history import JobRow
from whatsam_api.services.jobs import Ended
from whatsam_api.storage.chats import ChatStore
from whatsam_api.storage.erasure import AT_ONCE, ErasureStore, Span
from whatsam_api.storage.jobs import JobStore
from whatsam_api.storage.media_files import FileStore

MONTH = timedelta(days=31)
_JOBS = UUID("4f1f7f0e-8d4a-4b47-9d5c-0e6f3b1a2c90")


class Erasing:
    """The work of a job of kind `erase`.

    Parameters: `contact` (an address) for one person; `whole` when the session itself is going, so that what waits to
    be sent and the files of exports go, too.
    """

    def __init__(self, erasure: ErasureStore, chats: ChatStore, jobs: JobStore, files: FileStore | None) -> None:
        self._erasure = erasure
        self._chats = chats
        self._jobs = jobs
        self._files = files

    @staticmethod
    def job_of(tenant: str, session: str, generation: str) -> UUID:
        """The id of the job that erases one generation of a session: asking for it twice makes one job."""
        return uuid5(_JOBS, f"{tenant}/{session}/{generation}")

    async def step(self, job: JobRow) -> tuple[int, int | None, dict[str, Any]]:
        """The next thousand messages; at the end what lay around them."""
        if "contact" in job.parameters:
            return await self._of_person(job, str(job.parameters["contact"]))
        total = job.total
        if job.cursor is None or total is None:
            total = await self._erasure.count(job.tenant, job.session)
        whole = bool(job.parameters.get("whole"))
        gone = await self._erasure.messages(job.tenant, job.session, open_too=whole)
        if gone == 0 and await self._erasure.rest(job.tenant, job.session, whole=whole) == 0:
            if whole:
                await self._exports(job)
            raise Ended(job.progress)
        return job.progress + gone, max(total, job.progress + gone), {"phase": "messages" if gone else "rest"}

    async def _of_person(self, job: JobRow, contact: str) -> tuple[int, int | None, dict[str, Any]]:
        tenant, session = job.tenant, job.session
        cursor = job.cursor
        if cursor is None:
            names = await self._chats.names(tenant, session, contact)
            oldest = await self._erasure.oldest(tenant, session)
            # The names first: when the contact is gone, nobody can tell them any more.
            return 0, None, {"names": list(names), "since": (oldest or datetime.now(UTC)).isoformat()}
        names = tuple(str(name) for name in cursor["names"])
        phone = next((name.partition("@")[0] for name in names if name.endswith("@s.whatsapp.net")), None)
        # A month at a time: no statement then looks through years of a large session.
        since = datetime.fromisoformat(str(cursor["since"]))
        if since > datetime.now(UTC) + MONTH:
            await self._erasure.around_person(tenant, session, names)
            raise Ended(job.progress)
        gone = await self._erasure.of_person(tenant, session, names, phone, Span(since, since + MONTH))
        following = since if gone == AT_ONCE else since + MONTH
        return job.progress + gone, None, {**cursor, "since": following.isoformat()}

    async def _exports(self, job: JobRow) -> None:
        while exports := await self._jobs.exports_to_remove(job.tenant, job.session, timedelta()):
            for export in exports:
                if self._files is not None:
                    await self._files.delete_all(self._files.export_key(export.tenant, str(export.id)))
                await self._jobs.expire(export.id)
