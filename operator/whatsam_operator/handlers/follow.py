"""What the fleet itself writes all the time, sessions and Leases, reaches the index through our own watches.

kopf makes a queue and a task of its own for every object and copies each event several times: for a fleet that writes
hundreds of objects a second that was a quarter of all that the operator computed, and every event had to change
threads. What people and Kubernetes change now and then stays with kopf (`watch`). Run by the term, beside kopf.

The reflector notices a server that falls silent after 25 s, resumes where a watch ended in peace, lists again after a
410, honours Retry-After, and waits ever longer, with jitter, while the server is away.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

from whatsam_core.logging import get_logger
from whatsam_core.storage.cluster import LEASES, SESSIONS, Changed, Cluster, Disconnected, Kind, ReflectTimings, Removed
from whatsam_operator.handlers.watch import SELECTORS, Feed

FOLLOWED: Final = (SESSIONS, LEASES)

Json = dict[str, Any]
log = get_logger(__name__)


class Follow:
    """`interrupted` is called after an outage: what was deleted meanwhile shows only in a complete list."""

    def __init__(
        self,
        cluster: Cluster,
        feed: Feed,
        interrupted: Callable[[], None],
        *,
        broke: Callable[[str], None] = lambda kind: None,
        timings: ReflectTimings | None = None,
    ) -> None:
        self._cluster = cluster
        self._feed = feed
        self._interrupted = interrupted
        self._broke = broke
        self._timings = timings

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind in FOLLOWED:
                group.create_task(self._follow(kind), name=f"follow {kind.plural}")

    async def _follow(self, kind: Kind) -> None:
        first = True
        stream = self._cluster.reflect(kind, None, label_selector=SELECTORS.get(kind), timings=self._timings)
        async with aclosing(stream):
            async for event in stream:
                match event:
                    case Changed(item):
                        self._feed(kind, item, False)
                    case Removed(item):
                        self._feed(kind, item, True)
                    case Disconnected(error):
                        log.warning("watch_broke", kind=kind.kind, error=str(error))
                        self._broke(kind.kind)
                    case snapshot:
                        for number, item in enumerate(snapshot.items):
                            self._feed(kind, item, False)
                            if number % 100 == 0:
                                await asyncio.sleep(0)  # a large fleet: the Lease of the leader must be renewed
                        if not first:
                            self._interrupted()
                        first = False
