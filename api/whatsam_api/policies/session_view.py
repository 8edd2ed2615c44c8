"""What a tenant sees of a session: the object's phase and conditions in the words of the REST contract. Pure."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from whatsam_core.resources import ConditionType, DesiredState, PairingStatus, Phase, WhatsAppSession

STATUS_WORDS = {
    Phase.PENDING: "init",
    Phase.INITIALIZING: "init",
    Phase.PAIRING: "qr_required",
    Phase.CONNECTED: "connected",
    Phase.RECONNECTING: "reconnecting",
    Phase.DISCONNECTED: "disconnected",
    Phase.LOGGED_OUT: "disconnected",
    Phase.ERROR: "error",
}
"""The contract's words for a session's status."""


class SessionView(BaseModel):
    """A session as REST shows it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    session_id: str
    name: str
    status: str
    """init, qr_required, connected, reconnecting, disconnected or error."""
    desired_state: DesiredState
    reason: str | None
    """Why it is in that status, in one word."""
    message: str | None
    """The same in a sentence, with what to do."""
    phone_number: str | None
    push_name: str | None
    pool: str
    worker_id: str | None
    last_seen: datetime | None
    created_at: datetime | None
    deleting: bool


def status_word(session: WhatsAppSession) -> str:
    """The contract's word for the session's status."""
    return STATUS_WORDS[session.status.phase or Phase.PENDING]


def explanation(session: WhatsAppSession) -> tuple[str | None, str | None]:
    """Reason and message of the condition that explains most: what only a person can solve comes first."""
    conditions = session.status
    for kind, wanted in (
        (ConditionType.STALLED, "True"),
        (ConditionType.SCHEDULED, "False"),
        (ConditionType.READY, None),
        (ConditionType.CONNECTED, None),
    ):
        condition = conditions.condition(kind)
        if condition is not None and (wanted is None or condition.status == wanted):
            return condition.reason, condition.message or None
    return None, None


def shown_pairing(session: WhatsAppSession, now: datetime) -> PairingStatus | None:
    """What the phone needs, while it works: WhatsApp takes no code after its end."""
    pairing = session.status.pairing
    if pairing is None or (pairing.expires_at is not None and pairing.expires_at <= now):
        return None
    return pairing


def view(session: WhatsAppSession) -> SessionView:
    """The session as REST shows it."""
    reason, message = explanation(session)
    assignment = session.status.assignment
    return SessionView(
        session_id=session.metadata.name,
        name=session.spec.display_name or session.metadata.name,
        status=status_word(session),
        desired_state=session.spec.desired_state,
        reason=reason,
        message=message,
        phone_number=session.status.phone_number,
        push_name=session.status.push_name,
        pool=session.spec.pool_ref.name,
        worker_id=assignment.worker if assignment else None,
        last_seen=session.status.last_connected_at,
        created_at=session.metadata.creation_timestamp,
        deleting=session.metadata.deleting,
    )


def is_running(session: WhatsAppSession) -> bool:
    """Whether the session counts against its owner's limit."""
    return not session.metadata.deleting and session.spec.desired_state is DesiredState.RUNNING
