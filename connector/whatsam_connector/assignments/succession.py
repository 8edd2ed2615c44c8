"""Which sessions this boot shall prepare itself for, and whose turn it is. Pure; asked by `successor`.

They come in rounds of a few: those of one round let go together, start in one engine process, and are away for as long
as that takes.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from whatsam_connector.assignments.plan import Me, is_ours, stop_reason
from whatsam_connector.sessions.state import Stage
from whatsam_core.resources.session import WhatsAppSession

ARRIVAL = 8.0
"""Seconds after which a round does not wait any more for one that was to come."""
UNSEEN = 1.0
"""Seconds after it is not named any more within which its assignment would have been seen."""


def is_wanted(session: WhatsAppSession, me: Me) -> bool:
    """Whether the object names this very boot as the one that shall take the session over."""
    successor = session.status.next
    return (
        successor is not None
        and successor.pod_uid == me.pod_uid
        and successor.boot_id == me.boot_id
        and not is_ours(session, me)
        and stop_reason(session) is None
    )


def next_round(wanted: Iterable[WhatsAppSession], not_before: Mapping[str, float], now: float, size: int) -> list[str]:
    """UIDs of those whose turn it is: the longest named first. `not_before`: those whose preparation failed lately."""
    waiting = [
        session
        for session in wanted
        if session.status.next is not None
        and session.status.next.prepared_at is None
        and not_before.get(session.metadata.uid, now) <= now
    ]
    waiting.sort(key=lambda one: (one.status.next.since if one.status.next else None, one.metadata.key))
    return [session.metadata.uid for session in waiting[:size]]


class Arrival(Enum):
    """What has become of a session that this boot was ready for."""

    EXPECTED = "expected"
    """Its holder has not let go yet, or it is starting here."""
    ARRIVED = "arrived"
    """It is connected here, or nothing more is to be expected of it."""
    NOT_COMING = "not coming"
    """It went elsewhere, stays where it is, or takes too long."""


_SETTLED = frozenset({Stage.CONNECTED, Stage.PAIRING, Stage.HALTED, Stage.FENCED, Stage.HANDED_OVER, Stage.LOST})


@dataclass(frozen=True, slots=True)
class Declared:
    """A session for which this boot has said that it is ready."""

    uid: str
    since: float
    unnamed_since: float | None = None
    """Since when its object does not name this boot any more."""


def arrival(declared: Declared, stage: Stage | None, now: float) -> Arrival:
    """`stage`: of its runner here, None without one."""
    if stage is not None and stage in _SETTLED:
        return Arrival.ARRIVED
    if now - declared.since >= ARRIVAL:
        return Arrival.NOT_COMING
    if stage is None and declared.unnamed_since is not None and now - declared.unnamed_since >= UNSEEN:
        return Arrival.NOT_COMING
    return Arrival.EXPECTED


def superfluous(prepared: Collection[str], wanted: Collection[str], running: Collection[str]) -> set[str]:
    """What was prepared and is not wanted any more, nor running here."""
    return set(prepared) - set(wanted) - set(running)
