"""Fixtures that the tests of engines and those of inboxes share; their conftests take them over."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bench.engines import Engines, running_engines
from whatsam_local.programs import engine_with_faulty_files
from whatsam_simulator.environment import hook_environment
from whatsam_simulator.process import SimulatorProcess


@pytest.fixture(scope="session")
def engine_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator")) as process:
        yield process


@pytest.fixture
async def engines(engine_simulator: SimulatorProcess, tmp_path: Path) -> AsyncIterator[Engines]:
    """Processes that are killed and robbed of power."""
    environment = hook_environment(engine_simulator.info)
    async with running_engines(engine_simulator.client, environment, tmp_path / "run") as running:
        yield running


@pytest.fixture(scope="session")
def program() -> list[str]:
    """The engine in Go on a disk that is slow, full or broken where a test says so."""
    return [str(engine_with_faulty_files())]
