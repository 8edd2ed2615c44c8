"""Laws that every plan keeps, over random snapshots."""

from collections import Counter
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import NAMESPACE, RENDERING, START, assignment, condition, ended, moment, observed, pod, pool, session
from operator_kit import snapshot as make_snapshot

from whatsam_core import names
from whatsam_core.lease import LeaseState
from whatsam_operator.planning.boots import boot_of, gather, successor_of
from whatsam_operator.planning.decisions import Assign, Finalize, NameSuccessor, RevokeLease, SetStatus, TakenFrom
from whatsam_operator.planning.holder import Hold, holding
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.planner import plan
from whatsam_operator.planning.releases import is_older
from whatsam_operator.planning.views import ContainerView

NOW = moment(100.0)
LIMIT = 3

leases = st.builds(
    lambda boot, worker, unchanged, state, engine: observed(
        boot, worker, unchanged=unchanged, state=state, engine_version=engine
    ),
    st.sampled_from(["b1", "b2", "b3", "b4", "b5"]),
    st.sampled_from(["w1", "w2", "w3"]),
    st.sampled_from([0.0, 1.0, 6.0, 14.0, 15.0, 40.0, 90.0]),
    st.sampled_from([LeaseState.ACTIVE] * 5 + [LeaseState.DRAINING, LeaseState.RELEASED, LeaseState.REVOKED]),
    st.sampled_from(["neonize-0.5.2", "neonize-0.6.0", ""]),
)
containers = st.sampled_from(
    [
        ContainerView(running_since=START),
        ContainerView(terminated=ended(60)),
        ContainerView(waiting=True, last_terminated=ended(60)),
        ContainerView(running_since=START + timedelta(seconds=61), restarts=1, last_terminated=ended(60)),
        None,
    ]
)
pods = st.builds(
    lambda name, ready, deleting, cordoned, container: pod(
        name, ready=ready, deleting=deleting, cordoned=cordoned, container=container
    ),
    st.sampled_from(["w1", "w2", "w3"]),
    st.sampled_from([True, True, True, False]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, False, True]),
    containers,
)


successors = st.builds(
    lambda boot, worker, ago, ready, reason: {
        "worker": worker,
        "podUID": f"uid-{worker}",
        "bootId": boot,
        "reason": reason,
        "since": (NOW.wall - timedelta(seconds=ago)).isoformat(),
        **({"preparedAt": NOW.wall.isoformat()} if ready else {}),
    },
    st.sampled_from(["b1", "b2", "b3", "b4", "b5", "b9"]),
    st.sampled_from(["w1", "w2", "w3"]),
    st.sampled_from([1, 29, 31]),
    st.booleans(),
    st.sampled_from(["Drain", "Migrate", "Rebalance"]),
)


@st.composite
def sessions(draw, number):
    epoch = draw(st.integers(min_value=0, max_value=4))
    held = epoch > 0 and draw(st.booleans())
    boot, worker = (
        draw(st.sampled_from(["b1", "b2", "b3", "b4", "b5", "b9"])),
        draw(st.sampled_from(["w1", "w2", "w3"])),
    )
    status = {"epoch": epoch, "phase": draw(st.sampled_from(["Pending", "Connected", "Disconnected", "LoggedOut"]))}
    if held:
        status["assignment"] = assignment(boot, worker)
    if held and draw(st.booleans()):
        status["next"] = draw(successors)
    if draw(st.booleans()):
        status["handover"] = {"epoch": draw(st.integers(min_value=0, max_value=epoch)), "seq": 1, "sha256": "x"}
    if draw(st.booleans()):
        status["jid"] = draw(st.sampled_from(["1:1@s", "2:1@s", f"{number}:1@s"]))
    if draw(st.booleans()):
        status["replication"] = {"seq": 1, "epoch": draw(st.integers(min_value=0, max_value=6))}
    reason = draw(st.sampled_from(["EpochBehindStore", "Assigned", "Assigned"]))
    status["conditions"] = [
        condition("Reconciling", "True", reason),
        condition("Connected", "False", draw(st.sampled_from(["StreamReplaced", "Starting", "Starting"]))),
    ]
    metadata = {"finalizers": [names.FINALIZER_OPERATOR]}
    if draw(st.booleans()):
        wish = draw(st.sampled_from(["w1", "w2", "w3", "nobody"]))
        metadata["annotations"] = {names.ANNOTATION_MIGRATE_TO: wish}
    if draw(st.sampled_from([False, False, True])):
        metadata["deletionTimestamp"] = (START + timedelta(seconds=draw(st.sampled_from([-200, 90])))).isoformat()
    spec = {
        "desiredState": draw(st.sampled_from(["Running", "Running", "Stopped"])),
        "deletionPolicy": draw(st.sampled_from(["Retain", "Logout"])),
    }
    return session(f"s{number}", status=status, spec=spec, metadata=metadata)


