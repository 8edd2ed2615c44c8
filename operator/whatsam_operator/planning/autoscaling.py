"""How many workers should a pool have, and what is the next step there? Nothing is changed here; `scaling` does that.

Growth follows the sessions at once: they are counted, not estimated; it follows CPU and memory when they have asked
for `PATIENCE`. Shrinkage waits until fewer workers were enough for a whole stabilization window, takes one worker at a
time, and only one that nobody is connected on any more.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import Final

from whatsam_core.resources import ConditionType, DesiredState, Phase, Scaling, WhatsAppSession, WorkerPool
from whatsam_operator.planning import demand
from whatsam_operator.planning.boots import Boot, Boots, pool_of
from whatsam_operator.planning.candidates import pairing_slots
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.losses import Brake, brake
from whatsam_operator.planning.placement import Refusal
from whatsam_operator.planning.snapshot import BootKey, Snapshot

TOLERANCE: Final = 0.1
"""By so much the load may miss its target before the number of workers follows it."""
PATIENCE: Final = timedelta(seconds=60)
"""CPU or memory must have asked for more workers for so long: sessions that start use more than sessions that run."""
NO_PLACE: Final = frozenset({Refusal.NO_CAPACITY, Refusal.NO_WORKERS, Refusal.NO_PAIRING_SLOT})


class Reason(StrEnum):
    """What asks for the number of workers."""

    SESSIONS = "Sessions"
    PAIRINGS = "Pairings"
    """Sessions without a device: each needs one of the few places for them."""
    CPU = "Cpu"
    MEMORY = "Memory"
    MIN_REPLICAS = "MinReplicas"
    MAX_REPLICAS = "MaxReplicas"


class Verb(Enum):
    """The next step."""

    STAY = "stay"
    """Enough, and not too many; or it is not the time."""
    GROW = "grow"
    """Set `spec.replicas` to more."""
    DRAIN = "drain"
    """Move the sessions of the named worker to others; it goes when it is empty."""
    SHRINK = "shrink"
    """Set `spec.replicas` to one less: the named worker is empty and goes first."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next step, with words for people."""

    verb: Verb
    replicas: int
    """The number to aim for with this step."""
    because: str
    worker: BootKey | None = None
    """Who is drained, or goes."""


@dataclass(frozen=True, slots=True, order=True)
class Seats:
    """A worker as autoscaling sees it. In this order one of them is chosen to go."""

    stays: bool
    """It is not the one that has been told already to give its sessions away."""
    busy: int
    """Sessions with a device that are here or on their way here: for them, its end would be an interruption."""
    sessions: int
    """All that are here or on their way here."""
    boot: BootKey
    kept: bool = False
    """A person has cordoned it: it takes none, and whoever did that may still want it."""


@dataclass(frozen=True, slots=True)
class Use:
    """What a pool has and needs."""

    replicas: int
    """`spec.replicas`."""
    settled: bool
    """All workers that shall be there are there, alive, and none is too many."""
    suspected: bool
    """A mass failure is suspected: the view may be wrong."""
    sessions: int
    """Sessions that shall run."""
    unpaired: int
    """Of those, sessions without a device."""
    unplaced: int
    """Sessions that nobody holds, and that do not wait for a person."""
    homeless: int
    """Of those, sessions for which there was no place."""
    workers: tuple[Seats, ...]
    """Workers that are alive and ready."""
    cpu: float | None
    memory: float | None
    """Mean percent over the workers that tell; None when none does."""


@dataclass(frozen=True, slots=True)
class Advice:
    """How many workers would be right just now."""

    replicas: int
    reason: Reason
    because: str
    counted: int
    """How many the sessions alone ask for; growth to that number waits for nothing."""


def use_of(snapshot: Snapshot, boots: Boots, pool: WorkerPool) -> Use:
    """What the snapshot shows of the pool."""
    key = pool.metadata.key
    present = boots.present(key)
    alive = [boot for boot in present if _counts(boot)]
    busy: Counter[BootKey] = Counter()
    sessions = unpaired = unplaced = homeless = 0
    for session, boot in boots.rows:
        if pool_of(session) != key or session.metadata.deleting:
            continue
        where = snapshot.pending.get(session.metadata.uid) or boot
        if where is not None and _would_notice(session):
            busy[where] += 1
        if session.spec.desired_state is not DesiredState.RUNNING:
            continue
        sessions += 1
        unpaired += session.status.jid is None
        if where is None and not session.status.is_true(ConditionType.STALLED):
            unplaced += 1
            homeless += _is_homeless(session)
    return Use(
        replicas=pool.spec.replicas,
        settled=len(alive) == pool.spec.replicas == len(present),
        suspected=brake(present) is Brake.ON,
        sessions=sessions,
        unpaired=unpaired,
        unplaced=unplaced,
        homeless=homeless,
        workers=tuple(_seats(boot, busy[boot.key], boots) for boot in alive),
        cpu=_mean([boot.lease.record.load.cpu for boot in alive]),
        memory=_mean([boot.lease.record.load.memory for boot in alive]),
    )


