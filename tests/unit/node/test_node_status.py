"""What the node says about pods is what happened to them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node import status
from whatsam_local.node.restarts import RestartPolicy
from whatsam_local.node.status import ContainerView, Exit, Phase, PodView

NOW = "2026-01-02T03:04:05Z"
LATER = "2026-01-02T03:04:06Z"
RUNNING = status.running(0)
DONE = status.terminated(Exit(0, 0, 5, False), 1, "id")
FAILED = status.terminated(Exit(1, 0, 5, False), 1, "id")
KILLED = status.terminated(Exit(137, 9, 5, False), 1, "id")
CRASHING = status.waiting("CrashLoopBackOff", "back-off")
CREATING = status.waiting("ContainerCreating")


def container(state: Any, **changes: Any) -> ContainerView:
    view = ContainerView("c", "image", False, state, {}, 0, False, False, "id", "waiting" not in state)
    return replace(view, **changes)


def pod(*containers: ContainerView, **changes: Any) -> PodView:
    view = PodView(containers, [], RestartPolicy.ALWAYS, False, "10.88.1.2", "10.88.0.1", 1, NOW, "Burstable", [], {})
    return replace(view, **changes)


@pytest.mark.parametrize(
    ("view", "phase"),
    [
        (pod(container(CREATING)), Phase.PENDING),
        (pod(container(RUNNING)), Phase.RUNNING),
        (pod(container(RUNNING), container(CREATING)), Phase.PENDING),
        (pod(container(CRASHING, last_state=FAILED)), Phase.RUNNING),
        (pod(container(FAILED)), Phase.RUNNING),
        (pod(container(DONE), policy=RestartPolicy.NEVER), Phase.SUCCEEDED),
        (pod(container(DONE), policy=RestartPolicy.ON_FAILURE), Phase.SUCCEEDED),
        (pod(container(FAILED), policy=RestartPolicy.NEVER), Phase.FAILED),
        (pod(container(DONE), container(RUNNING), policy=RestartPolicy.NEVER), Phase.RUNNING),
        (pod(container(CREATING), init_containers=[container(RUNNING, init=True)]), Phase.PENDING),
        (
            pod(container(CREATING), init_containers=[container(FAILED, init=True)], policy=RestartPolicy.NEVER),
            Phase.FAILED,
        ),
        (pod(container(DONE), finished=True), Phase.SUCCEEDED),
        (pod(container(KILLED), finished=True), Phase.FAILED),
    ],
)
def test_phases(view: PodView, phase: Phase) -> None:
    assert status.phase_of(view) is phase


def test_an_end_is_told_with_code_signal_and_time() -> None:
    assert KILLED["terminated"] == {
        "exitCode": 137,
        "signal": 9,
        "reason": "Error",
        "startedAt": "1970-01-01T00:00:01Z",
        "finishedAt": "1970-01-01T00:00:05Z",
        "containerID": "process://id",
    }
    assert "signal" not in DONE["terminated"]
    assert DONE["terminated"]["reason"] == "Completed"
    assert status.terminated(Exit(137, 9, 5, True), 1, "id")["terminated"]["reason"] == "OOMKilled"


def test_a_lost_container_is_no_proof_of_death() -> None:
    known = {"containerID": "process://id", "state": {"running": {"startedAt": NOW}}}
    lost = status.lost(known, 5)["terminated"]
    assert (lost["reason"], lost["exitCode"], lost["startedAt"]) == ("ContainerStatusUnknown", 137, NOW)


def test_addresses_replace_the_old_ones() -> None:
    patch = status.pod_status(pod(container(RUNNING)), {})
    assert patch["podIPs"] == [{"$patch": "replace"}, {"ip": "10.88.1.2"}]
    assert "podIPs" not in status.pod_status(pod(container(CREATING), address=None), {})


def test_ready_waits_for_readiness_gates() -> None:
    view = pod(container(RUNNING, ready=True), readiness_gates=["example/gate"])
    closed = status.conditions(view, Phase.RUNNING, {}, NOW)
    assert (closed["ContainersReady"]["status"], closed["Ready"]["status"]) == ("True", "False")
    assert closed["Ready"]["reason"] == "ReadinessGatesNotReady"
    opened = status.conditions(replace(view, others={"example/gate": "True"}), Phase.RUNNING, {}, NOW)
    assert opened["Ready"]["status"] == "True"


def test_unready_containers_are_named() -> None:
    view = pod(container(RUNNING, ready=True), container(RUNNING, name="slow"))
    ready = status.conditions(view, Phase.RUNNING, {}, NOW)["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert "[slow]" in ready["message"]


def test_the_id_of_the_last_attempt_is_shown_while_waiting() -> None:
    entry = status.container_status(container(CRASHING, last_state=FAILED, container_id="next"))
    assert entry["containerID"] == "process://id"
    assert "containerID" not in status.container_status(container(CREATING))
    assert status.container_status(container(RUNNING))["containerID"] == "process://id"


def test_an_init_container_that_succeeded_is_ready() -> None:
    assert status.container_status(container(DONE, init=True))["ready"] is True
    assert status.container_status(container(FAILED, init=True))["ready"] is False


def test_a_foreign_hand_on_our_conditions_is_noticed() -> None:
    """Trap 1: the node lifecycle controller sets Ready=False while the node is away."""
    own = status.conditions(pod(container(RUNNING, ready=True)), Phase.RUNNING, {}, NOW)
    theirs = [{"type": kind, "status": c["status"]} for kind, c in own.items()]
    foreign = {"type": "DisruptionTarget", "status": "True"}
    assert not status.overwritten([*theirs, foreign], own)
    changed = [{**c, "status": "False"} if c["type"] == "Ready" else c for c in theirs]
    assert status.overwritten(changed, own)
    assert status.overwritten([], own)


states = st.sampled_from([RUNNING, DONE, FAILED, KILLED, CRASHING, CREATING])
views = st.builds(lambda state, ready: container(state, ready=ready and "running" in state), states, st.booleans())


@given(st.lists(views, min_size=1, max_size=3), st.lists(views, min_size=1, max_size=3))
def test_transition_times_change_exactly_when_the_status_does(
    before: list[ContainerView], after: list[ContainerView]
) -> None:
    first_pod, second_pod = pod(*before), pod(*after)
    first = status.conditions(first_pod, status.phase_of(first_pod), {}, NOW)
    second = status.conditions(second_pod, status.phase_of(second_pod), first, LATER)
    assert set(first) == set(status.OWN_CONDITIONS)
    for kind, condition in second.items():
        same = condition["status"] == first[kind]["status"]
        assert condition["lastTransitionTime"] == (NOW if same else LATER)


@given(st.lists(views, min_size=1, max_size=4), st.sampled_from(list(RestartPolicy)), st.booleans())
def test_a_pod_is_ready_only_while_all_its_containers_are(
    containers: list[ContainerView], policy: RestartPolicy, finished: bool
) -> None:
    view = pod(*containers, policy=policy, finished=finished)
    phase = status.phase_of(view)
    found = status.conditions(view, phase, {}, NOW)
    assert (found["Ready"]["status"] == "True") == all(c.ready for c in containers)
    if phase in (Phase.SUCCEEDED, Phase.FAILED):
        assert finished or policy is not RestartPolicy.ALWAYS
    if finished:
        assert phase in (Phase.SUCCEEDED, Phase.FAILED)
        assert found["PodReadyToStartContainers"]["status"] == "False"
