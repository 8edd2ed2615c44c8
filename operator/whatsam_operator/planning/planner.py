"""`plan(snapshot, now) -> decisions`: everything the operator wants to do, from everything it knows.

Called by the reconciler whenever something changed. It is pure: the same snapshot gives the same plan, and a plan made
after all decisions of the one before were carried out is empty.
"""

from collections import Counter
from collections.abc import Collection

from whatsam_core import names
from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning.boots import Boots, boot_of, gather, pool_of
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision
from whatsam_operator.planning.deletion import plan_deletion
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.duplicates import younger_duplicates
from whatsam_operator.planning.holder import holding
from whatsam_operator.planning.losses import plan_losses
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.pools import plan_pool
from whatsam_operator.planning.restarts import wanted_sightings
from whatsam_operator.planning.running import plan_running
from whatsam_operator.planning.snapshot import BootKey, Key, Moment, Snapshot


def plan(snapshot: Snapshot, rendering: Rendering, now: Moment) -> list[Decision]:
    """All decisions; at most one per session. Losses come first: what they free is assigned by the next plan."""
    boots = gather(snapshot)
    referring = Counter(pool_of(session) for session in snapshot.sessions.values())
    pools: set[Key] = {*snapshot.pools, *(boot.pool for boot in boots.by_key.values())}
    uids = {key: pool.metadata.uid for key, pool in snapshot.pools.items()}
    decisions = plan_losses(boots, sorted(pools), pool_uids=uids, last_braked=snapshot.last_braked, now=now.steady)
    for _, pool in sorted(snapshot.pools.items()):
        decisions += plan_pool(pool, snapshot, boots, rendering, now, referring=referring[pool.metadata.key])
    return [*decisions, *plan_sessions(snapshot, boots, now)]


def plan_sessions(snapshot: Snapshot, boots: Boots, now: Moment) -> list[Decision]:
    """The decisions about sessions: the longest waiting first, so that a full pool serves who came first."""
    floor = Floor(snapshot.pools, boots)
    elders = younger_duplicates(snapshot.sessions.values())
    decisions: list[Decision] = []
    for session in sorted(snapshot.sessions.values(), key=_age):
        if session.metadata.uid in snapshot.pending:
            continue
        case = Case(
            session=session,
            held=holding(session, boots),
            elder=elders.get(session.metadata.uid),
            engine=_last_engine(session, boots),
            snapshot=snapshot,
            boots=boots,
            floor=floor,
            now=now,
        )
        if not session.metadata.deleting:
            decisions += plan_running(case)
        elif names.FINALIZER_OPERATOR in session.metadata.finalizers:
            decisions += plan_deletion(case)
    return decisions


def named_boots(sessions: Collection[WhatsAppSession]) -> set[BootKey]:
    """The boots that sessions name: their Leases are missed when they are not there."""
    return {boot for session in sessions if (boot := boot_of(session)) is not None}


def sightings(snapshot: Snapshot, now: Moment) -> dict[str, float]:
    """What must be remembered from when it is first seen; what is not there any more is forgotten."""
    wanted = {name for session in snapshot.sessions.values() for name in wanted_sightings(session)}
    return {name: snapshot.sightings.get(name, now.steady) for name in wanted}


def _last_engine(session: WhatsAppSession, boots: Boots) -> str:
    key = boot_of(session)
    boot = boots.by_key.get(key) if key is not None else None
    return "" if boot is None else boot.lease.record.engine_version


def _age(session: WhatsAppSession) -> tuple[str, Key]:
    created = session.metadata.creation_timestamp
    return (created.isoformat() if created is not None else "", session.metadata.key)
