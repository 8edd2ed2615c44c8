"""All boots of a snapshot, judged once. Every planning module asks here whether a boot is alive or gone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from whatsam_core.lease import LeaseTimings
from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.holdings import Holding
from whatsam_operator.planning.liveness import Judgement, judge, judge_missing
from whatsam_operator.planning.snapshot import BootKey, Key, ObservedLease, Snapshot
from whatsam_operator.planning.views import PodView


@dataclass(frozen=True, slots=True)
class Boot:
    """A boot that has a Lease: what is known of it."""

    lease: ObservedLease
    pod: PodView | None
    judgement: Judgement

    @property
    def key(self) -> BootKey:
        """Which boot."""
        return (self.lease.record.namespace, self.lease.record.boot_id)

    @property
    def pool(self) -> Key:
        """The pool that it works for."""
        return (self.lease.record.namespace, self.lease.record.pool)


@dataclass(frozen=True, slots=True)
class Boots:
    """Boots by key, and how many sessions each has."""

    by_key: Mapping[BootKey, Boot]
    sessions: Mapping[BootKey, int]
    """Sessions assigned to each boot, those under way included."""
    missing: Mapping[BootKey, float]
    reserved: Mapping[BootKey, int]
    """Sessions that shall move to each boot and are not there yet."""
    durations: Mapping[Key, int]
    """Lease duration of each pool in seconds."""
    referring: Mapping[Key, int] = field(default_factory=dict[Key, int])
    """Sessions that name each pool."""
    rows: Sequence[tuple[WhatsAppSession, BootKey | None]] = ()
    """Every session with the boot that it is assigned to, so that nobody has to work that out again."""
    holdings: dict[BootKey, Holding] = field(default_factory=dict[BootKey, Holding], compare=False)
    """What `holder` has worked out: one answer for all sessions of a boot."""

    def judge(self, boot: BootKey, pool: Key) -> Judgement:
        """The verdict on any boot, also on one without a Lease; `pool` is that of the session that names it."""
        known = self.by_key.get(boot)
        if known is not None:
            return known.judgement
        duration = max(self.durations.get(pool, 0), LeaseTimings().lease_duration)
        return judge_missing(self.missing.get(boot), duration)

    def of_pool(self, pool: Key) -> list[Boot]:
        """The boots of a pool, in the order of their pods' names."""
        mine = [boot for boot in self.by_key.values() if boot.pool == pool]
        return sorted(mine, key=lambda boot: (boot.lease.record.pod_name, boot.lease.record.boot_id))

    def present(self, pool: Key) -> list[Boot]:
        """Of those, the ones that are not known to be gone."""
        return [boot for boot in self.of_pool(pool) if not boot.judgement.verdict.gone]


def boot_of(session: WhatsAppSession) -> BootKey | None:
    """The boot that a session is assigned to."""
    assignment = session.status.assignment
    return None if assignment is None else (session.metadata.namespace, assignment.boot_id)


def pool_of(session: WhatsAppSession) -> Key:
    """The pool that a session refers to."""
    return (session.metadata.namespace, session.spec.pool_ref.name)


def successor_of(session: WhatsAppSession) -> BootKey | None:
    """The boot that is named as the session's successor."""
    successor = session.status.next
    return None if successor is None else (session.metadata.namespace, successor.boot_id)


def gather(snapshot: Snapshot) -> Boots:
    """Judge every Lease of the snapshot and count the sessions of every boot."""
    elders = _elders(snapshot)
    by_key = {
        key: Boot(lease, pod, judge(lease, pod, elders.get(key, ())))
        for key, lease in snapshot.leases.items()
        for pod in [snapshot.pods.get(lease.record.pod_uid)]
    }
    count: Counter[BootKey] = Counter()
    referring: Counter[Key] = Counter()
    rows: list[tuple[WhatsAppSession, BootKey | None]] = []
    pending = snapshot.pending
    reserved: Counter[BootKey] = Counter()
    for session in snapshot.sessions.values():
        boot = boot_of(session)
        rows.append((session, boot))
        # An assignment under way counts where it goes: its session's old boot is gone or has let go.
        counted = boot if not pending else pending.get(session.metadata.uid) or boot
        if counted is not None:
            count[counted] += 1
        if session.status.next is not None or snapshot.naming:
            successor = snapshot.naming.get(session.metadata.uid) or successor_of(session)
            if successor is not None and successor != boot and session.metadata.uid not in pending:
                reserved[successor] += 1
        referring[pool_of(session)] += 1
    durations = {key: pool.spec.failover.lease_duration for key, pool in snapshot.pools.items()}
    return Boots(
        by_key=by_key,
        sessions=count,
        missing=snapshot.missing,
        reserved=reserved,
        durations=durations,
        referring=referring,
        rows=rows,
    )


def _elders(snapshot: Snapshot) -> dict[BootKey, list[datetime]]:
    """When the elder boots of the same pod acquired their Leases, for each boot that has such."""
    by_pod: dict[str, list[tuple[BootKey, ObservedLease]]] = {}
    for key, lease in snapshot.leases.items():
        by_pod.setdefault(lease.record.pod_uid, []).append((key, lease))
    return {
        key: [
            other.record.acquired_at
            for other_key, other in boots
            if other_key != key and other.created_at and lease.created_at and other.created_at <= lease.created_at
        ]
        for boots in by_pod.values()
        if len(boots) > 1
        for key, lease in boots
    }
