"""What the end-to-end tests stand on: one pool of three workers, ten sessions, a tenant, phones and contacts.

Only kubectl, REST and the simulator's control API are used: what a user has.
"""

import secrets
from collections.abc import Iterator

import pytest

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, members
from whatsam_local.driver.kubectl import pool_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

WORKERS = 3
SESSIONS = 10


@pytest.fixture(scope="session")
def running(cluster: RunningCluster) -> RunningCluster:
    """The cluster that the tests drive."""
    return cluster


@pytest.fixture(scope="session")
def simulator(running: RunningCluster) -> Iterator[SimulatorClient]:
    """The simulated phones and contacts."""
    with running.simulator() as client:
        yield client


@pytest.fixture(scope="session")
def watch(running: RunningCluster) -> Iterator[SessionWatch]:
    """A live picture of all sessions."""
    with SessionWatch(running.kubectl) as following:
        yield following


@pytest.fixture(scope="session")
def tenant(running: RunningCluster) -> Iterator[WhatsamClient]:
    """A registered user."""
    with running.user("e2e") as user:
        yield user


def ready_workers(running: RunningCluster, pool: str) -> int:
    """How many workers of the pool take sessions."""
    return running.kubectl.json("get", "wp", pool).get("status", {}).get("readyReplicas", 0)


def apply_pool(running: RunningCluster, name: str, workers: int, **spec: object) -> None:
    """Make a pool and wait until its workers are there."""
    running.kubectl.apply(pool_manifest(name, workers, **spec))
    eventually(lambda: ready_workers(running, name) == workers, 60, f"{workers} workers of {name} ready")


@pytest.fixture(scope="session")
def pool(running: RunningCluster) -> str:
    """A pool of three workers of its own."""
    name = f"e2e-{secrets.token_hex(2)}"
    apply_pool(running, name, WORKERS)
    return name


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


@pytest.fixture(scope="session")
def fleet(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch, pool: str
) -> Fleet:
    """Ten paired and connected sessions in the pool of three workers."""
    ten = make_fleet(running, tenant, simulator, watch, count=SESSIONS, pool=pool)
    ten.pair()
    return ten


@pytest.fixture
def single(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch, pool: str
) -> Fleet:
    """One paired and connected session of a test's own."""
    one = make_fleet(running, tenant, simulator, watch, count=1, pool=pool)
    one.pair()
    return one
