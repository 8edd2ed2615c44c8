"""How long a message waits before it leaves, and what the chat sees meanwhile. Pure; for `preparing`.

A gateway that answers in no time and at any rate looks like what it is. With `Human` a message takes as long as a
person would need to write or record it; `messagesPerMinute` bounds the rate with or without that.
"""

from dataclasses import dataclass
from typing import Final

from whatsam_core.messages import MessageType
from whatsam_core.resources.session import Pacing, PacingMode

_CHARACTERS_PER_SECOND: Final = 7.0
"""A fast writer on a phone."""
_SHORTEST: Final = 0.8
_LONGEST: Final = 12.0
"""Seconds: even a long text is not watched for longer."""
_PICK: Final = 2.0
"""Seconds to pick a file, a place or a contact."""
_LONGEST_RECORDING: Final = 15.0
_GAP: Final = 1.0
"""Seconds between two messages of a person, on average."""

_SILENT: Final = frozenset({MessageType.REACTION, MessageType.EDIT, MessageType.REVOKE})
"""Done with one finger: no indicator, no time to write."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What to do before a message leaves: wait, then show the indicator for a while."""

    wait: float = 0.0
    """Seconds."""
    indicator: str | None = None
    """composing or recording; None: nothing is shown."""
    indicate: float = 0.0
    """Seconds."""

    @property
    def total(self) -> float:
        """Seconds until the message leaves."""
        return self.wait + self.indicate


AT_ONCE: Final = Pace()


def plan(pacing: Pacing, kind: str, *, length: int, seconds: int, since_last: float | None, chance: float) -> Pace:
    """The pace of one message.

    `length`: characters of its text or caption. `seconds`: of a recording. `since_last`: seconds since the session's
    last message left; None: there was none. `chance`: from 0 to 1, so that no two waits are alike.
    """
    human = pacing.mode is PacingMode.HUMAN
    spread = 0.7 + 0.6 * min(max(chance, 0.0), 1.0)
    gap = _GAP * spread if human else 0.0
    if pacing.messages_per_minute is not None:
        gap = max(gap, 60.0 / pacing.messages_per_minute)
    indicator, indicate = _effort(kind, length, seconds, spread) if human else (None, 0.0)
    # The time that the indicator is shown counts towards the gap: the rate stays what was asked for.
    owed = 0.0 if since_last is None else max(0.0, gap - since_last - indicate)
    return Pace(wait=owed, indicator=indicator, indicate=indicate)


def _effort(kind: str, length: int, seconds: int, spread: float) -> tuple[str | None, float]:
    if kind in _SILENT:
        return None, 0.0
    if kind == MessageType.VOICE:
        return "recording", min(max(float(seconds), _SHORTEST), _LONGEST_RECORDING)
    writing = length / _CHARACTERS_PER_SECOND * spread
    if kind != MessageType.TEXT:
        writing += _PICK * spread
    return "composing", min(max(writing, _SHORTEST), _LONGEST)
