"""From `kubectl apply` to a QR code, from the scan to Connected, and what a session costs in memory."""

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engine_memory
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet

ROUNDS = 5
"""Sessions that are paired one after the other."""
TOGETHER = 10
"""Sessions that are applied at once."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """One after the other for the times that a person sees; ten at once for the times under load."""
    to_code: list[float] = []
    to_connected: list[float] = []
    with bench_fleet(cluster, ROUNDS, 2) as fleet:
        for member in fleet.members:
            alone = Fleet(
                kubectl=fleet.kubectl,
                rest=fleet.rest,
                simulator=fleet.simulator,
                watch=fleet.watch,
                members=[member],
                pool=fleet.pool,
            )
            applied = fleet.watch.clock()
            alone.apply()
            to_code.append(fleet.watch.wait_phase([member.name], Phase.PAIRING, 60) - applied)
            scanned = fleet.watch.clock()
            alone.scan()
            to_connected.append(fleet.watch.wait_phase([member.name], Phase.CONNECTED, 60) - scanned)
    with bench_fleet(cluster, TOGETHER, 3) as fleet:
        before = engine_memory(cluster)
        applied = fleet.watch.clock()
        fleet.apply()
        all_codes = fleet.watch.wait_phase(fleet.names, Phase.PAIRING, 60) - applied
        fleet.scan()
        fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, 60)
        fleet.exchange(2, "bench")
        after = engine_memory(cluster)
    return [
        figure("QR code after apply", "s", to_code, goal=3),
        figure("Connected after scan", "s", to_connected, goal=3),
        figure(f"{TOGETHER} QR codes after apply of all", "s", [all_codes], goal=10),
        figure("engine memory per session (private)", "MiB", [(after[0] - before[0]) / TOGETHER], digits=1),
        figure("engine memory per session (PSS)", "MiB", [(after[1] - before[1]) / TOGETHER], digits=1),
    ]
