"""The Lease keeper and the fences around engines, with a fake API server and in virtual time."""

import asyncio
from pathlib import Path

import pytest
from connector_rig import UID, Rig, connector
from connector_virtual import run, until

from whatsam_connector.assignments.leaving import Patience
from whatsam_connector.lease.keeper import KeeperEnd
from whatsam_connector.supervision import ExitReason
from whatsam_core.lease import LeaseState
from whatsam_core.resources.session import Phase


def now() -> float:
    return asyncio.get_running_loop().time()


def nobody_outlives(rig: Rig, deadline: float) -> None:
    """The law: an engine that lives beyond its hard fence would have been killed by the kernel."""
    if now() > deadline:
        assert rig.room.living == []


def test_engines_are_armed_again_with_every_renewal(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            await asyncio.sleep(300)
            assert not engine.exited.done()
            assert rig.phase is Phase.CONNECTED
            assert rig.timer.deadline is not None
            assert rig.timer.deadline > rig.tenure.engine_deadline()

    run(story())


def test_the_supervisors_timer_sleeps_while_no_engine_lives(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            assert rig.timer.deadline is None
            engine = await rig.known_session()
            assert rig.timer.deadline is not None
            rig.sessions.spec(desiredState="Stopped")
            await until(engine.exited.done)
            assert rig.timer.deadline is None

    run(story())


def test_api_server_away_fences_in_order_and_resumes_in_place(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            renewed = rig.tenure.renewed_at
            assert renewed is not None
            rig.leases.away = rig.sessions.away = True
            await until(lambda: rig.tenure.fenced)
            renewed = rig.tenure.renewed_at
            assert renewed is not None
            assert rig.tenure.timings.soft_fence <= now() - renewed < rig.tenure.timings.hard_fence
            await until(engine.exited.done)
            assert now() < rig.tenure.engine_deadline()
            assert engine.exited.result().reason is ExitReason.CLEAN
            await asyncio.sleep(30)
            assert rig.timer.deadline is None
            assert len(rig.room.engines) == 1
            rig.leases.away = rig.sessions.away = False
            back = now()
            again = await rig.engine(2)
            rig.log_in(again)
            await rig.reaches(Phase.CONNECTED)
            assert now() - back < 10
            assert rig.state.calls.count("prepare 1") == 1
            assert not rig.keeping.done()

    run(story())


def test_an_engine_that_ignores_the_soft_fence_is_dead_before_the_kernel_has_to_act(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            engine.hangs = True
            rig.leases.away = True
            await until(engine.exited.done)
            assert now() < rig.tenure.engine_deadline()
            assert "kill" in engine.calls

    run(story())


def test_a_revoked_lease_kills_everything_and_ends_the_boot(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.leases.revoke()
            assert await rig.keeping is KeeperEnd.REVOKED
            await until(engine.exited.done)
            assert rig.tenure.revoked
            assert not rig.tenure.holds(now())

    run(story())


def test_a_deleted_lease_is_revoked(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.leases.stored = None
            assert await rig.keeping is KeeperEnd.REVOKED

    run(story())


@pytest.mark.parametrize("lost", [1, 2])
def test_lost_answers_to_own_writes_are_no_revocation(tmp_path: Path, lost: int) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            engine = await rig.known_session()
            rig.leases.swallow = lost
            await asyncio.sleep(60)
            assert not rig.keeping.done()
            assert not engine.exited.done()
            assert rig.phase is Phase.CONNECTED

    run(story())


def test_the_answer_to_the_creation_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.leases.stored, rig.leases.swallow = None, 1
            await rig.keeper.acquire()
            assert rig.tenure.renewed_at is not None

    run(story())


def test_draining_and_release_are_told_in_the_lease(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            rig.keeper.drain()
            await rig.worker.hand_over(Patience(named=0.0, last_call=30.0))
            assert await rig.keeper.release(5.0)
            assert await rig.keeping is KeeperEnd.RELEASED
            assert LeaseState.DRAINING in rig.leases.writes
            assert rig.leases.writes[-1] is LeaseState.RELEASED

    run(story())


def test_a_lease_is_never_released_over_a_living_engine(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            await rig.known_session()
            with pytest.raises(RuntimeError, match="no engine lives"):
                await rig.keeper.release(5.0)

    run(story())


def test_no_engine_is_born_while_fenced(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.leases.away = True
            await until(lambda: rig.tenure.fenced)
            rig.sessions.put()
            await asyncio.sleep(60)
            assert rig.room.engines == []
            rig.leases.away = False
            await rig.engine(1)

    run(story())


def test_a_fence_during_a_birth_reaches_the_newborn(tmp_path: Path) -> None:
    async def story() -> None:
        async with connector(tmp_path) as rig:
            rig.leases.away = True
            await asyncio.sleep(9.4)
            rig.sessions.put()
            while not rig.tenure.fenced:
                nobody_outlives(rig, rig.tenure.engine_deadline())
                await asyncio.sleep(0.05)
            await asyncio.sleep(5)
            assert rig.room.living == []
            assert rig.worker.runner(UID) is not None

    run(story())
