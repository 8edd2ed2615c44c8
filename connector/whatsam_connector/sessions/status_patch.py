"""The merge patch that turns what a session's object says into what it should say. Pure; called by the status writer.

It names the resourceVersion and uid it was computed from, so it applies to exactly that object, and it never names
`epoch`, `assignment`, `next` or the condition `Scheduled`: those are the operator's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from whatsam_connector.sessions.report import Report
from whatsam_core.resources.conditions import Condition, ConditionType, find_condition, set_condition
from whatsam_core.resources.session import SessionStatus, WhatsAppSession

REPLICATION_PERIOD = timedelta(seconds=30)
"""Progress of the replication alone is written this often at most: each write costs the API server."""


@dataclass(frozen=True)
class ReplicationView:
    """How far the object store has the session's state."""

    seq: int
    at: datetime
    behind: str | None = None
    """Why the store is behind for longer than usual; None while it keeps up."""


@dataclass(frozen=True)
class Holder:
    """Who we are towards a session: what its object must say for us to write to it."""

    pod_uid: str
    boot_id: str
    epoch: int

    def holds(self, session: WhatsAppSession) -> bool:
        """Whether the object names this boot and this epoch."""
        assignment = session.status.assignment
        return (
            assignment is not None
            and assignment.pod_uid == self.pod_uid
            and assignment.boot_id == self.boot_id
            and session.status.epoch == self.epoch
        )

    def may_let_go(self, session: WhatsAppSession) -> bool:
        """Whether another boot has said, while we hold the session, that it is ready to take it over."""
        successor = session.status.next
        return (
            successor is not None
            and successor.prepared_at is not None
            and successor.boot_id != self.boot_id
            and session.status.epoch == self.epoch
        )


def status_patch(
    session: WhatsAppSession, wanted: Report, replication: ReplicationView | None, now: datetime
) -> dict[str, Any] | None:
    """The patch, or None when the object says it all already."""
    found = session.status
    changes = _fact_changes(found, wanted)
    conditions = _conditions(session, wanted, replication, now)
    if conditions != found.conditions:
        changes["conditions"] = [condition.to_wire() for condition in conditions]
    if found.observed_generation != session.metadata.generation:
        changes["observedGeneration"] = session.metadata.generation
    progress = _replication_changes(found, wanted, replication)
    if progress and (changes or _worth_writing(found, wanted, replication)):
        changes["replication"] = progress
    if not changes:
        return None
    metadata = {"resourceVersion": session.metadata.resource_version, "uid": session.metadata.uid}
    return {"metadata": metadata, "status": changes}


def _fact_changes(found: SessionStatus, wanted: Report) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if found.phase != wanted.phase:
        changes["phase"] = wanted.phase.value
    if found.pairing != wanted.pairing:
        new = wanted.pairing.to_wire() if wanted.pairing is not None else None
        changes["pairing"] = _instead(found.pairing.to_wire() if found.pairing is not None else None, new)
    if wanted.jid is not None and wanted.jid != found.jid:
        changes["jid"] = wanted.jid
    if wanted.phone_number is not None and wanted.phone_number != found.phone_number:
        changes["phoneNumber"] = wanted.phone_number
    if wanted.push_name is not None and wanted.push_name != found.push_name:
        changes["pushName"] = wanted.push_name
    if wanted.last_connected_at is not None and _later(wanted.last_connected_at, found.last_connected_at):
        changes["lastConnectedAt"] = _wire_time(wanted.last_connected_at)
    if wanted.handover is not None and wanted.handover != found.handover:
        changes["handover"] = wanted.handover.to_wire()
    return changes


def _instead(old: Any, new: Any) -> Any:
    """What makes `new` of `old`: a merge patch merges objects, so a key that is gone must be removed by name."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    return {key: _instead(before.get(key), after.get(key)) for key in {**before, **after}}


def _conditions(
    session: WhatsAppSession, wanted: Report, replication: ReplicationView | None, now: datetime
) -> list[Condition]:
    second = now.replace(microsecond=0)
    conditions = session.status.conditions
    for condition in (*wanted.conditions, *_replicated(replication)):
        about = condition.model_copy(update={"observed_generation": session.metadata.generation})
        old = find_condition(conditions, condition.type)
        if old is None or old.model_copy(update={"last_transition_time": None}) != about:
            conditions = set_condition(conditions, about, second)
    return conditions


def _replicated(replication: ReplicationView | None) -> tuple[Condition, ...]:
    if replication is None:
        return ()
    if replication.behind is not None:
        # The text stays the same until it is over: since when is in the condition's own time.
        message = f"the object store has the auth state of {replication.at:%H:%M:%S} UTC only: {replication.behind}"
        return (Condition(type=ConditionType.REPLICATED, status="False", reason="Behind", message=message),)
    message = "the object store has the newest auth state"
    return (Condition(type=ConditionType.REPLICATED, status="True", reason="Replicated", message=message),)


def _replication_changes(found: SessionStatus, wanted: Report, replication: ReplicationView | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    known = found.replication
    if replication is not None and (known is None or known.seq != replication.seq or _later(replication.at, known.at)):
        changes |= {"seq": replication.seq, "at": _wire_time(replication.at)}
    if wanted.store_epoch is not None and (known is None or known.epoch != wanted.store_epoch):
        changes |= {"seq": known.seq if known is not None else 0, "epoch": wanted.store_epoch, **changes}
    return changes


def _worth_writing(found: SessionStatus, wanted: Report, replication: ReplicationView | None) -> bool:
    known = found.replication
    if known is None or known.at is None:
        return True
    if wanted.store_epoch is not None and known.epoch != wanted.store_epoch:
        return True
    return replication is not None and replication.at - known.at >= REPLICATION_PERIOD


def _later(new: datetime, old: datetime | None) -> bool:
    # metav1.Time has whole seconds; comparing finer would write the same second again and again.
    return old is None or new.replace(microsecond=0) > old.replace(microsecond=0)


def _wire_time(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
