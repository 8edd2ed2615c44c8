"""Questions that several end-to-end tests ask."""

from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient


def assert_clean_journal(simulator: SimulatorClient) -> None:
    """No moment with two holders of one device, no used Signal counter, no bad signature."""
    assert simulator.violations() == []
    assert simulator.counters(reused=True) == []


def devices(fleet: Fleet) -> dict[str, str | None]:
    """The linked device of each session."""
    return {name: fleet.state(name).status.jid for name in fleet.names}
