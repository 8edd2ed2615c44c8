"""The figures of the last hour forget what is older, and never hold more than an hour's minutes."""

from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.http.throughput import Throughput


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100_000.0

    def __call__(self) -> float:
        return self.now


def test_an_hour_later_only_the_totals_are_left():
    clock = Hand()
    figures = Throughput(clock)
    for _ in range(3):
        figures.count("sent")
    figures.count("failed")
    figures.received(5)
    figures.answered(0.1)
    figures.answered(0.3)
    assert figures.messages() == {"sent": 3, "received": 5, "failed": 1, "lastHour": 3}
    assert figures.performance() == {"avgResponseTime": 200.0, "errorRate": 0.25, "throughput": 0.05}
    clock.now += 3700
    assert figures.messages() == {"sent": 3, "received": 5, "failed": 1, "lastHour": 0}
    assert figures.performance() == {"avgResponseTime": None, "errorRate": 0.0, "throughput": 0.0}


def test_steps_on_the_way_are_not_outcomes():
    figures = Throughput(Hand())
    for outcome in ("uncertain", "put_back", "sent_again"):
        figures.count(outcome)
    assert figures.messages()["sent"] == 0
    assert figures.performance()["errorRate"] == 0.0


@given(st.lists(st.tuples(st.floats(0, 500), st.sampled_from(["sent", "failed"])), max_size=200))
def test_the_last_hour_is_counted_to_the_minute(steps: list[tuple[float, str]]):
    clock = Hand()
    figures = Throughput(clock)
    moments: list[float] = []
    for wait, outcome in steps:
        clock.now += wait
        figures.count(outcome)
        if outcome == "sent":
            moments.append(clock.now)
    counted = figures.messages()["lastHour"]
    assert sum(moment > clock.now - 3600 for moment in moments) <= counted
    assert counted <= sum(moment > clock.now - 3660 for moment in moments)
