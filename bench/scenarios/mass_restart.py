"""All workers of a pool are killed at once: how long until every session is connected again?

The containers restart in place as new boots, and every session is assigned, restored and logged in anew. What counts
for two holders is the simulator's journal.
"""

import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

from bench.harness import Figure, figure
from bench.scenarios.planned_move import overlaps
from bench.scenarios.support import bench_fleet, engines, named, pair_in_groups
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet

SESSIONS = int(os.environ.get("BENCH_MASS_SESSIONS", "200"))
WORKERS = 4
ROUNDS = int(os.environ.get("BENCH_MASS_ROUNDS", "5"))
LONGEST = 300.0
GOAL = 15.0
MOMENT = 1.0
"""Seconds within which logins count as being made together."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a pool of its own."""
    figures: list[Figure] = []
    for engine in engines():
        spec = {"engine": engine.value, "sessionsPerWorker": max(50, SESSIONS // 2)}
        with bench_fleet(cluster, SESSIONS, WORKERS, **spec) as fleet:
            pair_in_groups(fleet)
            figures += named(engine, _killed(cluster, fleet))
    return figures


def _killed(cluster: RunningCluster, fleet: Fleet) -> list[Figure]:
    last: list[float] = []
    each: list[float] = []
    together: list[float] = []
    scans = 0
    for _ in range(ROUNDS):
        workers, epochs = list(fleet.workers()), fleet.epochs()
        devices = {name: fleet.state(name).status.jid for name in fleet.names}
        killed = fleet.watch.clock()
        with ThreadPoolExecutor(len(workers)) as hands:
            list(hands.map(cluster.signal, workers, ["KILL"] * len(workers)))
        fleet.watch.wait_phase_after(fleet.names, Phase.CONNECTED, epochs, LONGEST)
        back: dict[str, float] = {}
        for name in fleet.names:
            seen = fleet.watch.first(
                name,
                lambda session, old=epochs[name]: (
                    session.status.phase is Phase.CONNECTED and session.status.epoch > old
                ),
                killed,
            )
            back[name] = fleet.watch.clock() if seen is None else seen
        each += [at - killed for at in back.values()]
        last.append(max(back.values()) - killed)
        together.append(_most_at_once(fleet, back))
        scans += sum(fleet.state(name).status.jid != devices[name] for name in fleet.names)
        scans += sum(_asked_for_a_scan(fleet, name, killed) for name in fleet.names)
        eventually(lambda: _all_ready(cluster, fleet), 180, "all workers are ready")
    return [
        figure("all_connected_s", "s", last, goal=GOAL),
        figure("each_connected_s", "s", each),
        figure(f"connected_within_{MOMENT:g}_s_on_one_worker", "count", together, digits=0),
        figure("second_scans", "count", [scans], goal=0, digits=0),
        figure("overlapping_holders", "count", [overlaps(fleet)], goal=0, digits=0),
        figure("violations in the simulator's journal", "count", [len(fleet.simulator.violations())], goal=0, digits=0),
    ]


def _most_at_once(fleet: Fleet, back: dict[str, float]) -> int:
    """How many sessions of one worker came back within a moment, at most."""
    by_worker: defaultdict[str, list[float]] = defaultdict(list)
    for name, at in back.items():
        assignment = fleet.state(name).status.assignment
        by_worker["" if assignment is None else assignment.worker].append(at)
    most: Counter[str] = Counter()
    for worker, times in by_worker.items():
        most[worker] = max(sum(at <= other < at + MOMENT for other in times) for at in times)
    return max(most.values())


def _asked_for_a_scan(fleet: Fleet, name: str, since: float) -> bool:
    return any(seen.session.status.phase is Phase.PAIRING for seen in fleet.watch.states(name, since))


def _all_ready(cluster: RunningCluster, fleet: Fleet) -> bool:
    return cluster.kubectl.json("get", "wp", fleet.pool).get("status", {}).get("readyReplicas", 0) == WORKERS
