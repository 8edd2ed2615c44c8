"""The loop: something changed, so plan everything again and carry out what is not under way yet.

No decision is stored anywhere: one that fails, or that nobody could carry out, is simply made again by the next plan
from what is true then. Decisions about different objects run side by side; an object store that hangs holds up only
those that need it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

from whatsam_core.logging import get_logger
from whatsam_core.resources import Phase
from whatsam_core.storage.cluster import ClusterError, Conflict, NotFound, Unreachable
from whatsam_core.storage.objects import ObjectStoreError
from whatsam_operator.errors import NotLeader, OperatorError, StalePlan
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.decisions import (
    AdoptState,
    Assign,
    Decision,
    DestroyExpiredState,
    Finalize,
    LookUpState,
    NameSuccessor,
    Tell,
)
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
from whatsam_operator.services.writer import Writer

DEBOUNCE: Final = 0.01
"""Seconds between the first sign of a change and the plan: changes come in bursts."""
PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 0.5
"""A large fleet's plan is followed by a pause of so many times its own length, in seconds at most: writes and reads
need the event loop, too."""
TICK: Final = 5.0
"""Seconds after which a plan is made although nothing changed: time limits pass without an event."""
STORE_DECISIONS: Final = 4
"""Decisions that use the object store and run at one time."""
FIRST_RETRY: Final = 0.25
LAST_RETRY: Final = 10.0
"""Seconds before a decision that failed is tried again; doubled each time up to the last."""
HOPELESS_RETRY: Final = 30.0
"""The same for what trying again does not cure (refused, invalid)."""
FORGET_FAILURES: Final = 120.0
"""Seconds after which a slot that was not tried again starts with a clean slate (its object is gone, as a rule)."""

log = get_logger(__name__)


@dataclass(slots=True)
class _Failures:
    """A slot that failed: how often, and when it may be tried again (steady seconds)."""

    count: int
    not_before: float


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
        wake: asyncio.Event,
    ) -> None:
        self._index = index
        self._leases = leases
        self._writer = writer
        self._knowledge = knowledge
        self._stories = stories
        self._rendering = rendering
        self._metrics = metrics
        self._clock = clock
        self._writes = asyncio.Semaphore(concurrent_writes)
        self._store = asyncio.Semaphore(STORE_DECISIONS)
        self._wake = wake
        self._under_way: dict[tuple[str, ...], asyncio.Task[None] | None] = {}
        self._failures: dict[tuple[str, ...], _Failures] = {}
        self._last_plan = 0.0

    async def run(self) -> None:
        """Plan and act for ever. When it is cancelled, what is under way is cancelled with it."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        await self._wake.wait()
                await asyncio.sleep(max(DEBOUNCE, min(self._last_plan * PAUSE, LONGEST_PAUSE)))
                self._wake.clear()
                self.step()
        finally:
            tasks = [task for task in self._under_way.values() if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
        self._forget_old_failures(now.steady)
        started: list[Decision] = []
        for decision in decisions:
            if self._may_start(decision, now.steady):
                self._start(decision)
                started.append(decision)
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
        if slot in self._under_way:
            yield False
            return
        self._under_way[slot] = None
        try:
            yield True
        finally:
            del self._under_way[slot]
            self._wake.set()

    def _busy(self) -> frozenset[Key]:
        """Sessions that a decision is under way for, or that one was refused for a moment ago."""
        now = self._clock().steady
        resting = (slot for slot, failures in self._failures.items() if now < failures.not_before)
        return frozenset((slot[1], slot[2]) for slot in (*self._under_way, *resting) if slot[0] == "session")

    def _may_start(self, decision: Decision, now: float) -> bool:
        if decision.slot in self._under_way:
            return False
        if isinstance(decision, Tell) and not self._stories.is_news(decision.target, decision.stories):
            return False
        failures = self._failures.get(decision.slot)
        return failures is None or now >= failures.not_before

    def _start(self, decision: Decision) -> None:
        if isinstance(decision, Assign):
            key = (decision.target.key[0], decision.assignment.boot_id)
            self._knowledge.pending[decision.target.uid] = key
        if isinstance(decision, NameSuccessor) and decision.successor is not None:
            self._knowledge.naming[decision.target.uid] = (decision.target.key[0], decision.successor.boot_id)
        self._under_way[decision.slot] = asyncio.create_task(self._carry_out(decision))

    async def _carry_out(self, decision: Decision) -> None:
        name = type(decision).__name__
        outcome = "failed"
        limit = self._store if isinstance(decision, _NEEDS_STORE) else self._writes
        try:
            async with limit:
                try:
                    stories = await self._writer.carry_out(decision)
                except (ClusterError, ObjectStoreError, OperatorError) as error:
                    outcome = await self._failed(decision, error)
                else:
                    outcome = "done"
                    self._failures.pop(decision.slot, None)
                    self._stories.tell(decision.about or decision.target, stories)
        except NotLeader:
            outcome = "not-leader"
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception:
            # A bug in one decision must not end the loop: it is tried again later, and the log has it.
            log.exception("decision_broke", decision=name, object="/".join(decision.target.key))
            self._postpone(decision, HOPELESS_RETRY)
        finally:
            self._metrics.decisions.labels(name, outcome).inc()
            if isinstance(decision, Assign):
                self._knowledge.pending.pop(decision.target.uid, None)
            if isinstance(decision, NameSuccessor):
                self._knowledge.naming.pop(decision.target.uid, None)
            del self._under_way[decision.slot]
            self._wake.set()

    async def _failed(self, decision: Decision, error: Exception) -> str:
        """Find out what is true now, and decide when the slot may be tried again. Returns the outcome's name."""
        name, about = type(decision).__name__, "/".join(decision.target.key)
        if isinstance(error, NotLeader):
            raise error
        if isinstance(error, (Conflict, StalePlan, NotFound)):
            log.debug("plan_was_stale", decision=name, object=about, error=str(error))
            await self._refresh(decision)
            failures = self._failures.get(decision.slot)
            # Once is normal life. Again and again means that somebody writes all the time: give way.
            self._postpone(decision, 0.0 if failures is None else FIRST_RETRY)
            return "stale"
        if isinstance(error, (Unreachable, ObjectStoreError)):
            log.warning("decision_failed", decision=name, object=about, error=str(error))
            if isinstance(error, Unreachable):
                await self._refresh(decision)
            self._postpone(decision, FIRST_RETRY)
            return "unreachable"
        log.error("decision_refused", decision=name, object=about, error=str(error))
        await self._refresh(decision)
        self._postpone(decision, HOPELESS_RETRY)
        return "refused"

    async def _refresh(self, decision: Decision) -> None:
        """Read the object again, for as long as it takes: until then nobody knows whether a write happened."""
        delay = FIRST_RETRY
        while True:
            try:
                await self._writer.refresh(decision)
                return
            except ClusterError as error:
                log.info("refresh_failed", object="/".join(decision.target.key), error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_RETRY)

    def _postpone(self, decision: Decision, first: float) -> None:
        known = self._failures.get(decision.slot)
        count = 1 if known is None else known.count + 1
        delay = min(first * 2 ** (count - 1), max(first, LAST_RETRY))
        self._failures[decision.slot] = _Failures(count, self._clock().steady + delay)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._wake.set)

    def _forget_old_failures(self, now: float) -> None:
        old = [slot for slot, failures in self._failures.items() if now - failures.not_before > FORGET_FAILURES]
        for slot in old:
            del self._failures[slot]

    def _show_phases(self) -> None:
        count = Counter(session.status.phase or Phase.PENDING for session in self._index.sessions.values())
        for phase in Phase:
            self._metrics.sessions.labels(phase.value).set(count[phase])


_NEEDS_STORE = (LookUpState, AdoptState, DestroyExpiredState, Finalize)
