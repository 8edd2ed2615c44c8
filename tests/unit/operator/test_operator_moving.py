"""Planned moves: who is named as a successor, when that is taken back, and where a rollout lets sessions go."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import (
    NAMESPACE,
    START,
    Json,
    assignment,
    condition,
    moment,
    observed,
    pod,
    pool,
    session,
    snapshot,
)

from whatsam_core import names
from whatsam_core.lease import LeaseState
from whatsam_core.resources import PoolSpec
from whatsam_operator.planning import grace
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.decisions import Assign, Decision, ForgetMigration, NameSuccessor, TakenFrom
from whatsam_operator.planning.planner import plan_sessions
from whatsam_operator.planning.snapshot import Snapshot
from whatsam_operator.planning.views import DeploymentView


def jid(name: str) -> str:
    """A device of each session's own."""
    return f"49151{int.from_bytes(name.encode()) % 10**6:06d}:1@s.whatsapp.net"


LEASES = [observed("b1", "w1"), observed("b2", "w2"), observed("b3", "w3")]
PODS = [pod("w1"), pod("w2"), pod("w3")]


def held(name: str = "a", *, named: Json | None = None, **parts: Any):
    """A paired session that the boot b1 in w1 holds."""
    status: Json = {"epoch": 4, "jid": jid(name), "phase": "Connected", "assignment": assignment("b1", "w1")}
    if named is not None:
        status["next"] = named
    return session(name, status={**status, **parts.pop("status", {})}, **parts)


def successor(boot: str = "b2", worker: str = "w2", *, ago: float = 1.0, prepared: bool = False) -> Json:
    since = (moment().wall - timedelta(seconds=ago)).isoformat()
    known: Json = {"worker": worker, "podUID": f"uid-{worker}", "bootId": boot, "reason": "Drain", "since": since}
    return {**known, "preparedAt": since} if prepared else known


def decide(
    *sessions: Any, pods: Any = PODS, leases: Any = LEASES, deployments: Any = None, **spec: Any
) -> list[Decision]:
    found: Snapshot = snapshot(pools=[pool(spec=spec)], pods=pods, leases=leases, sessions=sessions)
    if deployments is not None:
        found = replace(found, deployments=deployments)
    return plan_sessions(found, gather(found), moment())


def only(decisions: list[Decision]) -> Decision:
    assert len(decisions) == 1, decisions
    return decisions[0]


def named_by(decisions: list[Decision]) -> str | None:
    decision = only(decisions)
    assert isinstance(decision, NameSuccessor), decision
    return None if decision.successor is None else decision.successor.boot_id


def ending(number: int = 1) -> list[Any]:
    return [pod(f"w{index}", deleting=index == number) for index in (1, 2, 3)]


def draining() -> list[Any]:
    return [observed("b1", "w1", state=LeaseState.DRAINING), *LEASES[1:]]


def wish(to: str) -> Json:
    return {"metadata": {"annotations": {names.ANNOTATION_MIGRATE_TO: to}, "finalizers": [names.FINALIZER_OPERATOR]}}


def test_nobody_moves_without_a_reason():
    assert decide(held()) == []


@pytest.mark.parametrize(
    ("pods", "leases"),
    [
        (ending(), LEASES),
        (PODS, draining()),
        ([pod("w1", cordoned=True, draining=True), *PODS[1:]], LEASES),
    ],
    ids=["its pod is deleted", "its worker drains", "it is told to give all away"],
)
def test_a_session_of_a_worker_that_gives_all_away_gets_a_successor(pods, leases):
    decision = only(decide(held(), pods=pods, leases=leases))
    assert isinstance(decision, NameSuccessor)
    assert decision.successor is not None
    assert (decision.successor.boot_id, decision.successor.reason) == ("b2", "Drain")
    assert decision.successor.prepared_at is None


def test_a_cordon_alone_moves_nobody():
    assert decide(held(), pods=[pod("w1", cordoned=True), *PODS[1:]]) == []


def test_what_is_named_counts_where_it_goes():
    sessions = [held(f"s{number}") for number in range(4)]
    chosen = [decision.successor.boot_id for decision in decide(*sessions, pods=ending())]  # type: ignore[attr-defined]
    assert sorted(chosen) == ["b2", "b2", "b3", "b3"]
    waiting = [held(f"s{number}", named=successor("b2", "w2")) for number in range(2)]
    assert named_by(decide(held("s9"), *waiting, pods=ending())) == "b3"


