"""The operator's part of a session's conditions, as sets of (type, status, reason, message).

`Scheduled` is always the operator's. The others are the holder's while there is one; the operator writes them when it
assigns and while nobody holds the session. Each function gives the whole list for one situation.
"""

import operator
from collections.abc import Sequence
from datetime import datetime

from whatsam_core.resources import Condition, ConditionStatus, ConditionType, WhatsAppSession, set_condition

OPERATOR_STALLS = frozenset(
    {"DuplicateDevice", "StateOfAnotherTenant", "StreamReplaced", "CrashLooping", "StoreOfAnotherInstallation"}
)
"""Reasons of `Stalled` that the operator itself sets and may take back. Other reasons are the holder's."""
FOREIGN_STATE = "StateOfAnotherTenant"
FOREIGN_STORE = "StoreOfAnotherInstallation"
DUPLICATE = "DuplicateDevice"
STREAM_REPLACED = "StreamReplaced"
CRASH_LOOPING = "CrashLooping"
START_BACK_OFF = "StartBackOff"
EPOCH_BEHIND = "EpochBehindStore"
STORE_UNREACHABLE = "ObjectStoreUnreachable"
STOPPED = "Stopped"

_Row = tuple[ConditionType, ConditionStatus, str, str]


def assigned(session: WhatsAppSession, worker: str, epoch: int, now: datetime) -> tuple[Condition, ...]:
    """Just given to a worker: the platform is at work, nothing is connected yet."""
    text = f"assigned to {worker} (epoch {epoch})"
    rows: list[_Row] = [
        (ConditionType.SCHEDULED, "True", "Assigned", text),
        (ConditionType.CONNECTED, "False", "Starting", f"{worker} is starting the session"),
        (ConditionType.READY, "False", "Starting", f"{worker} is starting the session"),
        (ConditionType.RECONCILING, "True", "Assigned", text),
    ]
    return _merged(session, [*rows, *_no_stall_of_ours(session)], now)


def unschedulable(
    session: WhatsAppSession, reason: str, message: str, now: datetime, *, stalled: bool = False
) -> tuple[Condition, ...]:
    """Nobody may or can take it. `stalled`: only a person can help; else the operator goes on trying."""
    rows: list[_Row] = [
        (ConditionType.SCHEDULED, "False", reason, message),
        (ConditionType.CONNECTED, "False", reason, message),
        (ConditionType.READY, "False", reason, message),
        (ConditionType.RECONCILING, "False" if stalled else "True", reason, message),
    ]
    stall: list[_Row] = [(ConditionType.STALLED, "True", reason, message)] if stalled else _no_stall_of_ours(session)
    return _merged(session, [*rows, *stall], now)


def stopped(session: WhatsAppSession, now: datetime) -> tuple[Condition, ...]:
    """Stopped as its owner asked: the platform has done its part."""
    text = "spec.desiredState is Stopped"
    rows: list[_Row] = [
        (ConditionType.SCHEDULED, "False", STOPPED, text),
        (ConditionType.CONNECTED, "False", STOPPED, text),
        (ConditionType.READY, "True", STOPPED, text),
        (ConditionType.RECONCILING, "False", STOPPED, text),
    ]
    return _merged(session, [*rows, *_no_stall_of_ours(session)], now)


def deleting(session: WhatsAppSession, message: str, now: datetime) -> tuple[Condition, ...]:
    """Being deleted, and nobody holds it."""
    rows: list[_Row] = [
        (ConditionType.SCHEDULED, "False", "Deleting", message),
        (ConditionType.CONNECTED, "False", "Deleting", message),
        (ConditionType.READY, "False", "Deleting", message),
        (ConditionType.RECONCILING, "True", "Deleting", message),
    ]
    return _merged(session, rows, now)


def replaced_too_often(session: WhatsAppSession, message: str, now: datetime) -> tuple[Condition, ...]:
    """Still assigned, but not started again: `Scheduled` and `Connected` stay as they are."""
    rows: list[_Row] = [
        (ConditionType.STALLED, "True", STREAM_REPLACED, message),
        (ConditionType.RECONCILING, "False", STREAM_REPLACED, message),
        (ConditionType.READY, "False", STREAM_REPLACED, message),
    ]
    return _merged(session, rows, now)


def same(one: Sequence[Condition], other: Sequence[Condition]) -> bool:
    """Whether two lists say the same to a reader; the time of the transition does not count."""

    if len(one) == len(other) and all(map(operator.is_, one, other)):
        return True

    def said(conditions: Sequence[Condition]) -> set[tuple[str, str, str, str]]:
        return {(item.type.value, item.status, item.reason, item.message) for item in conditions}

    return said(one) == said(other)


def reason_of(session: WhatsAppSession, kind: ConditionType, status: ConditionStatus) -> str | None:
    """The reason of a condition if it has that status."""
    condition = session.status.condition(kind)
    return condition.reason if condition is not None and condition.status == status else None


def _no_stall_of_ours(session: WhatsAppSession) -> list[_Row]:
    stall = session.status.condition(ConditionType.STALLED)
    if stall is None or stall.status != "True" or stall.reason not in OPERATOR_STALLS:
        return []
    return [(ConditionType.STALLED, "False", "Resolved", "")]


def _merged(session: WhatsAppSession, rows: Sequence[_Row], now: datetime) -> tuple[Condition, ...]:
    if _says(session, rows):  # as a rule: thousands may wait for a place, in plan after plan
        return tuple(session.status.conditions)
    conditions = list(session.status.conditions)
    for kind, status, reason, message in rows:
        new = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=session.metadata.generation,
        )
        conditions = set_condition(conditions, new, now)
    return tuple(conditions)


def _says(session: WhatsAppSession, rows: Sequence[_Row]) -> bool:
    known = {condition.type: condition for condition in session.status.conditions}
    generation = session.metadata.generation
    for kind, status, reason, message in rows:
        one = known.get(kind)
        if one is None or one.observed_generation != generation:
            return False
        if one.status != status or one.reason != reason or one.message != message:
            return False
    return True
