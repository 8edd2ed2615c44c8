"""Pools choose their engine: the one in Go does the whole job, and a pool goes from one to the other and back."""

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from e2e_support import apply_pool, assert_clean_journal, devices, make_fleet

from whatsam_core import names
from whatsam_core.lease import LeaseState
from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SESSIONS = 3
RESUMED = 60.0
"""Seconds within which all sessions must be back."""
ROLLED = 120.0
"""Seconds within which a pool of two workers has others, one after the other."""

MakeFleet = Callable[[Engine], Fleet]


@pytest.fixture
def fleet_with(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch
) -> Iterator[MakeFleet]:
    """Makes three paired sessions in a pool of two workers that has this engine; all of it is deleted at the end."""
    made: list[Fleet] = []

    def make(engine: Engine) -> Fleet:
        pool = f"e2e-{engine}-{secrets.token_hex(2)}"
        apply_pool(running, pool, 2, engine=engine.value)
        fleet = make_fleet(running, tenant, simulator, watch, count=SESSIONS, pool=pool)
        made.append(fleet)
        fleet.pair()
        return fleet

    yield make
    for fleet in made:
        running.kubectl.run("delete", "was", *fleet.names, "--ignore-not-found", "--timeout=120s", timeout=150)
        running.kubectl.run("delete", "wp", fleet.pool, "--ignore-not-found", "--timeout=60s", timeout=90)


def engines(running: RunningCluster, fleet: Fleet) -> dict[str, str]:
    """The engine of each session, as the Lease of the worker that holds it tells: `whatsmeow-1.0.0+…`."""
    leases = running.kubectl.json("get", "lease", f"--selector={names.LABEL_POOL}={fleet.pool}")["items"]
    told = {
        lease["metadata"]["annotations"][names.LEASE_POD_NAME]: lease["metadata"]["annotations"]
        for lease in leases
        if lease["metadata"]["annotations"][names.LEASE_STATE] == LeaseState.ACTIVE
    }
    return {
        name: told[worker][names.LEASE_ENGINE_VERSION]
        for worker in fleet.workers()
        if worker in told
        for name in fleet.on_worker(worker)
    }


def all_run(running: RunningCluster, fleet: Fleet, engine: Engine) -> bool:
    """Whether every session is held by a worker with this engine."""
    found = engines(running, fleet)
    return len(found) == SESSIONS and all(version.startswith(f"{engine}-") for version in found.values())


def test_the_engine_in_go_does_the_main_job(
    fleet_with: MakeFleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    fleet = fleet_with(Engine.WHATSMEOW)
    assert all_run(running, fleet, Engine.WHATSMEOW)
    fleet.exchange(5, "first")

    worker, _ = fleet.workers().most_common(1)[0]
    moved, paired, epochs = fleet.on_worker(worker), devices(fleet), fleet.epochs()
    fleet.say(3, "before the kill")
    running.signal(worker, "KILL", everything=True)
    fleet.say(3, "while nobody is there")
    fleet.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, RESUMED)
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, RESUMED)

    assert devices(fleet) == paired, "nobody has scanned anything again"
    assert all_run(running, fleet, Engine.WHATSMEOW)
    fleet.exchange(5, "after the kill")
    assert_clean_journal(simulator)


def test_a_pool_changes_its_engine_and_back(
    fleet_with: MakeFleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    fleet = fleet_with(Engine.NEONIZE)
    assert all_run(running, fleet, Engine.NEONIZE)
    paired = devices(fleet)
    fleet.exchange(3, "before")

    for engine in (Engine.WHATSMEOW, Engine.NEONIZE):
        patch = json.dumps({"spec": {"engine": engine.value}})
        running.kubectl.run("patch", "wp", fleet.pool, "--type=merge", "-p", patch)
        # Both ways go on while workers are replaced under them.
        with ThreadPoolExecutor(2) as talking:
            ways = [talking.submit(way, 20, f"towards {engine}") for way in (fleet.send, fleet.say)]
            eventually(lambda e=engine: all_run(running, fleet, e), ROLLED, f"every session runs in {engine}")
            for way in ways:
                way.result()
        fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, RESUMED)
        assert devices(fleet) == paired, "nobody has scanned anything again"
        fleet.exchange(3, f"in {engine}")
    assert_clean_journal(simulator)
