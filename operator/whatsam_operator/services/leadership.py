"""The operator's own leader election: one Lease, taken, renewed, released. Run by `main` for the life of the process.

Until the deadline after the *start* of the last good renewal this process may write; after it, nothing is written,
whatever else still runs: `require` is asked right before every write.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import ClusterError, Conflict, NotFound
from whatsam_operator.errors import NotLeader
from whatsam_operator.planning.election import Candidacy, ElectionTimings, Step, body, may_write, seen, step
from whatsam_operator.services.clock import Clock
from whatsam_operator.storage.leader_lease import LeaderLease

LONGEST_PAUSE: Final = 10.0
"""Seconds that a server may make us wait for the next look at the Lease."""

log = get_logger(__name__)


class Leadership:
    """One per process. `identity` must differ between processes, also between two lives of one pod."""

    def __init__(self, lease: LeaderLease, identity: str, timings: ElectionTimings, clock: Clock) -> None:
        self._lease = lease
        self.identity = identity
        self._timings = timings
        self._clock = clock
        self._known: Candidacy | None = None
        self._renewed_at: float | None = None
        """Steady time at which the last good renewal started; None while this process does not lead."""
        self._pause = timings.retry
        """Seconds until the next look at the Lease."""
        self.looked_at: float | None = None
        """Steady time of the last answer of the API server about the Lease."""

    @property
    def leads(self) -> bool:
        """Whether this process may write now."""
        return may_write(self._renewed_at, self._clock().steady, self._timings)

    def require(self) -> None:
        """Raises `NotLeader` unless this process may write now."""
        if not self.leads:
            raise NotLeader("this process does not lead: another one may")

    async def run(self, term: Callable[[], Awaitable[None]], *, leading: Callable[[bool], None]) -> None:
        """Stand for election for ever; while leading, `term` runs, and is cancelled when leadership ends.

        When this coroutine is cancelled, the term ends first, then the Lease is released.
        """
        try:
            while True:
                await self._become_leader()
                log.info("leading", lease="/".join(self._lease.key), identity=self.identity)
                leading(True)
                try:
                    await self._lead(term)
                finally:
                    leading(False)
                self._renewed_at = None
                log.warning("leadership_lost", identity=self.identity)
        finally:
            await self._release()

    async def _become_leader(self) -> None:
        while True:
            if await self._try():
                return
            await asyncio.sleep(self._pause)

    async def _lead(self, term: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(term())
        keep = asyncio.create_task(self._keep())
        try:
            await asyncio.wait({work, keep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            keep.cancel()
            work.cancel()
            results = await asyncio.gather(keep, work, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _keep(self) -> None:
        """Renew until that was impossible for too long, or somebody else holds the Lease."""
        while self.leads:
            await asyncio.sleep(self._pause)
            await self._try()

    async def _try(self) -> bool:
        """One round with the Lease; whether it is ours afterwards."""
        started = self._clock()
        self._pause = self._timings.retry
        try:
            if self._known is None or self._known.holder != self.identity:
                lease = await self._lease.read()
                self.looked_at = self._clock().steady
                self._known = None if lease is None else seen(self._known, lease, self.looked_at)
            what = step(self._known, self.identity, self._clock().steady)
            if what is Step.WAIT:
                return False
            started = self._clock()
            wanted = body(self._lease.key, self.identity, known=self._known, timings=self._timings, now=started.wall)
            write = self._lease.create if what is Step.CREATE else self._lease.replace
            stored = await write(wanted)
        except (Conflict, NotFound):
            # Somebody else wrote it, or deleted it: it is not ours until we have looked and taken it again.
            self._known, self._renewed_at = None, None
            return False
        except ClusterError as error:
            log.info("leader_lease_unreachable", error=str(error))
            # A server that asks for time gets it: it would refuse the next renewal, too.
            self._pause = max(self._pause, min(error.retry_after or 0.0, LONGEST_PAUSE))
            return False
        self.looked_at = self._clock().steady
        self._known = seen(self._known, stored, self.looked_at)
        self._renewed_at = started.steady
        return True

    async def _release(self) -> None:
        """Let the next one lead at once. Best effort: without it the Lease expires."""
        self._renewed_at = None
        known = self._known
        if known is None or known.holder != self.identity:
            return
        try:
            await self._lease.replace(
                body(self._lease.key, "", known=known, timings=self._timings, now=self._clock().wall)
            )
            log.info("leadership_released", identity=self.identity)
        except ClusterError as error:
            log.info("leader_lease_not_released", error=str(error))
