"""A simulation inside the test's own event loop, and raw clients of it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from simulator_raw_client import RawClient

from whatsam_simulator.simulation import Options, Ports, Simulation
from whatsam_simulator.wire.binary_xml import Codec
from whatsam_simulator.wire.tokens import library_path, read_tokens


@pytest.fixture(scope="session")
def codec() -> Codec:
    """With the real token tables."""
    return Codec(*read_tokens(library_path()))


@dataclass
class Running:
    """A simulation with open sockets."""

    simulation: Simulation
    ports: Ports
    codec: Codec
    clients: list[RawClient]

    def client(self) -> RawClient:
        tls = ssl.create_default_context(cafile=str(self.simulation.ca_file))
        self.clients.append(RawClient(f"http://127.0.0.1:{self.ports.proxy}", tls, self.codec))
        return self.clients[-1]

    async def paired(self, number: str) -> RawClient:
        """A client that is linked, logged in, and has keys at the server."""
        client = self.client()
        references = await client.open_unpaired()
        self.simulation.pairing.scan(number, client.qr(references[0]))
        await client.confirm()
        assert await client.closed()
        await client.close()
        assert (await client.login()).tag == "success"
        await client.go_online()
        return client


@pytest.fixture
async def running(tmp_path: Path, codec: Codec) -> AsyncIterator[Running]:
    simulation = Simulation(Options(state=tmp_path / "state"))
    simulation.context.faults.close_delay_seconds = 0.05
    made = Running(simulation, await simulation.start(), codec, [])
    yield made
    for client in made.clients:
        await client.close()
    await simulation.stop()
