"""The journal finds two holders of one device and counters that were used for two texts, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from simulator_laws import law

from whatsam_simulator.clock import Clock, Instant
from whatsam_simulator.journal.journal import Journal
from whatsam_simulator.journal.records import EndReason, ViolationKind

START = datetime(2026, 1, 1, tzinfo=UTC)


class SteppingClock(Clock):
    """Each look is one second later."""

    def __init__(self) -> None:
        self._looks = 0

    def now(self) -> Instant:
        self._looks += 1
        return Instant(START + timedelta(seconds=self._looks), float(self._looks))

    def monotonic(self) -> float:
        return self.now().monotonic


def test_one_holder_after_the_other_is_no_violation() -> None:
    journal = Journal(SteppingClock())
    journal.hold("1:1", "c1")
    journal.closed("c1")
    journal.hold("1:1", "c2")
    assert not journal.violations
    first, second = journal.holders
    assert first.until_monotonic is not None
    assert first.until_monotonic < second.since_monotonic
    assert second.until is None


def test_a_takeover_of_a_living_connection_overlaps() -> None:
    journal = Journal(SteppingClock())
    journal.hold("1:1", "c1")
    journal.hold("2:1", "other device")
    journal.hold("1:1", "c2")
    journal.release("c1", EndReason.REPLACED)
    older, _, newer = journal.holders
    assert older.until_monotonic is not None
    assert newer.since_monotonic < older.until_monotonic
    (violation,) = journal.violations
    assert (violation.kind, violation.device) == (ViolationKind.TWO_HOLDERS, "1:1")
    assert violation.connections == ["c1", "c2"]
    assert not violation.older_spoke_after
    journal.heard("c1")
    assert violation.older_spoke_after
    journal.closed("c1")
    assert older.end is EndReason.REPLACED
    assert older.closed_monotonic is not None


uses = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.binary(max_size=1)), max_size=30)


@law
@given(uses)
def test_a_counter_is_reused_when_its_first_ciphertext_was_another(sequence: list[tuple[str, int, bytes]]) -> None:
    journal = Journal(SteppingClock())
    first: dict[tuple[str, int], bytes] = {}
    expected: list[tuple[bool, bool]] = []
    for chain, counter, text in sequence:
        before = first.setdefault((chain, counter), text)
        seen = any((use.chain, use.counter) == (chain, counter) for use in journal.counters)
        expected.append((before != text, seen and before == text))
        journal.counter(
            receiver="r", sender="s", kind="msg", chain=chain, counter=counter, message_id="m", ciphertext=text
        )
    assert [(use.reused, use.repeated) for use in journal.counters] == expected
    assert len(journal.violations) == sum(reused for reused, _ in expected)
