"""Ends the rows of deleted sessions: the API's finalizer on sessions of tenants it knows.

A session that is deleted with `Logout` goes when a job has erased its rows; one with `Retain` goes at once, and the
upkeep erases its rows when the time to adopt them is over.

Every replica runs it; all steps may run twice. The order is the operator first: only when its finalizer is gone has the
holder stopped writing messages, and only then may the rows go.
"""

import asyncio

from whatsam_api.errors import ApiError
from whatsam_api.services.erasing import Erasing
from whatsam_api.services.jobs import JobService
from whatsam_api.storage.api_keys import ApiKeyStore
from whatsam_api.storage.sessions import SessionStore
from whatsam_api.storage.upkeep import UpkeepStore
from whatsam_api.storage.users import UserStore
from whatsam_core.logging import get_logger
from whatsam_core.names import FINALIZER_API, FINALIZER_OPERATOR
from whatsam_core.resources import DeletionPolicy, WhatsAppSession

log = get_logger()

RETRY = 2.0
"""Seconds before a failed round is tried again."""
ROUND = 60.0
"""Seconds between rounds over all sessions, for tenants that registered after their sessions were made."""


class RowCleanup:
    """Keeps the finalizer on known tenants' sessions and ends rows before it goes."""

    def __init__(
        self, sessions: SessionStore, users: UserStore, jobs: JobService, upkeep: UpkeepStore, keys: ApiKeyStore
    ) -> None:
        self._sessions = sessions
        self._users = users
        self._jobs = jobs
        self._upkeep = upkeep
        self._keys = keys
        self._wanted = asyncio.Event()
        self._foreign = set[str]()
        """Tenants of sessions that had no user at the last look: their changes wake nobody."""
        sessions.listen(self._notice)

    def _notice(self, session: WhatsAppSession) -> None:
        if _may_go(session) or (_needs_finalizer(session) and session.spec.tenant not in self._foreign):
            self._wanted.set()

    async def run(self) -> None:
        """For ever; run it as a task."""
        await self._sessions.synced.wait()
        while True:
            self._wanted.clear()
            pause = ROUND if await self._round() else RETRY
            try:
                await asyncio.wait_for(self._wanted.wait(), pause)
            except TimeoutError:
                continue

    async def _round(self) -> bool:
        good = True
        sessions = [one for one in self._sessions.all_cached() if _needs_finalizer(one) or _may_go(one)]
        try:
            tenants = await self._users.tenants() if sessions else set[str]()
        except ApiError:
            return False
        self._foreign = {session.spec.tenant for session in sessions} - tenants
        for session in sessions:
            try:
                if _may_go(session):
                    good = await self._end(session) and good
                elif session.spec.tenant in tenants:
                    await self._sessions.patch(
                        session, {"metadata": {"finalizers": [*session.metadata.finalizers, FINALIZER_API]}}, exact=True
                    )
            except ApiError as error:
                good = False
                log.info("rows.cleanup_delayed", session=session.metadata.name, reason=error.code)
        return good

    async def _end(self, session: WhatsAppSession) -> bool:
        """End the session's rows and let its object go. False: the rows are on their way out."""
        tenant, key = session.spec.tenant, f"{session.metadata.namespace}/{session.metadata.name}"
        if session.spec.deletion_policy is DeletionPolicy.LOGOUT:
            job = Erasing.job_of(tenant, key, session.metadata.uid or "")
            erasure = await self._jobs.begin(tenant, key, "erase", {"whole": True}, job=job)
            if erasure.state != "done":
                return False
            await self._keys.remove_all(tenant, key)
            log.info("rows.ended", session=session.metadata.name, messages=erasure.progress)
        else:
            await self._upkeep.depart(tenant, key)
        rest = [name for name in session.metadata.finalizers if name != FINALIZER_API]
        await self._sessions.patch(session, {"metadata": {"finalizers": rest}}, exact=True)
        return True


def _needs_finalizer(session: WhatsAppSession) -> bool:
    return not session.metadata.deleting and FINALIZER_API not in session.metadata.finalizers


def _may_go(session: WhatsAppSession) -> bool:
    finalizers = session.metadata.finalizers
    return session.metadata.deleting and FINALIZER_API in finalizers and FINALIZER_OPERATOR not in finalizers
