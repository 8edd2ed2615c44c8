"""A simulation inside the test's own event loop, and raw clients of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from simulator_running import Running

from whatsam_simulator.simulation import Options, Simulation
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.tokens import library_path, read_tokens


@pytest.fixture(scope="session")
def codec() -> Codec:
    """With the real token tables."""
    return Codec(*read_tokens(library_path()))


@pytest.fixture
async def running(tmp_path: Path, codec: Codec) -> AsyncIterator[Running]:
    simulation = Simulation(Options(state=tmp_path / "state"))
    simulation.context.faults.close_delay_seconds = 0.05
    made = Running(simulation, await simulation.start(), codec, [])
    yield made
    for client in made.clients:
        await client.close()
    await simulation.stop()
