"""Who may be declared dead, and who never."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_kit import NAMESPACE, START, ended, observed, pod, snapshot

from whatsam_core.lease import LeaseState
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.liveness import Verdict, judge, judge_missing
from whatsam_operator.planning.views import ContainerView, Termination


def at(seconds: float) -> ContainerView:
    return ContainerView(running_since=START + timedelta(seconds=seconds), restarts=1, last_terminated=ended(seconds))


@pytest.mark.parametrize(
    ("lease", "the_pod", "verdict"),
    [
        (observed("b"), pod(), Verdict.ALIVE),
        (observed("b"), None, Verdict.ALIVE),
        (observed("b", unchanged=5.0), pod(), Verdict.SUSPECT),
        (observed("b", unchanged=14.9), pod(ready=False), Verdict.SUSPECT),
        (observed("b", unchanged=15.0), pod(), Verdict.EXPIRED),
        (observed("b", unchanged=15.0), None, Verdict.EXPIRED),
        (observed("b", unchanged=15.0, duration_seconds=30), pod(), Verdict.SUSPECT),
        (observed("b", state=LeaseState.DRAINING), pod(deleting=True), Verdict.DRAINING),
        (observed("b", state=LeaseState.DRAINING, unchanged=16), pod(), Verdict.EXPIRED),
        (observed("b", state=LeaseState.RELEASED), pod(), Verdict.RELEASED),
        (observed("b", state=LeaseState.REVOKED), pod(), Verdict.REVOKED),
        (observed("b"), pod(container=ContainerView(terminated=ended(3))), Verdict.PROVEN_DEAD),
        (observed("b"), pod(container=ContainerView(waiting=True, last_terminated=ended(3))), Verdict.PROVEN_DEAD),
        (observed("b"), pod(container=at(3)), Verdict.PROVEN_DEAD),
    ],
)
def test_a_boot_is_judged_by_its_lease_and_the_end_of_its_container(lease, the_pod, verdict):
    assert judge(lease, the_pod).verdict is verdict


@pytest.mark.parametrize(
    "container",
    [
        # The same second as the acquisition: kubelet's times are cut off, it may have been before.
        ContainerView(terminated=ended(0)),
        ContainerView(waiting=True, last_terminated=ended(0)),
        at(0),
        # The kubelet lost track of the container: it may run.
        ContainerView(terminated=ended(9, reason="ContainerStatusUnknown")),
        ContainerView(waiting=True, last_terminated=ended(9, reason="ContainerStatusUnknown")),
        ContainerView(
            running_since=START + timedelta(seconds=9),
            restarts=1,
            last_terminated=ended(9, reason="ContainerStatusUnknown"),
        ),
        # A first run whose clock was set back between its start and the acquisition of its Lease.
        ContainerView(running_since=START + timedelta(seconds=9)),
        # The end of the run before, while this one runs.
        ContainerView(running_since=START, restarts=1, last_terminated=ended(9)),
        # Nothing is known.
        ContainerView(),
        None,
    ],
)
def test_what_is_no_proof_takes_nothing_from_a_boot(container):
    assert judge(observed("b"), pod(container=container)).verdict is Verdict.ALIVE


def test_a_pod_that_is_not_ready_or_going_is_not_dead():
    assert judge(observed("b"), pod(ready=False, deleting=True, cordoned=True)).verdict is Verdict.ALIVE


@pytest.mark.parametrize(
    ("missing_for", "verdict"),
    [(None, Verdict.MISSING), (14.9, Verdict.MISSING), (15.0, Verdict.MISSING_EXPIRED)],
)
def test_a_missing_lease_is_no_proof_until_a_lease_duration_of_reads_showed_it(missing_for, verdict):
    assert judge_missing(missing_for, 15.0).verdict is verdict


@given(
    acquired=st.floats(min_value=0, max_value=1000),
    finished=st.integers(min_value=0, max_value=1000),
)
def test_an_end_before_the_acquisition_never_proves_death(acquired, finished):
    """The kubelet cuts off: an end that it reports as second n happened somewhere in [n, n + 1)."""
    lease = observed("b", acquired_at=START + timedelta(seconds=acquired))
    verdict = judge(lease, pod(container=ContainerView(terminated=ended(finished)))).verdict
    if verdict is Verdict.PROVEN_DEAD:
        assert finished > acquired
    if finished >= acquired + 1:
        assert verdict is Verdict.PROVEN_DEAD


def run_of(started: float, finished: float) -> Termination:
    return replace(ended(finished), started_at=START + timedelta(seconds=started))


@pytest.mark.parametrize(
    "container",
    [
        ContainerView(terminated=run_of(20, 110)),
        ContainerView(waiting=True, last_terminated=run_of(20, 110)),
        ContainerView(terminated=ended(110)),
        ContainerView(running_since=START + timedelta(seconds=60), restarts=1, last_terminated=ended(55)),
    ],
    ids=["ended", "waiting", "beginning unknown", "running"],
)
def test_an_old_report_about_an_elder_boot_proves_nothing_after_the_clock_was_set_back(container):
    """The elder acquired its Lease at 61 and ended at 110; then the clock went back, and this one acquired at 52."""
    elder = observed("elder", acquired_at=START + timedelta(seconds=61), created_at=START)
    younger = observed("b", acquired_at=START + timedelta(seconds=52), created_at=START + timedelta(seconds=50))
    the_pod = pod(container=container)
    judged = gather(snapshot(pods=[the_pod], leases=[elder, younger])).by_key
    assert judged[NAMESPACE, "b"].judgement.verdict is Verdict.ALIVE
    alone = gather(snapshot(pods=[the_pod], leases=[younger])).by_key
    assert alone[NAMESPACE, "b"].judgement.verdict is Verdict.PROVEN_DEAD


def test_a_run_that_began_after_the_acquisition_is_another_ones():
    lease = observed("b", acquired_at=START + timedelta(seconds=52))
    container = ContainerView(terminated=run_of(60, 110))
    assert judge(lease, pod(container=container)).verdict is Verdict.ALIVE


def test_without_a_jump_of_the_clock_each_boot_of_a_pod_dies_by_its_own_report():
    elder = observed("elder", acquired_at=START + timedelta(seconds=1), created_at=START)
    younger = observed("b", acquired_at=START + timedelta(seconds=52), created_at=START + timedelta(seconds=51))
    ended_twice = pod(container=ContainerView(terminated=run_of(50, 90), restarts=1, last_terminated=run_of(0, 45)))
    judged = gather(snapshot(pods=[ended_twice], leases=[elder, younger])).by_key
    assert judged[NAMESPACE, "b"].judgement.verdict is Verdict.PROVEN_DEAD
    restarted = pod(container=replace(at(50), last_terminated=run_of(0, 45)))
    judged = gather(snapshot(pods=[restarted], leases=[elder, younger])).by_key
    assert judged[NAMESPACE, "elder"].judgement.verdict is Verdict.PROVEN_DEAD
    assert judged[NAMESPACE, "b"].judgement.verdict is Verdict.ALIVE
