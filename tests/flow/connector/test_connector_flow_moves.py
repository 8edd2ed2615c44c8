"""Planned moves on one connector: as the holder that makes way, and as the successor. Fakes, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from connector_fakes import FakeSessions
from connector_rig import UID, Rig, connector
from connector_virtual import VirtualClock, run, until

from whatsam_connector.assignments.leaving import Patience
from whatsam_connector.assignments.plan import Me
from whatsam_connector.assignments.successor import Successor, SuccessorTools
from whatsam_connector.messages.inbox import Inbox
from whatsam_connector.sessions import inputs
from whatsam_connector.sessions.state import Stage
from whatsam_connector.state import PrepareOutcome, Rehearsed, Replicated, SessionIdentity
from whatsam_core.storage.reflector import ReflectEvent

OTHER = {
    "worker": "pod-2",
    "podUID": "pod-2-uid",
    "bootId": "boot2",
    "reason": "Drain",
    "since": "2026-11-22T12:00:00Z",
}
READY = {**OTHER, "preparedAt": "2026-11-22T12:00:01Z"}
PATIENCE = Patience(last_call=40.0)


# --- the holder -------------------------------------------------------------------------------------------------------


def test_a_holder_makes_way_for_a_successor_that_is_ready_and_never_starts_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.put(next=OTHER)
            await asyncio.sleep(20)
            assert rig.room.living == [engine], "one that is not ready is no reason"
            rig.sessions.put(next=READY)
            await until(lambda: rig.status.status.handover is not None, 5)
            assert rig.room.living == []
            assert rig.state.calls[-2:] == ["flush", "release"]
            rig.sessions.put(next=READY)
            await asyncio.sleep(30)
            assert rig.room.engines == [engine]

    run(story())


def test_a_handover_is_one_write(tmp_path: Path) -> None:
    """The operator waits for it, and each write before it costs the session as long as the API server takes."""

    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            await asyncio.sleep(5)
            rig.sessions.put(next=READY)
            before = len(rig.sessions.patches)
            await until(lambda: rig.status.status.handover is not None, 5)
            assert len(rig.sessions.patches) == before + 1

    run(story())


def test_a_holder_whose_state_does_not_reach_the_store_works_on(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.state.away = True
            rig.sessions.put(next=READY)
            await asyncio.sleep(60)
            assert rig.room.living == [engine]
            assert rig.worker.states()[UID].may_send
            rig.state.away = False
            await until(lambda: rig.status.status.handover is not None, 30)

    run(story())


def test_a_holder_whose_received_messages_wait_for_the_database_works_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = True
    monkeypatch.setattr(Inbox, "behind", property(lambda _self: waiting))

    async def story() -> None:
        nonlocal waiting
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.put(next=READY)
            await asyncio.sleep(60)
            assert rig.room.living == [engine]
            waiting = False
            await until(lambda: rig.status.status.handover is not None, 30)

    run(story())


def test_a_holder_works_on_when_its_successor_is_taken_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.state.away = True
            rig.sessions.put(next=READY)
            await until(lambda: rig.worker.states()[UID].giving_way)
            rig.sessions.put(next=None)
            rig.state.away = False
            await asyncio.sleep(60)
            assert rig.room.living == [engine]
            assert rig.status.status.handover is None

    run(story())


def test_a_worker_does_not_start_again_what_it_has_read_to_be_anothers(tmp_path: Path) -> None:
    """Its watch is behind: that shows the session as it was before the handover, which another write has overtaken."""

    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.sessions.silent = True
            rig.worker.runner(UID).push(inputs.Stop(inputs.StopReason.HANDED_OVER))
            await until(lambda: rig.status.status.handover is not None, 5)
            rig.sessions.put(epoch=2, boot="boot2")  # the operator, which the watch does not show either
            rig.worker.runner(UID).behind("somebody writes")
            rig.worker.replicated(UID, Replicated(9, datetime.now(UTC), 1.0, "x"))
            rig.worker.replication_trouble(UID, "Behind")
            await until(lambda: UID not in rig.worker.states(), 20)
            await asyncio.sleep(20)
            assert rig.room.engines == [engine]
            assert UID not in rig.worker.states()
            rig.sessions.silent = False
            rig.sessions.put(epoch=3)
            await until(lambda: len(rig.room.living) == 1, 20)

    run(story())


def test_a_status_writer_is_not_taken_back_by_a_watch_that_is_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            before = rig.sessions.session()
            rig.sessions.annotate("somebody", "writes")
            await until(lambda: rig.worker.runner(UID).object.metadata.version == rig.sessions.version)
            rig.worker.runner(UID).observe(before)
            assert rig.worker.runner(UID).object.metadata.version == rig.sessions.version

    run(story())


async def time_to_let_go(rig: Rig, patience: Patience) -> float:
    began = asyncio.get_running_loop().time()
    await rig.worker.hand_over(patience)
    return asyncio.get_running_loop().time() - began


def test_a_worker_that_ends_waits_for_the_successor(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            letting_go = asyncio.create_task(time_to_let_go(rig, PATIENCE))
            await asyncio.sleep(10)
            rig.sessions.put(next=OTHER)
            await asyncio.sleep(15)
            assert rig.room.living == [engine]
            rig.sessions.put(next=READY)
            assert 25 < await letting_go < 27
            assert rig.status.status.handover is not None

    run(story())


def test_a_worker_that_ends_lets_go_when_nobody_comes(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            assert 15 <= await time_to_let_go(rig, PATIENCE) < 17
            assert rig.status.status.handover is not None

    run(story())


def test_a_worker_that_ends_lets_go_when_its_time_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            rig.sessions.put(next=OTHER)
            assert 40 <= await time_to_let_go(rig, PATIENCE) < 42
            assert rig.status.status.handover is not None

    run(story())


def test_a_pairing_is_not_waited_for(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.show_code()
            assert await time_to_let_go(rig, PATIENCE) < 5

    run(story())


# --- the successor ----------------------------------------------------------------------------------------------------


class NamedSessions(FakeSessions):
    """Sessions that others hold; the watch shows those that name this pod as their successor."""

    async def of_successor(self, pod_name: str) -> AsyncGenerator[ReflectEvent]:
        async for event in self.of_worker(pod_name):
            yield event


@dataclass
class Stand:
    """A successor with fakes around it."""

    sessions: NamedSessions = field(default_factory=NamedSessions)
    outcome: PrepareOutcome = PrepareOutcome.RESTORED
    stages: dict[str, Stage] = field(default_factory=dict)
    warm_fails: bool = False
    broken: bool = False
    calls: list[str] = field(default_factory=list)
    may_work: bool = True

    async def rehearse(self, identity: SessionIdentity, *, epoch: int, boot: str, jid: str | None) -> Rehearsed:
        self.calls.append(f"rehearse {identity.name} {epoch} {boot}")
        await asyncio.sleep(0.1)
        return Rehearsed(self.outcome, "")

    async def forget_rehearsal(self, uid: str) -> None:
        self.calls.append(f"forget {uid}")

    async def warm(self, uid: str) -> bool:
        await asyncio.sleep(0.2)
        if self.broken:
            raise RuntimeError("nobody foresaw this")
        return not self.warm_fails

    def cool(self, uid: str) -> None:
        self.calls.append(f"cool {uid}")

    def name(self, session: str, **changes: Any) -> None:
        mine = {**OTHER, "worker": "pod-9", "podUID": "pod-9-uid", "bootId": "boot9", **changes}
        self.sessions.put(session, epoch=3, jid="49@s.whatsapp.net", next=mine)

    def ready(self, session: str) -> bool:
        successor = self.sessions.session(session).status.next
        return successor is not None and successor.prepared_at is not None

    def arrives(self, session: str) -> None:
        """The holder has let go, and the session starts here."""
        self.stages[f"uid-{session}"] = Stage.CONNECTED
        self.sessions.put(session, epoch=4, boot="boot9", next=None)


@asynccontextmanager
async def successor(round_size: int = 2) -> AsyncGenerator[tuple[Stand, Successor]]:
    stand, clock = Stand(), VirtualClock()
    tools = SuccessorTools(
        source=stand.sessions,
        state=stand,
        engines=stand,
        stages=lambda: stand.stages,
        may_work=lambda: stand.may_work,
        now=clock.now,
        monotonic=clock.monotonic,
        round_size=round_size,
    )
    made = Successor("pod-9", Me("pod-9-uid", "boot9"), tools)
    running = asyncio.create_task(made.run())
    try:
        yield stand, made
    finally:
        running.cancel()
        await asyncio.wait([running])


def test_a_successor_says_that_it_is_ready_when_state_and_engine_are() -> None:
    async def story() -> None:
        async with successor() as (stand, _):
            stand.name("s1")
            await until(lambda: stand.ready("s1"), 3)
            assert stand.calls == ["rehearse s1 4 boot9"]
            assert stand.sessions.patches[0]["status"].keys() == {"next"}
            assert stand.sessions.patches[0]["status"]["next"].keys() == {"preparedAt"}

    run(story())


def test_a_successor_that_is_not_ready_says_nothing_and_tries_again() -> None:
    async def story() -> None:
        async with successor() as (stand, _):
            stand.outcome = PrepareOutcome.UNREACHABLE
            stand.name("s1")
            await asyncio.sleep(5)
            assert not stand.ready("s1")
            stand.outcome, stand.warm_fails = PrepareOutcome.RESTORED, True
            await asyncio.sleep(5)
            assert not stand.ready("s1")
            stand.warm_fails, stand.may_work = False, False
            await asyncio.sleep(5)
            assert not stand.ready("s1"), "without a Lease nobody promises anything"
            stand.may_work = True
            await until(lambda: stand.ready("s1"), 5)

    run(story())


def test_a_preparation_that_breaks_harms_nobody() -> None:
    async def story() -> None:
        async with successor() as (stand, _):
            stand.broken = True
            stand.name("s1")
            await asyncio.sleep(5)
            stand.broken = False
            await until(lambda: stand.ready("s1"), 5)

    run(story())


def test_sessions_come_in_rounds() -> None:
    async def story() -> None:
        async with successor(round_size=2) as (stand, _):
            for number in range(3):
                stand.name(f"s{number}")
            await until(lambda: stand.ready("s0") and stand.ready("s1"), 3)
            await asyncio.sleep(3)
            assert not stand.ready("s2"), "its turn comes when the first two are here"
            stand.arrives("s0")
            stand.arrives("s1")
            await until(lambda: stand.ready("s2"), 3)

    run(story())


def test_one_that_does_not_come_does_not_hold_up_the_others_for_long() -> None:
    async def story() -> None:
        async with successor(round_size=1) as (stand, _):
            stand.name("s0")
            stand.name("s1")
            await until(lambda: stand.ready("s0"), 3)
            await until(lambda: stand.ready("s1"), 12)

    run(story())


def test_what_was_prepared_in_vain_is_let_go() -> None:
    async def story() -> None:
        async with successor() as (stand, _):
            stand.name("s1")
            await until(lambda: stand.ready("s1"), 3)
            stand.sessions.put("s1", epoch=3, next=None)
            await until(lambda: "cool uid-s1" in stand.calls, 10)
            assert "forget uid-s1" in stand.calls

    run(story())


def test_what_names_another_boot_of_this_pod_is_not_prepared() -> None:
    async def story() -> None:
        async with successor() as (stand, made):
            stand.name("s1", bootId="boot8")
            await asyncio.sleep(5)
            assert stand.calls == []
            made.drain()
            stand.name("s2")
            await asyncio.sleep(5)
            assert stand.calls == [], "a boot that ends prepares nothing any more"

    run(story())


def test_a_holder_that_writes_all_the_time_does_not_keep_its_successor_from_the_word() -> None:
    async def story() -> None:
        async with successor() as (stand, _):
            original, tries = stand.sessions.patch_status, 0

            async def busy(name: str, patch: dict[str, Any]) -> Any:
                nonlocal tries
                tries += 1
                if tries < 4:
                    stand.sessions.put(name, epoch=3)
                return await original(name, patch)

            stand.sessions.patch_status = busy  # type: ignore[method-assign]  # somebody is faster three times
            stand.name("s1")
            await until(lambda: stand.ready("s1"), 3)
            assert tries == 4

    run(story())
