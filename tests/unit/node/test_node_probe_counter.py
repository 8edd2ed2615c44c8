"""Thresholds of probes."""

from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.probe_counter import ProbeCounter, ProbeTimings, Verdict


def test_defaults_are_those_of_kubernetes() -> None:
    assert ProbeTimings.of({}) == ProbeTimings(0, 10, 1, 1, 3)


@given(st.integers(1, 4), st.integers(1, 4), st.lists(st.booleans(), max_size=40))
def test_a_verdict_needs_its_whole_row(successes: int, failures: int, results: list[bool]) -> None:
    timings = ProbeTimings(0, 10, 1, successes, failures)
    counter = ProbeCounter()
    for index, ok in enumerate(results):
        counter, verdict = counter.after(ok, timings)
        row = 0
        for earlier in reversed(results[: index + 1]):
            if earlier is not ok:
                break
            row += 1
        needed = successes if ok else failures
        reached = Verdict.HEALTHY if ok else Verdict.UNHEALTHY
        assert verdict is (reached if row >= needed else Verdict.WAIT)
