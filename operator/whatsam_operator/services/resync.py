"""Complete lists of everything watched: the first fill of the index, and the repair of what a watch has missed."""

import asyncio
from collections.abc import Callable

from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import ClusterError
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.storage.kube import WATCHED, Kube

RETRY = 1.0
"""Seconds until an incomplete first fill is tried again."""

log = get_logger(__name__)


class Resync:
    """One per term of leadership."""

    def __init__(self, kube: Kube, index: Index, knowledge: Knowledge, clock: Clock, period: float) -> None:
        self._kube = kube
        self._index = index
        self._knowledge = knowledge
        self._clock = clock
        self._period = period
        self._asked = asyncio.Event()
        self._asked_to_wait = 0.0
        """Seconds that the API server wants to be left alone."""

    def ask(self) -> None:
        """Do it now instead of at the next turn: a watch was interrupted."""
        self._asked.set()

    async def fill(self, waiting: Callable[[], None] = lambda: None) -> None:
        """List everything once; keeps trying until all kinds have answered."""
        while not await self.once():
            waiting()
            await asyncio.sleep(max(RETRY, self._asked_to_wait))

    async def run(self) -> None:
        """Repeat for ever."""
        while True:
            try:
                async with asyncio.timeout(self._period):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self.once()

    async def once(self) -> bool:
        """One round; False when some kind did not answer."""
        complete, self._asked_to_wait = True, 0.0
        for kind in WATCHED:
            sent_at = self._clock().steady
            try:
                items = await self._kube.list(kind)
            except ClusterError as error:
                log.warning("list_failed", kind=kind.kind, error=str(error))
                complete = False
                self._asked_to_wait = max(self._asked_to_wait, error.retry_after or 0.0)
                continue
            self._index.replace(kind, items, sent_at)
        self._knowledge.forget_sessions_but({session.metadata.uid for session in self._index.sessions.values()})
        return complete
