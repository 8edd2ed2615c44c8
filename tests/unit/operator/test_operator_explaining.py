"""What the operator would do and why: the same as the plan, with reasons."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from operator_kit import (
    NAMESPACE,
    RENDERING,
    START,
    assignment,
    condition,
    ended,
    moment,
    observed,
    pod,
    pool,
    session,
    snapshot,
)
from test_operator_plan_laws import NOW, snapshots

from whatsam_core.lease import LeaseFormatError, LeaseState, Load
from whatsam_operator.handlers.command import PlanCommand, parse
from whatsam_operator.handlers.explained import as_json, as_text
from whatsam_operator.planning.decisions import Assign, Decision, Target
from whatsam_operator.planning.explaining import describe, explain
from whatsam_operator.planning.filters import Filter
from whatsam_operator.planning.planner import plan
from whatsam_operator.planning.snapshot import Snapshot
from whatsam_operator.planning.views import ContainerView
from whatsam_operator.services.explain import observed as seen
from whatsam_operator.services.leases import read_lease


def named_before(found: Snapshot, decision: Assign) -> bool:
    """Whether the worker was chosen in an earlier plan, as the session's successor."""
    named = found.sessions[decision.target.key].status.next
    return named is not None and named.boot_id == decision.assignment.boot_id


@settings(max_examples=100, deadline=None)
@given(snapshots())
def test_it_is_the_plan_and_the_chosen_worker_is_the_cheapest_that_no_filter_refused(found):
    decisions = plan(found, RENDERING, NOW)
    explanation = explain(found, RENDERING, NOW)
    planned = sum(one.target.kind == "session" for one in decisions)
    assert sum(len(one.steps) for one in explanation.sessions) == planned
    assert explanation.staying == len(found.sessions) - planned
    chosen = {
        "/".join(one.target.key): one.assignment.worker
        for one in decisions
        if isinstance(one, Assign) and one.taken_from.value != "same-holder" and not named_before(found, one)
    }
    for one in explanation.sessions:
        if one.session not in chosen:
            continue
        assert one.chosen == chosen[one.session]
        open_to = {view.worker: view.cost for view in one.workers if view.refused is None and view.cost is not None}
        assert open_to[one.chosen] == min(open_to.values())
    assert json.loads(as_json(explanation))["staying"] == explanation.staying
    assert as_text(explanation, reasons=True)
    assert all(describe(one) and type(one).__name__ not in describe(one) for one in decisions)


def busy_world():
    lost = session("lost", status={"epoch": 3, "jid": "1@s", "phase": "Connected", "assignment": assignment("b1")})
    there = [
        session(
            f"s{number}",
            status={
                "epoch": 1,
                "jid": f"{number}@s",
                "phase": "Connected",
                "assignment": assignment("b2", "w2"),
                "conditions": [condition("Connected", "True", "Connected")],
            },
        )
        for number in range(3)
    ]
    return snapshot(
        sessions=[lost, *there],
        pools=[pool(spec={"sessionsPerWorker": 3, "rebalance": {"enabled": True}})],
        pods=[pod("w1"), pod("w2"), pod("w3", cordoned=True), pod("w4"), pod("w5", container=None)],
        leases=[
            observed("b1", "w1", state=LeaseState.REVOKED),
            observed("b2", "w2"),
            observed("b3", "w3"),
            observed("b4", "w4", load=Load(30, 40)),
        ],
    )


def test_for_each_session_the_filters_and_the_score_are_told():
    explanation = explain(busy_world(), RENDERING, moment(10))
    one = next(one for one in explanation.sessions if one.session == f"{NAMESPACE}/lost")
    assert "w1 is lost" in one.held
    assert one.chosen == "w4"
    assert "assign it to w4 (b4), epoch 4; taken from: lost" in one.steps[0]
    refused = {view.worker: view.refused for view in one.workers}
    assert refused == {"w2": Filter.FULL, "w3": Filter.CORDONED, "w4": None}
    (best,) = [view for view in one.workers if view.score is not None]
    assert best.score is not None
    assert (best.score.cpu, best.score.memory) == (15.0, 20.0)
    moving = [one for one in explanation.sessions if one.steps and "Rebalance" in one.steps[0]]
    assert [(one.session, one.chosen) for one in moving] == [(f"{NAMESPACE}/s0", "w4")]
    text = as_text(explanation, reasons=True)
    assert "* w4 b4: cost" in text
    assert "w3 b3: no, it is cordoned" in text
    assert "* w4" not in as_text(explanation, reasons=False)


