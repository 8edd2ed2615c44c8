"""What a session costs while nothing happens: memory of everything a worker runs, processor time, and whether it holds.

Memory is measured when the sessions share as few engine processes as they can. After a restart they start together as
they become ready, and on a busy machine some of them come late; the connector then merges processes by a planned
reconnect. We wait for that, but not longer than `support.MERGED`; `engine_processes_*` says what was measured.

BENCH_HOLD_MINUTES (10) is how long the 200 sessions must stay connected.
"""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime

from bench.bare import bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import (
    SPARES,
    bench_fleet,
    engines,
    holder_of,
    named,
    pair_in_groups,
    restart_worker,
    wait_until_merged,
)
from bench.workers import Worker
from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import WaitedTooLong
from whatsam_local.driver.fleet import Fleet

STEPS = (1, 25, 50, 100)
HELD = 200
COHORT = {Engine.NEONIZE: 50, Engine.WHATSMEOW: 200}
"""Sessions to a process: with the engine in Go all of a worker's."""
MEMORY_GOAL = {Engine.NEONIZE: 3.0, Engine.WHATSMEOW: 1.5}
PROCESSOR_GOAL = {Engine.NEONIZE: 0.05, Engine.WHATSMEOW: 0.02}
IDLE = 60.0
"""Seconds over which idle processor time is measured."""
SETTLE = 35.0
"""Seconds after the last login before anything is measured: first bases, prekeys, history. Heaps are trimmed twice a
minute."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a worker of its own, one after the other; the baseline beside them, once."""
    figures: list[Figure] = []
    for engine in engines():
        figures += named(engine, _filled_up(cluster, engine))
    return figures + _bare()


def _filled_up(cluster: RunningCluster, engine: Engine) -> list[Figure]:
    """One worker that fills up step by step; after each step its sessions are started anew, as after a rollout."""
    figures: list[Figure] = []
    minutes = float(os.environ.get("BENCH_HOLD_MINUTES", "10"))
    spec = {"engine": engine.value, "cohortSize": COHORT[engine], "sessionsPerWorker": HELD}
    with bench_fleet(cluster, HELD, 1, **spec) as fleet:
        paired = 0
        for step in STEPS:
            pair_in_groups(fleet, fleet.members[paired:step])
            paired = step
            names = fleet.names[:step]
            restart_worker(cluster, fleet, names)
            figures += _memory(cluster, fleet, engine, names)
        worker = Worker(cluster, holder_of(fleet, fleet.names[:paired]))
        began, used = time.monotonic(), worker.processor_seconds()
        time.sleep(IDLE)
        share = (worker.processor_seconds() - used) / (time.monotonic() - began)
        figures.append(
            figure("cpu_percent_per_session", "%", [100 * share / paired], goal=PROCESSOR_GOAL[engine], digits=3)
        )
        pair_in_groups(fleet, fleet.members[paired:])
        restart_worker(cluster, fleet)
        figures += _memory(cluster, fleet, engine, fleet.names)
        lost, planned = _hold(cluster, fleet, minutes)
        figures += [
            figure(f"lost_while_{HELD}_held", "count", [lost], goal=0, digits=0),
            figure("planned_reconnects_while_held", "count", [planned], digits=0),
            figure("held_minutes", "min", [minutes], digits=1),
        ]
    return figures


def _memory(cluster: RunningCluster, fleet: Fleet, engine: Engine, names: list[str]) -> list[Figure]:
    """PSS of everything, once the sessions are in few processes and have settled."""
    number, worker = len(names), Worker(cluster, holder_of(fleet, names))
    with suppress(WaitedTooLong):
        wait_until_merged(worker, number, COHORT[engine], SPARES[engine])
    time.sleep(SETTLE)
    goal = MEMORY_GOAL[engine] if number == STEPS[-1] else None
    return [
        figure(f"mib_per_session_{number}", "MiB", [worker.pss() / number], goal=goal),
        figure(f"engine_processes_{number}", "count", [len(worker.engines())], digits=0),
    ]


def _hold(cluster: RunningCluster, fleet: Fleet, minutes: float) -> tuple[int, int]:
    """Logins that nobody meant plus sessions that are away at the end, and reconnects that the connector had planned.

    Each planned one is a login, too; a session that is moved and then lost counts once on either side.
    """
    phones = {member.phone for member in fleet.members}
    pod = holder_of(fleet, fleet.names)
    began, said = time.monotonic(), datetime.now(UTC)
    time.sleep(minutes * 60)
    planned = _planned(cluster.kubectl.run("logs", pod), said)
    logins = sum(
        holder.device.partition(":")[0] in phones and holder.since_monotonic > began
        for holder in fleet.simulator.holders()
    )
    away = sum(fleet.state(name).status.phase is not Phase.CONNECTED for name in fleet.names)
    return max(logins - planned, 0) + away, planned


def _planned(log: str, since: datetime) -> int:
    """Sessions that the connector has moved to other processes since then, by its log."""
    lines = [json.loads(line) for line in log.splitlines() if '"engine.moves"' in line]
    return sum(line["sessions"] for line in lines if datetime.fromisoformat(line["timestamp"]) > since)


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