def advise(pool: WorkerPool, use: Use) -> Advice:
    """How many workers the sessions and the load ask for, within the pool's limits."""
    target, limit = pool.spec.autoscaling.target_utilization, pool.spec.sessions_per_worker
    closed = sum(worker.kept for worker in use.workers)
    by_count = [
        (
            math.ceil(100 * use.sessions / (limit * target)) + closed,
            Reason.SESSIONS,
            f"{use.sessions} sessions at {target} % of {limit}",
        ),
        (
            math.ceil(use.unpaired / pairing_slots(limit)) + closed,
            Reason.PAIRINGS,
            f"{use.unpaired} sessions without a device at {pairing_slots(limit)}",
        ),
    ]
    most = max(by_count, key=lambda need: need[0])
    counted = most[0]
    for reason, name, value in ((Reason.CPU, "CPU", use.cpu), (Reason.MEMORY, "memory", use.memory)):
        if value is not None and use.workers:
            ratio = value / target
            # As the HorizontalPodAutoscaler does it; near the target the number stays.
            count = len(use.workers)
            wanted = count if abs(ratio - 1) <= TOLERANCE else math.ceil(count * ratio)
            most = max(most, (wanted, reason, f"{value:.0f} % {name} of {target} %"), key=lambda need: need[0])
    return _within(pool, *most, counted)


def _within(pool: WorkerPool, most: int, reason: Reason, because: str, counted: int) -> Advice:
    least, highest = pool.spec.autoscaling.min_replicas, pool.spec.autoscaling.max_replicas
    counted = max(least, min(counted, highest))
    if most < least:
        return Advice(least, Reason.MIN_REPLICAS, f"minReplicas ({because} would need {most})", counted)
    if most > highest:
        return Advice(highest, Reason.MAX_REPLICAS, f"maxReplicas ({because} would need {most})", counted)
    return Advice(most, reason, because, counted)


def next_step(  # noqa: PLR0911 - one return per outcome
    pool: WorkerPool, use: Use, known: Scaling, now: datetime
) -> Step:
    """What to do now. `known` is what `remembered` gave for this moment."""
    spec, advice = pool.spec.autoscaling, advise(pool, use)
    if not spec.enabled:
        return Step(Verb.STAY, use.replicas, "spec.autoscaling.enabled is false")
    if advice.counted > use.replicas:
        return Step(Verb.GROW, advice.counted, advice.because)
    if advice.replicas > use.replicas:
        if known.busy_since is None or now - known.busy_since < PATIENCE:
            return Step(Verb.STAY, use.replicas, f"{advice.because}; waiting for {PATIENCE.seconds} s of it")
        return Step(Verb.GROW, advice.replicas, advice.because)
    window = spec.scale_down_stabilization
    if advice.replicas == use.replicas:
        return Step(Verb.STAY, use.replicas, advice.because)
    if use.suspected or not use.settled or use.unplaced:
        return Step(Verb.STAY, use.replicas, "workers or sessions are missing: not the time to shrink")
    if demand.peak(known.needed, advice.replicas, now, window) >= use.replicas:
        return Step(Verb.STAY, use.replicas, f"{advice.because}; waiting for {window} s of it")
    open_to = [worker for worker in use.workers if not worker.kept]
    if not open_to:
        return Step(Verb.STAY, use.replicas, "every worker is cordoned: somebody may still want it")
    worker = min(open_to)
    # Also an empty one is told first: nothing may come to it while it goes.
    verb = Verb.SHRINK if not worker.stays and not worker.busy else Verb.DRAIN
    return Step(verb, use.replicas - 1, advice.because, worker.boot)


def remembered(pool: WorkerPool, use: Use, now: datetime) -> Scaling:
    """What the pool's status shall say from now on; the same as it says already when nothing has changed."""
    advice, window = advise(pool, use), pool.spec.autoscaling.scale_down_stabilization
    known = pool.status.autoscaling
    before = use.replicas if known is None else known.desired
    busy_since = None
    if advice.replicas > max(use.replicas, advice.counted):
        busy_since = now if known is None or known.busy_since is None else min(known.busy_since, now)
    if known is not None and (known.desired, known.busy_since) == (advice.replicas, busy_since):
        return known
    needed = demand.remember([] if known is None else known.needed, before, advice.replicas, now, window)
    return Scaling(desired=advice.replicas, reason=advice.reason.value, busy_since=busy_since, needed=needed)


def _seats(boot: Boot, busy: int, boots: Boots) -> Seats:
    pod = boot.pod
    coming = boots.reserved.get(boot.key, 0)
    return Seats(
        stays=pod is None or not pod.leaving,
        busy=busy + coming,
        sessions=boots.sessions.get(boot.key, 0) + coming,
        boot=boot.key,
        kept=pod is not None and pod.cordoned and not pod.leaving,
    )


def _would_notice(session: WhatsAppSession) -> bool:
    """Whether a device is linked that the end of the worker would take off line."""
    status = session.status
    return status.jid is not None and status.phase not in (Phase.LOGGED_OUT, Phase.ERROR)


def _is_homeless(session: WhatsAppSession) -> bool:
    found = session.status.condition(ConditionType.SCHEDULED)
    return found is not None and found.status == "False" and found.reason in NO_PLACE


def _counts(boot: Boot) -> bool:
    pod = boot.pod
    return boot.judgement.verdict is Verdict.ALIVE and pod is not None and pod.ready and not pod.deleting


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
