"""WhatsApp goes silent, says that a device is gone, bans an account: what the platform does of it, and what it says."""

import json

import pytest
from e2e_support import assert_clean_journal, devices

from whatsam_core.resources import ConditionType, Phase, WhatsAppSession
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FOUND = 120.0
"""Seconds within which a deaf session must be back; the promise is 60 on a machine that has time."""
BACK = 90.0


def why(session: WhatsAppSession | None) -> str | None:
    """The reason for which the session is not connected."""
    told = session.status.condition(ConditionType.CONNECTED) if session is not None else None
    return None if told is None or told.status == "True" else told.reason


def warned(fleet: Fleet, name: str, reason: str) -> bool:
    """Whether there is a Warning Event with that reason about the session."""
    selector = f"involvedObject.name={name},reason={reason},type=Warning"
    return bool(fleet.kubectl.json("get", "events", "--field-selector", selector)["items"])


def connections(simulator: SimulatorClient, phone: str) -> list[str]:
    """All connections that the phone's linked device ever had."""
    return [holder.connection for holder in simulator.holders() if holder.device.partition(":")[0] == phone]


def test_a_deaf_session_is_found_and_its_neighbours_notice_nothing(fleet: Fleet, simulator: SimulatorClient) -> None:
    deaf, *others = fleet.members
    before = {member.phone: connections(simulator, member.phone) for member in fleet.members}

    assert simulator.swallow(deaf.phone) == 1
    fleet.say(1, "into the void", [deaf])
    eventually(lambda: connections(simulator, deaf.phone) != before[deaf.phone], FOUND, "a new connection")

    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, BACK)
    assert {member.phone: connections(simulator, member.phone) for member in others} == {
        member.phone: before[member.phone] for member in others
    }
    fleet.exchange(1, "hears again")
    assert_clean_journal(simulator)


def test_a_wrong_logout_is_asked_again_and_costs_no_scan(fleet: Fleet, simulator: SimulatorClient) -> None:
    member, paired = fleet.members[1], devices(fleet)
    since = fleet.watch.clock()
    simulator.set_faults(login_failure=401, numbers=[member.phone])
    try:
        simulator.cut(member.phone)
        fleet.watch.wait(
            "WhatsApp's word to be doubted",
            lambda: fleet.watch.first(member.name, lambda one: why(one) == "LogoutUnconfirmed", since) is not None,
            BACK,
        )
    finally:
        simulator.clear_faults()

    fleet.watch.wait_phase([member.name], Phase.CONNECTED, BACK)
    assert devices(fleet) == paired
    eventually(lambda: warned(fleet, member.name, "LogoutUnconfirmed"), BACK, "an Event")
    fleet.exchange(2, "after a wrong logout")
    assert_clean_journal(simulator)


def test_a_ban_is_told_with_its_end_and_waited_for(fleet: Fleet, simulator: SimulatorClient) -> None:
    member = fleet.members[2]
    simulator.set_faults(login_failure=402, numbers=[member.phone])
    try:
        simulator.cut(member.phone)
        fleet.watch.wait("the ban", lambda: why(fleet.watch.now(member.name)) == "TemporaryBan", BACK)
    finally:
        simulator.clear_faults()
    told = fleet.state(member.name).status.condition(ConditionType.CONNECTED)
    assert told is not None
    assert " until 20" in (told.message or "")
    eventually(lambda: warned(fleet, member.name, "TemporaryBan"), BACK, "an Event")

    for state, phase in (("Stopped", Phase.DISCONNECTED), ("Running", Phase.CONNECTED)):
        patch = json.dumps({"spec": {"desiredState": state}})
        fleet.kubectl.run("patch", "was", member.name, "--type=merge", "-p", patch)
        fleet.watch.wait_phase([member.name], phase, BACK)
    fleet.exchange(1, "after a ban")
    assert_clean_journal(simulator)
