"""How long a message waits before it leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_connector.messages.pacing import AT_ONCE, plan
from whatsam_core.messages import BODIES
from whatsam_core.resources.session import Pacing, PacingMode

HUMAN = Pacing(mode=PacingMode.HUMAN)


def test_off_means_at_once() -> None:
    assert plan(Pacing(), "text", length=5000, seconds=0, since_last=0.0, chance=0.5) == AT_ONCE


def test_a_person_writes_before_sending() -> None:
    short = plan(HUMAN, "text", length=5, seconds=0, since_last=None, chance=0.5)
    long = plan(HUMAN, "text", length=60, seconds=0, since_last=None, chance=0.5)
    assert (short.indicator, long.indicator) == ("composing", "composing")
    assert short.indicate < long.indicate
    assert (short.wait, long.wait) == (0.0, 0.0)


def test_a_voice_note_is_recorded_first() -> None:
    assert plan(HUMAN, "voice", length=0, seconds=4, since_last=None, chance=0.5).indicator == "recording"
    assert plan(HUMAN, "voice", length=0, seconds=4, since_last=None, chance=0.5).indicate == 4


@pytest.mark.parametrize("kind", ["reaction", "edit", "revoke"])
def test_a_touch_shows_nothing(kind: str) -> None:
    assert plan(HUMAN, kind, length=100, seconds=0, since_last=None, chance=0.5).indicator is None


@given(
    st.sampled_from(list(PacingMode)),
    st.none() | st.integers(min_value=1, max_value=6000),
    st.sampled_from(sorted(BODIES)),
    st.integers(min_value=0, max_value=65_536),
    st.integers(min_value=0, max_value=10_000),
    st.none() | st.floats(min_value=0, max_value=1e6),
    st.floats(min_value=-1, max_value=2),
)
def test_the_rate_is_kept_and_nobody_waits_for_ever(  # the law of pacing
    mode: PacingMode, rate: int | None, kind: str, length: int, seconds: int, since: float | None, chance: float
) -> None:
    pace = plan(
        Pacing(mode=mode, messages_per_minute=rate),
        kind,
        length=length,
        seconds=seconds,
        since_last=since,
        chance=chance,
    )
    assert pace.wait >= 0
    assert 0 <= pace.indicate <= 15
    gap = 0 if rate is None else 60 / rate
    assert pace.wait <= max(gap, 1.3)
    if since is not None:
        assert since + pace.total >= gap - 1e-6
