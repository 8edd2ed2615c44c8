"""Whose journal it is, and what its owner wants of it. Known to the runner, and written beside the journal."""

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from whatsam_connector.messages.inbound.findings import Wants
from whatsam_core.resources.session import SessionSpec


@dataclass(frozen=True)
class InboxOwner:
    """A session, as its journal's consumer sees it."""

    session: str
    """namespace/name"""
    tenant: str
    uid: str
    own: tuple[str, ...] = ()
    """JIDs of the account, by number and as LID, without device."""
    wants: Wants = field(default_factory=Wants)

    @property
    def uuid(self) -> UUID | None:
        """The uid as PostgreSQL wants it."""
        try:
            return UUID(self.uid)
        except ValueError:
            return None

    def described(self) -> dict[str, Any]:
        """As JSON, for whoever finds the journal without its runner."""
        return asdict(self)

    @classmethod
    def read(cls, known: dict[str, Any]) -> "InboxOwner":
        """From what `described` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            session=str(known["session"]),
            tenant=str(known["tenant"]),
            uid=str(known["uid"]),
            own=tuple(str(jid) for jid in known.get("own", ())),
            wants=Wants(**known.get("wants", {})),
        )


def wants_of(spec: SessionSpec, media_max_bytes: int) -> Wants:
    """What a session's owner has asked for. `media_max_bytes` is the platform's limit."""
    return Wants(
        history=spec.history.enabled,
        history_events=spec.history.enabled and spec.history.events,
        reject_calls=spec.calls.reject,
        download=spec.media.download,
        max_bytes=min(spec.media.max_bytes or media_max_bytes, media_max_bytes),
    )
