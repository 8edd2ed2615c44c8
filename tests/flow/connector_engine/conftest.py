"""A simulator for all flow tests of engines, and a rig for each."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from connector_engine_rig import Rig

from whatsam_simulator.environment import hook_environment
from whatsam_simulator.process import SimulatorProcess


@pytest.fixture(scope="session")
def engine_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with SimulatorProcess(tmp_path_factory.mktemp("simulator")) as process:
        yield process


@pytest.fixture(scope="session")
def new_number() -> Callable[[], str]:
    """A phone number that no other test of this run has."""
    count = iter(range(1, 10**6))
    return lambda: f"49171{next(count):08d}"


@pytest.fixture
async def rig(engine_simulator: SimulatorProcess, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(engine_simulator.client, hook_environment(engine_simulator.info), tmp_path)
    yield rig
    await rig.close()
    engine_simulator.client.clear_faults()


@pytest.fixture
def rig_environment(engine_simulator: SimulatorProcess) -> dict[str, str]:
    """What sends an engine to the simulator."""
    return hook_environment(engine_simulator.info)
