"""The operator's own leader election, decided."""

import pytest
from operator_kit import START

from whatsam_operator.planning.election import (
    Candidacy,
    ElectionTimingError,
    ElectionTimings,
    Step,
    body,
    may_write,
    seen,
    step,
)

PLACE = ("system", "whatsam-operator")


def held(by: str, since: float = 0.0, duration: float = 8.0) -> Candidacy:
    return Candidacy(holder=by, resource_version="5", duration=duration, transitions=2, unchanged_since=since)


@pytest.mark.parametrize(
    ("known", "now", "wanted"),
    [
        (None, 0.0, Step.CREATE),
        (held("me"), 100.0, Step.RENEW),
        (held("other"), 7.9, Step.WAIT),
        (held("other"), 8.0, Step.TAKE),
        (held("other", duration=60.0), 59.0, Step.WAIT),
        (held(""), 0.0, Step.TAKE),
    ],
)
def test_a_candidate_takes_only_what_is_free_or_has_stood_still(known, now, wanted):
    assert step(known, "me", now) is wanted


def test_the_age_goes_on_only_for_the_very_same_record():
    lease = {"metadata": {"resourceVersion": "5"}, "spec": {"holderIdentity": "other", "leaseDurationSeconds": 8}}
    first = seen(None, lease, 10.0)
    assert first.unchanged_since == 10.0
    assert seen(first, lease, 15.0).unchanged_since == 10.0
    renewed = {**lease, "metadata": {"resourceVersion": "6"}}
    assert seen(first, renewed, 15.0).unchanged_since == 15.0


def test_a_takeover_counts_a_transition_and_names_the_version_that_it_replaces():
    taken = body(PLACE, "me", known=held("other"), timings=ElectionTimings(), now=START)
    assert taken["metadata"]["resourceVersion"] == "5"
    assert taken["spec"]["leaseTransitions"] == 3
    assert taken["spec"]["leaseDurationSeconds"] == 8
    released = body(PLACE, "", known=held("me"), timings=ElectionTimings(), now=START)
    assert released["spec"]["holderIdentity"] == ""
    assert released["spec"]["leaseTransitions"] == 2


@pytest.mark.parametrize(
    "wrong", [{"retry": 4.0}, {"deadline": 7.0}, {"lease_duration": 6.0}, {"retry": 0.0}, {"request_timeout": 3.5}]
)
def test_clocks_that_could_make_two_leaders_are_refused(wrong):
    with pytest.raises(ElectionTimingError):
        ElectionTimings(**wrong)


@pytest.mark.parametrize(("renewed_at", "now", "wanted"), [(None, 0.0, False), (10.0, 14.9, True), (10.0, 15.0, False)])
def test_nothing_is_written_after_the_deadline(renewed_at, now, wanted):
    assert may_write(renewed_at, now, ElectionTimings()) is wanted
