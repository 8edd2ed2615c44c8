"""Fixtures of the simulator's flow tests: one simulator for all, neonize clients as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from simulator_rig import NeonizeClient

from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.process import SimulatorProcess
from whatsam_simulator.pytest_plugin import number, simulator, simulator_process

__all__ = ["number", "simulator", "simulator_process"]

NewClient = Callable[..., NeonizeClient]


@pytest.fixture
def new_client(simulator_process: SimulatorProcess, tmp_path: Path) -> Iterator[NewClient]:
    """Makes neonize clients; whatever still runs is killed after the test."""
    made: list[NeonizeClient] = []

    def make(
        name: str, process: SimulatorProcess = simulator_process, variables: dict[str, str] | None = None
    ) -> NeonizeClient:
        made.append(NeonizeClient(name, tmp_path, {**process.environment(), **(variables or {})}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def paired(
    new_client: NewClient, simulator: SimulatorClient, number: Callable[[], str]
) -> Callable[[str], tuple[NeonizeClient, str]]:
    """Starts a client and pairs it by QR code; returns it with its number."""

    def pair(name: str) -> tuple[NeonizeClient, str]:
        client, phone = new_client(name).start(), number()
        simulator.scan(phone, client.wait("QR")["qr"])
        client.wait("Connected")
        return client, phone

    return pair
