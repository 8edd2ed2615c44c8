"""Planned moves with everything real: nobody scans, nobody waits for long, nothing is lost or sent twice."""

import json
from collections.abc import Iterator

import pytest
from e2e_support import apply_pool, assert_clean_journal, devices, make_fleet, ready_workers

from whatsam_core import names
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WORKERS = 3
SESSIONS = 6
MOVED = 60.0
"""Seconds within which moves must be over; the real figures are in the benchmarks."""


@pytest.fixture(scope="module")
def own_pool(running: RunningCluster) -> Iterator[str]:
    """A pool of three workers that no other test disturbs."""
    name = "e2e-moves"
    apply_pool(running, name, WORKERS)
    yield name
    selector = f"--field-selector=spec.poolRef.name={name}"
    running.kubectl.run("delete", "was", selector, "--timeout=120s", timeout=150)
    running.kubectl.run("delete", "wp", name, "--timeout=60s", timeout=90)


@pytest.fixture(scope="module")
def movers(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch, own_pool: str
) -> Fleet:
    """Six paired and connected sessions."""
    six = make_fleet(running, tenant, simulator, watch, count=SESSIONS, pool=own_pool)
    six.pair()
    return six


@pytest.fixture(autouse=True)
def at_rest(running: RunningCluster, movers: Fleet) -> None:
    """Each test begins with all workers ready, all sessions connected, and nobody on the move."""

    def quiet() -> bool:
        pods = running.kubectl.json("get", "pods", "-l", f"{names.LABEL_POOL}={movers.pool}")["items"]
        ends = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        moves = any(movers.state(name).status.next is not None for name in movers.names)
        return ready_workers(running, movers.pool) == WORKERS and not ends and not moves

    eventually(quiet, 150, "a quiet pool")
    movers.watch.wait_phase(movers.names, Phase.CONNECTED, MOVED)


def online(running: RunningCluster, fleet: Fleet) -> list[str]:
    workers = running.kubectl.json("get", "wp", fleet.pool)["status"]["workers"]
    return [worker["name"] for worker in workers if worker["state"] == "Online"]


def migrate(running: RunningCluster, session: str, worker: str) -> None:
    running.kubectl.run("annotate", "was", session, f"{names.ANNOTATION_MIGRATE_TO}={worker}", "--overwrite")


def elsewhere(running: RunningCluster, fleet: Fleet, session: str) -> str:
    holder = fleet.state(session).status.assignment
    assert holder is not None
    return next(worker for worker in online(running, fleet) if worker != holder.worker)


def was_named(fleet: Fleet, session: str, epoch: int) -> bool:
    """Whether a successor was ready before the session got its next epoch."""
    return any(
        seen.session.status.epoch == epoch
        and seen.session.status.next is not None
        and seen.session.status.next.prepared_at is not None
        for seen in fleet.watch.states(session)
    )


def test_a_session_goes_where_somebody_wants_it(
    movers: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    paired, epochs, name = devices(movers), movers.epochs(), movers.names[0]
    target = elsewhere(running, movers, name)

    migrate(running, name, target)
    movers.send(5, "while it moves")

    movers.watch.wait_phase_after([name], Phase.CONNECTED, epochs, MOVED)
    status = movers.state(name).status
    assert status.assignment is not None
    assert status.assignment.worker == target
    assert status.epoch == epochs[name] + 1
    assert was_named(movers, name, epochs[name])
    assert devices(movers) == paired
    movers.exchange(3, "migrated")
    eventually(
        lambda: names.ANNOTATION_MIGRATE_TO not in movers.state(name).metadata.annotations, 10, "the wish is fulfilled"
    )
    assert_clean_journal(simulator)


def test_an_eviction_moves_each_session_once_to_one_that_is_ready(
    movers: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    worker, _ = movers.workers().most_common(1)[0]
    moved, paired, epochs = movers.on_worker(worker), devices(movers), movers.epochs()
    namespace = running.kubectl.json("get", "pod", worker)["metadata"]["namespace"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": worker, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{worker}/eviction"

    running.kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    movers.send(5, "while they move")

    movers.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, MOVED)
    for name in movers.names:
        assert movers.state(name).status.epoch == epochs[name] + (1 if name in moved else 0)
        assert was_named(movers, name, epochs[name]) == (name in moved)
    assert devices(movers) == paired
    movers.exchange(3, "evicted")
    assert_clean_journal(simulator)


def test_a_rollout_under_traffic_moves_each_session_once(
    movers: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    paired, epochs, before = devices(movers), movers.epochs(), set(online(running, movers))

    running.kubectl.run("rollout", "restart", f"deployment/{movers.pool}")
    for number in range(5):
        movers.send(2, f"rollout {number}")
        movers.say(2, f"rollout {number}")
    running.kubectl.run("rollout", "status", f"deployment/{movers.pool}", "--timeout=150s", timeout=170)

    movers.watch.wait_phase_after(movers.names, Phase.CONNECTED, epochs, MOVED)
    movers.check_arrived()
    assert {name: movers.state(name).status.epoch - epochs[name] for name in movers.names} == dict.fromkeys(
        movers.names, 1
    )
    assert not before & set(movers.workers())
    assert devices(movers) == paired
    movers.exchange(3, "rolled out")
    assert_clean_journal(simulator)


def test_a_session_stays_where_it_is_when_its_successor_dies(
    movers: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    paired, name = devices(movers), movers.names[0]
    target = elsewhere(running, movers, name)
    others, epochs = movers.on_worker(target), movers.epochs()

    # A successor that is frozen prepares nothing; then it dies.
    running.signal(target, "STOP", everything=True)
    migrate(running, name, target)
    running.signal(target, "KILL")

    movers.watch.wait_phase_after(others, Phase.CONNECTED, epochs, MOVED)
    movers.watch.wait_phase(movers.names, Phase.CONNECTED, MOVED)
    movers.exchange(3, "the successor is dead")
    assert devices(movers) == paired
    assert_clean_journal(simulator)


def test_the_sessions_of_a_holder_that_dies_in_the_middle_go_on(
    movers: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    worker, _ = movers.workers().most_common(1)[0]
    moved, paired, epochs = movers.on_worker(worker), devices(movers), movers.epochs()

    running.kubectl.run("delete", "pod", worker, "--wait=false")

    def on_the_move() -> bool:
        return any(
            seen.session.status.epoch == epochs[one] and seen.session.status.next is not None
            for one in moved
            for seen in movers.watch.states(one)
        )

    movers.watch.wait("a successor is named", on_the_move, 30)
    running.signal(worker, "KILL")

    movers.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, MOVED)
    movers.exchange(3, "the holder is dead")
    assert devices(movers) == paired
    assert_clean_journal(simulator)


def test_a_worker_gives_all_away_and_stays(movers: Fleet, running: RunningCluster, simulator: SimulatorClient) -> None:
    worker, _ = movers.workers().most_common(1)[0]
    moved, epochs = movers.on_worker(worker), movers.epochs()

    running.kubectl.run("annotate", "pod", worker, f"{names.ANNOTATION_CORDON}=drain")
    try:
        movers.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, MOVED)
        assert movers.on_worker(worker) == []
        movers.exchange(3, "given away")
    finally:
        running.kubectl.run("annotate", "pod", worker, f"{names.ANNOTATION_CORDON}-")
    assert_clean_journal(simulator)