def test_the_pool_tells_its_workers_and_what_balance_would_move():
    (one,) = explain(busy_world(), RENDERING, moment(10)).pools
    assert [(worker.worker, worker.sessions, worker.cpu) for worker in one.workers] == [
        ("w2", 3, None),
        ("w3", 0, None),
        ("w4", 0, 30),
    ]
    assert [(move.from_worker, move.to_worker, move.reason) for move in one.moves] == [("w2", "w4", "Sessions")]
    assert one.rebalancing == ""
    assert any("create its Deployment" in step for step in one.steps)


def test_a_lost_worker_is_told_with_its_pool():
    found = snapshot(
        pools=[pool()],
        pods=[pod("w1", container=ContainerView(terminated=ended(60)))],
        leases=[observed("b1", "w1")],
    )
    (one,) = explain(found, RENDERING, moment(70)).pools
    assert any("revoke the Lease default-b1: its container ended" in step for step in one.steps)


def test_a_session_that_stays_is_shown_when_somebody_asks_with_how_a_move_would_look():
    asked = frozenset({(NAMESPACE, "s0")})
    explanation = explain(
        replace(busy_world(), pools={(NAMESPACE, "default"): pool(spec={"sessionsPerWorker": 3})}),
        RENDERING,
        moment(10),
        asked=asked,
    )
    one = next(one for one in explanation.sessions if one.session.endswith("s0"))
    assert one.steps == ()
    assert {view.worker: view.refused for view in one.workers}["w2"] == Filter.LEFT


def test_a_kind_of_decision_that_nobody_described_is_told_by_its_name():
    class Dance(Decision):
        pass

    assert describe(Dance(target=Target("session", (NAMESPACE, "a"), "u"))) == "Dance"


def test_the_command_line():
    assert parse([]) is None
    asked = parse(["plan", "--explain", "-n", "prod", "-s", "a", "-s", "b", "-o", "json"])
    assert asked == PlanCommand(True, "prod", frozenset({"a", "b"}), "json")
    explanation = explain(snapshot(pools=[pool()]), RENDERING, moment(0))
    assert json.loads(asked.render(explanation))["pools"][0]["pool"] == f"{NAMESPACE}/default"
    for wrong in (["fly"], ["plan", "-o", "yaml"]):
        with pytest.raises(SystemExit):
            parse(wrong)


def test_two_reads_tell_which_leases_are_renewed():
    first = {(NAMESPACE, boot): read(boot) for boot in ("b1", "b2", "b3")}
    second = {
        (NAMESPACE, "b1"): read("b1", resource_version="8"),
        (NAMESPACE, "b2"): read("b2"),
        (NAMESPACE, "b3"): read("b3", resource_version="8", state=LeaseState.REVOKED),
        (NAMESPACE, "b4"): read("b4"),
    }
    ages = {key[1]: one.unchanged for key, one in seen(first, second, 2.5, moment(20.5).wall).items()}
    assert ages == {"b1": 0.0, "b2": 20.0, "b3": 20.0, "b4": 0.0}
    assert seen(first, second, 2.5, START)[(NAMESPACE, "b2")].unchanged == 2.5


def read(boot, **changes):
    wire = observed(boot, **changes).record.to_wire()
    wire["metadata"]["creationTimestamp"] = START.isoformat()
    found = read_lease(wire)
    assert found.created_at == START
    return found


def test_a_lease_that_nobody_can_read_is_refused():
    wire = observed("b1").record.to_wire()
    del wire["spec"]["renewTime"]
    with pytest.raises(LeaseFormatError):
        read_lease(wire)
