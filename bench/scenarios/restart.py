"""From `kill -9` of an engine with 50 sessions to all of them logged in again; plain neonize beside it.

The connector halves a cohort that crashes twice within ten minutes, so each round has a new boot of the connector. Its
spare engine is there, as it is in a worker that has run for a minute.
"""

import time

from bench.bare import bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, holder_of, pair_in_groups, restart_worker, wait_until_merged
from bench.workers import Worker
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_simulator.client import SimulatorClient

SESSIONS = 50
ROUNDS = 5


def measure(cluster: RunningCluster) -> list[Figure]:
    """Logins are read from the simulator's journal, so the status's own delay does not count."""
    ours: list[float] = []
    bare: list[float] = []
    engines: list[float] = []
    with bench_fleet(cluster, SESSIONS, 1, cohortSize=SESSIONS) as fleet:
        pair_in_groups(fleet)
        phones = {member.phone for member in fleet.members}
        for _ in range(ROUNDS):
            restart_worker(cluster, fleet)
            worker = Worker(cluster, holder_of(fleet, fleet.names))
            wait_until_merged(worker, SESSIONS, SESSIONS)
            eventually(lambda found=worker: len(found.engines()) == 2, 30, "the spare")
            busy = max(worker.engines(), key=lambda engine: engine.num_threads())  # two for each session
            engines.append(len(worker.engines()) - 1)
            killed = worker.kill_engines([busy])
            ours.append(_all_back(fleet.simulator, phones, killed) - killed)
            fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, 60)
            fleet.exchange(1, f"round {len(ours)}")
    with bare_gateway(SESSIONS) as gateway:
        phones = set(gateway.phones)
        for _ in range(ROUNDS):
            killed = time.monotonic()
            gateway.kill()
            gateway.start()
            bare.append(_all_back(gateway.simulator, phones, killed) - killed)
    return [
        figure("p50_s", "s", ours, goal=2.5),
        figure("engines_with_sessions", "count", engines, digits=0),
        figure("bare_p50_s", "s", bare),
        figure("ratio_to_bare_neonize", "", [a / b for a, b in zip(ours, bare, strict=True)]),
    ]


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
