"""From the sessions that name this boot and those that run here: what to start, tell, end or drop. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from whatsam_connector.sessions.inputs import StopReason
from whatsam_core.resources.session import DeletionPolicy, DesiredState, WhatsAppSession


@dataclass(frozen=True)
class Me:
    """This boot."""

    pod_uid: str
    boot_id: str


@dataclass(frozen=True)
class Start:
    """Run it; if `stop` is given, only to end it in order."""

    session: WhatsAppSession
    stop: StopReason | None


@dataclass(frozen=True)
class Tell:
    """It runs here; its object has changed."""

    session: WhatsAppSession
    stop: StopReason | None
    """End it in order, for this reason; None: let it run."""


@dataclass(frozen=True)
class Drop:
    """It runs here and must not: stop it at once."""

    uid: str
    keep_files: bool
    """A newer epoch of it is ours too."""


Decision = Start | Tell | Drop


def plan(objects: Iterable[WhatsAppSession], running: Mapping[str, int], me: Me, *, draining: bool) -> list[Decision]:
    """What to do. `running`: epoch by session uid of what runs (or has not ended yet).

    A session whose old epoch still runs is dropped first and started when that has ended; a draining boot starts
    nothing. Objects that name another boot are not ours, whatever pod they name.
    """
    ours = {session.metadata.uid: session for session in objects if is_ours(session, me)}
    decisions: list[Decision] = [
        Drop(uid, keep_files=uid in ours)
        for uid, epoch in running.items()
        if uid not in ours or ours[uid].status.epoch != epoch
    ]
    for uid, session in ours.items():
        if uid not in running:
            if not draining and not _handed_over(session):
                decisions.append(Start(session, stop_reason(session)))
        elif running[uid] == session.status.epoch:
            decisions.append(Tell(session, stop_reason(session)))
    return decisions


def is_ours(session: WhatsAppSession, me: Me) -> bool:
    """Whether the object names this very boot."""
    assignment = session.status.assignment
    return assignment is not None and assignment.pod_uid == me.pod_uid and assignment.boot_id == me.boot_id


def _handed_over(session: WhatsAppSession) -> bool:
    """Whether its epoch has ended: such a one never starts again, whoever asks."""
    handover = session.status.handover
    return handover is not None and handover.epoch == session.status.epoch


def stop_reason(session: WhatsAppSession) -> StopReason | None:
    """Why the object wants the session ended, if it does."""
    if session.metadata.deleting:
        logout = session.spec.deletion_policy is DeletionPolicy.LOGOUT
        return StopReason.LOGOUT if logout else StopReason.DELETED
    if session.spec.desired_state is DesiredState.STOPPED:
        return StopReason.STOPPED
    return None
