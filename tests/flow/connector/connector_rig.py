"""A whole connector core on fakes, in virtual time: Lease keeper, watch, runners, outbox."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from connector_fakes import (
    JID,
    EngineRoom,
    FakeAuthState,
    FakeEngine,
    FakeLeases,
    FakeProxies,
    FakeSessions,
    FakeTimer,
)
from connector_rows import FakePreparing, FakeRows
from connector_virtual import START, VirtualClock, until

from whatsam_connector.assignments.plan import Me
from whatsam_connector.assignments.worker import Worker
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.keeper import KeeperEnd, LeaseKeeper
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.messages.mailroom import Mailroom
from whatsam_connector.messages.waiters import Waiters
from whatsam_connector.sessions.ports import SessionPlaces
from whatsam_connector.sessions.runner import RunnerTools, SessionRunner
from whatsam_connector.sessions.timings import SessionTimings
from whatsam_connector.state import PrepareOutcome
from whatsam_connector.supervision import Connected, EngineSession, MemberEvent, OfflineDrained, Paired, QrShown
from whatsam_core.lease import LeaseRecord, LeaseState, LeaseTimings
from whatsam_core.resources.session import Phase, WhatsAppSession

UID = "uid-s1"


@dataclass
class Rig:
    """A running connector core and the world around it."""

    leases: FakeLeases
    timer: FakeTimer
    sessions: FakeSessions
    state: FakeAuthState
    rows: FakeRows
    room: EngineRoom
    tenure: Tenure
    living: LivingEngines
    keeper: LeaseKeeper
    worker: Worker
    keeping: "asyncio.Task[KeeperEnd]"
    waiters: Waiters
    counted: list[str]
    proxies: FakeProxies
    preparing: FakePreparing

    @property
    def status(self) -> WhatsAppSession:
        return self.sessions.session()

    @property
    def phase(self) -> Phase | None:
        return self.status.status.phase

    async def reaches(self, phase: Phase, limit: float = 60.0) -> None:
        await until(lambda: self.phase is phase, limit)

    async def engine(self, number: int) -> FakeEngine:
        """The engine of this number, once it is there."""
        await until(lambda: len(self.room.engines) >= number)
        return self.room.engines[number - 1]

    def log_in(self, engine: FakeEngine) -> None:
        engine.say(Connected(UID, JID, None))
        engine.say(OfflineDrained(UID, 0))

    async def known_session(self, *, jid: str = JID) -> FakeEngine:
        """A session that was paired before, connected here."""
        self.state.outcome, self.state.jid = PrepareOutcome.RESTORED, jid
        self.sessions.put(jid=jid)
        engine = await self.engine(1)
        self.log_in(engine)
        self.state.store(UID)
        await self.reaches(Phase.CONNECTED)
        return engine

    async def show_code(self) -> FakeEngine:
        """A new session that waits for its scan."""
        self.sessions.put()
        engine = await self.engine(1)
        engine.say(QrShown(UID, "2@secret", START + timedelta(minutes=1)))
        await self.reaches(Phase.PAIRING)
        return engine

    def scan(self, engine: FakeEngine) -> None:
        engine.say(Paired(UID, JID, "1@lid", "491511000001", "Ann"))
        self.log_in(engine)


@asynccontextmanager
async def connector(tmp_path: Path, **timings: float) -> AsyncGenerator[Rig]:
    """A connector that holds its Lease and watches."""
    clock, leases, timer = VirtualClock(), FakeLeases(), FakeTimer()
    tenure = Tenure(LeaseTimings())
    living = LivingEngines(tenure, clock, timer, arm_timeout=2.0)
    sessions, state, rows, room, waiters = FakeSessions(), FakeAuthState(), FakeRows(), EngineRoom(), Waiters()
    counted: list[str] = []
    proxies, preparing = FakeProxies(), FakePreparing()

    def may_work() -> bool:
        return tenure.holds(clock.boottime())

    async def spawn(session: EngineSession, on_event: Callable[[MemberEvent], None]) -> FakeEngine:
        return await living.spawn(lambda deadline: room.start(session, deadline, on_event))

    mailroom = Mailroom(
        rows,
        waiters,
        clock,
        boot="boot1",
        may_work=may_work,
        count_out=counted.append,
        count_in=lambda _kind, _number: None,
        preparing=preparing,
        hurry=state.hurry,
    )
    tools = RunnerTools(
        spawn=spawn,
        auth_state=state,
        mailroom=mailroom,
        objects=sessions,
        proxies=proxies,
        clock=clock,
        timings=SessionTimings(**timings),
        starts=asyncio.Semaphore(8),
        places=lambda uid: SessionPlaces(tmp_path / uid),
        chance=lambda: 0.5,
        warn=sessions.warn,
    )
    worker = Worker(sessions, "pod-1", Me("pod-uid", "boot1"), lambda one, holder: SessionRunner(one, holder, tools))
    state.on_replicated = worker.replicated
    record = LeaseRecord(
        name="default-boot1",
        namespace="whatsam",
        pool="default",
        pod_name="pod-1",
        pod_uid="pod-uid",
        boot_id="boot1",
        endpoint="http://10.0.0.1:8080",
        state=LeaseState.ACTIVE,
        acquired_at=START,
        renewed_at=START,
        duration_seconds=15,
    )
    keeper = LeaseKeeper(
        leases,
        record,
        tenure=tenure,
        engines=living,
        clock=clock,
        follower=worker,
        count_sessions=lambda: len(worker),
    )
    await keeper.acquire()
    keeping, watching = asyncio.create_task(keeper.run()), asyncio.create_task(worker.run())
    ringing = asyncio.create_task(
        mailroom.ring_for_ever(lambda: [runner.key for runner in worker.running()], worker.wake)
    )
    try:
        yield Rig(
            leases,
            timer,
            sessions,
            state,
            rows,
            room,
            tenure,
            living,
            keeper,
            worker,
            keeping,
            waiters,
            counted,
            proxies,
            preparing,
        )
    finally:
        for task in (keeping, watching, ringing):
            task.cancel()
        await asyncio.wait({keeping, watching, ringing})
