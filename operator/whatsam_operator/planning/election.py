"""May this process lead? The pure part of the operator's own leader election; called by `services.leadership`.

One Lease, `whatsam-operator`. A candidate takes it when nobody has it, when its holder let go, or when its record stood
still for the whole duration by the candidate's own clock. Times in the record are compared for equality only.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from whatsam_core.errors import WhatsamError
from whatsam_core.lease import micro_time


class ElectionTimingError(WhatsamError, ValueError):
    """The clocks would allow two leaders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionTimings:
    """The clocks of the operator's Lease, in seconds."""

    lease_duration: float = 8.0
    """In the record: a candidate waits that long."""
    deadline: float = 5.0
    """After the start of the last good renewal: nothing is written any more."""
    retry: float = 1.0
    """Between two renewals, and between two looks of a candidate."""
    request_timeout: float = 2.0
    """For one request to the API server about the Lease."""

    def __post_init__(self) -> None:
        """Refuse clocks without a margin."""
        if not 0 < self.retry < self.deadline or not self.retry + self.request_timeout < self.deadline:
            raise ElectionTimingError(
                f"retry ({self.retry} s) + request_timeout ({self.request_timeout} s) must be less than "
                f"deadline ({self.deadline} s), else one lost renewal ends the leadership"
            )
        if not self.deadline + self.request_timeout < self.lease_duration:
            raise ElectionTimingError(
                f"deadline ({self.deadline} s) + request_timeout ({self.request_timeout} s) must be less than "
                f"lease_duration ({self.lease_duration} s), else two processes could lead at once"
            )


@dataclass(frozen=True, slots=True)
class Candidacy:
    """The Lease as it was last read, and since when it has looked like that (steady seconds)."""

    holder: str
    resource_version: str
    duration: float
    transitions: int
    unchanged_since: float


class Step(Enum):
    """What to do about the Lease now."""

    CREATE = "create"
    """There is none: create it; whoever succeeds leads."""
    TAKE = "take"
    """Its holder let go or has expired: write our name with its resourceVersion; whoever succeeds leads."""
    RENEW = "renew"
    """It is ours: renew it."""
    WAIT = "wait"
    """Another process leads: look again later."""


def step(known: Candidacy | None, me: str, now: float) -> Step:
    """The next step. `known` is None when the Lease does not exist."""
    if known is None:
        return Step.CREATE
    if known.holder == me:
        return Step.RENEW
    if not known.holder or now - known.unchanged_since >= known.duration:
        return Step.TAKE
    return Step.WAIT


def may_write(renewed_at: float | None, now: float, timings: ElectionTimings) -> bool:
    """Whether a process may write at `now` whose last good renewal started at `renewed_at` (steady seconds)."""
    return renewed_at is not None and now < renewed_at + timings.deadline


def seen(before: Candidacy | None, lease: dict[str, Any], answered_at: float) -> Candidacy:
    """The Lease as just read; its age goes on only while it is the very same record."""
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    version = metadata["resourceVersion"]
    same = before is not None and before.resource_version == version
    return Candidacy(
        holder=spec.get("holderIdentity") or "",
        resource_version=version,
        duration=float(spec.get("leaseDurationSeconds") or ElectionTimings().lease_duration),
        transitions=int(spec.get("leaseTransitions") or 0),
        unchanged_since=before.unchanged_since if before is not None and same else answered_at,
    )


def body(
    place: tuple[str, str], me: str, *, known: Candidacy | None, timings: ElectionTimings, now: datetime
) -> dict[str, Any]:
    """The Lease at `place` (namespace, name) as this process writes it; `me` empty lets go of it."""
    changed = known is None or known.holder != me
    transitions = 0 if known is None else known.transitions + (1 if changed and me else 0)
    return {
        "metadata": {
            "name": place[1],
            "namespace": place[0],
            **({"resourceVersion": known.resource_version} if known is not None else {}),
        },
        "spec": {
            "holderIdentity": me,
            "leaseDurationSeconds": round(timings.lease_duration) if me else 1,
            "renewTime": micro_time(now),
            "leaseTransitions": transitions,
        },
    }
