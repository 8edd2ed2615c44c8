"""What a worker costs, which ones may not get a session, and that a choice looks at a bounded number of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import (
    NAMESPACE,
    START,
    assignment,
    condition,
    moment,
    observed,
    pod,
    pool,
    session,
    snapshot,
)

from whatsam_core.lease import LeaseState, Load
from whatsam_operator.planning import placement
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.candidates import details
from whatsam_operator.planning.decisions import Assign, SetStatus
from whatsam_operator.planning.filters import Ask, Filter
from whatsam_operator.planning.placement import Floor, NoPlace, Refusal
from whatsam_operator.planning.planner import PLAN_LIMIT, plan_sessions
from whatsam_operator.planning.scoring import Averages, base, own, score
from whatsam_operator.planning.views import NodeView

POOL = (NAMESPACE, "default")
ZONE = "topology.example/egress"


def floor(*, pods, leases, sessions=(), nodes=(), **spec):
    found = snapshot(
        pools=[pool(spec={"sessionsPerWorker": 10, **spec})],
        pods=pods,
        leases=leases,
        sessions=sessions,
        nodes={node.name: node for node in nodes},
    )
    return Floor(found, gather(found), START)


def chosen(here, **ask):
    place = here.place(POOL, **{"prefer_pod": None, "engine": "", **ask})
    return place.refusal if isinstance(place, NoPlace) else place.key[1]


def held(name, boot, *, tenant="acme", jid="1:1@s"):
    status = {"epoch": 1, "assignment": assignment(boot, f"w{boot[1]}"), **({"jid": jid} if jid else {})}
    return session(name, spec={"tenant": tenant}, status=status)


def two(*loads):
    return {
        "pods": [pod(f"w{number}") for number in range(1, len(loads) + 1)],
        "leases": [observed(f"b{number}", f"w{number}", load=load) for number, load in enumerate(loads, 1)],
    }


@pytest.mark.parametrize(
    ("loads", "wins"),
    [
        ((Load(60, 50), Load(20, 50)), "b2"),
        ((Load(20, 70), Load(20, 30)), "b2"),
        ((Load(20, 20), Load()), "b1"),  # an unknown load counts as the mean of the known: neither better nor worse
        ((Load(70, 70), Load(), Load(10, 10)), "b3"),
    ],
)
def test_the_worker_with_less_load_gets_it(loads, wins):
    assert chosen(floor(**two(*loads))) == wins


def test_a_hot_worker_gets_sessions_only_when_the_others_are_full():
    here = floor(**two(Load(85, 10), Load(40, 40)), sessionsPerWorker=2)
    assert [chosen(here) for _ in range(5)] == ["b2", "b2", "b1", "b1", Refusal.NO_CAPACITY]


def test_one_tenant_is_spread_before_the_sessions_are():
    others = [held(f"s{number}", "b2", tenant="other") for number in range(2)]
    here = floor(**two(Load(), Load()), sessions=[held("a", "b1"), *others])
    # One session against two: without the tenant's weight the first worker would be the emptier one.
    assert chosen(here, tenant="acme") == "b2"
    assert chosen(here, tenant="third") == "b1"


def test_of_equal_workers_the_one_on_the_emptier_node_gets_it():
    pods = [pod("w1", node="n1"), pod("w2", node="n1"), pod("w3", node="n2")]
    leases = [observed(f"b{number}", f"w{number}") for number in (1, 2, 3)]
    sessions = [held("a", "b1", tenant="x"), held("b", "b1", tenant="x"), held("c", "b1", tenant="x")]
    assert chosen(floor(pods=pods, leases=leases, sessions=sessions)) == "b3"


def test_a_session_prefers_the_outgoing_address_that_whatsapp_knows_it_from():
    nodes = [NodeView("n1", {ZONE: "berlin"}), NodeView("n2", {ZONE: "paris"})]
    pods = [pod("w1", node="n1"), pod("w2", node="n2")]
    leases = [observed("b1", "w1"), observed("b2", "w2")]
    busy = [held(f"s{number}", "b2", tenant="x") for number in range(2)]
    here = floor(pods=pods, leases=leases, nodes=nodes, sessions=busy, egressTopologyKey=ZONE)
    assert chosen(here, egress="paris") == "b2"
    assert chosen(here, egress="rome") == "b1"
    without = floor(pods=pods, leases=leases, nodes=nodes, sessions=busy)
    assert chosen(without, egress="paris") == "b1"


def test_logins_behind_one_outgoing_address_are_limited():
    nodes = [NodeView("n1", {ZONE: "berlin"}), NodeView("n2", {ZONE: "paris"})]
    pods = [pod("w1", node="n1"), pod("w2", node="n1"), pod("w3", node="n2")]
    leases = [observed(f"b{number}", f"w{number}") for number in (1, 2, 3)]
    limits = {"egressTopologyKey": ZONE, "failover": {"maxConcurrentLogins": 2}}
    here = floor(pods=pods, leases=leases, nodes=nodes, **limits)
    given_out = [chosen(here) for _ in range(5)]
    assert sorted(given_out[:4]) == ["b1", "b2", "b3", "b3"]
    assert given_out[4] is Refusal.TOO_MANY_LOGINS


def test_sessions_without_a_device_leave_places_for_those_with_one():
    here = floor(**two(Load()), sessionsPerWorker=30)
    answers = [chosen(here, paired=False) for _ in range(16)]
    assert answers == ["b1"] * 15 + [Refusal.NO_PAIRING_SLOT]
    assert [chosen(here) for _ in range(16)] == ["b1"] * 15 + [Refusal.NO_CAPACITY]


def test_the_pod_that_a_session_leaves_is_not_chosen():
    here = floor(**two(Load(), Load()))
    assert {chosen(here, avoid_pod="uid-w1") for _ in range(3)} == {"b2"}


@pytest.mark.parametrize(
    ("the_pod", "lease", "ask", "why"),
    [
        (pod("w1"), observed("b1", "w1", unchanged=6.0), Ask(), Filter.NOT_ALIVE),
        (pod("w1", deleting=True, ready=False), observed("b1", "w1"), Ask(), Filter.GOING),
        (pod("w1", cordoned=True), observed("b1", "w1"), Ask(), Filter.CORDONED),
        (pod("w1", ready=False), observed("b1", "w1"), Ask(), Filter.NOT_READY),
        (pod("w1", ready=False), observed("b1", "w1"), Ask(prefer_pod="uid-w1"), None),
        (pod("w1"), observed("b1", "w1"), Ask(avoid_pod="uid-w1"), Filter.LEFT),
        (pod("w1"), observed("b1", "w1"), Ask(engine="neonize-0.6.0"), Filter.OLDER_ENGINE),
        (pod("w1"), observed("b1", "w1"), Ask(engine="neonize-0.5.0"), None),
    ],
)
def test_each_filter_has_its_reason(the_pod, lease, ask, why):
    hall = floor(pods=[the_pod], leases=[lease]).hall(POOL)
    assert hall is not None
    assert hall.refusal(hall.candidates[0], ask) is why


loads = st.builds(Load, st.none() | st.integers(0, 120), st.none() | st.integers(0, 120))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(loads, st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=12),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.booleans()), max_size=30),
)
def test_the_choice_is_the_cheapest_when_all_are_weighed(workers, asked):
    """The order of the heap, which is repaired while sessions are given away, leads to the same as looking at all."""
    pods = [pod(f"w{number:02}", node=f"n{node}") for number, (_, node, _) in enumerate(workers)]
    leases = [observed(f"b{number:02}", f"w{number:02}", load=load) for number, (load, _, _) in enumerate(workers)]
    here = [
        session(f"s{number}-{place}", status={"epoch": 1, "assignment": assignment(f"b{number:02}", f"w{number:02}")})
        for number, (_, _, count) in enumerate(workers)
        for place in range(count)
    ]
    lazy, eager = (floor(pods=pods, leases=leases, sessions=here, sessionsPerWorker=5) for _ in range(2))
    hall = eager.hall(POOL)
    assert hall is not None
    before, placement.EXAMINED = placement.EXAMINED, 100
    try:
        for tenant, paired in asked:
            ask = Ask(tenant=tenant, paired=paired)
            free = [one for one in hall.candidates if hall.refusal(one, ask) is None]
            answer = chosen(lazy, tenant=tenant, paired=paired)
            if not free:
                assert isinstance(answer, Refusal)
                continue
            costs = {one.boot.key[1]: score(one, ask, hall.averages).total for one in free}
            assert costs[answer] == pytest.approx(min(costs.values()))
            best = next(one for one in free if one.boot.key[1] == answer)
            assert best.sessions < 5
            best.take(tenant, paired=paired)
    finally:
        placement.EXAMINED = before


@given(loads, st.integers(0, 10), st.booleans())
def test_the_parts_of_a_score_are_its_sum(load, count, sticky):
    here = floor(**two(load), sessions=[held(f"s{number}", "b1") for number in range(count)])
    hall = here.hall(POOL)
    assert hall is not None
    ask = Ask(tenant="acme", prefer_pod="uid-w1" if sticky else None)
    averages = Averages(33.0, 44.0)
    (one,) = hall.candidates
    assert score(one, ask, averages).total == pytest.approx(base(one, averages) + own(one, ask))


def test_what_logs_in_is_counted_for_a_minute():
    waiting = session("a", status={"epoch": 1, "assignment": assignment("b1", "w1")})
    found = snapshot(sessions=[waiting], pods=[pod("w1")], leases=[observed("b1")])
    assert details(found, gather(found), moment(59).wall).logins == {(NAMESPACE, "b1"): 1}
    assert details(found, gather(found), moment(61).wall).logins == {}


def test_one_plan_gives_away_a_bounded_number_and_the_next_ones_the_rest():
    count = PLAN_LIMIT + 20
    sessions = [session(f"s{number:04}", status={"epoch": 1, "jid": f"{number}:1@s"}) for number in range(count)]
    parts = {
        "pools": [pool(spec={"sessionsPerWorker": 600})],
        "pods": [pod("w1"), pod("w2")],
        "leases": [observed("b1", "w1"), observed("b2", "w2")],
    }
    first = snapshot(sessions=sessions, **parts)
    given_out = [one for one in plan_sessions(first, gather(first), moment()) if isinstance(one, Assign)]
    assert len(given_out) == PLAN_LIMIT
    under_way = {one.target.uid: (NAMESPACE, one.assignment.boot_id) for one in given_out}
    second = snapshot(sessions=sessions, pending=under_way, **parts)
    rest = plan_sessions(second, gather(second), moment())
    assert len(rest) == 20
    assert not {one.target.uid for one in rest} & under_way.keys()


def test_who_is_paired_is_served_before_who_is_not_and_a_busy_one_is_left_alone():
    sessions = [
        session("a-new", status={"epoch": 1}),
        session("b-paired", status={"epoch": 1, "jid": "1:1@s"}),
        session("c-busy", status={"epoch": 1, "jid": "2:1@s"}),
    ]
    found = snapshot(
        sessions=sessions,
        pools=[pool(spec={"sessionsPerWorker": 1})],
        pods=[pod("w1")],
        leases=[observed("b1", "w1")],
        busy=frozenset({(NAMESPACE, "c-busy")}),
    )
    decisions = plan_sessions(found, gather(found), moment())
    assert [one.target.key[1] for one in decisions if isinstance(one, Assign)] == ["b-paired"]
    assert {one.target.key[1] for one in decisions} == {"a-new", "b-paired"}


def test_a_lost_session_that_waits_for_logins_stops_to_say_that_it_is_connected_and_keeps_its_last_holder():
    nodes = {"n1": NodeView("n1", {ZONE: "berlin"})}
    logging_in = session("a", status={"epoch": 1, "jid": "1:1@s", "assignment": assignment("b2", "w2")})
    lost = session(
        "b",
        status={
            "epoch": 1,
            "jid": "2:1@s",
            "phase": "Connected",
            "assignment": assignment("b1", "w1"),
            "conditions": [condition("Connected", "True", "Connected")],
        },
    )
    parts = {
        "pools": [pool(spec={"egressTopologyKey": ZONE, "failover": {"maxConcurrentLogins": 1}})],
        "pods": [pod("w1", node="n1"), pod("w2", node="n1")],
        "leases": [observed("b1", "w1", state=LeaseState.REVOKED), observed("b2", "w2")],
        "nodes": nodes,
    }
    found = snapshot(sessions=[logging_in, lost], **parts)
    (said,) = plan_sessions(found, gather(found), moment(5))
    assert isinstance(said, SetStatus)
    assert (said.phase.value, said.clear_assignment, said.previous) == ("Reconnecting", False, (NAMESPACE, "b1"))
    assert {one.type.value: (one.status, one.reason) for one in said.conditions}["Connected"] == (
        "False",
        "TooManyLogins",
    )
    status = {
        "epoch": 1,
        "jid": "2:1@s",
        "phase": said.phase.value,
        "assignment": assignment("b1", "w1"),
        "conditions": [one.to_wire() for one in said.conditions],
    }
    waiting = snapshot(sessions=[logging_in, session("b", status=status)], **parts)
    assert plan_sessions(waiting, gather(waiting), moment(5)) == []
    (given_away,) = plan_sessions(waiting, gather(waiting), moment(70))
    assert isinstance(given_away, Assign)