@st.composite
def snapshots(draw):
    chosen = [draw(sessions(number)) for number in range(draw(st.integers(min_value=0, max_value=8)))]
    # A pod has at most one living boot; which Leases are left of former ones is open.
    known = {lease.record.boot_id: lease for lease in draw(st.lists(leases, max_size=6))}
    return make_snapshot(
        sessions=chosen,
        pools=[pool(spec={"replicas": 3, "sessionsPerWorker": LIMIT})] if draw(st.booleans()) else [],
        pods=list({one.uid: one for one in draw(st.lists(pods, max_size=4))}.values()),
        leases=list(known.values()),
        missing={(NAMESPACE, "b9"): draw(st.sampled_from([0.0, 14.0, 15.0]))} if draw(st.booleans()) else {},
        sightings={
            f"replaced/{one.metadata.uid}/{one.status.epoch}": draw(st.sampled_from([NOW.steady - 20, NOW.steady]))
            for one in chosen
        },
    )


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_a_session_moves_only_when_its_holder_is_gone_or_has_let_go(snapshot):
    boots = gather(snapshot)
    for decision in plan(snapshot, RENDERING, NOW):
        if not isinstance(decision, Assign):
            continue
        before = snapshot.sessions[decision.target.key]
        old = boot_of(before)
        handed_over = before.status.handover is not None and before.status.handover.epoch == before.status.epoch
        if decision.taken_from is TakenFrom.SAME_HOLDER:
            assert old == (NAMESPACE, decision.assignment.boot_id)
        elif old is not None and not handed_over:
            known = snapshot.leases.get(old)
            if known is None:
                assert snapshot.missing[old] >= 15.0
            else:
                assert known.record.state in (LeaseState.RELEASED, LeaseState.REVOKED)
            assert decision.previous == old, "the writer confirms the end by a fresh read"
        target = boots.by_key[(NAMESPACE, decision.assignment.boot_id)]
        assert target.judgement.verdict is Verdict.ALIVE


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_every_assignment_has_a_new_epoch_above_all_that_is_known(snapshot):
    for decision in plan(snapshot, RENDERING, NOW):
        if isinstance(decision, Assign):
            before = snapshot.sessions[decision.target.key].status
            assert decision.epoch > before.epoch
            if before.replication is not None and before.replication.epoch is not None:
                assert decision.epoch > before.replication.epoch


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_no_worker_gets_more_than_its_capacity_or_what_it_must_not_have(snapshot):
    boots = gather(snapshot)
    load = Counter(boots.sessions) + Counter(boots.reserved)
    for decision in plan(snapshot, RENDERING, NOW):
        if not isinstance(decision, Assign) or decision.taken_from is TakenFrom.SAME_HOLDER:
            continue
        if successor_of(snapshot.sessions[decision.target.key]) == (NAMESPACE, decision.assignment.boot_id):
            continue  # its place was counted when it was named
        boot = boots.by_key[(NAMESPACE, decision.assignment.boot_id)]
        load[boot.key] += 1
        assert load[boot.key] <= LIMIT
        assert boot.pod is not None
        assert not boot.pod.cordoned
        assert not boot.pod.deleting
        old = boot_of(snapshot.sessions[decision.target.key])
        if old in boots.by_key:
            assert not is_older(boot.lease.record, boots.by_key[old].lease.record.engine_version)


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_a_successor_is_named_only_for_a_holder_that_lives_and_can_take_the_session(snapshot):
    boots = gather(snapshot)
    load = Counter(boots.sessions) + Counter(boots.reserved)
    for decision in plan(snapshot, RENDERING, NOW):
        if isinstance(decision, Assign):
            load[(NAMESPACE, decision.assignment.boot_id)] += 1
        if not isinstance(decision, NameSuccessor):
            continue
        before = snapshot.sessions[decision.target.key]
        assert holding(before, boots).hold is Hold.HELD
        if decision.successor is None:
            assert before.status.next is not None
            continue
        boot = boots.by_key[(NAMESPACE, decision.successor.boot_id)]
        load[boot.key] += 1
        assert load[boot.key] <= LIMIT
        assert boot.judgement.verdict is Verdict.ALIVE
        assert boot.pod is not None
        assert not boot.pod.cordoned
        assert not boot.pod.deleting
        assert before.status.assignment is not None
        assert before.status.assignment.pod_uid != boot.pod.uid
        assert decision.successor.prepared_at is None, "that is for the successor to say"


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_an_assignment_is_cleared_and_a_session_finalized_only_when_nobody_holds_it(snapshot):
    boots = gather(snapshot)
    for decision in plan(snapshot, RENDERING, NOW):
        if not isinstance(decision, (SetStatus, Finalize)):
            continue
        before = snapshot.sessions[decision.target.key]
        hold = holding(before, boots).hold
        if isinstance(decision, Finalize):
            assert hold is Hold.FREE
            assert before.metadata.deleting
        elif decision.clear_assignment and hold is Hold.HELD:
            asked = before.metadata.deletion_timestamp
            assert asked is not None, "only a deletion whose time is over takes from a holder that lives"
            assert NOW.wall - asked > timedelta(minutes=2)


@settings(max_examples=150, deadline=None)
@given(snapshots())
def test_only_the_dead_lose_their_leases(snapshot):
    for decision in plan(snapshot, RENDERING, NOW):
        if isinstance(decision, RevokeLease):
            lease = snapshot.leases[decision.boot]
            the_pod = snapshot.pods.get(lease.record.pod_uid)
            ended_by_report = the_pod is not None and the_pod.container != ContainerView(running_since=START)
            assert lease.unchanged >= 15.0 or ended_by_report
            assert decision.resource_version == lease.record.resource_version


@settings(max_examples=200, deadline=None)
@given(snapshots())
def test_a_plan_is_repeatable_and_has_one_decision_per_session(snapshot):
    decisions = plan(snapshot, RENDERING, NOW)
    assert decisions == plan(snapshot, RENDERING, NOW)
    count = Counter(decision.target for decision in decisions if decision.target.kind == "session")
    assert not count or max(count.values()) == 1


def test_what_is_under_way_takes_a_place_and_is_not_planned_again():
    chosen = [session(f"s{number}") for number in range(2)]
    snapshot = make_snapshot(
        sessions=chosen,
        pools=[pool(spec={"sessionsPerWorker": 1})],
        pods=[pod("w1")],
        leases=[observed("b1", "w1")],
        pending={"uid-s0": (NAMESPACE, "b1")},
    )
    assert not [one for one in plan(snapshot, RENDERING, NOW) if isinstance(one, Assign)]
