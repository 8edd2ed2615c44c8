"""Does somebody hold this session, and may it be given to somebody else? Called for every session in every plan."""

from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots, boot_of, pool_of
from whatsam_operator.planning.holdings import Hold, Holding

__all__ = ["Hold", "Holding", "holding"]


def holding(session: WhatsAppSession, boots: Boots) -> Holding:
    """Who holds the session. A handover counts only for the epoch that it was written in."""
    boot, status = boot_of(session), session.status
    if boot is None or status.assignment is None:
        return Holding(Hold.FREE)
    if status.handover is not None and status.handover.epoch == status.epoch:
        return Holding(Hold.HANDED_OVER, status.assignment.worker, because="it handed the session over")
    # The same answer for all sessions of a boot: it is worked out once.
    known = boots.holdings.get((boot, status.assignment.worker))
    if known is not None:
        return known
    judgement = boots.judge(boot, pool_of(session))
    hold = Hold.LOST if judgement.verdict.gone else Hold.HELD
    answer = Holding(hold, status.assignment.worker, judgement.verdict, judgement.because)
    if boot in boots.by_key:
        boots.holdings[(boot, status.assignment.worker)] = answer
    return answer
