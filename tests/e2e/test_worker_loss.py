"""A worker is lost in four ways; its sessions go on without a scan, nothing is lost, nothing happens twice."""

from collections.abc import Callable

import pytest
from e2e_support import assert_clean_journal, devices

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

RESUMED = 60.0
"""Seconds within which all sessions must be back; the real figures are in the benchmarks."""
FROZEN = 60.0
"""Seconds that a frozen worker stays frozen: four times the lease."""

Loss = Callable[[RunningCluster, str], None]


def kill_container(running: RunningCluster, worker: str) -> None:
    """`kill -9` of the connector's container."""
    running.signal(worker, "KILL")


def force_delete(running: RunningCluster, worker: str) -> None:
    """The object vanishes before its processes do."""
    running.kubectl.run("delete", "pod", worker, "--force", "--grace-period=0")


def delete(running: RunningCluster, worker: str) -> None:
    """A planned end: the worker hands its sessions over."""
    running.kubectl.run("delete", "pod", worker, "--wait=false")


@pytest.mark.parametrize("lose", [kill_container, force_delete, delete])
def test_sessions_of_a_lost_worker_go_on(
    lose: Loss, fleet: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    worker, _ = fleet.workers().most_common(1)[0]
    moved, paired, epochs = fleet.on_worker(worker), devices(fleet), fleet.epochs()

    lose(running, worker)

    fleet.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, RESUMED)
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, RESUMED)
    assert devices(fleet) == paired
    fleet.exchange(5, lose.__name__)
    assert_clean_journal(simulator)


def test_a_frozen_worker_fences_itself(fleet: Fleet, running: RunningCluster, simulator: SimulatorClient) -> None:
    worker, _ = fleet.workers().most_common(1)[0]
    moved, paired, epochs = fleet.on_worker(worker), devices(fleet), fleet.epochs()

    running.signal(worker, "STOP", everything=True)
    frozen = fleet.watch.wait_phase_after(moved, Phase.CONNECTED, epochs, RESUMED)
    fleet.exchange(5, "frozen")
    thaw_at = frozen + FROZEN
    fleet.watch.wait("the worker to stay frozen", lambda: fleet.watch.clock() >= thaw_at, FROZEN + 30)
    if fleet.kubectl.run("get", "pod", worker, "--ignore-not-found"):
        running.signal(worker, "CONT", everything=True)

    eventually(lambda: not stray_holders(simulator), 30, "one holder per device after the thaw")
    assert devices(fleet) == paired
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, RESUMED)
    fleet.exchange(5, "thawed")
    assert_clean_journal(simulator)


def stray_holders(simulator: SimulatorClient) -> list[str]:
    """Devices that more than one connection holds now."""
    open_now = [holder.device for holder in simulator.holders() if holder.until is None]
    return sorted({device for device in open_now if open_now.count(device) > 1})
