"""The verdicts about a connector's Lease: what each answer, and the lack of one, makes the keeper do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.lease.verdict import (
    Answer,
    Attempt,
    Verdict,
    judge_age,
    judge_answer,
    judge_own_write,
    judge_read_back,
    kill_after,
    supervisor_deadline,
    supervisor_timer,
)
from whatsam_core.lease import LeaseRecord, LeaseState, LeaseTimings

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TIMINGS = LeaseTimings()
AGES = st.floats(min_value=0, max_value=1000)


@st.composite
def timings(draw: st.DrawFn) -> LeaseTimings:
    return LeaseTimings().scaled(draw(st.floats(min_value=0.01, max_value=50)))


def record(**changes: object) -> LeaseRecord:
    made = LeaseRecord(
        name="default-abc",
        namespace="whatsam",
        pool="default",
        pod_name="pod-1",
        pod_uid="uid-1",
        boot_id="abc",
        endpoint="http://10.0.0.1:8080",
        state=LeaseState.ACTIVE,
        acquired_at=NOW,
        renewed_at=NOW,
        duration_seconds=15,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@given(timings())
def test_each_fence_comes_before_the_next(clocks: LeaseTimings) -> None:
    deadline = supervisor_deadline(clocks, 0.0)
    assert clocks.soft_fence < kill_after(clocks) < clocks.hard_fence < deadline < clocks.lease_duration


@given(timings(), AGES)
def test_without_an_answer_the_age_alone_decides(clocks: LeaseTimings, age: float) -> None:
    verdict = judge_age(age, clocks)
    assert (verdict is Verdict.RETRY) == (age < clocks.soft_fence)
    assert (verdict is Verdict.HARD_FENCE) == (age >= kill_after(clocks))


@given(timings(), AGES, st.sampled_from([Answer.UNREACHABLE, Answer.REFUSED]))
def test_no_answer_and_a_refusal_are_no_renewal(clocks: LeaseTimings, age: float, answer: Answer) -> None:
    assert judge_answer(answer, age, clocks) is judge_age(age, clocks)


@given(AGES)
def test_conflict_is_read_back_and_a_missing_lease_is_revoked(age: float) -> None:
    assert judge_answer(Answer.CONFLICT, age, TIMINGS) is Verdict.READ_BACK
    assert judge_answer(Answer.MISSING, age, TIMINGS) is Verdict.REVOKED


def test_own_write_whose_answer_was_lost_is_a_renewal_from_its_start() -> None:
    first = Attempt(record(renewed_at=NOW + timedelta(seconds=2)), started=102.0)
    second = Attempt(record(renewed_at=NOW + timedelta(seconds=3)), started=103.0)
    found = replace(first.record, resource_version="7", uid="u")
    assert judge_read_back(found, [first, second]) == (Verdict.RENEWED, first)


@pytest.mark.parametrize(
    "found",
    [
        None,
        record(state=LeaseState.REVOKED, renewed_at=NOW + timedelta(seconds=2)),
        record(renewed_at=NOW + timedelta(seconds=1)),
        record(renewed_at=NOW + timedelta(seconds=2), endpoint="http://10.0.0.2:8080"),
        record(renewed_at=NOW + timedelta(seconds=2), sessions=3),
    ],
    ids=["gone", "revoked", "another time", "another endpoint", "another count"],
)
def test_any_other_write_counts_as_revoked(found: LeaseRecord | None) -> None:
    attempt = Attempt(record(renewed_at=NOW + timedelta(seconds=2)), started=102.0)
    assert judge_read_back(found, [attempt]) == (Verdict.REVOKED, None)


@given(timings(), AGES)
def test_a_frozen_process_sees_by_the_clock_that_it_holds_nothing(clocks: LeaseTimings, age: float) -> None:
    tenure = Tenure(clocks, renewed_at=100.0)
    assert tenure.holds(100.0 + age) == ((100.0 + age) - 100.0 < clocks.soft_fence)


@pytest.mark.parametrize("change", [{"fenced": True}, {"revoked": True}, {"renewed_at": None}])
def test_fenced_revoked_or_without_a_lease_nothing_is_held(change: dict[str, object]) -> None:
    tenure = replace(Tenure(TIMINGS, renewed_at=100.0), **change)  # type: ignore[arg-type]
    assert not tenure.holds(100.0)


@given(timings(), AGES)
def test_an_own_write_found_late_confirms_nothing_that_a_fence_has_ended(clocks: LeaseTimings, age: float) -> None:
    assert (judge_own_write(age, clocks) is Verdict.RENEWED) == (age < clocks.soft_fence)


def test_the_supervisor_is_fenced_while_engines_may_live() -> None:
    assert supervisor_timer(0, 100.0, TIMINGS) is None
    assert supervisor_timer(2, None, TIMINGS) is None
    assert supervisor_timer(1, 100.0, TIMINGS) == supervisor_deadline(TIMINGS, 100.0)
