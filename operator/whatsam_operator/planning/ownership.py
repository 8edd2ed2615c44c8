"""Whose is this installation's part of the bucket? Pure; asked by the ownership service at each look at the mark.

Two clusters that use one part would run the same sessions: a cluster that was restored while the old one lives, or two
that were given the same WHATSAM_INSTALLATION_ID by mistake. So each leader renews a mark, and nobody starts, moves or
destroys anything where another cluster's mark is fresh.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from whatsam_core.sessions_state import Owner

FRESH: Final = timedelta(minutes=10)
"""Another cluster that has not renewed its mark for so long is gone, and its sessions may be taken over: a cluster that
is built again from Git or a backup finds them without a person."""
TAKEN_OVER: Final = "take-over"
"""`writer` of a mark that a person wrote."""


class Ruling(Enum):
    """What to do about a mark."""

    CLAIM = "claim"
    """Nobody's, or of a cluster that is gone: write our own, and look again soon whether it was the last word."""
    RENEW = "renew"
    """Ours."""
    TWIN = "twin"
    """Ours, but another writer has renewed it since we did. Once may be our predecessor's late request: renew it. Twice
    is a cluster with our identity (restored from a snapshot of etcd)."""
    REFUSE = "refuse"
    """Another cluster's, and fresh: touch nothing."""


def judge(mark: Owner | None, us: str, written: Owner | None, now: datetime) -> Ruling:
    """`written`: what this term wrote last. `now`: UTC; a mark of the future is a fresh one."""
    if mark is None:
        return Ruling.CLAIM
    if mark.cluster != us:
        return Ruling.CLAIM if now - mark.seen_at > FRESH else Ruling.REFUSE
    if written is not None and mark.writer not in (written.writer, TAKEN_OVER):
        return Ruling.TWIN
    return Ruling.RENEW


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of the store's owner; part of each plan's snapshot."""

    known: bool = True
    """The mark has been read in this term. Without that no session is started: no worker could restore one either."""
    away: bool = False
    """It was asked for, in vain."""
    refused: str = ""
    """Why nothing may be started, moved or destroyed; empty when the store is ours."""


OURS: Final = Standing()
UNKNOWN: Final = Standing(known=False)
AWAY: Final = Standing(known=False, away=True)
