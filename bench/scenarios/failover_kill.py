"""From `kill -9` of a connector's container to its sessions being Connected again."""

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster

ROUNDS = 5
SESSIONS = 6
WORKERS = 3


def measure(cluster: RunningCluster) -> list[Figure]:
    """Kill the fullest worker again and again; each session's time, from the kill to Connected in a new epoch."""
    samples: list[float] = []
    slowest: list[float] = []
    with bench_fleet(cluster, SESSIONS, WORKERS) as fleet:
        fleet.pair()
        fleet.exchange(1, "before")
        for round_number in range(ROUNDS):
            worker, _ = fleet.workers().most_common(1)[0]
            lost, epochs = fleet.on_worker(worker), fleet.epochs()
            killed = fleet.watch.clock()
            cluster.signal(worker, "KILL")
            fleet.watch.wait_phase_after(lost, Phase.CONNECTED, epochs, 90)
            times: list[float] = []
            for name in lost:
                epoch = epochs[name]
                back = fleet.watch.first(
                    name,
                    lambda session, old=epoch: session.status.phase is Phase.CONNECTED and session.status.epoch > old,
                    killed,
                )
                times.append((back or fleet.watch.clock()) - killed)
            samples += times
            slowest.append(max(times))
            fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, 60)
            fleet.exchange(1, f"round {round_number}")
        violations = len(fleet.simulator.violations())
    return [
        figure("kill -9 to Connected, each session", "s", samples, goal=5),
        figure("kill -9 to Connected, last session of a worker", "s", slowest, goal=8),
        figure("violations in the simulator's journal", "count", [violations], goal=0, digits=0),
    ]
