"""One term of leadership: everything that runs while this process leads. Built anew for each term by the factory.

Nothing survives a term: a new leader, be it the same process, finds everything out again.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable

from whatsam_core.logging import get_logger
from whatsam_operator.services.leases import LeaseReader
from whatsam_operator.services.ownership import Ownership
from whatsam_operator.services.reconciler import Reconciler
from whatsam_operator.services.resync import Resync
from whatsam_operator.services.stories import StoryTeller
from whatsam_operator.services.sweep import Sweep

log = get_logger(__name__)


class Term:
    """The parts of one term. `watch` runs kopf and feeds the index until it is cancelled."""

    def __init__(
        self,
        *,
        resync: Resync,
        leases: LeaseReader,
        reconciler: Reconciler,
        stories: StoryTeller,
        sweep: Sweep,
        ownership: Ownership,
        watch: Callable[[], Awaitable[None]],
    ) -> None:
        self._resync = resync
        self._leases = leases
        self._reconciler = reconciler
        self._stories = stories
        self._sweep = sweep
        self._ownership = ownership
        self._watch = watch

    def oldest_decision(self) -> float:
        """Age in seconds of what is in the work queue for longest. Any thread may ask."""
        return self._reconciler.queue.oldest()

    def leases_read_at(self) -> float | None:
        """Steady time of the last good read of the connectors' Leases. Any thread may ask."""
        return self._leases.book.read_at

    async def run(self) -> None:
        """First know everything, then act. Ends only by cancellation, or with the error of a part that broke."""
        await self._resync.fill()
        # A large fleet is a million objects that live long: the collector need not look through them again and again.
        # What a former term left behind was frozen, too: without thawing it first, every term would keep its fleet.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leases.run(), name="leases")
            group.create_task(self._watching(), name="watch")
            group.create_task(self._resync.run(), name="resync")
            group.create_task(self._stories.run(), name="stories")
            group.create_task(self._reconciler.run(), name="reconciler")
            group.create_task(self._ownership.run(), name="ownership")
            group.create_task(self._sweep.run(), name="sweep")

    async def _watching(self) -> None:
        await self._watch()
        raise RuntimeError("the watch ended by itself")
