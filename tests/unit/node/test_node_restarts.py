"""Restart policies and the growing wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.restarts import (
    FORGIVEN_AFTER,
    BackoffLimits,
    RestartPolicy,
    next_restart,
    policy_for,
    runs_again,
)


def test_the_waits_of_a_crashing_container() -> None:
    waits: list[float] = []
    waited = 0.0
    for _ in range(8):
        restart = next_restart(waited, ran_seconds=1, limits=BackoffLimits())
        waits.append(restart.wait)
        waited = restart.next_wait
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300]


def test_ten_good_minutes_forgive() -> None:
    restart = next_restart(300, FORGIVEN_AFTER + 1, BackoffLimits())
    assert (restart.wait, restart.next_wait) == (0, 10)


@given(st.floats(0.01, 100), st.floats(1, 100), st.lists(st.floats(0, 2 * FORGIVEN_AFTER), min_size=1, max_size=30))
def test_waits_stay_between_the_limits_and_never_shrink_without_forgiveness(
    initial: float, factor: float, runs: list[float]
) -> None:
    limits = BackoffLimits(initial, initial * factor)
    waited = 0.0
    for ran in runs:
        restart = next_restart(waited, ran, limits)
        assert restart.wait == 0 or limits.initial <= restart.wait <= limits.longest
        assert limits.initial <= restart.next_wait <= limits.longest
        if ran <= FORGIVEN_AFTER:
            assert restart.wait == waited
            assert restart.next_wait >= restart.wait
        waited = restart.next_wait


@pytest.mark.parametrize(
    ("policy", "code", "again"),
    [
        (RestartPolicy.ALWAYS, 0, True),
        (RestartPolicy.ALWAYS, 1, True),
        (RestartPolicy.ON_FAILURE, 0, False),
        (RestartPolicy.ON_FAILURE, 1, True),
        (RestartPolicy.NEVER, 0, False),
        (RestartPolicy.NEVER, 1, False),
    ],
)
def test_policies(policy: RestartPolicy, code: int, again: bool) -> None:
    assert runs_again(policy, code) is again


def test_an_init_container_that_succeeded_never_runs_again() -> None:
    assert policy_for(RestartPolicy.ALWAYS, init=True) is RestartPolicy.ON_FAILURE
    assert policy_for(RestartPolicy.NEVER, init=True) is RestartPolicy.NEVER
    assert policy_for(RestartPolicy.ALWAYS, init=False) is RestartPolicy.ALWAYS
