"""What an assignment means now: the outcomes that `holder` gives and every planning module looks at."""

from dataclasses import dataclass
from enum import Enum

from whatsam_operator.planning.liveness import Verdict


class Hold(Enum):
    """What the assignment means now."""

    FREE = "free"
    """No assignment: the session may be given to any worker."""
    HELD = "held"
    """The boot that it names lives, or may live: nobody else may get the session."""
    HANDED_OVER = "handed over"
    """The holder recorded its last state and let go: the session may be given away at once."""
    LOST = "lost"
    """The holder's boot is certainly gone: the session may be given away at once."""


@dataclass(frozen=True, slots=True)
class Holding:
    """The answer, with the words for people."""

    hold: Hold
    worker: str = ""
    verdict: Verdict | None = None
    because: str = ""

    @property
    def may_move(self) -> bool:
        """Whether writing another holder cannot make two."""
        return self.hold is not Hold.HELD
