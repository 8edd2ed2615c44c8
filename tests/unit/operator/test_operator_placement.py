"""Which worker gets a session, and what is said when none can."""

import pytest
from operator_kit import NAMESPACE, START, assignment, observed, pod, pool, session, snapshot

from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.placement import Floor, NoPlace, Refusal
from whatsam_operator.planning.releases import is_older

POOL = (NAMESPACE, "default")


def floor(*, pods, leases, sessions=(), pools=None):
    found = snapshot(
        pools=[pool(spec={"sessionsPerWorker": 2})] if pools is None else pools,
        pods=pods,
        leases=leases,
        sessions=sessions,
    )
    return Floor(found, gather(found), START)


def test_the_least_loaded_gets_it_and_what_was_given_counts():
    held = [session("a", status={"epoch": 1, "assignment": assignment("b1", "w1")})]
    here = floor(pods=[pod("w1"), pod("w2")], leases=[observed("b1", "w1"), observed("b2", "w2")], sessions=held)
    given = [here.place(POOL, prefer_pod=None, engine="") for _ in range(4)]
    assert [one.key[1] for one in given[:3]] == ["b2", "b1", "b2"]
    assert isinstance(given[3], NoPlace)
    assert given[3].refusal is Refusal.NO_CAPACITY
    assert "0 of 2 workers" in given[3].message


def test_the_pod_with_the_newest_local_state_is_preferred_even_before_it_is_ready():
    here = floor(pods=[pod("w1", ready=False), pod("w2")], leases=[observed("b9", "w1"), observed("b2", "w2")])
    assert here.place(POOL, prefer_pod="uid-w1", engine="").key[1] == "b9"
    assert here.place(POOL, prefer_pod=None, engine="").key[1] == "b2"


@pytest.mark.parametrize(
    ("the_pod", "lease", "refusal", "text"),
    [
        (
            pod("w1", ready=False),
            observed("b1", "w1"),
            Refusal.NO_WORKERS,
            "0 of 1 workers of pool 'default'",
        ),
        (pod("w1", cordoned=True), observed("b1", "w1"), Refusal.NO_CAPACITY, "1 cordoned"),
        (pod("w1", deleting=True), observed("b1", "w1"), Refusal.NO_WORKERS, "0 of 3 workers"),
        (pod("w1"), observed("b1", "w1", unchanged=6.0), Refusal.NO_WORKERS, "0 of 3 workers"),
        (pod("w1"), observed("b1", "other"), Refusal.NO_WORKERS, "0 of 3 workers"),
    ],
)
def test_who_must_not_get_sessions_gets_none_and_the_reason_is_told(the_pod, lease, refusal, text):
    answer = floor(pods=[the_pod], leases=[lease]).place(POOL, prefer_pod=None, engine="")
    assert isinstance(answer, NoPlace)
    assert answer.refusal is refusal
    assert text in answer.message


def test_a_pool_that_does_not_exist_is_named():
    answer = floor(pods=[], leases=[], pools=[]).place(POOL, prefer_pod=None, engine="")
    assert isinstance(answer, NoPlace)
    assert answer.refusal is Refusal.POOL_NOT_FOUND
    assert "spec.poolRef" in answer.message


def test_a_state_is_never_given_to_an_older_engine():
    here = floor(
        pods=[pod("w1"), pod("w2")],
        leases=[observed("b1", "w1"), observed("b2", "w2", engine_version="neonize-0.10.0")],
    )
    assert here.place(POOL, prefer_pod=None, engine="neonize-0.9.9").key[1] == "b2"


@pytest.mark.parametrize(("mine", "theirs"), [("neonize-0.5.2", "whatsmeow-1.0.0"), ("whatsmeow-1.0.0", "neonize-9.9")])
def test_a_pool_that_changes_its_engine_gives_its_sessions_to_the_new_one(mine, theirs):
    here = floor(pods=[pod("w1")], leases=[observed("b1", "w1", engine_version=mine)])
    assert here.place(POOL, prefer_pod=None, engine=theirs).key[1] == "b1"


@pytest.mark.parametrize(
    ("mine", "theirs", "older"),
    [
        ("neonize-0.5.2", "neonize-0.5.10", True),
        ("neonize-0.5.10", "neonize-0.5.2", False),
        ("neonize-0.5.2", "neonize-0.5.2", False),
        ("whatsmeow-0.1", "neonize-0.5.2", False),
        ("neonize-0.5.2", "whatsmeow-1.0.0+35ae40906e74", False),
        ("whatsmeow-1.0.0+35ae40906e74", "whatsmeow-1.1.0+35ae40906e74", True),
        ("whatsmeow-1.0.0+35ae40906e74", "whatsmeow-1.0.0+ffffffffffff", False),
        ("", "neonize-0.5.2", False),
        ("neonize-0.5.2", "", False),
        ("neonize-0.5.2", "nonsense", False),
    ],
)
def test_engines_are_compared_by_release(mine, theirs, older):
    assert is_older(observed("b", engine_version=mine).record, theirs) is older
