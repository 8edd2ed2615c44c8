"""The work queue: decisions that wait or are being carried out, one for each slot. Filled by the reconciler.

It is bounded: what finds no room is simply decided again by a later plan. A slot that has an item takes no second one
(the plan that is made after the first has ended knows more), and one that failed rests, longer each time. The order is
that of arrival, except that what holds others up goes ahead by some seconds; nothing starves.
"""

import asyncio
import heapq
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Final

from whatsam_operator.planning.decisions import (
    AdoptState,
    Assign,
    Decision,
    DestroyExpiredState,
    Finalize,
    LookUpState,
    NameSuccessor,
    RevokeLease,
    TakenFrom,
)
from whatsam_operator.services.clock import Clock
from whatsam_operator.services.metrics import OperatorMetrics

Slot = tuple[str, ...]

BOUND: Final = 1000
"""Items that wait or run. A plan makes about 500 at most: this is two plans' work."""
STUCK: Final = 60.0
"""Seconds after which an item that is still there means that the queue does not move: every call ends within 5 s."""
LAST_RETRY: Final = 10.0
"""Seconds a slot rests at most before it is tried again, for failures that time may cure."""
FORGET_FAILURES: Final = 120.0
"""Seconds after which a slot that was not tried again starts with a clean slate (its object is gone, as a rule)."""
AHEAD: Final = 10.0
"""Seconds by which work that others wait for overtakes: a dead worker's Lease before a new session's place."""


class Lane(Enum):
    """What an item needs. An object store that hangs holds up only those that need it."""

    CLUSTER = "cluster"
    STORE = "store"


@dataclass(order=True, slots=True)
class _Item:
    due: float
    number: int
    slot: Slot = field(compare=False)
    decision: Decision = field(compare=False)
    since: float = field(compare=False)


@dataclass(slots=True)
class _Failures:
    """A slot that failed: how often, and when it may be tried again (steady seconds)."""

    count: int
    not_before: float


class WorkQueue:
    """One per term of leadership. `carry_out` does an item and returns how it ended; it raises only when cancelled."""

    def __init__(
        self,
        carry_out: Callable[[Decision], Awaitable[str]],
        *,
        limits: dict[Lane, int],
        metrics: OperatorMetrics,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._carry_out = carry_out
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._numbers = count()
        self._waiting: dict[Lane, list[_Item]] = {lane: [] for lane in Lane}
        self._running: dict[Lane, set[asyncio.Task[None]]] = {lane: set() for lane in Lane}
        self._since: dict[Slot, float] = {}
        """Steady time at which each item came, whether it waits or runs."""
        self._kept: set[Slot] = set()
        self._failures: dict[Slot, _Failures] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._since or slot in self._kept

    def offer(self, decision: Decision) -> bool:
        """Take it, unless its slot is busy or rests, or there is no room."""
        slot, now = decision.slot, self._clock().steady
        if slot in self or len(self._since) >= BOUND or self._rests(slot, now):
            return False
        lane = lane_of(decision)
        self._since[slot] = now
        heapq.heappush(self._waiting[lane], _Item(now - head_start(decision), next(self._numbers), slot, decision, now))
        self._start(lane)
        return True

    def keep(self, slot: Slot) -> bool:
        """Let nobody else work on a slot; False when somebody does."""
        if slot in self:
            return False
        self._kept.add(slot)
        return True

    def let_go(self, slot: Slot) -> None:
        """The end of `keep`."""
        self._kept.discard(slot)

    def busy(self) -> Iterator[Slot]:
        """Slots for which nothing need be decided now: those with an item, those that are kept, those that rest."""
        now = self._clock().steady
        yield from self._since
        yield from self._kept
        yield from (slot for slot in self._failures if self._rests(slot, now))

    def failed_before(self, slot: Slot) -> bool:
        """Whether the slot's last attempt failed, too."""
        return slot in self._failures

    def postpone(self, slot: Slot, first: float, *, at_least: float | None = None) -> float:
        """The slot failed: let it rest for `first` seconds, doubled with each failure, with jitter.

        `at_least` is what the server asked for. Returns for how long it rests.
        """
        known = self._failures.get(slot)
        times = 1 if known is None else known.count + 1
        delay = min(first * 2.0 ** min(times - 1, 16), max(first, LAST_RETRY)) * (0.75 + 0.5 * self._chance())
        delay = max(delay, at_least or 0.0)
        self._failures[slot] = _Failures(times, self._clock().steady + delay)
        return delay

    def succeeded(self, slot: Slot) -> None:
        """A clean slate for the slot."""
        self._failures.pop(slot, None)

    def oldest(self) -> float:
        """Age in seconds of the item that is there for longest; 0 when there is none. Any thread may ask."""
        since = min(list(self._since.values()), default=None)
        return 0.0 if since is None else max(0.0, self._clock().steady - since)

    def look(self) -> None:
        """Bring the metrics up to date, and forget failures of long ago."""
        waiting = sum(len(items) for items in self._waiting.values())
        self._metrics.queue_depth.labels("waiting").set(waiting)
        self._metrics.queue_depth.labels("running").set(len(self._since) - waiting)
        self._metrics.queue_oldest.set(self.oldest())
        now = self._clock().steady
        for slot in [slot for slot, known in self._failures.items() if now - known.not_before > FORGET_FAILURES]:
            del self._failures[slot]

    async def close(self) -> None:
        """Cancel everything and wait for its end."""
        for items in self._waiting.values():
            items.clear()
        tasks = [task for running in self._running.values() for task in running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._since.clear()
        self.look()

    def _rests(self, slot: Slot, now: float) -> bool:
        failures = self._failures.get(slot)
        return failures is not None and now < failures.not_before

    def _start(self, lane: Lane) -> None:
        waiting, running = self._waiting[lane], self._running[lane]
        while waiting and len(running) < self._limits[lane]:
            task = asyncio.create_task(self._work(lane, heapq.heappop(waiting)))
            running.add(task)

    async def _work(self, lane: Lane, item: _Item) -> None:
        began, outcome = self._clock().steady, "cancelled"
        name = type(item.decision).__name__
        self._metrics.queue_wait.observe(max(0.0, began - item.since))
        try:
            outcome = await self._carry_out(item.decision)
        finally:
            self._metrics.decisions.labels(name, outcome).inc()
            self._metrics.decision_seconds.labels(name).observe(max(0.0, self._clock().steady - began))
            self._since.pop(item.slot, None)
            task = asyncio.current_task()
            if task is not None:
                self._running[lane].discard(task)
            self._start(lane)


def lane_of(decision: Decision) -> Lane:
    """What carrying it out needs."""
    return (
        Lane.STORE if isinstance(decision, (LookUpState, AdoptState, DestroyExpiredState, Finalize)) else Lane.CLUSTER
    )


def head_start(decision: Decision) -> float:
    """Seconds by which it may overtake others."""
    if isinstance(decision, RevokeLease):
        return 2 * AHEAD  # all sessions of a lost worker wait for it
    if isinstance(decision, NameSuccessor):
        return AHEAD
    interrupted = isinstance(decision, Assign) and decision.taken_from is not TakenFrom.NOBODY
    return AHEAD if interrupted else 0.0
