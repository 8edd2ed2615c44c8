"""What an answer to a renewal, or the lack of one, means for everything this boot runs. Pure; called by the keeper.

Why this is safe: a verdict counts time from the *start* of the last good renewal, the operator counts from when it
*read* that renewal, which is later. The renewal names the resourceVersion it knows, so a Lease that the operator has
revoked meanwhile cannot be renewed; and the operator revokes before it assigns. Hence nobody else holds a session of
this boot before `lease_duration`, and nothing of this boot is alive after `hard_fence`.
"""

from collections.abc import Reversible
from dataclasses import dataclass, replace
from enum import Enum

from whatsam_core.lease import LeaseRecord, LeaseState, LeaseTimings


class Answer(Enum):
    """How a renewal request ended."""

    ACCEPTED = "accepted"
    CONFLICT = "conflict"
    """409: the Lease is not the one we wrote last; perhaps because the answer to our own last write was lost."""
    MISSING = "missing"
    """404: somebody deleted the Lease."""
    UNREACHABLE = "unreachable"
    """No answer in time, or one that says "not now". The write may or may not have happened."""
    REFUSED = "refused"
    """401, 403, 422: the API server answers and does not let us write. It may pass, so it counts as no renewal."""


class Verdict(Enum):
    """What the keeper must do now."""

    RENEWED = "renewed"
    """Arm every engine to start of the renewal + `hard_fence`; when fenced, resume in place."""
    RETRY = "retry"
    """Nothing changes for the sessions; ask again."""
    READ_BACK = "read-back"
    """Read the Lease once and judge what is there with `judge_read_back`."""
    SOFT_FENCE = "soft-fence"
    """Accept no work, disconnect the engines, flush; go on asking."""
    HARD_FENCE = "hard-fence"
    """Kill every engine and confirm its death, before the kernel has to; go on asking."""
    REVOKED = "revoked"
    """The Lease is another's word now: kill every engine, run nothing, end the process."""


@dataclass(frozen=True)
class Attempt:
    """One renewal as it was sent; kept until a later one is known to have arrived."""

    record: LeaseRecord
    started: float
    """CLOCK_BOOTTIME seconds before the request left."""


def kill_after(timings: LeaseTimings) -> float:
    """Seconds after the last good renewal at which engines are killed by us.

    Halfway between the fences: late enough for a flush, early enough to have the deaths confirmed before the kernel's
    timers fire, so that the supervisor's own timer can be disarmed and the boot survives an outage of the API server.
    """
    return (timings.soft_fence + timings.hard_fence) / 2


def supervisor_deadline(timings: LeaseTimings, renewed_at: float) -> float:
    """When the kernel ends the supervisor itself, unless all its engines are known to be dead by then.

    After the engines' own deadline, and half the margin before anybody else may take over.
    """
    return renewed_at + timings.hard_fence + (timings.lease_duration - timings.hard_fence) / 2


def supervisor_timer(engines: int, renewed_at: float | None, timings: LeaseTimings) -> float | None:
    """The deadline of the supervisor's own kernel timer; None: disarmed.

    `engines` counts those that live or are being born: without any, nothing of this boot can do harm.
    """
    return None if engines == 0 or renewed_at is None else supervisor_deadline(timings, renewed_at)


def judge_age(age: float, timings: LeaseTimings) -> Verdict:
    """The verdict when nothing has come since the last good renewal, which started `age` seconds ago."""
    if age >= kill_after(timings):
        return Verdict.HARD_FENCE
    if age >= timings.soft_fence:
        return Verdict.SOFT_FENCE
    return Verdict.RETRY


def judge_answer(answer: Answer, age: float, timings: LeaseTimings) -> Verdict:
    """The verdict on one renewal. `age`: seconds since the start of the last good one before it."""
    match answer:
        case Answer.ACCEPTED:
            return Verdict.RENEWED
        case Answer.MISSING:
            return Verdict.REVOKED
        case Answer.CONFLICT:
            return Verdict.READ_BACK
        case Answer.UNREACHABLE | Answer.REFUSED:
            return judge_age(age, timings)


def judge_read_back(found: LeaseRecord | None, attempts: Reversible[Attempt]) -> tuple[Verdict, Attempt | None]:
    """The verdict on a conflict, from the Lease as it was read back.

    It is ours only when what is written there is exactly one of our own writes whose answer was lost; then that attempt
    is returned, and its start counts. Anything else, even a harmless annotation by a person, is a foreign write: we
    cannot know what its writer believed, so it counts as revoked.
    """
    if found is None or found.state is LeaseState.REVOKED:
        return Verdict.REVOKED, None
    for attempt in reversed(attempts):
        if _same_words(found, attempt.record):
            return Verdict.RENEWED, attempt
    return Verdict.REVOKED, None


def judge_own_write(age: float, timings: LeaseTimings) -> Verdict:
    """The verdict on an own write that was found by `judge_read_back` and started `age` seconds ago.

    It may lie so far back that a fence is due already: then it has confirmed nothing.
    """
    return Verdict.RENEWED if judge_age(age, timings) is Verdict.RETRY else Verdict.RETRY


def _same_words(found: LeaseRecord, written: LeaseRecord) -> bool:
    """Equal but for what the API server fills in."""
    return replace(found, resource_version="", uid="") == replace(written, resource_version="", uid="")