@pytest.mark.parametrize("prepared", [False, True])
def test_who_is_named_and_serves_is_waited_for(prepared: bool):
    assert decide(held(named=successor(prepared=prepared)), pods=ending()) == []


@pytest.mark.parametrize(
    ("named", "pods", "leases"),
    [
        (successor(prepared=True), [pod("w1", deleting=True), pod("w3")], LEASES),
        (successor(prepared=True), [pod("w1", deleting=True), pod("w2", deleting=True), pod("w3")], LEASES),
        (successor("b0", "w2", prepared=True), [pod("w1", deleting=True), pod("w2", deleting=True), pod("w3")], LEASES),
        (successor(prepared=True), ending(), [LEASES[0], observed("b2", "w2", unchanged=16), LEASES[2]]),
        (successor(), [pod("w1", deleting=True), pod("w2", cordoned=True), pod("w3")], LEASES),
    ],
    ids=["pod gone", "pod ends", "another boot", "silent", "cordoned before it was ready"],
)
def test_a_successor_that_does_not_serve_is_replaced(named, pods, leases):
    assert named_by(decide(held(named=named), pods=pods, leases=leases)) == "b3"


def test_a_successor_that_is_late_gives_way_to_another_one_if_there_is_one():
    late = successor("b2", "w2", ago=31.0)
    others = [held(f"s{number}", status={"assignment": assignment("b2", "w2")}) for number in range(2)]
    assert named_by(decide(held(named=late), *others, pods=ending())) == "b3"
    only_two = [pod("w1", deleting=True), pod("w2")]
    assert decide(held(named=late), pods=only_two) == []


def test_a_move_that_nobody_wants_any_more_is_taken_back():
    assert named_by(decide(held(named=successor()))) is None
    stopped = held(named=successor(), spec={"desiredState": "Stopped"})
    assert named_by(decide(stopped, pods=ending())) is None


@pytest.mark.parametrize(
    "leases", [[observed("b1", "w1", unchanged=unchanged), *LEASES[1:]] for unchanged in (6.0, 16.0)]
)
def test_a_holder_that_may_be_lost_keeps_its_successor(leases):
    assert decide(held(named=successor()), leases=leases) == []


@pytest.mark.parametrize(
    "status",
    [
        {"jid": None},
        {"phase": "LoggedOut"},
        {"phase": "Error"},
        {"conditions": [condition("Replicated", "False", "Behind")]},
    ],
    ids=["not paired", "logged out", "error", "its state is behind"],
)
def test_who_is_not_moved_on_purpose(status):
    told = [pod("w1", cordoned=True, draining=True), *PODS[1:]]
    assert decide(held(status=status), pods=told) == []


def test_a_state_that_is_behind_does_not_keep_a_worker_that_ends():
    behind = held(status={"conditions": [condition("Replicated", "False", "Behind")]})
    assert named_by(decide(behind, pods=ending())) == "b2"


def test_somebody_names_the_worker():
    decision = only(decide(held(**wish("w3"))))
    assert isinstance(decision, NameSuccessor)
    assert decision.successor is not None
    assert (decision.successor.worker, decision.successor.reason) == ("w3", "Migrate")
    renamed = held(named=successor("b2", "w2", prepared=True), **wish("w3"))
    assert named_by(decide(renamed)) == "b3"


@pytest.mark.parametrize(
    ("to", "pods", "says"),
    [
        ("w1", PODS, None),
        ("nobody", PODS, "no such pod"),
        ("w2", ending(2), "it ends"),
        ("w2", [PODS[0], pod("w2", cordoned=True)], "is cordoned"),
        ("w2", [PODS[0], pod("w2", pool="other")], "no such pod"),
    ],
)
def test_a_wish_that_is_fulfilled_or_cannot_be_is_taken_away(to, pods, says):
    decision = only(decide(held(**wish(to)), pods=pods))
    assert isinstance(decision, ForgetMigration)
    told = " ".join(story.message for story in decision.stories)
    assert (says or "") in told
    assert bool(told) is (says is not None)


@pytest.mark.parametrize("taken", [TakenFrom.HANDED_OVER, TakenFrom.LOST])
def test_whoever_prepared_itself_gets_the_session(taken):
    named = successor("b3", "w3", prepared=True)
    status: Json = {"handover": {"epoch": 4, "seq": 9, "sha256": "ab"}} if taken is TakenFrom.HANDED_OVER else {}
    leases = LEASES if status else [observed("b1", "w1", state=LeaseState.RELEASED), *LEASES[1:]]
    full = [held(f"s{number}", status={"assignment": assignment("b3", "w3")}) for number in range(5)]
    decisions = decide(held(named=named, status=status), *full, leases=leases)
    decision = only([one for one in decisions if one.target.key == (NAMESPACE, "a")])
    assert isinstance(decision, Assign)
    assert (decision.assignment.boot_id, decision.epoch, decision.taken_from) == ("b3", 5, taken)


