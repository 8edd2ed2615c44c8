"""Sessions that share an engine process: its death ends all of them for a moment, one that leaves disturbs nobody."""

import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from e2e_support import apply_pool, assert_clean_journal, devices, make_fleet

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(240)]

SESSIONS = 8
ENGINE = "whatsam_connector.engine"


@pytest.fixture(scope="module")
def crew(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch
) -> Iterator[Fleet]:
    """Eight sessions on one worker that share engine processes: paired, then started together on a new worker."""
    pool = f"e2e-crew-{secrets.token_hex(2)}"
    apply_pool(running, pool, 1, cohortSize=SESSIONS)
    fleet = make_fleet(running, tenant, simulator, watch, count=SESSIONS, pool=pool)
    fleet.pair()
    (worker,) = fleet.workers()
    epochs = fleet.epochs()
    running.signal(worker, "KILL")
    watch.wait_phase_after(fleet.names, Phase.CONNECTED, epochs, 60)
    yield fleet
    running.kubectl.run("delete", "was", *fleet.names, "--timeout=120s", timeout=150)
    running.kubectl.run("delete", "wp", pool, "--timeout=60s", timeout=90)


def engines(running: RunningCluster, fleet: Fleet) -> dict[psutil.Process, int]:
    """Engine processes of the fleet's worker, each with the number of sessions whose files it has open."""
    (worker,) = fleet.workers()
    found: dict[psutil.Process, int] = {}
    for process in psutil.Process(running.supervisor_pid).children(recursive=True):
        try:
            supervisor = process.parent()
            if supervisor is None or ENGINE not in process.cmdline():
                continue
            if supervisor.environ().get("WHATSAM_POD_NAME") == worker:
                found[process] = len(_session_files(process.pid))
        except psutil.Error:
            continue
    return {process: sessions for process, sessions in found.items() if sessions}


def _session_files(pid: int) -> set[str]:
    """Databases that the process has open, by their path inside its pod."""
    opened: set[str] = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.endswith("/session.db"):
                opened.add(target)
    return opened


def _want(running: RunningCluster, name: str, state: str) -> None:
    running.kubectl.run("patch", "was", name, "--type=merge", "-p", json.dumps({"spec": {"desiredState": state}}))


def test_an_engine_of_several_sessions_dies_and_all_come_back(
    crew: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    before = devices(crew)
    held = engines(running, crew)
    assert len(held) < SESSIONS, "sessions that start together share a process"
    fullest = max(held, key=lambda process: held[process])
    assert held[fullest] > 1
    epochs = crew.epochs()
    fullest.kill()
    eventually(lambda: not fullest.is_running() or fullest.status() == "zombie", 10, "it is dead")
    crew.exchange(2, "after the engine's death")
    assert crew.epochs() == epochs, "the worker heals itself; nothing is assigned anew"
    assert devices(crew) == before
    assert_clean_journal(simulator)


def test_a_session_that_stops_leaves_the_others_connected(
    crew: Fleet, running: RunningCluster, simulator: SimulatorClient, watch: SessionWatch
) -> None:
    leaver, others = crew.members[0], crew.members[1:]
    phones = {member.phone for member in others}

    def connections() -> set[str]:
        return {
            holder.connection
            for holder in simulator.holders()
            if holder.until is None and holder.device.partition(":")[0] in phones
        }

    before = connections()
    _want(running, leaver.name, "Stopped")
    watch.wait_phase([leaver.name], Phase.DISCONNECTED, 30)
    assert connections() == before
    crew.send(1, "while one is away", others)
    _want(running, leaver.name, "Running")
    watch.wait_phase([leaver.name], Phase.CONNECTED, 30)
    crew.exchange(1, "with everybody")
    assert_clean_journal(simulator)
