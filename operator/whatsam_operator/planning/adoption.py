"""A new session: did a deleted one of the same name leave its state behind, and whose is it?

Asked once for every session that never ran, before it is assigned. The answer of the object store comes with the
snapshot; without it the session waits.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from whatsam_core.resources import WhatsAppSession
from whatsam_core.sessions_state import Tombstone
from whatsam_operator.planning.snapshot import StateKnowledge


class Origin(Enum):
    """Where the auth state of a session comes from."""

    ASK = "ask"
    """Nobody has asked the object store yet: look for a tombstone."""
    UNKNOWN = "unknown"
    """The object store did not answer: say so and ask again. Never start: the state could be another tenant's."""
    OWN = "own"
    """Nothing to adopt: go on."""
    ADOPT = "adopt"
    """The tenant's own deleted session: take its device over."""
    EXPIRED = "expired"
    """A state whose time is over: destroy it, then go on as if it had never been."""
    FOREIGN = "foreign"
    """Another tenant's state: refuse; this session may never run under this name while the state exists."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The answer, and the tombstone that it is about."""

    origin: Origin
    tombstone: Tombstone | None = None


def never_ran(session: WhatsAppSession) -> bool:
    """Whether the session owns no state yet."""
    return session.status.epoch == 0 and session.status.jid is None


def provenance(session: WhatsAppSession, knowledge: StateKnowledge | None, now: datetime) -> Provenance:  # noqa: PLR0911 - one return per outcome
    """Where the session's state comes from. `now` is UTC; the expiry is a matter of days."""
    if not never_ran(session):
        return Provenance(Origin.OWN)
    if knowledge is None:
        return Provenance(Origin.ASK)
    if not knowledge.reachable:
        return Provenance(Origin.UNKNOWN)
    tombstone = knowledge.tombstone
    if tombstone is None:
        return Provenance(Origin.OWN)
    if tombstone.expires_at <= now:
        return Provenance(Origin.EXPIRED, tombstone)
    if tombstone.tenant != session.spec.tenant:
        return Provenance(Origin.FOREIGN, tombstone)
    return Provenance(Origin.ADOPT, tombstone)


class Grave(Enum):
    """What to do with a tombstone that lies in the store; asked by the sweep."""

    KEEP = "keep"
    """Its time is not over, or a session that refuses it stands in front of it."""
    FORGET = "forget"
    """The state is a living session's again: delete only the tombstone."""
    DESTROY = "destroy"
    """Nobody came for the state in time: destroy it, then the tombstone."""


def settle(tombstone: Tombstone, session: WhatsAppSession | None, now: datetime) -> Grave:
    """`session` is the object of that name as a fresh read shows it, or None when there is none."""
    if session is None:
        return Grave.DESTROY if tombstone.expires_at <= now else Grave.KEEP
    if session.metadata.uid == tombstone.uid or never_ran(session):
        # Written just before its own session goes, or not looked at yet: the session's own plan decides.
        return Grave.KEEP
    return Grave.FORGET if session.spec.tenant == tombstone.tenant else Grave.KEEP
