"""Who is lost while starting comes under suspicion: waits grow, and in the end a person must look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_kit import NAMESPACE, assignment, condition, moment, observed, pod, pool, session, snapshot

from whatsam_core.lease import LeaseState
from whatsam_operator.planning import starts
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.decisions import Assign, SetStatus
from whatsam_operator.planning.planner import plan_sessions
from whatsam_operator.planning.snapshot import FailedStart, Storms
from whatsam_operator.planning.starts import (
    LONGEST_WAIT,
    POOL_FREE,
    POOL_LONGEST_WAIT,
    PROVEN_AFTER,
    SUSPECT_FROM,
    TRIES,
    WINDOW,
    Start,
    answer,
    pool_wait,
    trials,
    wait_of,
)


def observe(before, found, now):
    return starts.observe(before, found, gather(found), now)


POOL = (NAMESPACE, "default")
STARTING = [condition("Connected", "False", "Starting")]


def starting(name="a", *, epoch=1, boot="b1", **status):
    return session(
        name,
        status={
            "epoch": epoch,
            "phase": "Reconnecting",
            "jid": f"{name}@s",
            "assignment": assignment(boot),
            "conditions": STARTING,
            **status,
        },
    )


def world(*sessions, state=LeaseState.REVOKED, **rest):
    return snapshot(
        sessions=sessions,
        pools=[pool()],
        pods=[pod("w1"), pod("w2")],
        leases=[observed("b1", "w1", state=state), observed("b2", "w2")],
        **rest,
    )


def failed(count, *, name="a", epoch=1, at=0.0, generation=1, pools=None):
    one = FailedStart(count, epoch, generation, moment(at).steady)
    return Storms({f"uid-{name}": one}, pools or {})


def test_a_loss_while_starting_is_counted_once_for_each_epoch():
    once = observe(Storms(), world(starting()), moment(0))
    assert once.sessions["uid-a"] == FailedStart(1, 1, 1, moment(0).steady)
    assert once.pools == {POOL: {(NAMESPACE, "b1"): moment(0).steady}}
    assert observe(once, world(starting()), moment(5)) == once
    again = observe(once, world(starting(epoch=2)), moment(6))
    assert again.sessions["uid-a"].count == 2


@pytest.mark.parametrize(
    "one",
    [
        starting(conditions=[condition("Connected", "True", "Connected")]),
        starting(phase="Connected"),
        starting(phase="Pairing"),
        starting(lastConnectedAt="2026-01-01T12:00:01Z"),
        starting(handover={"epoch": 1, "seq": 1, "sha256": "x"}),
        starting(phase="Error"),
        starting(boot="b2"),
    ],
)
def test_who_was_up_handed_over_stays_down_or_lives_is_not_under_suspicion(one):
    assert observe(Storms(), world(one), moment(0)).sessions == {}


def test_a_worker_that_went_in_an_orderly_way_casts_no_suspicion():
    assert observe(Storms(), world(starting(), state=LeaseState.RELEASED), moment(0)).sessions == {}


def test_a_lease_that_is_gone_for_long_is_a_loss_too():
    one = starting(boot="b9")
    assert observe(Storms(), world(one, missing={(NAMESPACE, "b9"): 16.0}), moment(0)).sessions
    assert not observe(Storms(), world(one, missing={(NAMESPACE, "b9"): 1.0}), moment(0)).sessions


def test_who_has_been_up_for_a_while_is_cleared_and_who_was_changed_starts_afresh():
    before = failed(3)
    up = starting(epoch=2, boot="b2", phase="Connected")
    assert observe(before, world(up), moment(PROVEN_AFTER - 1)).sessions
    assert not observe(before, world(up), moment(PROVEN_AFTER)).sessions
    changed = session("a", metadata={"generation": 2}, status={"epoch": 1, "jid": "a@s"})
    assert not observe(before, world(changed), moment(1)).sessions
    stopped = session("a", spec={"desiredState": "Stopped"}, status={"epoch": 1, "jid": "a@s"})
    assert not observe(before, world(stopped), moment(1)).sessions
    assert not observe(before, world(), moment(1)).sessions


def test_the_first_loss_costs_nothing_and_then_waits_grow_until_a_person_must_look():
    one = session("a", status={"epoch": 1, "jid": "a@s"})
    said = [answer(one, failed(count), moment(0.1)) for count in range(1, TRIES + 1)]
    assert [item.start for item in said] == [Start.NOW, *[Start.WAIT] * (TRIES - 2), Start.STALL]
    later = [answer(one, failed(count), moment(LONGEST_WAIT * 2)).start for count in range(1, TRIES)]
    assert later == [Start.TRIAL if count >= SUSPECT_FROM else Start.NOW for count in range(1, TRIES)]


@given(st.text(min_size=1), st.integers(2, 40))
def test_waits_grow_and_end_somewhere(uid, failures):
    assert 0 < wait_of(uid, failures) <= wait_of(uid, failures + 1) <= 1.5 * LONGEST_WAIT


@given(st.integers(0, 30))
def test_a_pool_that_loses_worker_after_worker_waits_longer_and_longer(lost):
    boots = {(NAMESPACE, f"b{number}"): 0.0 for number in range(lost)}
    wait = pool_wait(Storms({}, {POOL: boots}), POOL)
    assert (wait == 0.0) is (lost <= POOL_FREE)
    more = pool_wait(Storms({}, {POOL: {**boots, (NAMESPACE, "bx"): 0.0}}), POOL)
    assert wait <= more <= POOL_LONGEST_WAIT


def test_a_pool_forgets_and_only_those_with_a_failed_start_wait_for_it():
    boots = {(NAMESPACE, f"b{number}"): moment(0).steady for number in range(5)}
    storms = failed(1, pools={POOL: boots})
    guilty, other = (session(name, status={"epoch": 1, "jid": f"{name}@s"}) for name in ("a", "other"))
    assert answer(guilty, storms, moment(1)).start is Start.WAIT
    assert answer(other, storms, moment(1)).start is Start.NOW
    assert observe(storms, world(guilty), moment(WINDOW)).pools == {}


def test_on_each_worker_one_suspect_starts_at_a_time_and_nothing_is_written_for_the_others():
    names = ["a", "b", "c"]
    sessions = [session(name, status={"epoch": 1, "jid": f"{name}@s"}) for name in names]
    storms = Storms({f"uid-{name}": FailedStart(SUSPECT_FROM, 1, 1, 0.0) for name in names})
    found = snapshot(
        sessions=sessions,
        pools=[pool()],
        pods=[pod("w1"), pod("w2")],
        leases=[observed("b1", "w1"), observed("b2", "w2")],
        storms=storms,
    )
    decisions = plan_sessions(found, gather(found), moment(LONGEST_WAIT * 2))
    assert [type(one) for one in decisions] == [Assign, Assign]
    assert len({one.assignment.boot_id for one in decisions if isinstance(one, Assign)}) == 2
    on_trial = world(starting("a", boot="b2"), storms=storms)
    assert trials(on_trial) == {(NAMESPACE, "b2"): 1}


def test_the_end_is_a_stall_with_a_reason_that_a_new_leader_keeps_until_somebody_acts():
    lost = starting()
    found = world(lost, storms=failed(TRIES))
    (stalled,) = plan_sessions(found, gather(found), moment(1))
    assert isinstance(stalled, SetStatus)
    assert stalled.clear_assignment
    said = {one.type.value: (one.status, one.reason) for one in stalled.conditions}
    assert said["Stalled"] == ("True", "CrashLooping")
    conditions = [one.to_wire() for one in stalled.conditions]
    status = {"epoch": 1, "jid": "a@s", "phase": "Error", "observedGeneration": 1, "conditions": conditions}
    resting = world(session("a", status=status))  # a new leader remembers nothing
    assert plan_sessions(resting, gather(resting), moment(9999)) == []
    acted = world(session("a", status=status, metadata={"generation": 3}))
    (assigned,) = plan_sessions(acted, gather(acted), moment(9999))
    assert isinstance(assigned, Assign)
    assert {one.type.value: one.status for one in assigned.conditions}["Stalled"] == "False"


def test_what_waits_says_so_once():
    found = world(starting(), storms=failed(3))
    (first,) = plan_sessions(found, gather(found), moment(1))
    assert isinstance(first, SetStatus)
    status = {
        "epoch": 1,
        "jid": "a@s",
        "phase": first.phase.value,
        "observedGeneration": 1,
        "conditions": [one.to_wire() for one in first.conditions],
    }
    waiting = world(session("a", status=status), storms=failed(3))
    assert plan_sessions(waiting, gather(waiting), moment(2)) == []
