"""The loop: something changed, so plan everything again and carry out what is not under way yet.

No decision is stored anywhere: one that fails, or that nobody could carry out, is simply made again by the next plan
from what is true then. Decisions about different objects run side by side; an object store that hangs holds up only
those that need it.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import Final

from whatsam_core.logging import get_logger
from whatsam_core.resources import Phase
from whatsam_core.storage.cluster import ClusterError, Conflict, NotFound, Unreachable
from whatsam_core.storage.objects import ObjectStoreError
from whatsam_operator.errors import NotLeader, OperatorError, StalePlan
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.decisions import Assign, Decision, NameSuccessor, RevokeLease, Tell
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.planner import plan, sightings
from whatsam_operator.planning.snapshot import Key, Snapshot
from whatsam_operator.planning.starts import observe
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.index import Index
from whatsam_operator.services.knowledge import Knowledge
from whatsam_operator.services.leases import LeaseReader
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.services.stories import StoryTeller
from whatsam_operator.services.wake import Wake
from whatsam_operator.services.work import LAST_RETRY, Lane, WorkQueue
from whatsam_operator.services.writer import Writer

TICK: Final = 5.0
"""Seconds after which a plan is made although nothing changed: time limits pass without an event."""
STORE_DECISIONS: Final = 4
"""Decisions that use the object store and run at one time."""
FIRST_RETRY: Final = 0.25
"""Seconds before a decision that failed is tried again; doubled each time (`work.LAST_RETRY` at most)."""
HOPELESS_RETRY: Final = 30.0
"""The same for what trying again does not cure (refused, invalid)."""

log = get_logger(__name__)


class Reconciler:
    """One per term of leadership."""

    def __init__(
        self,
        *,
        index: Index,
        leases: LeaseReader,
        writer: Writer,
        knowledge: Knowledge,
        stories: StoryTeller,
        rendering: Rendering,
        metrics: OperatorMetrics,
        clock: Clock,
        concurrent_writes: int,
        wake: Wake,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._index = index
        self._leases = leases
        self._writer = writer
        self._knowledge = knowledge
        self._stories = stories
        self._rendering = rendering
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._wake = wake
        limits = {Lane.CLUSTER: concurrent_writes, Lane.STORE: STORE_DECISIONS}
        self.queue = WorkQueue(self._carry_out, limits=limits, metrics=metrics, clock=clock)
        self._last_plan = 0.0

    async def run(self) -> None:
        """Plan and act for ever. When it is cancelled, what is under way is cancelled with it."""
        try:
            while True:
                await self._wake.wait(TICK, self._last_plan)
                self.step()
        finally:
            await self.queue.close()

    def step(self) -> list[Decision]:
        """Make one plan and start what is not under way. Returns what was started."""
        if self._leases.book.read_at is None:
            return []  # without one read of the Leases everybody would look lost
        now = self._clock()
        self._metrics.lease_read_age.set(max(0.0, now.steady - self._leases.book.read_at))
        with self._metrics.plan_seconds.time():
            snapshot = self.snapshot()
            boots = gather(snapshot)
            # A loss must be counted before this very plan gives the session away.
            self._knowledge.storms = observe(snapshot.storms, snapshot, boots, now)
            snapshot = replace(snapshot, storms=self._knowledge.storms)
            self._knowledge.sightings = sightings(snapshot, now)
            decisions = plan(snapshot, self._rendering, now, boots=boots)
        self._last_plan = max(0.0, self._clock().steady - now.steady)
        self._show_phases()
        started = [decision for decision in decisions if self._start(decision)]
        self.queue.look()
        return started

    def snapshot(self) -> Snapshot:
        """Everything that is known now."""
        return Snapshot(
            sessions=dict(self._index.sessions),
            pools=dict(self._index.pools),
            pods={pod.uid: pod for pod in self._index.pods.values()},
            nodes={node.name: node for node in self._index.nodes.values()},
            leases=self._leases.book.leases,
            missing=self._leases.book.missing,
            deployments=dict(self._index.deployments),
            budgets=dict(self._index.budgets),
            states=dict(self._knowledge.states),
            pending=dict(self._knowledge.pending),
            naming=dict(self._knowledge.naming),
            balanced=dict(self._knowledge.balanced),
            busy=self._busy(),
            sightings=dict(self._knowledge.sightings),
            storms=self._knowledge.storms,
            store=self._knowledge.store,
            last_braked=dict(self._knowledge.last_braked),
            pool_written=dict(self._knowledge.pool_written),
        )

    @contextlib.asynccontextmanager
    async def alone_with(self, slot: tuple[str, ...]) -> AsyncGenerator[bool]:
        """Keep decisions of a slot from starting. Gives False, and keeps nothing, when one is under way."""
        if not self.queue.keep(slot):
            yield False
            return
        try:
            yield True
        finally:
            self.queue.let_go(slot)
            self._wake.now()

    def _busy(self) -> frozenset[Key]:
        """Sessions that a decision is under way for, or that one was refused for a moment ago."""
        return frozenset((slot[1], slot[2]) for slot in self.queue.busy() if slot[0] == "session")

    def _start(self, decision: Decision) -> bool:
        """Put it into the queue; False when it is no news, or its turn has not come."""
        if isinstance(decision, Tell) and not self._stories.is_news(decision.target, decision.stories):
            return False
        if not self.queue.offer(decision):
            return False
        if isinstance(decision, Assign):
            key = (decision.target.key[0], decision.assignment.boot_id)
            self._knowledge.pending[decision.target.uid] = key
        if isinstance(decision, NameSuccessor) and decision.successor is not None:
            self._knowledge.naming[decision.target.uid] = (decision.target.key[0], decision.successor.boot_id)
        return True

    async def _carry_out(self, decision: Decision) -> str:
        """How it ended; called by the queue."""
        outcome = "failed"
        try:
            try:
                stories = await self._writer.carry_out(decision)
            except (ClusterError, ObjectStoreError, OperatorError) as error:
                outcome = await self._failed(decision, error)
            else:
                outcome = "done"
                self.queue.succeeded(decision.slot)
                self._stories.tell(decision.about or decision.target, stories)
        except NotLeader:
            outcome = "not-leader"
        except Exception:
            # A bug in one decision must not end the loop: it is tried again later, and the log has it.
            log.exception("decision_broke", decision=type(decision).__name__, object="/".join(decision.target.key))
            self._postpone(decision, HOPELESS_RETRY)
        finally:
            if isinstance(decision, Assign):
                self._knowledge.pending.pop(decision.target.uid, None)
            if isinstance(decision, NameSuccessor):
                self._knowledge.naming.pop(decision.target.uid, None)
            # What a loss or a refusal frees is waited for; everything else that was written is no news to the plan.
            (self._wake.now if isinstance(decision, RevokeLease) or outcome != "done" else self._wake.soon)()
        return outcome

    async def _failed(self, decision: Decision, error: Exception) -> str:
        """Find out what is true now, and decide when the slot may be tried again. Returns the outcome's name."""
        name, about = type(decision).__name__, "/".join(decision.target.key)
        if isinstance(error, NotLeader):
            raise error
        if isinstance(error, (Conflict, StalePlan, NotFound)):
            log.debug("plan_was_stale", decision=name, object=about, error=str(error))
            await self._refresh(decision)
            # Once is normal life. Again and again means that somebody writes all the time: give way.
            self._postpone(decision, FIRST_RETRY if self.queue.failed_before(decision.slot) else 0.0)
            return "stale"
        if isinstance(error, (Unreachable, ObjectStoreError)):
            log.warning("decision_failed", decision=name, object=about, error=str(error))
            asked = error.retry_after if isinstance(error, Unreachable) else None
            if isinstance(error, Unreachable):
                await self._refresh(decision, asked)
            self._postpone(decision, FIRST_RETRY, at_least=asked)
            return "unreachable"
        log.error("decision_refused", decision=name, object=about, error=str(error))
        await self._refresh(decision)
        self._postpone(decision, HOPELESS_RETRY)
        return "refused"

    async def _refresh(self, decision: Decision, first_wait: float | None = None) -> None:
        """Read the object again, for as long as it takes: until then nobody knows whether a write happened.

        `first_wait`: seconds that the server asked us to wait.
        """
        await asyncio.sleep(first_wait or 0.0)
        bound = FIRST_RETRY
        while True:
            try:
                await self._writer.refresh(decision)
                return
            except ClusterError as error:
                log.info("refresh_failed", object="/".join(decision.target.key), error=str(error))
                # Many decisions wait for one server: they must not come back in step.
                await asyncio.sleep(max(bound * (0.5 + 0.5 * self._chance()), error.retry_after or 0.0))
            bound = min(bound * 2, LAST_RETRY)

    def _postpone(self, decision: Decision, first: float, *, at_least: float | None = None) -> None:
        delay = self.queue.postpone(decision.slot, first, at_least=at_least)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._wake.now)

    def _show_phases(self) -> None:
        count = Counter(session.status.phase or Phase.PENDING for session in self._index.sessions.values())
        for phase in Phase:
            self._metrics.sessions.labels(phase.value).set(count[phase])
