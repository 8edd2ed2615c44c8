"""A pool that scales itself with everything real: nobody scans, and no message is lost."""

import itertools
import json
from collections.abc import Iterator

import pytest
from e2e_support import apply_pool, assert_clean_journal, devices, make_fleet, ready_workers

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

POOL = "e2e-scaling"


@pytest.fixture
def growing(running: RunningCluster) -> Iterator[str]:
    """One worker with two places; a second one when they are not enough."""
    scale = {"enabled": True, "minReplicas": 1, "maxReplicas": 2, "targetUtilization": 100}
    apply_pool(running, POOL, 1, sessionsPerWorker=2, autoscaling={**scale, "scaleDownStabilization": 5})
    yield POOL
    running.kubectl.run("delete", "was", f"--field-selector=spec.poolRef.name={POOL}", "--timeout=120s", timeout=150)
    running.kubectl.run("delete", "wp", POOL, "--timeout=60s", timeout=90)


def test_a_pool_follows_its_sessions_up_and_down(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch, growing: str
) -> None:
    three = make_fleet(running, tenant, simulator, watch, count=3, pool=growing)
    three.apply()
    eventually(lambda: ready_workers(running, growing) == 2, 120, "two workers for three sessions")
    three.pair()
    three.exchange(2, "two workers")
    paired, epochs = devices(three), three.epochs()

    fuller, _ = three.workers().most_common(1)[0]
    stopped = three.on_worker(fuller)[0]  # one stays on each: somebody has to move
    stop = json.dumps({"spec": {"desiredState": "Stopped"}})
    running.kubectl.run("patch", "was", stopped, "--type=merge", "-p", stop)
    staying = [member for member in three.members if member.name != stopped]

    rounds = itertools.count()

    def shrunk() -> bool:
        label = f"meanwhile {next(rounds)}"
        three.send(1, label, staying)
        three.say(1, label, staying)
        pool = running.kubectl.json("get", "wp", growing)
        return pool["spec"]["replicas"] == 1 and [one["state"] for one in pool["status"]["workers"]] == ["Online"]

    eventually(shrunk, 120, "one worker again")
    watch.wait_phase([member.name for member in staying], Phase.CONNECTED, 60)
    three.check_arrived()
    assert sorted(three.workers().values()) == [len(staying)]
    assert all(three.state(member.name).status.epoch <= epochs[member.name] + 1 for member in staying)
    assert devices(three) == paired
    assert_clean_journal(simulator)
