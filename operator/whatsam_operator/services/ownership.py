"""Holds this installation's part of the bucket against other clusters: renews the mark, notices another one's.

One per term of leadership. `take_over` is the command of a person who knows that the other cluster must not go on.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from whatsam_core.logging import get_logger
from whatsam_core.sessions_state import Owner
from whatsam_core.storage.cluster import ClusterError
from whatsam_core.storage.objects import ObjectStoreError
from whatsam_operator.errors import NotLeader
from whatsam_operator.planning.ownership import AWAY, OURS, TAKEN_OVER, Ruling, Standing, judge
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.storage.kube import Kube
from whatsam_operator.storage.states import States

RENEW_EVERY: Final = 60.0
"""Seconds between two renewals; ten may fail before the mark is old."""
LOOK_AGAIN: Final = 2.0
"""Seconds until the next look after one that failed, a claim, or a refusal."""
TWINS: Final = 2

log = get_logger(__name__)


class Ownership:
    """The mark in the store, as this term sees it."""

    def __init__(
        self,
        kube: Kube,
        states: States,
        knowledge: Knowledge,
        clock: Clock,
        *,
        namespace: str,
        writer: str,
        changed: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._states = states
        self._knowledge = knowledge
        self._clock = clock
        self._namespace = namespace
        self._writer = writer
        self._changed = changed
        self._us: str | None = None
        self._written: Owner | None = None
        self._twins = 0

    async def run(self) -> None:
        """Look and renew for ever."""
        while True:
            try:
                rest = await self.once()
            except (ObjectStoreError, ClusterError, NotLeader) as error:
                # What was known stays true for a while: whoever would take the store waits longer than we retry.
                log.info("owner_not_read", error=str(error))
                if not self._knowledge.store.known:
                    self._stand(AWAY)
                rest = LOOK_AGAIN
            await asyncio.sleep(rest)

    async def once(self) -> float:
        """One look at the mark, and what is due; seconds until the next one."""
        if self._us is None:
            self._us = await self._kube.cluster_uid()
        mark, damage = await self._states.owner()
        if damage:
            self._stand(Standing(refused=damage))
            return LOOK_AGAIN
        ruling = judge(mark, self._us, self._written, self._clock().wall)
        if ruling is Ruling.TWIN:
            self._twins += 1
        if mark is not None and (ruling is Ruling.REFUSE or self._twins >= TWINS):
            self._stand(Standing(refused=_refusal(mark, self._us)))
            return LOOK_AGAIN
        if ruling is Ruling.CLAIM and mark is not None:
            log.warning("store_of_a_cluster_that_is_gone", cluster=mark.cluster, seen_at=mark.seen_at.isoformat())
        self._kube.require()
        owner = Owner(cluster=self._us, namespace=self._namespace, writer=self._writer, seen_at=self._clock().wall)
        await self._states.claim(owner)
        self._written = owner
        if ruling is Ruling.CLAIM:
            mark, _ = await self._states.owner()
            if mark is None or mark.cluster != self._us:
                return 0.0
        self._stand(OURS)
        return RENEW_EVERY if ruling is Ruling.RENEW else LOOK_AGAIN

    def _stand(self, standing: Standing) -> None:
        if self._knowledge.store != standing:
            if standing.refused:
                log.error("store_refused", reason=standing.refused)
            self._knowledge.store = standing
            self._changed()


def _refusal(mark: Owner, us: str) -> str:
    if mark.cluster == us:
        return (
            "another cluster with the same identity uses this part of the object store (restored from a snapshot?): "
            "end one of the two"
        )
    return (
        f"the object store's states belong to another installation (cluster {mark.cluster}, namespace "
        f"{mark.namespace}), which is alive: end it, or choose another WHATSAM_INSTALLATION_ID, or take the store over "
        "with `whatsam-operator installation --take-over`"
    )


async def take_over(states: States, us: str, namespace: str, now: datetime) -> None:
    """Write a mark of ours over whatever is there. The other cluster sees it soon, and starts nothing any more."""
    await states.claim(Owner(cluster=us, namespace=namespace, writer=TAKEN_OVER, seen_at=now))
