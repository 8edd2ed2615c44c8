"""Conditions: one per type, and the transition time tells when the status changed, not when it was written."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from whatsam_core.resources import Condition, ConditionType, find_condition, set_condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)
conditions = st.builds(
    Condition,
    type=st.sampled_from(ConditionType),
    status=st.sampled_from(["True", "False", "Unknown"]),
    reason=st.just("Because"),
    message=st.text(max_size=20),
)


@given(st.lists(conditions, max_size=20))
def test_each_type_is_there_once_and_the_last_wins(written: list[Condition]) -> None:
    held: list[Condition] = []
    for condition in written:
        held = set_condition(held, condition, NOW)
    types = [condition.type for condition in held]
    assert len(types) == len(set(types))
    for kind in set(types):
        found = find_condition(held, kind)
        last = [condition for condition in written if condition.type == kind][-1]
        assert found is not None
        assert (found.status, found.message) == (last.status, last.message)


@given(conditions, conditions)
def test_the_transition_time_moves_only_with_the_status(first: Condition, second: Condition) -> None:
    second = second.model_copy(update={"type": first.type})
    later = NOW + timedelta(seconds=5)
    (held,) = set_condition(set_condition([], first, NOW), second, later)
    assert held.last_transition_time == (NOW if first.status == second.status else later)
