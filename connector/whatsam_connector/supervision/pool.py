"""All engine processes of a connector: gathers sessions into cohorts, keeps a spare, and heals. Built by `factory`.

A runner asks for an engine and gets a `SessionEngine`; which process it is in, and with whom, is decided here by the
plans of `cohorts` and `leaks`. Every process is born through `LivingEngines`, so the fences reach it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.supervision.cohorts import (
    Cohort,
    CohortTimings,
    Group,
    Suspicion,
    Waiting,
    aftermath,
    gather,
    merge,
)
from whatsam_connector.supervision.errors import EngineError, EngineGone
from whatsam_connector.supervision.exits import EngineExit
from whatsam_connector.supervision.leaks import Leak, Usage, UsageLimits, judge, usage_of
from whatsam_connector.supervision.member import MemberEvent, MoveReason, Process, SessionEngine
from whatsam_connector.supervision.sessions import EngineSession, check_devices
from whatsam_core.errors import WhatsamError
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_LEAKS = {
    Leak.DESCRIPTORS: MoveReason.DESCRIPTORS,
    Leak.THREADS: MoveReason.THREADS,
    Leak.MEMORY: MoveReason.MEMORY,
}


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """How the pool works. Times in seconds."""

    cohort_size: int = 1
    launches: int = 2
    """Processes that are started at the same time: each takes half a second of a core."""
    spare_from: int | None = 8
    """With so many sessions, one process waits, ready to take over those of one that died. None: never."""
    ping_period: float = 15.0
    """Between two pings of a process."""
    ping_timeout: float = 10.0
    """A process that does not answer for so long, `ping_misses` times in a row, hangs and is killed."""
    ping_misses: int = 2
    usage_period: float = 30.0
    """Between two looks at what the processes hold."""
    usage_misses: int = 3
    """Looks in a row that must find too much: a burst is no leak."""
    merge_period: float = 60.0
    """Between two merges of processes."""
    merge: bool = True
    timings: CohortTimings = field(default_factory=CohortTimings)
    limits: UsageLimits = field(default_factory=UsageLimits)


class Observer(Protocol):
    """Who counts."""

    def ended(self, ended: EngineExit) -> None:
        """A process has ended."""
        ...

    def replaced(self, reason: MoveReason) -> None:
        """A process is being replaced in a planned way."""
        ...


class _Running:
    """A process that was given its sessions."""

    def __init__(self, process: Process, number: int) -> None:
        self.process = process
        self.started_with = number
        self.members: dict[str, SessionEngine] = {}
        self.culprit: str | None = None
        self.misses = 0
        self.leaks = 0

    def staying(self) -> list[SessionEngine]:
        """Those that have not left."""
        return [member for member in self.members.values() if not member.gone]

    def alone(self, uid: str) -> bool:
        return all(member.gone for other, member in self.members.items() if other != uid)


@dataclass(eq=False)
class _Asking:
    """A runner that waits for an engine."""

    session: EngineSession
    on_event: Callable[[MemberEvent], None]
    since: float
    answer: "asyncio.Future[SessionEngine]"


class EnginePool:
    """Gives sessions their engines."""

    def __init__(
        self,
        launch: Callable[[], Awaitable[Process]],
        settings: PoolSettings,
        monotonic: Callable[[], float],
        observer: Observer,
        *,
        usage: Callable[[int], Usage | None] = usage_of,
    ) -> None:
        """`launch` starts a process that waits for its sessions; it raises EngineStartFailed or Fenced."""
        self._launch = launch
        self._settings = settings
        self._now = monotonic
        self._observer = observer
        self._usage = usage
        self._asking: dict[str, _Asking] = {}
        self._running: set[_Running] = set()
        self._groups: dict[Group, float] = {}
        self._suspicions: dict[str, Suspicion] = {}
        self._moved: dict[str, float] = {}
        self._spare: Process | None = None
        self._launches = asyncio.Semaphore(settings.launches)
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def __len__(self) -> int:
        """Processes that have sessions."""
        return len(self._running)

    def sizes(self) -> list[int]:
        """Sessions in each process."""
        return sorted(len(running.staying()) for running in self._running)

    async def start(self, session: EngineSession, on_event: Callable[[MemberEvent], None]) -> SessionEngine:
        """An engine for this session. Raises EngineStartFailed or Fenced; then it runs nowhere."""
        await asyncio.to_thread(check_devices, [session])
        loop = asyncio.get_running_loop()
        asking = _Asking(session, on_event, self._now(), loop.create_future())
        self._asking[session.uid] = asking
        self._changed.set()
        try:
            return await asyncio.shield(asking.answer)
        except asyncio.CancelledError:
            self._forget(asking)
            raise

    async def run(self) -> None:
        """Start what waits, watch what runs; for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._start_for_ever())
            group.create_task(self._ping_for_ever())
            group.create_task(self._look_at_usage_for_ever())
            group.create_task(self._merge_for_ever())

    def close(self) -> None:
        """Start no spare any more, and end the one that waits: the connector ends."""
        self._closing = True
        if self._spare is not None:
            self._spare.kill()

    # --- starting -----------------------------------------------------------------------------------------------------

    async def _start_for_ever(self) -> None:
        while True:
            self._changed.clear()
            now = self._now()
            departure = gather(
                [self._waiting(asking, now) for asking in self._asking.values()],
                self._groups,
                now,
                self._settings.cohort_size,
                self._settings.timings,
            )
            for batch in departure.batches:
                for group in [group for group in self._groups if group.uids & set(batch)]:
                    del self._groups[group]
                askings = [self._asking.pop(uid) for uid in batch]
                self._in_background(self._start(askings), "start engines")
            pause = None if departure.look_again is None else max(departure.look_again - self._now(), 0.0)
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _waiting(self, asking: _Asking, now: float) -> Waiting:
        uid = asking.session.uid
        alone = asking.session.pairing is not None or asking.session.debug
        if not alone and (held := self._suspicions.get(uid)) is not None and held.holds(now, self._settings.timings):
            # Those that are suspected come back with their group, or by themselves: never with strangers.
            alone = held.crashes > 1 and not any(uid in group.uids for group in self._groups)
        return Waiting(uid, asking.since, alone)

    async def _start(self, askings: Sequence[_Asking]) -> None:
        try:
            async with self._launches:
                process = await self._take_process()
        except WhatsamError as error:
            for asking in askings:
                if not asking.answer.done():
                    asking.answer.set_exception(error)
                    asking.answer.exception()  # nobody may be left to hear it
            return
        wanted = [asking for asking in askings if not asking.answer.done()]
        if not wanted:
            process.kill()
            return
        running, now = _Running(process, len(wanted)), self._now()
        for asking in wanted:
            running.members[asking.session.uid] = SessionEngine(asking.session, running, asking.on_event, now)
        self._running.add(running)
        process.exited.add_done_callback(lambda ended: self._ended(running, ended.result()))
        process.begin([asking.session for asking in wanted], lambda event: self._hear(running, event))
        for asking in wanted:
            asking.answer.set_result(running.members[asking.session.uid])
        _log.info("engine.started", engine_pid=process.pid, sessions=len(wanted))
        self._keep_spare()

    async def _take_process(self) -> Process:
        spare, self._spare = self._spare, None
        if spare is not None and not spare.exited.done():
            return spare
        return await self._launch()

    def _forget(self, asking: _Asking) -> None:
        """The runner does not want it any more."""
        if self._asking.get(asking.session.uid) is asking:
            del self._asking[asking.session.uid]
        if not asking.answer.done():
            asking.answer.cancel()
        elif not asking.answer.cancelled() and asking.answer.exception() is None:
            asking.answer.result().kill()

    def _hear(self, running: _Running, event: EngineEvent) -> None:
        member = running.members.get(event.uid)
        if member is not None:
            member.hear(event, self._now())

    # --- the spare ----------------------------------------------------------------------------------------------------

    def _keep_spare(self) -> None:
        sessions = sum(len(running.staying()) for running in self._running)
        enough = self._settings.spare_from is not None and sessions >= self._settings.spare_from
        if enough and self._spare is None and not self._closing:
            self._in_background(self._launch_spare(), "spare engine")

    async def _launch_spare(self) -> None:
        async with self._launches:
            if self._spare is not None or self._closing:
                return
            try:
                spare = await self._launch()
            except WhatsamError as error:
                _log.warning("engine.no_spare", error=str(error))
                return
        if self._spare is not None or self._closing:
            spare.kill()
            return
        self._spare = spare
        spare.exited.add_done_callback(lambda ended: self._spare_ended(spare, ended.result()))

    def _spare_ended(self, spare: Process, ended: EngineExit) -> None:
        if self._spare is spare:
            self._spare = None
            self._observer.ended(ended)

    # --- the end of a process -----------------------------------------------------------------------------------------

    def _ended(self, running: _Running, ended: EngineExit) -> None:
        self._running.discard(running)
        self._observer.ended(ended)
        staying, now = running.staying(), self._now()
        after = aftermath(
            [member.uid for member in staying],
            ended.reason,
            self._suspicions,
            now,
            self._settings.timings,
            culprit=running.culprit,
        )
        _log.info("engine.aftermath", outcome=after.outcome.value, sessions=len(staying), reason=ended.reason.value)
        self._suspicions.update(after.suspicions)
        for group in after.groups:
            self._expect(group, now)
        for member in staying:  # their runners ask for new engines from here on
            member.process_ended(ended)

    def _expect(self, group: Group, now: float) -> None:
        """These sessions come back together; what was expected of them before is void."""
        for other in [other for other in self._groups if other.uids & group.uids]:
            since = self._groups.pop(other)
            if rest := other.uids - group.uids:
                self._groups[Group(rest)] = since
        self._groups[group] = now

    # --- watching -----------------------------------------------------------------------------------------------------

    async def _ping_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping_period)
            await asyncio.gather(*(self._ping(running) for running in tuple(self._running)))
            self._clean_up()
            self._keep_spare()

    async def _ping(self, running: _Running) -> None:
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

    async def _look_at_usage_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.usage_period)
            for running in tuple(self._running):
                usage = self._usage(running.process.pid)
                leak = Leak.NONE if usage is None else judge(usage, running.started_with, self._settings.limits)
                running.leaks = 0 if leak is Leak.NONE else running.leaks + 1
                if running.leaks >= self._settings.usage_misses and self._may_move(running):
                    _log.warning("engine.leaks", engine_pid=running.process.pid, of=leak.value, usage=usage)
                    self._move([running], _LEAKS[leak])

    async def _merge_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.merge_period)
            if self._settings.merge and self._settings.cohort_size > 1 and not self._asking and not self._closing:
                keyed = dict(enumerate(self._running))
                views = [Cohort(key, len(run.staying()), self._may_move(run)) for key, run in keyed.items()]
                chosen = [keyed[key] for key in merge(views, self._settings.cohort_size)]
                if chosen:
                    self._move(chosen, MoveReason.CONSOLIDATION)

    def _may_move(self, running: _Running) -> bool:
        """Whether all of its sessions are connected, settled and idle, not suspected and not moved lately."""
        return bool(running.staying()) and all(self._may_move_one(member) for member in running.staying())

    def _may_move_one(self, member: SessionEngine) -> bool:
        timings, now = self._settings.timings, self._now()
        settled = timings.settled if member.session.pairing is None else timings.paired_settled
        held, moved = self._suspicions.get(member.uid), self._moved.get(member.uid)
        return (
            member.connected
            and now - member.since >= settled
            and not member.busy
            and not member.session.debug
            and not (held is not None and held.holds(now, timings))
            and not (moved is not None and now - moved < timings.rest)
        )

    def _move(self, chosen: Sequence[_Running], reason: MoveReason) -> None:
        """All of their sessions reconnect in one new process."""
        members = [member for running in chosen for member in running.staying()]
        now = self._now()
        self._expect(Group(frozenset(member.uid for member in members)), now)
        _log.info("engine.moves", reason=reason.value, processes=len(chosen), sessions=len(members))
        for _ in chosen:
            self._observer.replaced(reason)
        for member in members:
            self._moved[member.uid] = now
            member.move(reason)

    def _clean_up(self) -> None:
        """Forget what counts no more."""
        timings, now = self._settings.timings, self._now()
        self._suspicions = {uid: held for uid, held in self._suspicions.items() if held.holds(now, timings)}
        self._moved = {uid: at for uid, at in self._moved.items() if now - at < timings.rest}
        self._groups = {group: since for group, since in self._groups.items() if now - since < timings.memory}

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
