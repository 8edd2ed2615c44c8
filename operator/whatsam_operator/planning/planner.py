"""`plan(snapshot, now) -> decisions`: everything the operator wants to do, from everything it knows.

Called by the reconciler whenever something changed. It is pure: the same snapshot gives the same plan, and a plan made
after all decisions of the one before were carried out is empty.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from whatsam_core import names
from whatsam_core.resources import WhatsAppSession
from whatsam_operator.planning import rebalancing
from whatsam_operator.planning.boots import Boots, boot_of, gather
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision
from whatsam_operator.planning.deletion import plan_deletion
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.duplicates import younger_duplicates
from whatsam_operator.planning.holder import Hold, holding_at
from whatsam_operator.planning.losses import plan_losses
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.pools import plan_pool
from whatsam_operator.planning.restarts import wanted_sightings
from whatsam_operator.planning.running import plan_running
from whatsam_operator.planning.snapshot import BootKey, Key, Moment, Snapshot

PLAN_LIMIT: Final = 500
"""Decisions about free sessions in one plan: more than are written until the next one, and a bounded time."""


def plan(
    snapshot: Snapshot, rendering: Rendering, now: Moment, *, boots: Boots | None = None, floor: Floor | None = None
) -> list[Decision]:
    """All decisions; at most one per session. Losses come first: what they free is assigned by the next plan.

    `boots` are those of the snapshot, if somebody has gathered them already.
    """
    boots = boots or gather(snapshot)
    pools: set[Key] = {*snapshot.pools, *(boot.pool for boot in boots.by_key.values())}
    uids = {key: pool.metadata.uid for key, pool in snapshot.pools.items()}
    decisions = plan_losses(boots, sorted(pools), pool_uids=uids, last_braked=snapshot.last_braked, now=now.steady)
    for _, pool in sorted(snapshot.pools.items()):
        decisions += plan_pool(
            pool, snapshot, boots, rendering, now, referring=boots.referring.get(pool.metadata.key, 0)
        )
    return [*decisions, *plan_sessions(snapshot, boots, now, floor)]


def plan_sessions(snapshot: Snapshot, boots: Boots, now: Moment, floor: Floor | None = None) -> list[Decision]:
    """The decisions about sessions: what is free first, and of that the paired and then the longest waiting.

    So a full pool serves who was promised most and came first. What is free and finds no room in `PLAN_LIMIT` waits
    for the next plan, which skips what this one has started.
    """
    floor = floor or Floor(snapshot, boots, now.wall)
    balance = _balance(snapshot, boots, floor, now)
    elders = younger_duplicates(snapshot.sessions.values())
    free: list[Case] = []
    held: list[Case] = []
    pending, busy = snapshot.pending, snapshot.busy
    for session, boot in boots.rows:
        if (pending and session.metadata.uid in pending) or (busy and session.metadata.key in busy):
            continue
        case = Case(
            session=session,
            held=holding_at(session, boot, boots),
            elder=elders.get(session.metadata.uid) if elders else None,
            snapshot=snapshot,
            boots=boots,
            floor=floor,
            now=now,
            balance=balance.get(session.metadata.key),
        )
        (held if case.held.hold is Hold.HELD else free).append(case)
    free.sort(key=_urgency)
    decisions: list[Decision] = []
    for case in free:
        decisions += _plan_session(case)
        if len(decisions) >= PLAN_LIMIT:
            break
    for case in held:
        decisions += _plan_session(case)
    return decisions


def _balance(snapshot: Snapshot, boots: Boots, floor: Floor, now: Moment) -> dict[Key, BootKey]:
    """Where sessions should go so that workers are evenly used: one round for each pool in which one is due."""
    return {
        move.session: move.to_boot
        for pool in snapshot.pools.values()
        for move in rebalancing.moves(snapshot, boots, floor, pool, now)
    }


def _plan_session(case: Case) -> list[Decision]:
    metadata = case.session.metadata
    if not metadata.deleting:
        return plan_running(case)
    return plan_deletion(case) if names.FINALIZER_OPERATOR in metadata.finalizers else []


def named_boots(sessions: Collection[WhatsAppSession]) -> set[BootKey]:
    """The boots that sessions name: their Leases are missed when they are not there."""
    return {boot for session in sessions if (boot := boot_of(session)) is not None}


def sightings(snapshot: Snapshot, now: Moment) -> dict[str, float]:
    """What must be remembered from when it is first seen; what is not there any more is forgotten."""
    wanted: list[str] = []
    for session in snapshot.sessions.values():
        wanted += wanted_sightings(session)
    return {name: snapshot.sightings.get(name, now.steady) for name in wanted}


def _urgency(case: Case) -> tuple[bool, datetime, Key]:
    metadata = case.session.metadata
    return (case.session.status.jid is None, metadata.creation_timestamp or _NEVER, metadata.key)


_NEVER = datetime.min.replace(tzinfo=UTC)
