"""pytest fixtures: `simulator_process` (one per test session) and `simulator`, its client with clean faults.

Use: `pytest_plugins = ["whatsam_simulator.pytest_plugin"]`. Tests share the process, so each takes numbers of its own
(fixture `number`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.process import SimulatorProcess

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """A simulator on free ports, ended with the test session."""
    with SimulatorProcess(tmp_path_factory.mktemp("simulator")) as process:
        yield process


@pytest.fixture
def simulator(simulator_process: SimulatorProcess) -> Iterator[SimulatorClient]:
    """The client of the control API; faults are cleared after the test."""
    yield simulator_process.client
    simulator_process.client.clear_faults()


@pytest.fixture
def number() -> Callable[[], str]:
    """A phone number that no other test of this session has."""
    return lambda: f"49151{next(_numbers):08d}"
