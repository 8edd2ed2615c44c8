"""Parts of the platform are away for a while: nothing accepted is lost, and all recovers by itself."""

import time

import pytest
from e2e_support import assert_clean_journal, devices

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(300)]

API_SERVER_AWAY = 30.0
STORE_AWAY = 20.0
"""Seconds that a part is stopped."""


def connections(fleet: Fleet, simulator: SimulatorClient) -> set[str]:
    """Ids of the connections that hold the fleet's devices now."""
    phones = {member.phone for member in fleet.members}
    return {
        holder.connection
        for holder in simulator.holders()
        if holder.until is None and holder.device.partition(":")[0] in phones
    }


def test_api_server_away(fleet: Fleet, running: RunningCluster, simulator: SimulatorClient) -> None:
    paired, epochs = devices(fleet), fleet.epochs()
    began = time.monotonic()
    running.part("stop", "apiserver")
    try:
        eventually(lambda: not connections(fleet, simulator), API_SERVER_AWAY - 5, "all sessions fence themselves")
        fleet.send(1, "while the API server is away")
        eventually(lambda: time.monotonic() - began >= API_SERVER_AWAY, API_SERVER_AWAY, "the outage is over")
    finally:
        running.part("start", "apiserver")

    eventually(lambda: len(connections(fleet, simulator)) == len(fleet.names), 30, "all sessions connect again")
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, 30)
    assert fleet.epochs() == epochs, "sessions come back in place, without a new epoch"
    assert devices(fleet) == paired
    fleet.exchange(5, "after the API server's return")
    assert_clean_journal(simulator)


@pytest.mark.parametrize("part", ["seaweedfs", "postgres", "valkey"])
def test_store_away(part: str, fleet: Fleet, running: RunningCluster, simulator: SimulatorClient) -> None:
    before, epochs = connections(fleet, simulator), fleet.epochs()
    began = time.monotonic()
    running.part("stop", part)
    accepted = 0
    try:
        fleet.say(2, f"while {part} is away")
        try:
            fleet.send(1, f"while {part} is away")
            accepted = 1
        except DriverError:
            assert part == "postgres", "only without PostgreSQL may a send be refused: nothing could keep it"
        eventually(lambda: time.monotonic() - began >= STORE_AWAY, STORE_AWAY + 1, "the outage is over")
    finally:
        running.part("start", part)

    fleet.check_arrived(60)
    assert connections(fleet, simulator) == before, "connections stay"
    assert fleet.epochs() == epochs
    assert accepted or part == "postgres"
    fleet.exchange(2, f"after {part}'s return")
    assert_clean_journal(simulator)
