"""Whose is the object store: the pure ruling about a mark, and its law for two clusters."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from whatsam_core.sessions_state import Owner
from whatsam_operator.planning.ownership import FRESH, TAKEN_OVER, Ruling, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def mark(cluster: str = "us", writer: str = "w1", age: timedelta = timedelta()) -> Owner:
    return Owner(cluster=cluster, namespace="whatsam", writer=writer, seen_at=NOW - age)


def test_rulings() -> None:
    minute = timedelta(minutes=1)
    assert judge(None, "us", None, NOW) is Ruling.CLAIM
    assert judge(mark(), "us", None, NOW) is Ruling.RENEW
    assert judge(mark(age=100 * minute), "us", None, NOW) is Ruling.RENEW
    assert judge(mark("them", age=FRESH), "us", None, NOW) is Ruling.REFUSE
    assert judge(mark("them", age=FRESH + minute), "us", None, NOW) is Ruling.CLAIM
    assert judge(mark("them", age=-minute), "us", None, NOW) is Ruling.REFUSE
    assert judge(mark(writer="w2"), "us", mark(), NOW) is Ruling.TWIN
    assert judge(mark(writer=TAKEN_OVER), "us", mark(), NOW) is Ruling.RENEW


steps = st.lists(st.tuples(st.sampled_from(["one", "two"]), st.integers(1, 300)), min_size=2, max_size=60)


@given(steps=steps)
def test_a_cluster_that_renews_is_never_taken_over_by_another(steps: list[tuple[str, int]]) -> None:
    """Whoever looks next, after so many seconds: ownership changes only after a silence of the owner."""
    now, found = NOW, None
    for who, seconds in steps:
        now += timedelta(seconds=seconds)
        ruling = judge(found, who, None, now)
        if ruling in (Ruling.CLAIM, Ruling.RENEW):
            if found is not None and found.cluster != who:
                assert now - found.seen_at > FRESH
            found = Owner(cluster=who, namespace="n", writer=who, seen_at=now)
        else:
            assert ruling is Ruling.REFUSE
