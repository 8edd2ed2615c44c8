"""Which Leases are revoked now? Called once per plan.

Proof of death is acted on at once. Expiry is, too, unless most of a pool seems to have expired together: then the
operator suspects its own view and goes slowly.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from whatsam_operator.planning.boots import Boot, Boots
from whatsam_operator.planning.decisions import Decision, DeleteLease, RevokeLease, Story, Target
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.snapshot import BootKey, Key

BRAKE_MIN_WORKERS = 3
"""Smaller pools lose most of their workers by losing one or two: that is no sign of a wrong view."""
BRAKE_EXTRA = 1.5
"""Under suspicion a Lease must stand still for this many lease durations: half a duration more of fresh reads."""
BRAKE_INTERVAL = 10.0
"""Seconds between two takeovers in a pool under suspicion."""
KEEP_GONE = 60.0
"""Seconds for which the Lease of a boot that is gone stays, for people who look."""


class Brake(Enum):
    """Whether a pool's expired Leases are believed."""

    OFF = "off"
    """Revoke each expired Lease."""
    ON = "on"
    """More than half of three or more workers expired without proof: wait longer, then one at a time."""


def brake(boots: Iterable[Boot]) -> Brake:
    """Judge the boots of one pool that are not known to be gone. Proven deaths are no reason for suspicion."""
    present = [boot for boot in boots if not boot.judgement.verdict.gone]
    unproven = [boot for boot in present if boot.judgement.verdict is not Verdict.PROVEN_DEAD]
    expired = sum(1 for boot in unproven if boot.judgement.verdict is Verdict.EXPIRED)
    return Brake.ON if len(unproven) >= BRAKE_MIN_WORKERS and expired * 2 > len(unproven) else Brake.OFF


def plan_losses(
    boots: Boots, pools: Iterable[Key], *, pool_uids: Mapping[Key, str], last_braked: Mapping[Key, float], now: float
) -> list[Decision]:
    """Revocations and the clearing away of old Leases, for all pools. `now` is steady time."""
    decisions: list[Decision] = []
    for pool in pools:
        mine = boots.of_pool(pool)
        decisions += _revocations(mine, pool, pool_uids, last_braked.get(pool), now)
        decisions += [_clear_away(boot) for boot in mine if _is_litter(boot, boots.sessions)]
    return decisions


def _revocations(
    boots: list[Boot], pool: Key, pool_uids: Mapping[Key, str], last_braked: float | None, now: float
) -> list[Decision]:
    proven = [boot for boot in boots if boot.judgement.verdict is Verdict.PROVEN_DEAD]
    expired = [boot for boot in boots if boot.judgement.verdict is Verdict.EXPIRED]
    believed: list[Boot] = expired
    braked = brake(boots) is Brake.ON
    if braked:
        allowed = last_braked is None or now - last_braked >= BRAKE_INTERVAL
        long_enough = [
            boot for boot in expired if boot.lease.unchanged >= boot.lease.record.duration_seconds * BRAKE_EXTRA
        ]
        believed = long_enough[:1] if allowed else []
    return [
        *(_revoke(boot, pool, pool_uids, braked=False) for boot in proven),
        *(_revoke(boot, pool, pool_uids, braked=braked) for boot in believed),
    ]


def _revoke(boot: Boot, pool: Key, pool_uids: Mapping[Key, str], *, braked: bool) -> RevokeLease:
    record = boot.lease.record
    text = f"lost worker {record.pod_name}: {boot.judgement.because}"
    return RevokeLease(
        target=Target("lease", (record.namespace, record.name), record.uid),
        stories=(Story("WorkerLost", text, warning=True),) if pool in pool_uids else (),
        about=Target("pool", pool, pool_uids[pool]) if pool in pool_uids else None,
        boot=boot.key,
        pool=pool,
        resource_version=record.resource_version,
        proof=boot.judgement.verdict,
        because=boot.judgement.because,
        braked=braked,
    )


def _is_litter(boot: Boot, sessions: Mapping[BootKey, int]) -> bool:
    return boot.judgement.verdict.gone and boot.lease.unchanged >= KEEP_GONE and not sessions.get(boot.key)


def _clear_away(boot: Boot) -> DeleteLease:
    record = boot.lease.record
    return DeleteLease(
        target=Target("lease", (record.namespace, record.name), record.uid),
        boot=boot.key,
        resource_version=record.resource_version,
    )
