"""Fleets and pools for measurements."""

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import psutil

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, members
from whatsam_local.driver.kubectl import pool_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch

ENGINE = "whatsam_connector.engine"
"""What the command line of an engine process contains."""


@contextmanager
def bench_fleet(cluster: RunningCluster, sessions: int, workers: int, **spec: Any) -> Generator[Fleet]:
    """A pool of its own and sessions that are not applied yet; all of it is deleted at the end.

    `spec`: more of the pool's spec, such as `cohortSize`.
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
            cluster.kubectl.run("delete", "was", *fleet.names, "--ignore-not-found", "--timeout=90s", timeout=120)
            cluster.kubectl.run("delete", "wp", pool, "--timeout=60s", timeout=90)


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
        try:
            if any(ENGINE in word for word in process.cmdline()):
                memory = process.memory_full_info()
                total_uss, total_pss = total_uss + memory.uss, total_pss + memory.pss
        except psutil.NoSuchProcess:
            continue
    return [total_uss / 2**20, total_pss / 2**20]
