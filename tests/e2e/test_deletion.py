"""What becomes of device, state and rows when a session or a pool is deleted, and of a state that vanished."""

import secrets

import pytest
from e2e_support import apply_pool, assert_clean_journal, make_fleet

from whatsam_core.resources import ConditionType, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import CallRefused
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.kubectl import session_manifest
from whatsam_local.driver.objects import ObjectBucket
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def unknown_in_rest(fleet: Fleet, name: str) -> bool:
    """Whether the API, which follows by a watch of its own, refuses the session as one that is not there."""
    try:
        fleet.rest.messages(name)
    except CallRefused as refused:
        return "SESSION_NOT_FOUND" in str(refused)
    return False


def test_delete_over_rest_logs_out_and_destroys(
    single: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    name, member = single.names[0], single.members[0]
    single.exchange(1, "before")
    bucket = ObjectBucket(running.environment)
    assert bucket.keys_of(name)

    single.rest.call("DELETE", f"/sessions/{name}")

    single.watch.wait_gone(name, 60)
    eventually(lambda: member.phone not in linked_phones(simulator), 10, "the device is unlinked at WhatsApp")
    assert bucket.keys_of(name) == []
    eventually(lambda: unknown_in_rest(single, name), 15, "REST knows it no more")
    assert_clean_journal(simulator)


def test_retained_state_is_adopted_without_a_scan(
    single: Fleet, running: RunningCluster, simulator: SimulatorClient
) -> None:
    name = single.names[0]
    single.exchange(2, "before")
    device = single.state(name).status.jid

    running.kubectl.run("delete", "was", name, "--timeout=60s", timeout=90)
    single.watch.wait_gone(name, 60)
    single.apply()

    single.watch.wait_phase([name], Phase.CONNECTED, 60)
    assert single.state(name).status.jid == device
    assert all(seen.session.status.phase is not Phase.PAIRING for seen in states_of_this_life(single, name))
    single.exchange(2, "adopted")
    assert_clean_journal(simulator)


def test_another_tenant_cannot_adopt(single: Fleet, running: RunningCluster) -> None:
    name = single.names[0]
    running.kubectl.run("delete", "was", name, "--timeout=60s", timeout=90)
    single.watch.wait_gone(name, 60)

    running.kubectl.apply(session_manifest(name, "t-stranger", poolRef={"name": single.pool}))

    def refused() -> bool:
        stalled = single.state(name).status.condition(ConditionType.STALLED)
        return stalled is not None and stalled.status == "True" and stalled.reason == "StateOfAnotherTenant"

    single.watch.wait("the stranger is refused", lambda: single.watch.now(name) is not None and refused(), 30)
    assert single.state(name).status.assignment is None
    running.kubectl.run("delete", "was", name, "--timeout=60s", timeout=90)


def test_a_pool_with_sessions_waits(
    running: RunningCluster, tenant: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch
) -> None:
    name = f"e2e-gone-{secrets.token_hex(2)}"
    apply_pool(running, name, 1)
    fleet = make_fleet(running, tenant, simulator, watch, count=1, pool=name)
    fleet.pair()

    running.kubectl.run("delete", "wp", name, "--wait=false")

    eventually(
        lambda: "session" in running.kubectl.run("describe", "wp", name).lower(), 20, "the pool says why it waits"
    )
    fleet.exchange(1, "while the pool waits")
    running.kubectl.run("delete", "was", fleet.names[0], "--timeout=60s", timeout=90)
    eventually(lambda: not running.kubectl.run("get", "wp", name, "--ignore-not-found"), 60, "the pool is gone")


def test_a_lost_state_is_told_and_never_paired_anew(single: Fleet, running: RunningCluster) -> None:
    name = single.names[0]
    assignment = single.state(name).status.assignment
    assert assignment is not None

    running.signal(assignment.worker, "STOP", everything=True)  # so that it cannot store its state once more
    ObjectBucket(running.environment).empty(name)
    running.kubectl.run("delete", "pod", assignment.worker, "--force", "--grace-period=0")

    def lost() -> bool:
        stalled = single.state(name).status.condition(ConditionType.STALLED)
        return stalled is not None and stalled.status == "True" and stalled.reason == "AuthStateMissing"

    single.watch.wait("AuthStateMissing", lost, 60)
    assert single.state(name).status.phase is not Phase.PAIRING
    assert single.state(name).status.pairing is None
    running.kubectl.run("delete", "was", name, "--timeout=90s", timeout=120)


def linked_phones(simulator: SimulatorClient) -> set[str]:
    """Numbers of the phones that have a linked device."""
    return {device.partition(":")[0].partition("@")[0] for device in simulator.info().queues if ":" in device}


def states_of_this_life(fleet: Fleet, name: str) -> list[object]:
    """States of the object that has the name now, not of one before it."""
    uid = fleet.state(name).metadata.uid
    return [seen for seen in fleet.watch.states(name) if seen.session.metadata.uid == uid]
