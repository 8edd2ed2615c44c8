"""A simulation with open sockets inside the test's own event loop, and raw clients of it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from simulator_raw_client import RawClient

from whatsam_simulator.simulation import Ports, Simulation
from whatsam_simulator.wire.binary_xml import Codec


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