def deployment(template: str) -> Any:
    view = DeploymentView(
        namespace=NAMESPACE,
        name="default",
        uid="d",
        resource_version="1",
        owner_uid="uid-pool-default",
        fingerprint=None,
        replicas=3,
        status_replicas=3,
        ready_replicas=3,
        template_annotations={names.ANNOTATION_TEMPLATE: template},
    )
    return {(NAMESPACE, "default"): view}


def test_a_rollout_lets_sessions_go_only_where_they_can_stay():
    old = [pod("w1", deleting=True, template="1@"), pod("w2", template="1@")]
    assert decide(held(), pods=old, deployments=deployment("2")) == []
    fresh = [*old, pod("w3", template="2@")]
    assert named_by(decide(held(), pods=fresh, deployments=deployment("2"))) == "b3"
    chosen_before = held(named=successor("b2", "w2"))
    assert named_by(decide(chosen_before, pods=fresh, deployments=deployment("2"))) == "b3"
    assert named_by(decide(chosen_before, pods=old, deployments=deployment("2"))) is None


def test_a_lost_session_takes_an_old_pod_when_there_is_no_new_one():
    lost = [observed("b1", "w1", state=LeaseState.RELEASED), *LEASES[1:]]
    old = [pod("w2", template="1@"), pod("w3", template="1@")]
    decision = only(decide(held(), pods=old, leases=lost, deployments=deployment("2")))
    assert isinstance(decision, Assign)
    mixed = [pod("w2", template="1@"), pod("w3", template="2@")]
    decision = only(decide(held(), pods=mixed, leases=lost, deployments=deployment("2")))
    assert isinstance(decision, Assign)
    assert decision.assignment.worker == "w3"


def test_who_has_no_worker_comes_before_who_only_moves():
    """The last place goes to the session that nobody runs, although the other one is older."""
    full = [held(f"s{number}", status={"assignment": assignment("b2", "w2")}) for number in range(4)]
    moving = held("a")
    waiting = session("z", status={"epoch": 1, "jid": jid("z")}, metadata={"creationTimestamp": START.isoformat()})
    decisions = decide(moving, waiting, *full, pods=[pod("w1", deleting=True), pod("w2")])
    assert [type(one) for one in decisions] == [Assign]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 64), st.none() | st.integers(10, 3600))
def test_the_grace_period_holds_what_has_to_fit_into_it(sessions: int, starts: int, chosen: int | None):
    template: Json = {} if chosen is None else {"terminationGracePeriodSeconds": chosen}
    spec = PoolSpec.model_validate(
        {"sessionsPerWorker": sessions, "failover": {"maxConcurrentStarts": starts}, "template": template}
    )
    whole, inner = grace.of_pod(spec), grace.of_connector(spec)
    assert 0 < inner < whole
    if chosen is not None:
        assert whole == chosen
    else:
        assert inner - grace.LAST_CALL - grace.NAMED >= sessions / starts * grace.ROUND


BALANCE: Json = {"rebalance": {"enabled": True, "maxMoves": 2}, "sessionsPerWorker": 5}


def full_worker() -> list[Any]:
    told = {"conditions": [condition("Connected", "True", "Connected")]}
    return [held(f"s{number}", status=told) for number in range(5)]


def test_a_full_worker_gives_to_an_empty_one_a_few_at_a_time():
    decisions = decide(*full_worker(), **BALANCE)
    named = [one.successor for one in decisions if isinstance(one, NameSuccessor) and one.successor is not None]
    assert [one.reason for one in named] == ["Rebalance"], "with one less it is below the high mark"
    assert decide(*full_worker()) == [], "only where the pool asks for it"


def test_a_move_for_balance_that_is_under_way_is_not_taken_back():
    sessions = full_worker()
    moving = held("s0", named={**successor("b2", "w2"), "reason": "Rebalance"})
    assert decide(moving, *sessions[1:], **BALANCE) == []
    gone = [pod("w1"), pod("w2", deleting=True), pod("w3")]
    assert named_by(decide(moving, *sessions[1:], pods=gone, **BALANCE)) is None
