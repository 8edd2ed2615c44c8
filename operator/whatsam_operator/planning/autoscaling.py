"""How many workers should a pool have, and what is the next step there? Nothing is changed here.

Growth follows the sessions at once: they are counted, not estimated. Shrinkage waits until fewer workers were enough
for a whole stabilization window, takes one worker at a time, and only one that holds no session any more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from whatsam_core.resources import DesiredState, WorkerPool
from whatsam_operator.planning.boots import Boot, Boots, pool_of
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.losses import Brake, brake
from whatsam_operator.planning.snapshot import BootKey, Snapshot

TOLERANCE: Final = 0.1
"""By so much the load may miss its target before the number of workers follows it."""


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
    unplaced: int
    """Of those, sessions that nobody holds."""
    workers: tuple[tuple[BootKey, int], ...]
    """Workers that take sessions or could, and how many each has."""
    cpu: float | None
    memory: float | None
    """Mean percent over the workers that tell; None when none does."""


@dataclass(frozen=True, slots=True)
class Advice:
    """How many workers would be right just now."""

    replicas: int
    because: str


def use_of(snapshot: Snapshot, boots: Boots, pool: WorkerPool) -> Use:
    """What the snapshot shows of the pool."""
    key = pool.metadata.key
    present = boots.present(key)
    alive = [boot for boot in present if _counts(boot)]
    wanted = [
        session
        for session in snapshot.sessions.values()
        if pool_of(session) == key
        and not session.metadata.deleting
        and session.spec.desired_state is DesiredState.RUNNING
    ]
    return Use(
        replicas=pool.spec.replicas,
        settled=len(alive) == pool.spec.replicas == len(present),
        suspected=brake(present) is Brake.ON,
        sessions=len(wanted),
        unplaced=sum(session.status.assignment is None for session in wanted),
        workers=tuple((boot.key, boots.sessions.get(boot.key, 0)) for boot in alive),
        cpu=_mean([boot.lease.record.load.cpu for boot in alive]),
        memory=_mean([boot.lease.record.load.memory for boot in alive]),
    )


def advise(pool: WorkerPool, use: Use) -> Advice:
    """How many workers the sessions and the load ask for, within the pool's limits."""
    spec, target = pool.spec.autoscaling, pool.spec.autoscaling.target_utilization
    places = pool.spec.sessions_per_worker * target / 100
    needs = [
        (math.ceil(use.sessions / places), f"{use.sessions} sessions at {target} % of {pool.spec.sessions_per_worker}")
    ]
    for name, value in (("CPU", use.cpu), ("memory", use.memory)):
        if value is not None and use.workers:
            ratio = value / target
            # As the HorizontalPodAutoscaler does it; near the target the number stays.
            count = len(use.workers)
            wanted = count if abs(ratio - 1) <= TOLERANCE else math.ceil(count * ratio)
            needs.append((wanted, f"{value:.0f} % {name} of {target} %"))
    most, because = max(needs, key=lambda need: need[0])
    if most < spec.min_replicas:
        return Advice(spec.min_replicas, f"minReplicas ({because} would need {most})")
    if most > spec.max_replicas:
        return Advice(max(spec.max_replicas, spec.min_replicas), f"maxReplicas ({because} would need {most})")
    return Advice(most, because)


def next_step(  # noqa: PLR0911 - one return per outcome
    pool: WorkerPool, use: Use, past: Sequence[tuple[float, int]], now: float
) -> Step:
    """What to do now. `past`: advice given before, as (steady time, replicas); `now` is steady time."""
    spec, advice = pool.spec.autoscaling, advise(pool, use)
    if not spec.enabled:
        return Step(Verb.STAY, use.replicas, "spec.autoscaling.enabled is false")
    if advice.replicas > use.replicas:
        return Step(Verb.GROW, advice.replicas, advice.because)
    if advice.replicas == use.replicas:
        return Step(Verb.STAY, use.replicas, advice.because)
    if use.suspected or not use.settled or use.unplaced:
        return Step(Verb.STAY, use.replicas, "workers or sessions are missing: not the time to shrink")
    if not _fewer_for_long(past, now - spec.scale_down_stabilization, use.replicas):
        return Step(Verb.STAY, use.replicas, f"{advice.because}; waiting for {spec.scale_down_stabilization} s of it")
    if not use.workers:
        return Step(Verb.SHRINK, use.replicas - 1, advice.because)
    worker, sessions = min(use.workers, key=lambda one: (one[1], one[0]))
    verb = Verb.DRAIN if sessions else Verb.SHRINK
    return Step(verb, use.replicas - 1, advice.because, worker)


def remember(
    past: Sequence[tuple[float, int]], advice: Advice, now: float, window: float
) -> tuple[tuple[float, int], ...]:
    """`past` with one more advice. Kept as far as the window needs it, and only where the number changes."""
    kept = list(past)
    while len(kept) > 1 and kept[1][0] <= now - window:
        kept.pop(0)  # the one before the window says what held at its beginning
    if kept and kept[-1][1] == advice.replicas:
        return tuple(kept)
    return (*kept, (now, advice.replicas))


def _fewer_for_long(past: Sequence[tuple[float, int]], since: float, replicas: int) -> bool:
    """Whether fewer were enough at every moment since then. A new leader has not watched and begins to count again."""
    began = [wanted for at, wanted in past if at <= since]
    return bool(began) and all(wanted < replicas for wanted in (began[-1], *(n for at, n in past if at > since)))


def _counts(boot: Boot) -> bool:
    pod = boot.pod
    return boot.judgement.verdict is Verdict.ALIVE and pod is not None and pod.ready and not pod.deleting


def _mean(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
