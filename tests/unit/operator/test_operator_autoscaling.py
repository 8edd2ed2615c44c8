"""A pool grows with its sessions at once and shrinks slowly, by workers that are empty; and it does not swing."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_kit import NAMESPACE, assignment, observed, pod, pool, session, snapshot

from whatsam_core.lease import LeaseState, Load
from whatsam_operator.planning.autoscaling import Advice, Use, Verb, advise, next_step, remember, use_of
from whatsam_operator.planning.boots import gather

WINDOW = 300


def scaled(**spec):
    values = {"enabled": True, "minReplicas": 1, "maxReplicas": 10, "targetUtilization": 80, **spec}
    return pool(spec={"replicas": 3, "sessionsPerWorker": 10, "autoscaling": values})


def use(replicas=3, sessions=20, *, held=None, **rest):
    per = held if held is not None else [sessions // max(replicas, 1)] * replicas
    values = {
        "replicas": replicas,
        "settled": True,
        "suspected": False,
        "sessions": sessions,
        "unplaced": 0,
        "workers": tuple(((NAMESPACE, f"b{number}"), count) for number, count in enumerate(per)),
        "cpu": None,
        "memory": None,
        **rest,
    }
    return Use(**values)


@pytest.mark.parametrize(
    ("seen", "replicas", "because"),
    [
        (use(sessions=0), 1, "minReplicas"),
        (use(sessions=8), 1, "8 sessions"),
        (use(sessions=9), 2, "9 sessions"),
        (use(sessions=500), 10, "maxReplicas"),
        (use(sessions=9, cpu=100.0), 4, "CPU"),
        (use(sessions=9, cpu=86.0), 3, "CPU"),  # within a tenth of the target the number stays
        (use(sessions=9, cpu=10.0, memory=120.0), 5, "memory"),
        (use(replicas=0, sessions=9, held=[], cpu=99.0), 2, "9 sessions"),
    ],
)
def test_sessions_cpu_and_memory_ask_for_workers_within_the_limits(seen, replicas, because):
    advice = advise(scaled(), seen)
    assert advice.replicas == replicas
    assert because in advice.because


def long_ago(replicas, now=1000.0):
    return [(now - WINDOW, replicas)]


@pytest.mark.parametrize(
    ("seen", "past", "verb", "replicas"),
    [
        (use(sessions=30), [], Verb.GROW, 4),
        (use(sessions=20), [], Verb.STAY, 3),
        (use(sessions=10), [], Verb.STAY, 3),  # nobody has watched for the whole window
        (use(sessions=10), [(800.0, 2)], Verb.STAY, 3),
        (use(sessions=10), [(500.0, 3), (800.0, 2)], Verb.STAY, 3),  # three were needed when the window began
        (use(sessions=10), [(500.0, 2), (800.0, 3), (900.0, 2)], Verb.STAY, 3),
        (use(sessions=10), long_ago(2), Verb.DRAIN, 2),
        (use(sessions=10, held=[5, 0, 5]), long_ago(2), Verb.SHRINK, 2),
        (use(sessions=10, suspected=True), long_ago(2), Verb.STAY, 3),
        (use(sessions=10, settled=False), long_ago(2), Verb.STAY, 3),
        (use(sessions=10, unplaced=1), long_ago(2), Verb.STAY, 3),
    ],
)
def test_the_next_step(seen, past, verb, replicas):
    step = next_step(scaled(), seen, past, 1000.0)
    assert (step.verb, step.replicas) == (verb, replicas)


def test_the_emptiest_worker_goes_and_only_when_it_is_empty():
    drained = next_step(scaled(), use(sessions=10, held=[4, 2, 4]), long_ago(2), 1000.0)
    assert (drained.verb, drained.worker) == (Verb.DRAIN, (NAMESPACE, "b1"))
    gone = next_step(scaled(), use(sessions=10, held=[5, 0, 5]), long_ago(2), 1000.0)
    assert (gone.verb, gone.worker) == (Verb.SHRINK, (NAMESPACE, "b1"))


def test_without_autoscaling_nothing_happens():
    step = next_step(pool(spec={"replicas": 3}), use(sessions=999), [], 0.0)
    assert step.verb is Verb.STAY


def test_what_the_snapshot_shows():
    sessions = [
        session("a", status={"epoch": 1, "assignment": assignment("b1", "w1")}),
        session("waiting"),
        session("stopped", spec={"desiredState": "Stopped"}),
        session("going", metadata={"deletionTimestamp": "2026-01-01T12:00:00Z"}),
        session("other", spec={"poolRef": {"name": "other"}}),
    ]
    found = snapshot(
        sessions=sessions,
        pools=[scaled()],
        pods=[pod("w1"), pod("w2", ready=False), pod("w3")],
        leases=[
            observed("b1", "w1", load=Load(40, None)),
            observed("b2", "w2", load=Load(99, 99)),
            observed("b3", "w3", state=LeaseState.RELEASED),
        ],
    )
    seen = use_of(found, gather(found), scaled())
    assert (seen.sessions, seen.unplaced, seen.workers) == (2, 1, (((NAMESPACE, "b1"), 1),))
    assert (seen.cpu, seen.memory, seen.settled) == (40.0, None, False)


@given(st.lists(st.tuples(st.floats(0.1, 200), st.integers(1, 6)), max_size=20), st.floats(1, 400))
def test_what_is_remembered_gives_the_same_answer_as_everything(advices, window):
    now, whole, kept = 0.0, [], ()
    for later, replicas in advices:
        now += later
        whole.append((now, replicas))
        kept = remember(kept, Advice(replicas, ""), now, window)
        for has in range(1, 8):
            spec = scaled(maxReplicas=20, scaleDownStabilization=int(window))
            seen = use(replicas=has, sessions=0, held=[1] * has)
            assert next_step(spec, seen, kept, now).verb is next_step(spec, seen, whole, now).verb


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(0, 90),
    st.floats(0, 900),
    st.integers(1, 4),
    st.integers(0, 8),
    st.integers(20, 100),
)
def test_with_constant_work_it_comes_to_rest_and_never_swings(replicas, sessions, cpu, least, more, target):
    """CPU is a sum that all workers share; drained sessions go to the others."""
    spec = scaled(minReplicas=least, maxReplicas=least + more, targetUtilization=target, scaleDownStabilization=WINDOW)
    now, past, drained, seen_verbs = 0.0, (), False, []
    for _ in range(60):
        held = [sessions // replicas + 1] * replicas
        if drained:
            held[0] = 0
        seen = use(replicas, sessions, held=held, cpu=cpu / replicas)
        past = remember(past, advise(spec, seen), now, WINDOW)
        step = next_step(spec, seen, past, now)
        seen_verbs.append(step.verb)
        drained = step.verb is Verb.DRAIN
        if step.verb in (Verb.GROW, Verb.SHRINK):
            assert abs(step.replicas - replicas) == 1 or step.verb is Verb.GROW
            replicas = step.replicas
        now += 60.0
    assert seen_verbs[-1] is Verb.STAY
    assert replicas >= least
    assert Verb.SHRINK not in seen_verbs or Verb.GROW not in seen_verbs, "it goes one way only"
    needed = math.ceil(sessions / (10 * target / 100))
    assert replicas >= min(needed, least + more)
