"""All engine processes of a connector: gathers sessions into cohorts, keeps a spare, and heals. Built by `factory`.

A runner asks for an engine and gets a `SessionEngine`; which process it is in, and with whom, is decided here by the
plans of `cohorts` and `leaks`. Every process is born through `LivingEngines`, so the fences reach it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from whatsam_connector.engine.events import EngineEvent
from whatsam_connector.supervision.cohorts import Group, Outlook, Suspicion, Waiting, aftermath, gather
from whatsam_connector.supervision.exits import EngineExit, ExitReason
from whatsam_connector.supervision.leaks import Usage, usage_of
from whatsam_connector.supervision.member import MemberEvent, Process, SessionEngine
from whatsam_connector.supervision.pool_parts import Observer, PoolSettings, Running
from whatsam_connector.supervision.sessions import EngineSession, check_devices
from whatsam_connector.supervision.upkeep import Upkeep
from whatsam_core.errors import WhatsamError
from whatsam_core.logging import get_logger

_log = get_logger(__name__)


@dataclass(eq=False)
class _Asking:
    """A runner that waits for an engine."""

    session: EngineSession
    on_event: Callable[[MemberEvent], None]
    since: float
    answer: "asyncio.Future[SessionEngine]"
    planned: bool


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
        self._upkeep = Upkeep(self, settings, monotonic, observer, usage)
        self._asking: dict[str, _Asking] = {}
        self._coming: dict[str, float] = {}
        self._expected: set[str] = set()
        """Sessions of planned moves: a process is kept ready for them."""
        self._lately: deque[float] = deque(maxlen=settings.timings.stream)
        self._running: set[Running] = set()
        self._groups: dict[Group, float] = {}
        self._suspicions: dict[str, Suspicion] = {}
        self._spare: asyncio.Task[Process | None] | None = None
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

    def announce(self, uid: str, *, comes: bool) -> None:
        """A session will soon ask for an engine that it can share, or (`comes` false) it will not after all."""
        if comes and uid in self._expected:
            return  # who starts meanwhile need not wait for it: it has a process of its own kind
        if comes:
            self._coming.setdefault(uid, self._now())
        elif self._coming.pop(uid, None) is not None:
            self._changed.set()  # somebody may have waited for it alone

    async def warm(self, uid: str) -> bool:
        """A planned move brings this session: have a process ready until it asks, or until `cool`.

        Returns when the process waits; False when none came to life.
        """
        self._expected.add(uid)
        self._keep_spare()
        launch = self._spare
        if launch is None:
            return False
        await asyncio.wait([launch])
        return not launch.cancelled() and launch.result() is not None

    def cool(self, uid: str) -> None:
        """The session does not come after all."""
        self._expected.discard(uid)
        self._let_spare_go()

    async def start(self, session: EngineSession, on_event: Callable[[MemberEvent], None]) -> SessionEngine:
        """An engine for this session. Raises EngineStartFailed or Fenced; then it runs nowhere."""
        await asyncio.to_thread(check_devices, [session])
        loop = asyncio.get_running_loop()
        planned = session.uid in self._expected
        asking = _Asking(session, on_event, self._now(), loop.create_future(), planned)
        self._coming.pop(session.uid, None)
        self._expected.discard(session.uid)
        self._asking[session.uid] = asking
        if session.pairing is None and not planned:
            self._lately.append(asking.since)
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
            group.create_task(self._upkeep.run())

    def close(self) -> None:
        """Start no spare any more, and end the one that waits: the connector ends."""
        self._closing = True
        if self._spare is not None and self._spare.done() and (spare := self._spare.result()) is not None:
            spare.kill()

    # --- starting -----------------------------------------------------------------------------------------------------

    async def _start_for_ever(self) -> None:
        while True:
            self._changed.clear()
            now = self._now()
            departure = gather(
                [self._waiting(asking) for asking in self._asking.values()],
                self._groups,
                now,
                self._settings.cohort_size,
                self._settings.timings,
                outlook=Outlook(self._coming, self._lately, planned=bool(self._expected)),
            )
            for batch in departure.batches:
                for group in [group for group in self._groups if group.uids & set(batch)]:
                    del self._groups[group]
                askings = [self._asking.pop(uid) for uid in batch]
                self._in_background(self._start(askings), "start engines")
            self._keep_spare()  # for those that wait: it is ready when they leave
            pause = None if departure.look_again is None else max(departure.look_again - self._now(), 0.0)
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _waiting(self, asking: _Asking) -> Waiting:
        uid = asking.session.uid
        alone = asking.session.pairing is not None or asking.session.debug
        if not alone and self.suspected(uid):
            # Whoever was in several crashes comes back with its group, or by itself: never with strangers.
            alone = self._suspicions[uid].crashes > 1 and not any(uid in group.uids for group in self._groups)
        return Waiting(uid, asking.since, alone, asking.planned)

    async def _start(self, askings: Sequence[_Asking]) -> None:
        try:
            process = await self._take_spare()
            if process is None:
                async with self._launches:
                    process = await self._launch()
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
        running, now = Running(process, len(wanted)), self._now()
        for asking in wanted:
            running.members[asking.session.uid] = SessionEngine(asking.session, running, asking.on_event, now)
        self._running.add(running)
        process.exited.add_done_callback(lambda ended: self._ended(running, ended.result()))
        process.begin([asking.session for asking in wanted], lambda event: self._hear(running, event))
        for asking in wanted:
            asking.answer.set_result(running.members[asking.session.uid])
        _log.info("engine.started", engine_pid=process.pid, sessions=len(wanted))
        self._keep_spare()

    def _forget(self, asking: _Asking) -> None:
        """The runner does not want it any more."""
        if self._asking.get(asking.session.uid) is asking:
            del self._asking[asking.session.uid]
        if not asking.answer.done():
            asking.answer.cancel()
        elif not asking.answer.cancelled() and asking.answer.exception() is None:
            asking.answer.result().kill()

    def _hear(self, running: Running, event: EngineEvent) -> None:
        member = running.members.get(event.uid)
        if member is not None:
            member.hear(event, self._now())

    # --- the spare ----------------------------------------------------------------------------------------------------

    def _keep_spare(self) -> None:
        if self._wants_spare() and self._spare is None and not self._closing:
            self._spare = asyncio.create_task(self._launch_spare(), name="spare engine")
            self._spare.add_done_callback(self._spare_launched)

    def _wants_spare(self) -> bool:
        sessions = sum(len(running.staying()) for running in self._running) + len(self._asking) + len(self._coming)
        enough = self._settings.spare_from is not None and sessions >= self._settings.spare_from
        return enough or bool(self._expected) or any(asking.planned for asking in self._asking.values())

    def _let_spare_go(self) -> None:
        """End a spare that only a planned move had asked for."""
        if self._spare is None or not self._spare.done() or self._wants_spare():
            return
        spare = self._spare.result()
        if spare is not None:
            spare.kill()

    async def _launch_spare(self) -> Process | None:
        try:
            async with self._launches:
                spare = await self._launch()
        except WhatsamError as error:
            _log.warning("engine.no_spare", error=str(error))
            return None
        if self._closing:
            spare.kill()
            return None
        return spare

    def _spare_launched(self, launch: "asyncio.Task[Process | None]") -> None:
        spare = None if launch.cancelled() else launch.result()
        if spare is not None:
            spare.exited.add_done_callback(lambda ended: self._spare_ended(launch, ended.result()))
        elif self._spare is launch:
            self._spare = None

    def _spare_ended(self, launch: "asyncio.Task[Process | None]", ended: EngineExit) -> None:
        if self._spare is launch:
            self._spare = None
            self._observer.ended(ended)

    async def _take_spare(self) -> Process | None:
        """The spare, also one that is still loading: it will be there sooner than a process that starts now."""
        launch, self._spare = self._spare, None
        spare = None if launch is None else await launch
        return None if spare is None or spare.exited.done() else spare

    # --- the end of a process -----------------------------------------------------------------------------------------

    def _ended(self, running: Running, ended: EngineExit) -> None:
        self._running.discard(running)
        self._observer.ended(ended)
        staying, now = running.staying(), self._now()
        after = aftermath(
            [member.uid for member in staying],
            ExitReason.CLEAN if ended.requested else ended.reason,  # a fence or a runner: nobody is to blame
            self._suspicions,
            now,
            self._settings.timings,
            culprit=running.culprit,
        )
        _log.info("engine.aftermath", outcome=after.outcome.value, sessions=len(staying), reason=ended.reason.value)
        self._suspicions.update(after.suspicions)
        for group in after.groups:
            self.expect(group)
        for member in staying:  # their runners ask for new engines from here on
            member.process_ended(ended)

    # --- for the upkeep -----------------------------------------------------------------------------------------------

    def running(self) -> list[Running]:
        """The processes that have sessions."""
        return list(self._running)

    @property
    def starting(self) -> bool:
        """Whether sessions wait for their engines."""
        return bool(self._asking)

    def suspected(self, uid: str) -> bool:
        """Whether a crash is still held against the session."""
        held = self._suspicions.get(uid)
        return held is not None and held.holds(self._now(), self._settings.timings)

    def expect(self, group: Group) -> None:
        """These sessions come back together; what was expected of them before is void."""
        for other in [other for other in self._groups if other.uids & group.uids]:
            since = self._groups.pop(other)
            if rest := other.uids - group.uids:
                self._groups[Group(rest)] = since
        self._groups[group] = self._now()

    def clean_up(self) -> None:
        """Forget what counts no more, and see to the spare."""
        timings, now = self._settings.timings, self._now()
        self._suspicions = {uid: held for uid, held in self._suspicions.items() if held.holds(now, timings)}
        self._groups = {group: since for group, since in self._groups.items() if now - since < timings.memory}
        self._keep_spare()

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
