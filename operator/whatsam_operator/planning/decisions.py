"""What a plan can ask for. The planner makes these, the writer carries them out, tests compare them.

Every decision names one object (`target`): the writer works on one decision per object at a time. A decision that
writes an object carries the resourceVersion it was based on; when that has changed, nothing is written and the next
plan decides again.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from whatsam_core.resources import Assignment, Condition, FailedStarts, Phase, PoolStatus, Successor
from whatsam_core.sessions_state import Tombstone
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.snapshot import BootKey, Key


@dataclass(frozen=True, slots=True)
class Target:
    """The object that a decision is about."""

    kind: Literal["session", "pool", "lease", "pod"]
    key: Key
    uid: str


@dataclass(frozen=True, slots=True)
class Story:
    """One Event: a sentence in `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Something to do, about one object."""

    target: Target
    stories: tuple[Story, ...] = ()
    """Told after the decision was carried out."""
    about: Target | None = None
    """The object that the stories are about, when it is not the target."""

    @property
    def slot(self) -> tuple[str, ...]:
        """Decisions of one slot are never carried out at the same time. A pool has one slot per kind of decision."""
        own = (type(self).__name__,) if self.target.kind == "pool" else ()
        return (self.target.kind, *self.target.key, *own)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFinalizers(Decision):
    """Replace the finalizers of a session or pool."""

    resource_version: str
    finalizers: tuple[str, ...]


class TakenFrom(Enum):
    """How the session came free; the label of the failover metric."""

    NOBODY = "nobody"
    """It had no holder."""
    HANDED_OVER = "handed-over"
    """Its holder let go of it in an orderly way."""
    LOST = "lost"
    """Its holder's boot is gone."""
    SAME_HOLDER = "same-holder"
    """Its holder stopped it and asks for a new epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Decision):
    """Give the session to a boot under a new epoch."""

    resource_version: str
    taken_from: TakenFrom
    previous: BootKey | None
    """The boot whose end the writer confirms by a fresh read of its Lease before it writes (only when `LOST`)."""
    epoch: int
    assignment: Assignment
    phase: Phase
    conditions: tuple[Condition, ...]
    migrations: int
    failed_starts: FailedStarts | None = None
    """What is held against the session; None: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameSuccessor(Decision):
    """Ask a boot to prepare itself for a session that another one holds; None: nobody shall any more."""

    resource_version: str
    successor: Successor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetMigration(Decision):
    """Take the wish for a move (`whatsam.io/migrate-to`) off a session: it is where it shall be, or cannot go there."""

    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus(Decision):
    """Write the operator's part of a session's status while nobody holds it (or take it from one who let go)."""

    resource_version: str
    clear_assignment: bool = False
    previous: BootKey | None = None
    """As in `Assign`: a boot that must be gone when the assignment is cleared."""
    phase: Phase
    conditions: tuple[Condition, ...]
    observed_generation: int
    failed_starts: FailedStarts | None = None
    """What is held against the session; None: nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTakeover(Decision):
    """Write down, before it happens, that a session gets a new epoch because of StreamReplaced."""

    resource_version: str
    annotation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpState(Decision):
    """Ask the object store whether a deleted session of this name left its state behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptState(Decision):
    """Take over the device of the deleted session: status first, then the tombstone goes."""

    resource_version: str
    tombstone: Tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroyExpiredState(Decision):
    """The state that a deleted session left behind has outlived its time: destroy it, then the tombstone."""

    tombstone: Tombstone


class Remains(Enum):
    """What becomes of the auth state of a session that goes."""

    DESTROY = "destroy"
    """Delete everything below its prefix, its key first."""
    RETAIN = "retain"
    """Leave a tombstone; the state stays."""
    UNTOUCHED = "untouched"
    """The session never owned a state (it never ran, or the state is another tenant's): leave all as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalize(Decision):
    """Settle the auth state of a deleted session, then let the object go."""

    remains: Remains
    tenant: str
    tombstone: Tombstone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeLease(Decision):
    """Take the Lease from a boot that is dead. Succeeds only if nothing renewed it since it was read."""

    boot: BootKey
    pool: Key
    resource_version: str
    proof: Verdict
    because: str
    braked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteLease(Decision):
    """Clear away the Lease of a boot that is gone and that no session names."""

    boot: BootKey
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyDeployment(Decision):
    """Create or replace the pool's Deployment."""

    body: dict[str, Any] = field(hash=False)
    create: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyBudget(Decision):
    """Create or replace the pool's PodDisruptionBudget."""

    body: dict[str, Any] = field(hash=False)
    create: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeletionCost(Decision):
    """Tell the ReplicaSet controller how many sessions a pod holds, so that it takes the emptiest."""

    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReplicas(Decision):
    """Write the pool's number of workers, as autoscaling wants it."""

    resource_version: str
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPod(Decision):
    """Have a pod give its sessions away because it shall go, and make it the first to go; or take that back."""

    resource_version: str
    leaves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPoolStatus(Decision):
    """Write the pool's status."""

    resource_version: str
    status: PoolStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(Decision):
    """Only the stories; told once per text and life of the process."""
