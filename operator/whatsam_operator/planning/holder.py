"""Does somebody hold this session, and may it be given to somebody else? Called for every session in every plan."""

from dataclasses import dataclass
from enum import Enum

from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots, boot_of, pool_of
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


def holding(session: WhatsAppSession, boots: Boots) -> Holding:
    """Who holds the session. A handover counts only for the epoch that it was written in."""
    boot, status = boot_of(session), session.status
    if boot is None or status.assignment is None:
        return Holding(Hold.FREE)
    worker = status.assignment.worker
    if status.handover is not None and status.handover.epoch == status.epoch:
        return Holding(Hold.HANDED_OVER, worker, because="it handed the session over")
    judgement = boots.judge(boot, pool_of(session))
    hold = Hold.LOST if judgement.verdict.gone else Hold.HELD
    return Holding(hold, worker, judgement.verdict, judgement.because)
