"""Fleets and pools for measurements."""

import math
import os
import secrets
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psutil

from bench.harness import Figure
from bench.workers import Worker, is_engine
from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member, members
from whatsam_local.driver.kubectl import pool_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch

_GROUP = 10
"""Sessions that are paired at the same time."""

MERGED = 300.0
"""Seconds in which small engine processes are merged: 60 until their sessions have settled, then a round a minute."""

SPARES = {Engine.NEONIZE: 1, Engine.WHATSMEOW: 0}
"""Processes that wait beside those with sessions: the program in Go is there in milliseconds."""


def engines() -> tuple[Engine, ...]:
    """The engines that are measured, side by side in one run. BENCH_ENGINES chooses fewer."""
    chosen = os.environ.get("BENCH_ENGINES", " ".join(Engine))
    return tuple(Engine(name) for name in chosen.split())


def named(engine: Engine, figures: Sequence[Figure]) -> list[Figure]:
    """Figures of an engine: those of the default have plain names, those of the other one its name in front."""
    if engine is Engine.NEONIZE:
        return list(figures)
    return [replace(figure, name=f"{engine}_{figure.name}") for figure in figures]


@contextmanager
def bench_fleet(cluster: RunningCluster, sessions: int, workers: int, **spec: Any) -> Generator[Fleet]:
    """A pool of its own and sessions that are not applied yet; all of it is deleted at the end.

    `spec`: more of the pool's spec, such as `engine` and `cohortSize`.
    """
    run = secrets.token_hex(2)
    pool = f"bench-{run}"
    first = 491_570_000_000 + secrets.randbelow(80_000) * 100
    cluster.kubectl.apply(pool_manifest(pool, workers, **{"sessionsPerWorker": max(100, sessions), **spec}))

    def ready() -> bool:
        return cluster.kubectl.json("get", "wp", pool).get("status", {}).get("readyReplicas", 0) == workers

    eventually(ready, 60, f"{workers} workers of {pool} ready")
    with _administrator(cluster) as rest, cluster.simulator() as simulator, SessionWatch(cluster.kubectl) as watch:
        fleet = Fleet(
            kubectl=cluster.kubectl,
            rest=rest,
            simulator=simulator,
            watch=watch,
            members=members(f"bench-{run}", sessions, first),
            pool=pool,
        )
        try:
            yield fleet
        finally:
            cluster.kubectl.run("delete", "was", *fleet.names, "--ignore-not-found", "--timeout=240s", timeout=300)
            cluster.kubectl.run("delete", "wp", pool, "--timeout=60s", timeout=90)


def part_of(fleet: Fleet, members: Sequence[Member]) -> Fleet:
    """A fleet of some members only."""
    return Fleet(
        kubectl=fleet.kubectl,
        rest=fleet.rest,
        simulator=fleet.simulator,
        watch=fleet.watch,
        members=list(members),
        pool=fleet.pool,
    )


def pair_in_groups(fleet: Fleet, members: Sequence[Member] | None = None) -> None:
    """Pair a few at a time: a pairing makes 812 keys, and two cores can do only so many side by side."""
    wanted = fleet.members if members is None else members
    for first in range(0, len(wanted), _GROUP):
        part_of(fleet, wanted[first : first + _GROUP]).pair(120, 120)


def holder_of(fleet: Fleet, names: Sequence[str]) -> str:
    """The worker that holds most of these sessions."""
    held = Counter(
        assignment.worker for name in names if (assignment := fleet.state(name).status.assignment) is not None
    )
    return held.most_common(1)[0][0]


def restart_worker(cluster: RunningCluster, fleet: Fleet, names: Sequence[str] | None = None) -> None:
    """Kill the worker of these sessions and wait until they are all connected: restored sessions share engines.

    Its pod goes as well: a container that ends again and again is started later each time.
    """
    wanted = list(fleet.names if names is None else names)
    epochs = {name: fleet.state(name).status.epoch for name in wanted}
    worker = holder_of(fleet, wanted)
    cluster.signal(worker, "KILL")
    cluster.kubectl.run("delete", "pod", worker, "--wait=false")
    fleet.watch.wait_phase_after(wanted, Phase.CONNECTED, epochs, 180)


def wait_until_merged(worker: Worker, sessions: int, cohort: int, spares: int) -> None:
    """Wait until so many sessions share as few engine processes as they can, spares beside. Raises `WaitedTooLong`."""
    fewest = math.ceil(sessions / cohort)
    eventually(lambda: len(worker.engines()) <= fewest + spares, MERGED, f"{sessions} sessions in {fewest} processes")


def _administrator(cluster: RunningCluster) -> WhatsamClient:
    """Somebody whose sessions and messages no tier limits."""
    environment = cluster.environment
    client = WhatsamClient(
        environment["WHATSAM_API_URL"], environment["WHATSAM_ADMIN_EMAIL"], environment["WHATSAM_ADMIN_PASSWORD"]
    )
    client.call("GET", "/sessions", limit=1)
    return client


def engine_memory(cluster: RunningCluster) -> list[float]:
    """Private memory (USS) and PSS of all engine processes of this cluster: `[uss, pss]` in MiB."""
    total_uss = total_pss = 0
    for process in psutil.Process(cluster.supervisor_pid).children(recursive=True):
        if not is_engine(process):
            continue
        try:
            memory = process.memory_full_info()
        except psutil.NoSuchProcess:
            continue
        total_uss, total_pss = total_uss + memory.uss, total_pss + memory.pss
    return [total_uss / 2**20, total_pss / 2**20]
