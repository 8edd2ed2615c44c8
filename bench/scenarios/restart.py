"""From `kill -9` of an engine with 50 sessions (that in Go: with 100, too) to all of them logged in again.

Plain neonize beside it, with 50. The connector halves a cohort that crashes twice within ten minutes, so each round has
a new boot of the connector. Where an engine has a spare, it is there, as in a worker that has run for a minute.
"""

import time
from collections.abc import Sequence

from bench.bare import bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import (
    SPARES,
    bench_fleet,
    engines,
    holder_of,
    named,
    pair_in_groups,
    part_of,
    restart_worker,
)
from bench.workers import Worker
from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient

COMPARED = 50
"""Sessions of the baseline, and of each engine that is compared with it."""
FULL = {Engine.NEONIZE: 50, Engine.WHATSMEOW: 100}
"""Sessions in the one process for which there is a goal."""
GOAL = {Engine.NEONIZE: 2.5, Engine.WHATSMEOW: 1.5}
ROUNDS = 5
TRIES = 4
"""New boots until the sessions share one process."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """Logins are read from the simulator's journal, so the status's own delay does not count."""
    bare = _bare()
    figures: list[Figure] = []
    for engine in engines():
        figures += named(engine, _killed(cluster, engine, bare))
    return [*figures, figure("bare_p50_s", "s", bare)]


def _killed(cluster: RunningCluster, engine: Engine, bare: Sequence[float]) -> list[Figure]:
    full = FULL[engine]
    with bench_fleet(cluster, full, 1, engine=engine.value, cohortSize=full) as fleet:
        first = part_of(fleet, fleet.members[:COMPARED])
        pair_in_groups(first)
        compared, processes = _rounds(cluster, first, engine)
        if full == COMPARED:
            seconds, further = compared, []
        else:
            pair_in_groups(part_of(fleet, fleet.members[COMPARED:]))
            seconds, processes = _rounds(cluster, fleet, engine)
            further = [figure(f"p50_s_{COMPARED}", "s", compared)]
    return [
        figure("p50_s", "s", seconds, goal=GOAL[engine]),
        figure("sessions", "count", [full], digits=0),
        figure("engines_with_sessions", "count", processes, digits=0),
        *further,
        figure("ratio_to_bare_neonize", "", [a / b for a, b in zip(compared, bare, strict=True)]),
    ]


def _rounds(cluster: RunningCluster, fleet: Fleet, engine: Engine) -> tuple[list[float], list[float]]:
    """Seconds until all were back, and how many processes they had, for each round."""
    seconds: list[float] = []
    processes: list[float] = []
    phones, spares = {member.phone for member in fleet.members}, SPARES[engine]
    for _ in range(ROUNDS):
        worker = _together(cluster, fleet, spares)
        serving = worker.serving()
        processes.append(len(serving))
        killed = worker.kill_engines(serving)
        seconds.append(_all_back(fleet.simulator, phones, killed) - killed)
        fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, 60)
        fleet.exchange(1, f"{len(phones)} sessions, round {len(seconds)}")
    return seconds, processes


def _together(cluster: RunningCluster, fleet: Fleet, spares: int) -> Worker:
    """A new boot whose sessions share one process; on a busy machine they may come to be in two, which die together."""
    tries = 0
    while True:
        restart_worker(cluster, fleet)
        worker, tries = Worker(cluster, holder_of(fleet, fleet.names)), tries + 1
        eventually(lambda found=worker: len(found.engines()) >= len(found.serving()) + spares, 30, "the spare")
        if tries == TRIES or len(worker.serving()) == 1:
            return worker


def _bare() -> list[float]:
    with bare_gateway(COMPARED) as gateway:
        phones = set(gateway.phones)
        seconds: list[float] = []
        for _ in range(ROUNDS):
            killed = time.monotonic()
            gateway.kill()
            gateway.start()
            seconds.append(_all_back(gateway.simulator, phones, killed) - killed)
    return seconds


def _all_back(simulator: SimulatorClient, phones: set[str], since: float) -> float:
    """When the last phone's device was logged in on a connection made after `since`, CLOCK_MONOTONIC."""
    found: dict[str, float] = {}

    def there() -> bool:
        for holder in simulator.holders():
            phone = holder.device.partition(":")[0]
            if phone in phones and holder.since_monotonic > since and holder.until is None:
                found[phone] = min(holder.since_monotonic, found.get(phone, holder.since_monotonic))
        return len(found) == len(phones)

    eventually(there, 90, f"{len(phones)} sessions logged in again")
    return max(found.values())
