"""The pool of engine processes on fake processes in virtual time: gathering, healing, sparing, merging."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from connector_virtual import VirtualClock, run, until

from whatsam_connector.supervision import (
    Capabilities,
    Connected,
    EngineEvent,
    EngineExit,
    EngineGone,
    EnginePool,
    EngineSession,
    EngineStartFailed,
    EngineUnresponsive,
    ExitReason,
    MemberEvent,
    MoveReason,
    MoveWanted,
    OutgoingMessage,
    PairingRequest,
    PoolSettings,
    SendResult,
    SessionEngine,
)
from whatsam_connector.supervision.leaks import Usage

SMALL = Usage(10, 10, 70.0)


class FakeProcess:
    """A process that starts its sessions at once. `poison`: it panics as soon as it runs this session."""

    def __init__(self, world: "World", pid: int) -> None:
        self.world = world
        self.pid = pid
        self.capabilities = Capabilities(own_message_ids=False, ack_after_persist=False, passkey=False)
        self.exited: asyncio.Future[EngineExit] = asyncio.get_running_loop().create_future()
        self.sessions: list[str] = []
        self.left: set[str] = set()
        self.hangs = False
        self.on_event: Callable[[EngineEvent], None] = lambda _event: None

    def begin(self, sessions: list[EngineSession], on_event: Callable[[EngineEvent], None]) -> None:
        assert not self.sessions, "sessions cannot be added to a running process"
        running = self.world.where()
        assert not running.keys() & {session.uid for session in sessions}, "a session runs twice"
        self.sessions, self.on_event = [session.uid for session in sessions], on_event
        asyncio.get_running_loop().call_later(0.5, self._connect)

    def _connect(self) -> None:
        for uid in self.sessions:
            if not self.exited.done() and uid not in self.left:
                self.on_event(Connected(uid, "1:1@s.whatsapp.net", None))
        if self.world.poison in self.sessions and self.world.poison not in self.left:
            self.ends(ExitReason.PANIC)

    def ends(self, reason: ExitReason, code: int = -6, *, requested: bool = False) -> None:
        if not self.exited.done():
            self.exited.set_result(EngineExit(code, reason, requested=requested))

    async def arm(self, deadline: float) -> None:
        del deadline

    async def ping(self, timeout: float) -> None:
        if self.hangs:
            await asyncio.sleep(timeout)
            raise EngineUnresponsive("no answer")

    async def send(self, uid: str, message: OutgoingMessage, timeout: float) -> SendResult:
        await asyncio.sleep(timeout)
        return SendResult("3EB0", VirtualClock().now())

    async def call(self, uid: str, method: str, arguments: dict[str, Any], timeout: float | None = None) -> Any:
        raise AssertionError

    async def logout(self, uid: str, timeout: float) -> None:
        raise AssertionError

    async def disconnect(self, uid: str) -> None:
        if self.exited.done():
            raise EngineGone(self.exited.result())
        await asyncio.sleep(3600 if self.hangs else 0.3)
        self.left.add(uid)
        if self.left == set(self.sessions):
            self.ends(ExitReason.CLEAN, 0)

    async def stop(self, grace: float) -> EngineExit:
        await asyncio.sleep(0.3)
        self.ends(ExitReason.CLEAN, 0)
        return await self.exited

    def kill(self, *, hung: bool = False) -> None:
        self.ends(ExitReason.HUNG if hung else ExitReason.KILLED, -9, requested=not hung)


@dataclass
class World:
    """The pool, its processes, and runners that bring every session back, as the real ones do."""

    pool: EnginePool = None  # type: ignore[assignment]  # set by `world`
    processes: list[FakeProcess] = field(default_factory=list[FakeProcess])
    refuse: int = 0
    poison: str | None = None
    usage: Usage = SMALL
    ended: list[EngineExit] = field(default_factory=list[EngineExit])
    moved: list[MoveReason] = field(default_factory=list[MoveReason])
    tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])
    engines: dict[str, SessionEngine] = field(default_factory=dict[str, SessionEngine])
    connections: dict[str, int] = field(default_factory=dict[str, int])

    async def launch(self) -> FakeProcess:
        await asyncio.sleep(0.6)
        if self.refuse:
            self.refuse -= 1
            raise EngineStartFailed("Hung", "the machine is too slow")
        self.processes.append(FakeProcess(self, 100 + len(self.processes)))
        return self.processes[-1]

    def where(self) -> dict[str, int]:
        """Which process runs each session."""
        return {
            uid: process.pid
            for process in self.processes
            if not process.exited.done()
            for uid in process.sessions
            if uid not in process.left
        }

    def run(self, uid: str, pairing: PairingRequest | None = None, *, debug: bool = False) -> None:
        """A runner: starts the session, and starts it again whenever it has ended."""
        self.tasks.add(asyncio.create_task(self._run(uid, pairing, debug=debug)))

    async def _run(self, uid: str, pairing: PairingRequest | None, *, debug: bool) -> None:
        moves: set[asyncio.Task[None]] = set()

        async def move() -> None:
            await self.engines[uid].disconnect(uid)
            await self.engines[uid].stop(4)

        def on_event(event: MemberEvent) -> None:
            if isinstance(event, MoveWanted):
                moves.add(asyncio.create_task(move()))
            elif isinstance(event, Connected):
                self.connections[uid] = self.connections.get(uid, 0) + 1

        while True:
            session = EngineSession(uid, Path(uid), Path(uid), None, pairing, debug=debug)
            self.engines[uid] = await self.pool.start(session, on_event)
            pairing = None
            await self.engines[uid].exited

    async def connected(self, *uids: str, nth: int = 1) -> None:
        await until(lambda: all(self.connections.get(uid, 0) >= nth for uid in uids))


class _Observer:
    def __init__(self, world: World) -> None:
        self._world = world

    def ended(self, ended: EngineExit) -> None:
        self._world.ended.append(ended)

    def replaced(self, reason: MoveReason) -> None:
        self._world.moved.append(reason)


@asynccontextmanager
async def world(**settings: Any) -> AsyncGenerator[World]:
    made = World()
    wanted: dict[str, Any] = {"cohort_size": 8, "spare_from": None, **settings}
    made.pool = EnginePool(
        made.launch,
        PoolSettings(**wanted),
        VirtualClock().monotonic,
        _Observer(made),
        usage=lambda _pid: made.usage,
    )
    running = asyncio.create_task(made.pool.run())
    try:
        yield made
    finally:
        for task in (running, *made.tasks):
            task.cancel()
        await asyncio.wait([running, *made.tasks])


def test_a_large_number_is_cut_into_cohorts() -> None:
    async def story() -> None:
        async with world() as one:
            for number in range(20):
                one.run(f"s{number}")
            await one.connected(*(f"s{number}" for number in range(20)))
            assert one.pool.sizes() == [4, 8, 8]

    run(story())


def test_a_worker_that_restores_its_sessions_one_after_the_other_makes_few_processes() -> None:
    async def story() -> None:
        async with world(cohort_size=50) as one:
            everybody = [f"s{number}" for number in range(40)]
            for uid in everybody:
                one.pool.announce(uid, comes=True)
            for uid in everybody:  # twelve a second: never within the window of those that know of nobody
                await asyncio.sleep(0.08)
                one.run(uid)
            await one.connected(*everybody)
            assert one.pool.sizes() == [40]

    run(story())


def test_a_worker_that_is_given_its_sessions_one_after_the_other_makes_few_processes() -> None:
    async def story() -> None:
        async with world(cohort_size=50, spare_from=8) as one:
            everybody = [f"s{number}" for number in range(60)]
            for uid in everybody:  # nobody knows how many more there are
                await asyncio.sleep(0.08)
                one.run(uid)
            await asyncio.sleep(0.9)
            assert len(one.processes) == 1 + 1  # the second one is the spare, loaded for those that still wait
            await one.connected(*everybody)
            assert one.pool.sizes() == [10, 50]

    run(story())


def test_one_that_does_not_come_holds_the_others_for_a_moment_only() -> None:
    async def story() -> None:
        async with world() as one:
            loop = asyncio.get_running_loop()
            one.pool.announce("stuck", comes=True)
            began = loop.time()
            one.run("a")
            await one.connected("a")
            assert 2.2 < loop.time() - began < 2.5  # the lull, the launch, the login; virtual time
            one.run("b")
            await asyncio.sleep(0.4)
            one.pool.announce("stuck", comes=False)
            began = loop.time()
            await one.connected("b")
            assert loop.time() - began < 2.0  # less than the lull: it is known that nobody comes
            assert one.pool.sizes() == [1, 1]

    run(story())


def test_pairings_and_debugged_sessions_are_alone() -> None:
    async def story() -> None:
        async with world() as one:
            one.run("pairs", PairingRequest("QR"))
            one.run("debugged", debug=True)
            one.run("a")
            one.run("b")
            await one.connected("pairs", "debugged", "a", "b")
            assert one.pool.sizes() == [1, 1, 2]

    run(story())


def test_a_crash_brings_all_back_in_the_spare_at_once() -> None:
    async def story() -> None:
        async with world(spare_from=2) as one:
            for uid in "abc":
                one.run(uid)
            await one.connected(*"abc")
            await until(lambda: len(one.processes) == 2)
            began = asyncio.get_running_loop().time()
            one.processes[0].ends(ExitReason.PANIC)
            await one.connected(*"abc", nth=2)
            assert set(one.where().values()) == {one.processes[1].pid}
            assert asyncio.get_running_loop().time() - began < 0.6  # 0.5 of it is the connecting
            await until(lambda: len(one.processes) == 3)  # another spare

    run(story())


def test_a_poisonous_session_ends_alone_and_the_others_live() -> None:
    async def story() -> None:
        async with world() as one:
            for uid in "abcdefgh":
                one.run(uid)
            await one.connected(*"abcdefgh")
            one.poison = "f"
            one.processes[0].ends(ExitReason.PANIC)
            await until(lambda: one.engines["f"].gone and len(one.where()) >= 7, 30)
            await asyncio.sleep(10)
            crashed = len(one.ended)
            await asyncio.sleep(60)
            lives = {uid: pid for uid, pid in one.where().items() if uid != "f"}
            assert set(lives) == set("abcdegh")
            assert len(set(lives.values())) <= 3  # 4 + 2 + 1
            # From here on it crashes nobody but itself.
            assert len(one.ended) > crashed
            sizes = {pid: list(one.where().values()).count(pid) for pid in set(one.where().values())}
            assert all(sizes[pid] == 1 for uid, pid in one.where().items() if uid == "f")

    run(story())


def test_a_process_that_does_not_answer_is_killed_and_replaced() -> None:
    async def story() -> None:
        async with world() as one:
            one.run("a")
            one.run("b")
            await one.connected("a", "b")
            one.processes[0].hangs = True
            await one.connected("a", "b", nth=2)
            assert [ended.reason for ended in one.ended] == [ExitReason.HUNG]
            assert one.pool.sizes() == [2]

    run(story())


def test_a_session_that_does_not_leave_takes_the_process_and_the_others_come_back_together() -> None:
    async def story() -> None:
        async with world() as one:
            for uid in "abc":
                one.run(uid)
            await one.connected(*"abc")
            one.processes[0].hangs = True
            one.engines["b"].kill()
            await one.connected("a", "c", nth=2)
            assert one.where()["a"] == one.where()["c"]
            assert [ended.reason for ended in one.ended] == [ExitReason.HUNG]

    run(story())


def test_a_kill_of_one_leaves_the_others_where_they_are() -> None:
    async def story() -> None:
        async with world() as one:
            one.run("a")
            one.run("b")
            await one.connected("a", "b")
            one.engines["a"].kill()
            await one.connected("a", nth=2)
            assert one.connections["b"] == 1
            assert one.ended == []

    run(story())


def test_kills_by_a_fence_or_a_runner_are_held_against_nobody() -> None:
    async def story() -> None:
        async with world() as one:
            for uid in "abc":
                one.run(uid)
            await one.connected(*"abc")
            for nth in (2, 3, 4):
                next(process for process in one.processes if not process.exited.done()).kill()
                await one.connected(*"abc", nth=nth)
                assert one.pool.sizes() == [3]
            assert not any(one.pool.suspected(uid) for uid in "abc")

    run(story())


def test_a_leak_is_healed_when_nothing_is_under_way() -> None:
    async def story() -> None:
        async with world() as one:
            one.run("a")
            one.run("b")
            await one.connected("a", "b")
            sending = asyncio.create_task(one.engines["a"].send("a", OutgoingMessage("r", "1@lid", b""), 400.0))
            one.usage = Usage(10, 5000, 70.0)
            await asyncio.sleep(300)
            assert one.moved == []
            await sending
            await one.connected("a", "b", nth=2)
            assert one.moved == [MoveReason.THREADS]
            await asyncio.sleep(500)
            assert one.connections == {"a": 2, "b": 2}  # not again so soon, whatever it holds

    run(story())


def test_sessions_that_come_one_by_one_share_a_process_in_the_end() -> None:
    async def story() -> None:
        async with world() as one:
            for number in range(8):
                one.run(f"s{number}", PairingRequest("QR"))
                await asyncio.sleep(20)
            assert len(one.pool.sizes()) == 8
            await asyncio.sleep(3600)
            assert len(one.pool.sizes()) <= 2
            assert max(one.connections.values()) <= 4  # the first, and one for each doubling

    run(story(), limit=7200.0)


def test_a_machine_that_starts_nothing_fails_all_who_wait_and_nobody_else() -> None:
    async def story() -> None:
        async with world() as one:
            one.refuse = 1
            session = EngineSession("x", Path("x"), Path("x"), None, None)
            with pytest.raises(EngineStartFailed):
                await one.pool.start(session, lambda _event: None)
            assert one.where() == {}
            one.run("x")
            await one.connected("x")

    run(story())


@pytest.mark.parametrize("after", [0.1, 0.5, 0.85])
def test_a_runner_that_gives_up_while_it_waits_leaves_no_session_behind(after: float) -> None:
    async def story() -> None:
        async with world() as one:
            one.run("stays")
            session = EngineSession("x", Path("x"), Path("x"), None, None)
            waiting = asyncio.create_task(one.pool.start(session, lambda _event: None))
            await asyncio.sleep(after)
            waiting.cancel()
            await asyncio.wait([waiting])
            await one.connected("stays")
            await until(lambda: set(one.where()) == {"stays"})

    run(story())


def test_a_closed_pool_keeps_no_spare() -> None:
    async def story() -> None:
        async with world(spare_from=1) as one:
            one.run("a")
            await one.connected("a")
            await until(lambda: len(one.processes) == 2)
            one.pool.close()
            await asyncio.sleep(60)
            assert [process.pid for process in one.processes if not process.exited.done()] == [one.where()["a"]]

    run(story())


def test_a_planned_move_finds_a_process_ready_and_waits_for_no_stranger() -> None:
    async def story() -> None:
        async with world() as one:
            one.pool.announce("stranger", comes=True)
            assert await one.pool.warm("a")
            assert await one.pool.warm("b")
            assert len(one.processes) == 1
            began = asyncio.get_running_loop().time()
            one.run("a")
            one.run("b")
            await one.connected("a", "b")
            assert asyncio.get_running_loop().time() - began < 0.8  # 0.5 of it is the connecting
            assert set(one.where().values()) == {one.processes[0].pid}
            assert len(one.processes) == 1

    run(story())


def test_a_process_that_waited_in_vain_ends() -> None:
    async def story() -> None:
        async with world() as one:
            assert await one.pool.warm("a")
            assert await one.pool.warm("b")
            one.pool.cool("a")
            await asyncio.sleep(1)
            assert not one.processes[0].exited.done()
            one.pool.cool("b")
            await until(one.processes[0].exited.done)

    run(story())
