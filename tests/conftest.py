"""Fixtures of every level of tests."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from rich.console import Console

from whatsam_local.driver.borrowed import borrowed_cluster
from whatsam_local.driver.cluster import RunningCluster

_LIVE = {"cluster", "e2e", "faults"}
"""Folders below `tests/` whose tests need a cluster."""


@pytest.fixture(autouse=True)
def _logging_as_found() -> Iterator[None]:
    """A test that configures logging, as a program does at its start, leaves nothing of it to the next one."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.configure(**configuration)


@pytest.fixture(scope="session")
def cluster() -> Iterator[RunningCluster]:
    """The local cluster: the running one, or one that is started now and ended after the last test."""
    with borrowed_cluster(Console(stderr=True, highlight=False)) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _cluster_of_live_tests(request: pytest.FixtureRequest) -> None:
    """Live tests find a cluster, whether they ask for the fixture or only for kubectl."""
    root = Path(__file__).parent
    folders = {item.path.relative_to(root).parts[0] for item in request.session.items}
    if folders & _LIVE:
        running: RunningCluster = request.getfixturevalue("cluster")
        # In place of whatever the caller's shell says: tests must never reach somebody's genuine cluster.
        os.environ["KUBECONFIG"] = str(running.layout.kubeconfig)
