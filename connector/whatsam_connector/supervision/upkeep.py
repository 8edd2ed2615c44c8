"""Looks after the engine processes that run: who hangs is killed, who leaks is replaced, who is small is merged.

Part of the pool. A planned replacement is a reconnect of every session of a process, about a second each, so it waits
until nothing is under way, and comes to a session at most once per `CohortTimings.rest`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from whatsam_connector.supervision.cohorts import Cohort, Group, deal, merge
from whatsam_connector.supervision.errors import EngineError, EngineGone
from whatsam_connector.supervision.leaks import Leak, Usage, judge
from whatsam_connector.supervision.member import MoveReason, SessionEngine
from whatsam_connector.supervision.pool_parts import Observer, PoolSettings, Running
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_LEAKS = {
    Leak.DESCRIPTORS: MoveReason.DESCRIPTORS,
    Leak.THREADS: MoveReason.THREADS,
    Leak.MEMORY: MoveReason.MEMORY,
}


WAITS_FOR_OTHERS = 5
"""Rounds in a row in which a merge waits for processes that will soon be settled; somebody always comes."""


class Tended(Protocol):
    """The pool, as its upkeep sees it."""

    @property
    def starting(self) -> bool: ...
    def running(self) -> list[Running]: ...
    def suspected(self, uid: str) -> bool: ...
    def expect(self, group: Group) -> None: ...
    def clean_up(self) -> None: ...


class Upkeep:
    """Three rounds, each at its own pace."""

    def __init__(
        self,
        pool: Tended,
        settings: PoolSettings,
        monotonic: Callable[[], float],
        observer: Observer,
        usage: Callable[[int], Usage | None],
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._now = monotonic
        self._observer = observer
        self._usage = usage
        self._moved: dict[str, float] = {}
        self._dealt: set[str] = set()
        self._waited = 0

    async def run(self) -> None:
        """Go round for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ping_for_ever())
            group.create_task(self._look_at_usage_for_ever())
            group.create_task(self._merge_for_ever())

    # --- hangs --------------------------------------------------------------------------------------------------------

    async def _ping_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping_period)
            await asyncio.gather(*(self._ping(running) for running in self._pool.running()))
            self._pool.clean_up()

    async def _ping(self, running: Running) -> None:
        try:
            await running.process.ping(self._settings.ping_timeout)
        except EngineGone:
            return
        except EngineError:
            running.misses += 1
        else:
            running.misses = 0
        if running.misses >= self._settings.ping_misses:
            _log.error("engine.hangs", engine_pid=running.process.pid, sessions=len(running.staying()))
            running.process.kill(hung=True)

    # --- leaks --------------------------------------------------------------------------------------------------------

    async def _look_at_usage_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.usage_period)
            for running in self._pool.running():
                usage = self._usage(running.process.pid)
                leak = Leak.NONE if usage is None else judge(usage, running.started_with, self._settings.limits)
                running.leaks = 0 if leak is Leak.NONE else running.leaks + 1
                if running.leaks >= self._settings.usage_misses and self._may_replace(running):
                    _log.warning("engine.leaks", engine_pid=running.process.pid, of=leak.value, usage=usage)
                    self._move([running], _LEAKS[leak])

    def _may_replace(self, running: Running) -> bool:
        """Whether nothing speaks against it now: no send, no login under way, no session that was moved lately."""
        return all(self._may_replace_one(member) for member in running.staying())

    def _may_replace_one(self, member: SessionEngine) -> bool:
        waits = not member.connected and self._now() - member.since < self._settings.timings.unconnected
        return not member.busy and not waits and not self._moved_lately(member)

    # --- merges -------------------------------------------------------------------------------------------------------

    async def _merge_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.merge_period)
            if not self._settings.merge or self._pool.starting:
                continue
            keyed = dict(enumerate(self._pool.running()))
            if any(self._settles_soon(one) for one in keyed.values()) and self._waited < WAITS_FOR_OTHERS:
                self._waited += 1  # together with these it is one reconnect instead of two
                continue
            self._waited = 0
            self._dealt &= {member.uid for one in keyed.values() for member in one.staying()}
            views = [self._view(key, one) for key, one in keyed.items()]
            size = self._settings.cohort_size
            if dealt := [keyed[key] for key in deal(views, size)]:
                self._dealt.update(member.uid for one in dealt for member in one.staying())
                self._move(dealt, MoveReason.CONSOLIDATION)
            elif chosen := [keyed[key] for key in merge(views, size)]:
                self._move(chosen, MoveReason.CONSOLIDATION)

    def _may_merge(self, running: Running) -> bool:
        """Whether all of its sessions are connected, settled and idle, not suspected and not moved lately."""
        return all(self._may_merge_one(member) for member in running.staying())

    def _may_merge_one(self, member: SessionEngine, at: float | None = None) -> bool:
        timings = self._settings.timings
        settled = timings.settled if member.session.pairing is None else timings.paired_settled
        return (
            member.connected
            and (self._now() if at is None else at) - member.since >= settled
            and not member.busy
            and not member.session.debug
            and not self._pool.suspected(member.uid)
            and not self._moved_lately(member)
        )

    def _view(self, key: int, running: Running) -> Cohort:
        staying = running.staying()
        dealt = any(member.uid in self._dealt for member in staying)
        return Cohort(key, len(staying), self._may_merge(running), dealt)

    def _settles_soon(self, running: Running) -> bool:
        """Whether it would take part if it had run a little longer."""
        then = self._now() + 2 * self._settings.merge_period
        return not self._may_merge(running) and all(self._may_merge_one(one, then) for one in running.staying())

    def _moved_lately(self, member: SessionEngine) -> bool:
        moved = self._moved.get(member.uid)
        return moved is not None and self._now() - moved < self._settings.timings.rest

    def _move(self, chosen: Sequence[Running], reason: MoveReason) -> None:
        """All of their sessions reconnect, in as few new processes as they need."""
        members = [member for running in chosen for member in running.staying()]
        now, size = self._now(), self._settings.cohort_size
        self._moved = {uid: at for uid, at in self._moved.items() if now - at < self._settings.timings.rest}
        for first in range(0, len(members), size):
            self._pool.expect(Group(frozenset(member.uid for member in members[first : first + size])))
        _log.info("engine.moves", reason=reason.value, processes=len(chosen), sessions=len(members))
        for _ in chosen:
            self._observer.replaced(reason)
        for member in members:
            self._moved[member.uid] = now
            member.move(reason)
