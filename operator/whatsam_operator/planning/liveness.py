"""Is a connector's boot alive, and may its sessions be taken away?

A boot is one run of a connector's container; its Lease is the only thing that says it lives. Called by the planner
for every Lease and for every boot that a session names. The outcomes say what to do, because this is the decision
that could put two holders on one session.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from whatsam_core.lease import LeaseState
from whatsam_operator.planning.snapshot import ObservedLease
from whatsam_operator.planning.views import PodView, Termination

SUSPECT_AFTER = 1 / 3
"""Part of the lease duration without a renewal after which a boot gets nothing new (two renewals were missed)."""

STATUS_UNKNOWN = "ContainerStatusUnknown"
"""The kubelet's reason when it lost track of a container: the container may still run."""


class Verdict(Enum):
    """What to do about a boot."""

    ALIVE = "alive"
    """Leave its sessions with it; it may get more."""
    DRAINING = "draining"
    """It hands its sessions over: move each when it has let go; give it nothing new."""
    SUSPECT = "suspect"
    """It missed renewals: give it nothing new, take nothing away."""
    PROVEN_DEAD = "proven dead"
    """The kubelet reports the end of this very boot: revoke the Lease at once, then move its sessions."""
    EXPIRED = "expired"
    """The Lease stood still for its whole duration: revoke it first; only if that succeeds the boot is gone."""
    RELEASED = "released"
    """The boot said that its engines are dead: move its sessions at once."""
    REVOKED = "revoked"
    """An operator took the Lease away after proof or expiry: move its sessions at once."""
    MISSING = "missing"
    """No Lease, but not for long enough: no proof of anything. Wait."""
    MISSING_EXPIRED = "missing expired"
    """No Lease for a whole lease duration: a holder that lives has fenced itself. Move its sessions."""

    @property
    def gone(self) -> bool:
        """Whether the boot certainly holds nothing any more."""
        return self in (Verdict.RELEASED, Verdict.REVOKED, Verdict.MISSING_EXPIRED)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and, for people, how it was reached."""

    verdict: Verdict
    because: str = ""


def judge(lease: ObservedLease, pod: PodView | None, elders: Sequence[datetime] = ()) -> Judgement:  # noqa: PLR0911 - one return per outcome
    """What the Lease and the pod of its boot say together.

    `pod` must be the pod with the Lease's pod UID, or None. `elders`: when earlier boots of that pod acquired theirs.
    """
    record = lease.record
    if record.state is LeaseState.REVOKED:
        return Judgement(Verdict.REVOKED, lease.revoked_because or "its Lease was revoked")
    if record.state is LeaseState.RELEASED:
        return Judgement(Verdict.RELEASED, "it released its Lease")
    if pod is not None and (proof := proof_of_death(pod, record.acquired_at, elders)) is not None:
        return Judgement(Verdict.PROVEN_DEAD, proof)
    if lease.unchanged >= record.duration_seconds:
        return Judgement(Verdict.EXPIRED, f"its Lease was not renewed for {record.duration_seconds} s")
    if record.state is LeaseState.DRAINING:
        return Judgement(Verdict.DRAINING)
    if lease.unchanged >= record.duration_seconds * SUSPECT_AFTER:
        return Judgement(Verdict.SUSPECT)
    return Judgement(Verdict.ALIVE)


def judge_missing(missing_for: float | None, lease_duration: float) -> Judgement:
    """A boot without a Lease. `missing_for` is None when the operator has not read the Leases since it saw the name."""
    if missing_for is not None and missing_for >= lease_duration:
        return Judgement(Verdict.MISSING_EXPIRED, f"its Lease has been gone for {lease_duration:g} s")
    return Judgement(Verdict.MISSING)


def proof_of_death(pod: PodView, acquired_at: datetime, elders: Sequence[datetime] = ()) -> str | None:
    """How the kubelet's report proves that the boot which acquired its Lease then has ended, or None.

    Kubelet and connector share the node's clock. The kubelet's times are whole seconds, cut off: only a strictly
    later second is certainly after the acquisition. That clock may be set back, and the report may be older than the
    Lease: then the end of an earlier run looks newer than the Lease of the run that lives. So while a container runs,
    its own start counts, too; and a report that may be about an elder boot of the pod proves nothing.
    """
    container = pod.container
    if container is not None and container.terminated is not None:
        return _ended("ended", container.terminated, acquired_at, elders)
    if container is None or container.last_terminated is None:
        return None
    if container.waiting:
        return _ended("ended", container.last_terminated, acquired_at, elders)
    since = container.running_since
    if container.restarts == 0 or since is None or not _certainly_after(since, acquired_at):
        return None
    # The run that is shown may be an elder's.
    mine = not any(elder >= since for elder in elders)
    return _ended("was restarted", container.last_terminated, acquired_at, elders) if mine else None


def _ended(what: str, run: Termination, acquired_at: datetime, elders: Sequence[datetime]) -> str | None:
    """Whether the run that ended is certainly the one in which the Lease was acquired."""
    if run.reason == STATUS_UNKNOWN or run.finished_at is None:
        return None
    if not _certainly_after(run.finished_at, acquired_at):
        return None
    if run.started_at is not None and run.started_at > acquired_at:
        return None
    if any(_may_be_of(run, elder) for elder in elders):
        return None
    return f"its container {what} ({run.text})"


def _may_be_of(run: Termination, acquired_at: datetime) -> bool:
    """Whether the run that ended may be the one in which a boot acquired its Lease then."""
    started, finished = run.started_at, run.finished_at
    began_before = started is None or started <= acquired_at
    return began_before and (finished is None or acquired_at < finished + timedelta(seconds=1))


def _certainly_after(reported: datetime, acquired_at: datetime) -> bool:
    return reported >= acquired_at.replace(microsecond=0) + timedelta(seconds=1)
