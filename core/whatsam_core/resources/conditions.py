"""Conditions of sessions and pools, in the form that kubectl and kstatus understand."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from whatsam_core.resources.base import WireModel

ConditionStatus = Literal["True", "False", "Unknown"]


class ConditionType(StrEnum):
    """Which question a condition answers."""

    SCHEDULED = "Scheduled"
    """Does a worker hold the session? Written by the operator alone."""
    PAIRED = "Paired"
    """Is a device linked, and is its state in the object store?"""
    CONNECTED = "Connected"
    """Is the session logged in to WhatsApp now? The one that people wait for."""
    REPLICATED = "Replicated"
    """Does the object store hold the newest auth state?"""
    READY = "Ready"
    """Has the platform done its part (connected, waiting for a scan, or stopped as asked)?"""
    RECONCILING = "Reconciling"
    """Is the platform still working on it?"""
    STALLED = "Stalled"
    """Can only a person help?"""


class Condition(WireModel):
    """One condition, as in `metav1.Condition`."""

    type: ConditionType = Field(description="Which question this condition answers.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1024, description="One CamelCase word: why."
    )
    message: str = Field(default="", max_length=32768, description="The same for people, with what to do about it.")
    last_transition_time: datetime | None = Field(default=None, description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation of spec that this is about."
    )


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of that type, if it is there."""
    for condition in conditions:  # a loop, not a generator: the operator asks this for every session in every plan
        if condition.type == kind:
            return condition
    return None


def set_condition(conditions: Iterable[Condition], new: Condition, now: datetime) -> list[Condition]:
    """`conditions` with `new` in place of the one of its type; the others keep their order.

    The transition time moves only when the status changes, so that "Connected for 3 h" stays true when only a message
    was rewritten.
    """
    kept = list(conditions)
    old = find_condition(kept, new.type)
    since = old.last_transition_time if old is not None and old.status == new.status else None
    dated = new.model_copy(update={"last_transition_time": since or now})
    if old is None:
        return [*kept, dated]
    return [dated if condition.type == new.type else condition for condition in kept]
