"""Does somebody hold this session, and may it be given to somebody else? Called for every session in every plan."""

from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots, boot_of, pool_of
from whatsam_operator.planning.holdings import Hold, Holding
from whatsam_operator.planning.snapshot import BootKey

__all__ = ["Hold", "Holding", "holding", "holding_at"]

FREE = Holding(Hold.FREE)


def holding(session: WhatsAppSession, boots: Boots) -> Holding:
    """Who holds the session. A handover counts only for the epoch that it was written in."""
    return holding_at(session, boot_of(session), boots)


def holding_at(session: WhatsAppSession, boot: BootKey | None, boots: Boots) -> Holding:
    """The same; `boot` is the one that the session is assigned to."""
    status = session.status
    assignment = status.assignment
    if boot is None or assignment is None:
        return FREE
    handover = status.handover
    if handover is not None and handover.epoch == status.epoch:
        return Holding(Hold.HANDED_OVER, assignment.worker, because="it handed the session over")
    # The same answer for all sessions of a boot: it is worked out once.
    known = boots.holdings.get(boot)
    if known is not None and known.worker == assignment.worker:
        return known
    judgement = boots.judge(boot, pool_of(session))
    hold = Hold.LOST if judgement.verdict.gone else Hold.HELD
    answer = Holding(hold, assignment.worker, judgement.verdict, judgement.because)
    if boot in boots.by_key:
        boots.holdings[boot] = answer
    return answer
