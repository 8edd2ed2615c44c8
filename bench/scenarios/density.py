"""What a session costs while nothing happens: memory of everything a worker runs, processor time, and whether it holds.

BENCH_HOLD_MINUTES (10) is how long the 200 sessions must stay connected.
"""

import os
import time

from bench.bare import bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, holder_of, pair_in_groups, restart_worker
from bench.workers import Worker
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet

STEPS = (1, 25, 50, 100)
HELD = 200
COHORT = 50
IDLE = 60.0
"""Seconds over which idle processor time is measured."""
SETTLE = 15.0
"""Seconds after the last login before anything is measured: first bases, prekeys, history."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """One worker that fills up step by step; after each step its sessions are started anew, as after a rollout."""
    figures: list[Figure] = []
    minutes = float(os.environ.get("BENCH_HOLD_MINUTES", "10"))
    with bench_fleet(cluster, HELD, 1, cohortSize=COHORT, sessionsPerWorker=HELD) as fleet:
        paired = 0
        for step in STEPS:
            pair_in_groups(fleet, fleet.members[paired:step])
            paired = step
            names = fleet.names[:step]
            restart_worker(cluster, fleet, names)
            worker = Worker(cluster, holder_of(fleet, names))
            time.sleep(SETTLE)
            figures.append(
                figure(f"mib_per_session_{step}", "MiB", [worker.pss() / step], goal=3 if step == STEPS[-1] else None)
            )
        worker = Worker(cluster, holder_of(fleet, fleet.names[:paired]))
        began, used = time.monotonic(), worker.processor_seconds()
        time.sleep(IDLE)
        share = (worker.processor_seconds() - used) / (time.monotonic() - began)
        figures.append(figure("cpu_percent_per_session", "%", [100 * share / paired], goal=0.05, digits=3))
        pair_in_groups(fleet, fleet.members[paired:])
        restart_worker(cluster, fleet)
        time.sleep(SETTLE)
        figures.append(figure(f"mib_per_session_{HELD}", "MiB", [worker.pss() / HELD]))
        lost = _hold(fleet, minutes)
        figures += [
            figure(f"lost_while_{HELD}_held", "count", [lost], goal=0, digits=0),
            figure("held_minutes", "min", [minutes], digits=1),
        ]
    return figures + _bare()


def _hold(fleet: Fleet, minutes: float) -> int:
    """How many sessions logged in again although nobody did anything."""
    phones = {member.phone for member in fleet.members}
    began = time.monotonic()
    time.sleep(minutes * 60)
    again = {holder.device.partition(":")[0] for holder in fleet.simulator.holders() if holder.since_monotonic > began}
    away = {name for name in fleet.names if fleet.state(name).status.phase is not Phase.CONNECTED}
    return len(again & phones) + len(away)


def _bare() -> list[Figure]:
    """The baseline with 100 sessions, restored once so that no pairing is left in its memory."""
    with bare_gateway(STEPS[-1]) as gateway:
        gateway.kill()
        gateway.start()
        time.sleep(SETTLE)
        memory = gateway.memory() / STEPS[-1]
        began, used = time.monotonic(), gateway.processor_seconds()
        time.sleep(IDLE)
        share = (gateway.processor_seconds() - used) / (time.monotonic() - began)
    return [
        figure("bare_mib_per_session_100", "MiB", [memory]),
        figure("bare_cpu_percent_per_session", "%", [100 * share / STEPS[-1]], digits=3),
    ]
