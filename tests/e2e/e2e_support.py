"""Questions that several end-to-end tests ask."""

import secrets

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, members
from whatsam_local.driver.kubectl import pool_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

WORKERS = 3
SESSIONS = 10


def assert_clean_journal(simulator: SimulatorClient) -> None:
    """No moment with two holders of one device, no used Signal counter, no bad signature."""
    violations = simulator.violations()
    assert violations == [], violations
    assert simulator.counters(reused=True) == []


def devices(fleet: Fleet) -> dict[str, str | None]:
    """The linked device of each session."""
    return {name: fleet.state(name).status.jid for name in fleet.names}


def ready_workers(running: RunningCluster, pool: str) -> int:
    """How many workers of the pool take sessions."""
    return running.kubectl.json("get", "wp", pool).get("status", {}).get("readyReplicas", 0)


_NO_MERGES = {"env": [{"name": "WHATSAM_ENGINE_MERGE", "value": "false"}]}
"""Merging small engine processes is a planned reconnect, minutes after a pairing: tests that count connections cannot
tell it from a fault."""


def apply_pool(running: RunningCluster, name: str, workers: int, **spec: object) -> None:
    """Make a pool that merges no engine processes, and wait until its workers are there."""
    running.kubectl.apply(pool_manifest(name, workers, template=_NO_MERGES, **spec))
    eventually(lambda: ready_workers(running, name) == workers, 60, f"{workers} workers of {name} ready")


def make_fleet(
    running: RunningCluster,
    tenant: WhatsamClient,
    simulator: SimulatorClient,
    watch: SessionWatch,
    *,
    count: int,
    pool: str = "default",
) -> Fleet:
    """Sessions that are not applied yet, with numbers that no other test uses."""
    first = 491_520_000_000 + secrets.randbelow(80_000) * 100
    return Fleet(
        kubectl=running.kubectl,
        rest=tenant,
        simulator=simulator,
        watch=watch,
        members=members(f"e2e-{secrets.token_hex(3)}", count, first),
        pool=pool,
    )
