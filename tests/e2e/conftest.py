"""What the end-to-end tests stand on: one pool of three workers, ten sessions, a tenant, phones and contacts.

Only kubectl, REST and the simulator's control API are used: what a user has.
"""

import secrets
from collections.abc import Iterator

import pytest
from e2e_support import SESSIONS, WORKERS, apply_pool, make_fleet

from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient


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


@pytest.fixture(scope="session")
def pool(running: RunningCluster) -> Iterator[str]:
    """A pool of three workers of its own; it and its sessions are deleted at the end."""
    name = f"e2e-{secrets.token_hex(2)}"
    apply_pool(running, name, WORKERS)
    yield name
    selector = f"--field-selector=spec.poolRef.name={name}"
    running.kubectl.run("delete", "was", selector, "--timeout=120s", timeout=150)
    running.kubectl.run("delete", "wp", name, "--timeout=60s", timeout=90)


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
