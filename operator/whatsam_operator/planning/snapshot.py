"""What a plan is made from: everything the operator knows at one moment, read-only.

Built by the index and the lease book, used by every planning module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from whatsam_core.lease import LeaseRecord
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_core.sessions_state import Tombstone
from whatsam_operator.planning.ownership import OURS, Standing
from whatsam_operator.planning.views import BudgetView, DeploymentView, NodeView, PodView

Key = tuple[str, str]
"""`(namespace, name)` of an object."""
BootKey = tuple[str, str]
"""`(namespace, boot id)` of a connector's boot."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, by both clocks. Expiry is decided by `steady` alone; `wall` is for what people read and for days."""

    steady: float
    """Seconds of a clock that never goes back and counts suspension (CLOCK_BOOTTIME)."""
    wall: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class ObservedLease:
    """A connector's Lease and for how long successful fresh reads have shown it unchanged."""

    record: LeaseRecord
    unchanged: float
    """Seconds, by the operator's own clock; reads that failed add nothing."""
    revoked_because: str = ""
    """What the operator wrote when it took the Lease away."""
    created_at: datetime | None = None
    """By the API server's clock. It tells which boot of a pod is the elder whatever became of the node's clock."""


@dataclass(frozen=True, slots=True)
class StateKnowledge:
    """What the object store said when asked whether a deleted session of this name left its state behind."""

    tombstone: Tombstone | None = None
    reachable: bool = True


@dataclass(frozen=True, slots=True)
class FailedStart:
    """A session whose worker was lost before the session was up."""

    count: int
    """Times in a row."""
    epoch: int
    """Under which it happened last."""
    generation: int
    """Of the session then: who changes its spec wipes the slate."""
    at: float
    """Steady time at which it was seen."""


@dataclass(frozen=True, slots=True)
class Storms:
    """What is remembered of failed starts; see `starts`."""

    sessions: Mapping[str, FailedStart] = field(default_factory=dict[str, FailedStart])
    """By session UID."""
    pools: Mapping[Key, Mapping[BootKey, float]] = field(default_factory=dict[Key, Mapping[BootKey, float]])
    """Boots of a pool that were lost with failed starts, and when (steady)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All objects by key, and what only the operator itself can know."""

    sessions: Mapping[Key, WhatsAppSession] = field(default_factory=dict[Key, WhatsAppSession])
    pools: Mapping[Key, WorkerPool] = field(default_factory=dict[Key, WorkerPool])
    pods: Mapping[str, PodView] = field(default_factory=dict[str, PodView])
    """Connector pods by UID."""
    nodes: Mapping[str, NodeView] = field(default_factory=dict[str, NodeView])
    """By name."""
    leases: Mapping[BootKey, ObservedLease] = field(default_factory=dict[BootKey, ObservedLease])
    missing: Mapping[BootKey, float] = field(default_factory=dict[BootKey, float])
    """Boots that sessions name but that have no Lease: for how many seconds fresh reads have shown that."""
    deployments: Mapping[Key, DeploymentView] = field(default_factory=dict[Key, DeploymentView])
    budgets: Mapping[Key, BudgetView] = field(default_factory=dict[Key, BudgetView])
    states: Mapping[str, StateKnowledge] = field(default_factory=dict[str, StateKnowledge])
    """By session UID."""
    pending: Mapping[str, BootKey] = field(default_factory=dict[str, BootKey])
    """Assignments under way, by session UID: they take a place although no object shows it yet."""
    naming: Mapping[str, BootKey] = field(default_factory=dict[str, BootKey])
    """The same for successors that are being named."""
    busy: frozenset[Key] = frozenset()
    """Sessions about which something is being written, or was refused a moment ago: not planned now."""
    sightings: Mapping[str, float] = field(default_factory=dict[str, float])
    """Steady time at which the operator first saw something that must last for a while before it acts."""
    storms: Storms = Storms()
    balanced: Mapping[Key, tuple[float, ...]] = field(default_factory=dict[Key, tuple[float, ...]])
    """Steady times at which a session was moved for the sake of balance, by its key."""
    store: Standing = OURS
    """Whether the object store is this cluster's."""
    last_braked: Mapping[Key, float] = field(default_factory=dict[Key, float])
    """Steady time of the last takeover in a pool whose mass failure is under suspicion."""
    pool_written: Mapping[Key, float] = field(default_factory=dict[Key, float])
    """Steady time at which a pool's status was written last."""
