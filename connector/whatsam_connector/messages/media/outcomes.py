"""What an attempt to download a file means for its row. Pure."""

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How an attempt ended."""

    STORED = "stored"
    GONE = "WhatsApp does not keep it any more"
    TOO_LARGE = "it is larger than wanted"
    DAMAGED = "the bytes are not those that the message announced"
    REFUSED = "the host refuses, or answers what is no file"
    UNREACHABLE = "the host did not answer, or not now"
    IMPOSSIBLE = "what the message says about the file cannot be used"
    STORE_AWAY = "the object store does not answer: no attempt was made at WhatsApp"


@dataclass(frozen=True, slots=True)
class Settled:
    """The row's last state."""

    state: str
    """stored, expired, skipped or failed."""
    error: str | None


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt."""

    seconds: float
    counted: bool
    error: str


_FIRST_WAIT = 5.0
_LONGEST_WAIT = 3600.0
_STORE_WAIT = 15.0
_MOST = {
    Outcome.UNREACHABLE: 12,  # eight hours, all in all
    Outcome.REFUSED: 4,
    Outcome.DAMAGED: 3,
}
"""Attempts after which the file is given up."""


def judge(outcome: Outcome, attempts: int, *, chance: float) -> Settled | Again:  # noqa: PLR0911 - a table
    """What to do after an attempt. `attempts` counts those before it; `chance` is from 0 to 1 and spreads the waits."""
    match outcome:
        case Outcome.STORED:
            return Settled("stored", None)
        case Outcome.GONE:
            return Settled("expired", outcome.value)
        case Outcome.TOO_LARGE:
            return Settled("skipped", outcome.value)
        case Outcome.IMPOSSIBLE:
            return Settled("failed", outcome.value)
        case Outcome.STORE_AWAY:
            return Again(_STORE_WAIT * (0.5 + chance), counted=False, error=outcome.value)
        case Outcome.DAMAGED | Outcome.REFUSED | Outcome.UNREACHABLE:
            if attempts + 1 >= _MOST[outcome]:
                return Settled("failed", outcome.value)
            wait = min(_FIRST_WAIT * 4.0**attempts, _LONGEST_WAIT)
            return Again(wait * (0.5 + chance), counted=True, error=outcome.value)


NOT_NOW = Again(0.0, counted=False, error="")
"""Nothing was tried."""
