"""Keeps this boot's Lease and draws the consequences when it cannot be kept. Started by `main` before all else.

Two loops: one renews, one watches the age of the last good renewal, so that a fence acts in time even while a request
hangs. Behind both stand the kernel's timers, which need neither.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Protocol

from whatsam_connector.clock import Clock
from whatsam_connector.lease import verdict
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import Answer, Attempt, Verdict
from whatsam_core.lease import UNKNOWN_LOAD, LeaseRecord, LeaseState, LeaseTimings, Load
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_CREATE_RETRY = 1.0
"""Seconds between attempts to create the Lease; nothing runs before it exists, so there is no hurry and no risk."""

_MOST_ATTEMPTS = 10_000
"""Unanswered renewals that are remembered: hours of an outage, in which any one of them may have arrived."""


class LeaseStore(Protocol):
    """The Lease in the Kubernetes API. Each call is one request, bounded by its timeout."""

    async def create(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Create it; CONFLICT when it exists. The record comes back with its resourceVersion."""
        ...

    async def update(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Replace it, if it still has the record's resourceVersion."""
        ...

    async def read(self, name: str, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Read it: ACCEPTED and the record, MISSING, or why it could not be read."""
        ...


class LeaseFollower(Protocol):
    """Whoever must act when the tenure changes: the sessions of this boot."""

    def lease_soft_fenced(self) -> None:
        """Accept no work, disconnect, flush."""
        ...

    def lease_resumed(self) -> None:
        """The Lease is confirmed again under the same boot and epochs: go on in place."""
        ...


class KeeperEnd(Enum):
    """Why the keeper stopped."""

    RELEASED = "released"
    """We gave the Lease back; nothing runs."""
    REVOKED = "revoked"
    """It was taken away; every engine is dead or dying. End the process, non-zero: the container starts as a new boot.

    Starting over inside this process would need every task and file of the old boot to be proven gone; the end of the
    process proves it, and the kubelet starts the next boot at once.
    """


class LeaseKeeper:
    """Creates, renews and releases the Lease of one boot."""

    def __init__(
        self,
        store: LeaseStore,
        record: LeaseRecord,
        *,
        tenure: Tenure,
        engines: LivingEngines,
        clock: Clock,
        follower: LeaseFollower,
        count_sessions: Callable[[], int],
        measure_load: Callable[[], Load] = lambda: UNKNOWN_LOAD,
        observe_latency: Callable[[Answer, float], None] = lambda _answer, _seconds: None,
    ) -> None:
        self._store = store
        self._record = record
        self._tenure = tenure
        self._timings: LeaseTimings = tenure.timings
        self._engines = engines
        self._clock = clock
        self._follower = follower
        self._count_sessions = count_sessions
        self._measure_load = measure_load
        self._observe_latency = observe_latency
        self._state = LeaseState.ACTIVE
        self._unanswered: deque[Attempt] = deque(maxlen=_MOST_ATTEMPTS)
        self._last_told = Verdict.RENEWED
        self._due = asyncio.Event()
        self._changed = asyncio.Event()
        self._end: asyncio.Future[KeeperEnd] = asyncio.get_running_loop().create_future()
        self.last_turn: float = clock.boottime()
        """CLOCK_BOOTTIME of the renew loop's last turn; `/live` fails when it is old."""

    @property
    def record(self) -> LeaseRecord:
        """The Lease as we last knew it."""
        return self._record

    async def acquire(self) -> None:
        """Create the Lease; tries for ever, because nothing can be done without it."""
        while not await self._try_create():
            self.last_turn = self._clock.boottime()
            await asyncio.sleep(_CREATE_RETRY)

    async def run(self) -> KeeperEnd:
        """Keep the Lease until it is released or revoked."""
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(self._renew_for_ever()), group.create_task(self._watch_the_age())]
            try:
                return await asyncio.shield(self._end)
            finally:
                for loop in loops:
                    loop.cancel()

    def drain(self) -> None:
        """Say in the Lease, from the next renewal (at once), that this boot takes nothing new."""
        self._state = LeaseState.DRAINING
        self._tenure.draining = True
        self._due.set()

    async def release(self, timeout: float) -> bool:
        """Give the Lease back. Only for a boot that has nothing left alive. Whether the API server has taken it."""
        if len(self._engines):
            raise RuntimeError("a Lease may be released only when no engine lives")
        self._state = LeaseState.RELEASED
        self._due.set()
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(self._end) is KeeperEnd.RELEASED
        except TimeoutError:
            return False

    async def _try_create(self) -> bool:
        started, moment = self._clock.boottime(), self._clock.now()
        attempt = Attempt(replace(self._record, acquired_at=moment, renewed_at=moment), started)
        answer, found = await self._store.create(attempt.record, timeout=self._timings.request_timeout)
        self._unanswered.append(attempt)
        if answer is Answer.CONFLICT:  # the answer to an earlier attempt was lost, or somebody took the name
            read, found = await self._store.read(self._record.name, timeout=self._timings.request_timeout)
            judged, known = verdict.judge_read_back(found, self._unanswered)
            if read is not Answer.ACCEPTED or judged is not Verdict.RENEWED or known is None:
                _log.warning("lease.create_conflict", lease=self._record.name, read=read.value)
                return False
            attempt, answer = known, Answer.ACCEPTED
        if answer is not Answer.ACCEPTED or found is None:
            _log.warning("lease.create_failed", lease=self._record.name, answer=answer.value)
            return False
        self._accept(found, attempt.started)
        _log.info("lease.created", lease=self._record.name, boot=self._record.boot_id)
        return True

    async def _renew_for_ever(self) -> None:
        while not self._end.done():
            self._due.clear()
            self.last_turn = started = self._clock.boottime()
            outcome = await self._renew_once(started)
            match outcome:
                case Verdict.RENEWED:
                    await self._engines.arm_all()
                    if self._record.state is LeaseState.RELEASED:
                        self._finish(KeeperEnd.RELEASED)
                        return
                    if self._tenure.fenced:
                        self._resume()
                    pause = self._timings.renew_period - (self._clock.boottime() - started)
                case Verdict.REVOKED:
                    self._revoke()
                    return
                case Verdict.RETRY | Verdict.READ_BACK | Verdict.SOFT_FENCE | Verdict.HARD_FENCE:
                    # The fences themselves are `_watch_the_age`'s: it acts on time, not when a request has ended.
                    # A lost request is tried again at once; one that was answered quickly, a little later.
                    pause = self._timings.renew_period / 2 - (self._clock.boottime() - started)
            await self._wait(self._due, max(pause, self._timings.renew_period / 10))

    async def _renew_once(self, started: float) -> Verdict:
        attempt = Attempt(
            self._record.renewed(
                self._clock.now(), state=self._state, sessions=self._count_sessions(), load=self._measure_load()
            ),
            started,
        )
        self._unanswered.append(attempt)
        answer, written = await self._store.update(attempt.record, timeout=self._timings.request_timeout)
        self._observe_latency(answer, self._clock.boottime() - started)
        outcome = verdict.judge_answer(answer, self._age(), self._timings)
        if outcome is Verdict.RENEWED:
            if written is None:  # what came back is not a connector's Lease: the next renewal meets a conflict
                return Verdict.RETRY
            self._accept(written, started)
            self._last_told = outcome
            return outcome
        if outcome is not self._last_told:  # an outage is told when it gets worse, not once a second
            _log.warning("lease.not_renewed", answer=answer.value, verdict=outcome.value, age=round(self._age(), 2))
        self._last_told = outcome
        return await self._read_back() if outcome is Verdict.READ_BACK else outcome

    async def _read_back(self) -> Verdict:
        answer, found = await self._store.read(self._record.name, timeout=self._timings.request_timeout)
        if answer not in (Answer.ACCEPTED, Answer.MISSING):
            return Verdict.RETRY  # the next renewal meets the same conflict and reads again; the age goes on counting
        outcome, known = verdict.judge_read_back(found, self._unanswered)
        if known is not None and found is not None:
            _log.info("lease.own_write_found", lease=self._record.name)
            self._accept(found, known.started)
            return verdict.judge_own_write(self._age(), self._timings)
        return outcome

    def _accept(self, written: LeaseRecord, started: float) -> None:
        self._record = written
        self._unanswered.clear()
        self._tenure.renewed_at = started
        self._changed.set()

    async def _watch_the_age(self) -> None:
        acted: Verdict = Verdict.RETRY
        while not self._end.done():
            self._changed.clear()
            due = verdict.judge_age(self._age(), self._timings)
            if due is Verdict.RETRY and not self._tenure.fenced:
                acted = Verdict.RETRY
            if due is not Verdict.RETRY and not self._tenure.fenced:
                self._soft_fence()
                acted = Verdict.SOFT_FENCE
            if due is Verdict.HARD_FENCE and acted is not Verdict.HARD_FENCE:
                acted = Verdict.HARD_FENCE
                await self._hard_fence()
            await self._wait(self._changed, self._until_next_fence())

    def _until_next_fence(self) -> float:
        age = self._age()
        for fence in (self._timings.soft_fence, verdict.kill_after(self._timings)):
            if age < fence:
                return fence - age
        return self._timings.renew_period

    def _soft_fence(self) -> None:
        _log.error("lease.soft_fence", lease=self._record.name, age=round(self._age(), 2))
        self._tenure.fenced = True
        self._follower.lease_soft_fenced()

    async def _hard_fence(self) -> None:
        _log.error("lease.hard_fence", lease=self._record.name, engines=len(self._engines))
        self._engines.kill_all()
        left = verdict.supervisor_deadline(self._timings, self._tenure.renewed_at or 0.0) - self._clock.boottime()
        if not await self._engines.confirm_dead(max(left, 0.0)):
            # Nothing more can be done here: the kernel ends this process at the supervisor's deadline.
            _log.critical("lease.engines_not_confirmed_dead", engines=len(self._engines))

    def _resume(self) -> None:
        _log.info("lease.resumed", lease=self._record.name)
        self._tenure.fenced = False
        self._changed.set()
        self._follower.lease_resumed()

    def _revoke(self) -> None:
        _log.error("lease.revoked", lease=self._record.name, boot=self._record.boot_id)
        self._tenure.revoked = True
        self._engines.kill_all()
        self._finish(KeeperEnd.REVOKED)

    def _finish(self, end: KeeperEnd) -> None:
        if not self._end.done():
            self._end.set_result(end)

    def _age(self) -> float:
        return math.inf if self._tenure.renewed_at is None else self._clock.boottime() - self._tenure.renewed_at

    @staticmethod
    async def _wait(event: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
