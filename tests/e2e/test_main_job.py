"""Ten sessions on three workers: applied, scanned, connected, written to and from."""

import pytest
from e2e_support import WORKERS, assert_clean_journal

from whatsam_core.resources import ConditionType
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient

pytestmark = pytest.mark.e2e


def test_ten_sessions_are_spread_over_three_workers(fleet: Fleet) -> None:
    held = fleet.workers()
    assert sum(held.values()) == len(fleet.names)
    assert len(held) == WORKERS
    assert max(held.values()) - min(held.values()) <= 1


def test_messages_arrive_once_each_way(fleet: Fleet, simulator: SimulatorClient) -> None:
    fleet.exchange(5, "first")
    assert_clean_journal(simulator)


def test_conditions_tell_what_is(fleet: Fleet) -> None:
    for name in fleet.names:
        status = fleet.state(name).status
        for kind in (ConditionType.SCHEDULED, ConditionType.PAIRED, ConditionType.CONNECTED, ConditionType.READY):
            assert status.is_true(kind), (name, kind, status.conditions)
        assert not status.is_true(ConditionType.STALLED)
        assert status.pairing is None


def test_describe_tells_the_story(fleet: Fleet, running: RunningCluster) -> None:
    story = running.kubectl.run("describe", "was", fleet.names[0])
    assert "Assigned" in story


def test_sessions_made_with_kubectl_show_up_in_rest(fleet: Fleet) -> None:
    shown = {session["sessionId"]: session for session in fleet.rest.sessions()}
    for member in fleet.members:
        assert shown[member.name]["status"] == "connected"
        assert shown[member.name]["phoneNumber"] == member.phone
