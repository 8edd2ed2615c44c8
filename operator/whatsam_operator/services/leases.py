"""Fresh reads of the connectors' Leases, and the book that counts for how long each stood still.

Reads at a fixed period, and at once when somebody says that a Lease appeared, ended or changed its state. Watch events
never go into the book: only reads count.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final

from whatsam_core import names
from whatsam_core.lease import LeaseFormatError, LeaseRecord
from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import ClusterError
from whatsam_operator.planning.lease_book import LeaseBook, ReadLease
from whatsam_operator.planning.snapshot import BootKey
from whatsam_operator.services.clock import Clock
from whatsam_operator.storage.kube import ANNOTATION_REVOKED_BECAUSE, Kube

Json = dict[str, Any]
LONGEST_GAP: Final = 2.5
"""Read periods that one pair of reads may add to an age: one lost read is forgiven, an outage ages nobody."""
QUIET: Final = 3.0
"""Seconds without a renewal from which every read may change the plan (renewals come every 2 s)."""

log = get_logger(__name__)


class LeaseReader:
    """Owns the lease book of one term of leadership. `changed` is called when a plan could come out differently."""

    def __init__(
        self,
        kube: Kube,
        clock: Clock,
        named: Callable[[], Collection[BootKey]],
        changed: Callable[[], None],
        period: float,
    ) -> None:
        self._kube = kube
        self._clock = clock
        self._named = named
        self._changed = changed
        self._period = period
        self._poked = asyncio.Event()
        self._reading = asyncio.Lock()
        """One read at a time: an older answer must not overtake a newer one."""
        self._states: dict[str, str] = {}
        self._unreadable: set[str] = set()
        self._failing = False
        self._asked_to_wait = 0.0
        """Seconds that the API server wants to be left alone."""
        self.book = LeaseBook.empty()

    def poke(self) -> None:
        """Read now instead of at the next turn."""
        self._poked.set()

    def hint(self, lease: Json, *, removed: bool) -> None:
        """A watch event about a Lease: renewals are ignored, anything else is worth a read."""
        metadata = lease["metadata"]
        state = "" if removed else (metadata.get("annotations") or {}).get(names.LEASE_STATE, "")
        if self._states.get(metadata["uid"]) != state:
            self._states[metadata["uid"]] = state
            self.poke()
        if removed:
            self._states.pop(metadata["uid"], None)

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await self.read()
            await asyncio.sleep(self._asked_to_wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period):
                    await self._poked.wait()
            self._poked.clear()

    async def read(self) -> bool:
        """One fresh read. False when the API server did not give it: the book stays as it is."""
        async with self._reading:
            return await self._read()

    async def _read(self) -> bool:
        sent_at = self._clock().steady
        try:
            items = await self._kube.list_leases()
        except ClusterError as error:
            if not self._failing:
                log.warning("leases_unreadable", error=str(error))
            self._failing = True
            self._asked_to_wait = error.retry_after or 0.0
            return False
        self._failing, self._asked_to_wait = False, 0.0
        answered_at = self._clock().steady
        before = self.book
        self.book = before.observe(
            [lease for item in items if (lease := self._parse(item)) is not None],
            named=self._named(),
            sent_at=sent_at,
            answered_at=answered_at,
            longest_gap=self._period * LONGEST_GAP,
        )
        if before.read_at is None or self.book.differs(before, quiet_for=QUIET):
            self._changed()
        return True

    def wrote(self, lease: Json) -> None:
        """The API server's answer to the operator's own write of a Lease."""
        parsed = self._parse(lease)
        if parsed is not None:
            self.book = self.book.wrote(parsed)
            self._changed()

    def forgot(self, boot: BootKey) -> None:
        """The operator itself has deleted the Lease."""
        self.book = self.book.forgot(boot)

    def _parse(self, lease: Json) -> ReadLease | None:
        try:
            return read_lease(lease)
        except LeaseFormatError as error:
            uid = lease["metadata"].get("uid", "")
            if uid not in self._unreadable:
                self._unreadable.add(uid)
                log.warning("lease_unreadable", error=str(error))
            return None


def read_lease(lease: Json) -> ReadLease:
    """A connector's Lease as the API server gives it. Raises `LeaseFormatError` when it is none."""
    record, metadata = LeaseRecord.from_wire(lease), lease["metadata"]
    because = (metadata.get("annotations") or {}).get(ANNOTATION_REVOKED_BECAUSE, "")
    created = metadata.get("creationTimestamp")
    return ReadLease(record, because, datetime.fromisoformat(created) if created else None)
