"""The workers of one pool as placement sees them: what each may take and how full it is. Made once per plan and pool.

Counts what the plan itself gives out, so that a later choice of the same plan knows of the earlier ones.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from whatsam_core.resources import ConditionType, WhatsAppSession, WorkerPool
from whatsam_operator.planning.boots import Boot, Boots
from whatsam_operator.planning.snapshot import BootKey, Snapshot
from whatsam_operator.planning.starts import trials
from whatsam_operator.planning.views import NodeView

LOGIN_TIME = timedelta(seconds=60)
"""For so long a session that was given away counts as logging in; one that takes longer has another trouble."""
PAIRING_SHARE = 0.5
"""Part of a worker's places for sessions without a device: each has a process of its own (45 MiB) while it waits."""
FEWEST_PAIRING_SLOTS = 10


def pairing_slots(limit: int) -> int:
    """How many sessions without a device a worker with so many places may hold."""
    return max(FEWEST_PAIRING_SLOTS, int(limit * PAIRING_SHARE))


@dataclass(slots=True)
class NodeLoad:
    """All workers of the pool on one node together."""

    sessions: int = 0
    places: int = 0


@dataclass(slots=True)
class EgressLoad:
    """Everything of the pool behind one outgoing address."""

    logins: int = 0
    """Sessions that log in now."""


@dataclass(slots=True, eq=False)
class Candidate:
    """One worker."""

    boot: Boot
    limit: int
    """Sessions that it may hold."""
    node: NodeLoad
    egress: str | None
    """Value of the pool's `egressTopologyKey` on its node; None when there is no key, or the node is not known."""
    egress_load: EgressLoad | None
    sessions: int = 0
    unpaired: int = 0
    """Sessions without a device, of those."""
    tenants: Counter[str] = field(default_factory=Counter[str])
    trials: int = 0
    """Sessions under suspicion that start there."""
    outdated: bool = False
    """A rollout will replace its pod."""

    @property
    def pairing_slots(self) -> int:
        """How many sessions without a device it may hold."""
        return pairing_slots(self.limit)

    def take(self, tenant: str, *, paired: bool, suspect: bool = False) -> None:
        """Count a session that the plan gives to it."""
        self.sessions += 1
        self.node.sessions += 1
        self.tenants[tenant] += 1
        self.unpaired += not paired
        self.trials += suspect
        if self.egress_load is not None:
            self.egress_load.logins += 1


@dataclass(frozen=True, slots=True)
class Details:
    """What placement wants to know of the sessions that each boot has. Gathered only when somebody needs a place."""

    tenants: Mapping[BootKey, Mapping[str, int]]
    unpaired: Mapping[BootKey, int]
    logins: Mapping[BootKey, int]
    trials: Mapping[BootKey, int]


def details(snapshot: Snapshot, boots: Boots, now: datetime) -> Details:
    """Count tenants, sessions without a device and logins under way by boot. `now` is UTC."""
    tenants: dict[BootKey, dict[str, int]] = {}
    unpaired: Counter[BootKey] = Counter()
    logins: Counter[BootKey] = Counter()
    lately = now - LOGIN_TIME
    for session, assigned in boots.rows:
        under_way = snapshot.pending.get(session.metadata.uid)
        boot = under_way or assigned
        if boot is None:
            continue
        mine = tenants.get(boot)
        if mine is None:
            mine = tenants[boot] = {}
        tenant = session.spec.tenant
        mine[tenant] = mine.get(tenant, 0) + 1
        if not session.status.jid:
            unpaired[boot] += 1
        if under_way is not None or _logging_in(session, lately):
            logins[boot] += 1
    return Details(tenants, unpaired, logins, trials(snapshot))


def _logging_in(session: WhatsAppSession, lately: datetime) -> bool:
    """Whether the session was given to a worker a moment ago and is not connected yet."""
    assignment = session.status.assignment
    return assignment is not None and assignment.since > lately and not session.status.is_true(ConditionType.CONNECTED)


def candidates(
    pool: WorkerPool,
    boots: Boots,
    nodes: Mapping[str, NodeView],
    counted: Details,
    outdated: Collection[str] = (),
) -> list[Candidate]:
    """The pool's boots that are not known to be gone, in the order of their pods' names.

    `outdated`: UIDs of pods that a rollout will replace.
    """
    limit, key = pool.spec.sessions_per_worker, pool.spec.egress_topology_key
    by_node: dict[str, NodeLoad] = {}
    by_egress: dict[str, EgressLoad] = {}
    found: list[Candidate] = []
    for boot in boots.present(pool.metadata.key):
        name = boot.pod.node if boot.pod is not None else ""
        # Without a node, a worker is a node of its own.
        load = by_node.setdefault(name or f"/{boot.key[1]}", NodeLoad())
        egress = egress_of(key, nodes.get(name))
        behind = by_egress.setdefault(egress, EgressLoad()) if egress is not None else None
        sessions = boots.sessions.get(boot.key, 0) + boots.reserved.get(boot.key, 0)
        load.sessions += sessions
        load.places += limit
        if behind is not None:
            behind.logins += counted.logins.get(boot.key, 0)
        found.append(
            Candidate(
                boot=boot,
                limit=limit,
                node=load,
                egress=egress,
                egress_load=behind,
                sessions=sessions,
                unpaired=counted.unpaired.get(boot.key, 0),
                tenants=Counter(counted.tenants.get(boot.key, ())),
                trials=counted.trials.get(boot.key, 0),
                outdated=boot.lease.record.pod_uid in outdated,
            )
        )
    return found


def egress_of(key: str | None, node: NodeView | None) -> str | None:
    """Behind which outgoing address a node's pods are, as the pool tells them apart."""
    return None if key is None or node is None else node.labels.get(key)


def mean(values: Iterable[int | None]) -> float:
    """Mean of what is known; 0 when nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0
