"""From `kill -9` of a connector's container with 50 sessions to all of them being Connected again.

The node of the local cluster notices an exit a second late, as a real kubelet does. Two workers: the sessions go from
one to the other and back. The pod of the one that was killed goes as well, because a container that ends again and
again is started later each time. BENCH_KILL_SESSIONS (50) and BENCH_KILL_ROUNDS (20) bound it.
"""

import os

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engines, holder_of, named, pair_in_groups
from bench.scenarios.witness import Witness
from whatsam_core import names
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet

ROUNDS = int(os.environ.get("BENCH_KILL_ROUNDS", "20"))
SESSIONS = int(os.environ.get("BENCH_KILL_SESSIONS", "50"))
WORKERS = 2
BACK = 180.0
"""Seconds after which a loss counts as not survived."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a pool of its own."""
    figures: list[Figure] = []
    for engine in engines():
        with bench_fleet(cluster, SESSIONS, WORKERS, engine=engine.value) as fleet:
            figures += named(engine, _killed(cluster, fleet))
    return figures


def _killed(cluster: RunningCluster, fleet: Fleet) -> list[Figure]:
    spare, *_ = _workers(fleet)
    fleet.kubectl.run("annotate", "pod", spare, f"{names.ANNOTATION_CORDON}=true")
    pair_in_groups(fleet)  # all on one worker
    fleet.kubectl.run("annotate", "pod", spare, f"{names.ANNOTATION_CORDON}-")
    fleet.exchange(1, "before")
    witness = Witness(fleet)
    every: list[float] = []
    slowest: list[float] = []
    sizes: list[float] = []
    for _ in range(ROUNDS):
        worker = holder_of(fleet, fleet.names)
        lost, epochs = fleet.on_worker(worker), fleet.epochs()
        killed = fleet.watch.clock()
        cluster.signal(worker, "KILL")
        fleet.watch.wait_phase_after(lost, Phase.CONNECTED, epochs, BACK)
        times = witness.back_after(lost, epochs, killed)
        every += times
        slowest.append(max(times))
        sizes.append(len(lost))
        fleet.kubectl.run("delete", "pod", worker, "--wait=false")
        fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, BACK)
        eventually(lambda gone=worker: gone not in _workers(fleet) and _all_ready(fleet), BACK, "two workers")
        fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, BACK)
    fleet.exchange(1, "after")
    return [
        figure("p50_s", "s", every, goal=3),
        figure("max_s", "s", slowest, goal=6),
        figure("sessions_lost_each", "count", sizes, digits=0),
        *witness.figures(),
    ]


def _workers(fleet: Fleet) -> list[str]:
    pods = fleet.kubectl.json("get", "pods", "-l", f"{names.LABEL_POOL}={fleet.pool}")["items"]
    return [pod["metadata"]["name"] for pod in pods]


def _all_ready(fleet: Fleet) -> bool:
    return fleet.kubectl.json("get", "wp", fleet.pool).get("status", {}).get("readyReplicas", 0) == WORKERS
