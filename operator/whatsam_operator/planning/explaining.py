"""What would the operator do now, and why? The plan of a snapshot with its reasons, for `whatsam-operator plan`.

Pure like the plan itself: it makes the plan with a floor that writes down how each worker looked to each session.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_operator.planning import decisions as made
from whatsam_operator.planning.autoscaling import advise, next_step, remembered, use_of
from whatsam_operator.planning.boots import Boots, boot_of, gather, pool_of
from whatsam_operator.planning.candidates import Candidate
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.filters import Ask
from whatsam_operator.planning.holder import Hold, Holding, holding
from whatsam_operator.planning.losses import brake
from whatsam_operator.planning.placement import Floor, Hall
from whatsam_operator.planning.planner import plan
from whatsam_operator.planning.rebalancing import Marks, Pause, pause, wished
from whatsam_operator.planning.scoring import Score, score
from whatsam_operator.planning.snapshot import BootKey, Key, Moment, Snapshot


@dataclass(frozen=True, slots=True)
class WorkerView:
    """How a worker looked to a session that needed a place."""

    worker: str
    boot: str
    refused: str | None
    """Why it could not get the session; None when it could."""
    score: Score | None
    cost: float | None
    """The sum of the score; the lowest wins."""


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What would happen with one session."""

    session: str
    held: str
    """Who holds it now, in words."""
    steps: tuple[str, ...]
    """What would be done, in words; empty when nothing would."""
    chosen: str | None = None
    """The worker that would get it."""
    workers: tuple[WorkerView, ...] = ()
    """The workers of its pool as it found them; empty when it needs no place."""


@dataclass(frozen=True, slots=True)
class PoolWorker:
    """A worker of a pool."""

    worker: str
    boot: str
    verdict: str
    because: str
    sessions: int
    places: int
    cpu: int | None
    memory: int | None


@dataclass(frozen=True, slots=True)
class MoveView:
    """A session that would be moved for the sake of balance."""

    session: str
    from_worker: str
    to_worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What would happen with one pool."""

    pool: str
    workers: tuple[PoolWorker, ...]
    steps: tuple[str, ...]
    brake: str
    """Whether a mass failure is suspected."""
    marks: Marks
    rebalancing: str
    """Why no session is moved for the sake of balance; empty when that would be done."""
    moves: tuple[MoveView, ...]
    """What a round would move, also when none is due."""
    autoscaling: str
    """How many workers it should have, and why; computed, not carried out yet."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that would be done."""

    pools: tuple[PoolPlan, ...]
    sessions: tuple[SessionPlan, ...]
    """Those with steps, and those that were asked for."""
    staying: int
    """Sessions that nothing would be done about."""
    notes: tuple[str, ...] = field(default=())
    """What could not be known here."""


class _Listening(Floor):
    """A floor that writes down how each worker looked before the choice was made."""

    def __init__(self, snapshot: Snapshot, boots: Boots, now: Moment) -> None:
        super().__init__(snapshot, boots, now.wall)
        self.views: dict[Key, tuple[WorkerView, ...]] = {}

    def weighed(self, who: Key, hall: Hall, ask: Ask) -> None:
        self.views[who] = tuple(look(hall, one, ask) for one in hall.candidates)


def explain(
    snapshot: Snapshot,
    rendering: Rendering,
    now: Moment,
    *,
    asked: frozenset[Key] = frozenset(),
    notes: Sequence[str] = (),
    unknown: tuple[type[made.Decision], ...] = (),
) -> Explanation:
    """The plan with its reasons. `asked`: sessions that are shown although nothing would be done about them.

    `unknown`: kinds of decisions that cannot be told here, because what they rest on could not be read.
    """
    boots = gather(snapshot)
    floor = _Listening(snapshot, boots, now)
    of_session: dict[Key, list[made.Decision]] = {}
    of_pool: dict[Key, list[made.Decision]] = {}
    for decision in plan(snapshot, rendering, now, boots=boots, floor=floor):
        if isinstance(decision, unknown):
            continue
        if decision.target.kind == "session":
            of_session.setdefault(decision.target.key, []).append(decision)
        elif (pool := _pool_of_decision(decision, snapshot, boots)) is not None:
            of_pool.setdefault(pool, []).append(decision)
    fresh = Floor(snapshot, boots, now.wall)
    sessions: list[SessionPlan] = []
    for key, session in sorted(snapshot.sessions.items()):
        views = floor.views.get(key, ())
        if key in asked and not views:
            views = _if_it_had_to(fresh, boots, session)
        if key in of_session or views or key in asked:
            sessions.append(_session(session, holding(session, boots), of_session.get(key, []), views))
    pools = tuple(
        _pool(pool, snapshot, fresh, now, of_pool.get(key, [])) for key, pool in sorted(snapshot.pools.items())
    )
    return Explanation(pools, tuple(sessions), len(snapshot.sessions) - len(of_session), tuple(notes))


def look(hall: Hall, candidate: Candidate, ask: Ask) -> WorkerView:
    """How the worker looks to a session, at this point of the plan."""
    record = candidate.boot.lease.record
    why = hall.refusal(candidate, ask)
    parts = score(candidate, ask, hall.averages) if why is None else None
    return WorkerView(
        worker=record.pod_name,
        boot=record.boot_id,
        refused=None if why is None else why.value,
        score=parts,
        cost=None if parts is None else round(parts.total, 2),
    )


def describe(decision: made.Decision) -> str:  # noqa: PLR0911, PLR0912 - one line per kind of decision
    """What would be done, in words."""
    match decision:
        case made.Assign():
            to = f"assign it to {decision.assignment.worker} ({decision.assignment.boot_id}), epoch {decision.epoch}"
            return f"{to}; taken from: {decision.taken_from.value}"
        case made.SetStatus():
            told = next((f": {one.message}" for one in reversed(decision.stories)), _scheduled(decision))
            return f"write its status, phase {decision.phase.value}{told}"
        case made.NameSuccessor():
            if decision.successor is None:
                return "take back that another worker prepares itself for it"
            worker, boot = decision.successor.worker, decision.successor.boot_id
            return f"have {worker} ({boot}) prepare itself for it; reason: {decision.successor.reason}"
        case made.ForgetMigration():
            return "; ".join(("take its migrate-to away", *(story.message for story in decision.stories)))
        case made.SetFinalizers():
            return f"set its finalizers to {list(decision.finalizers)}"
        case made.RecordTakeover():
            return "write down that it starts again after StreamReplaced"
        case made.LookUpState():
            return "ask the object store for a state that a deleted session of this name left behind"
        case made.AdoptState():
            return "take over the state of the deleted session of this name"
        case made.DestroyExpiredState():
            return "destroy the state of the deleted session of this name: its time is over"
        case made.Finalize():
            return f"let it go; its auth state: {decision.remains.value}"
        case made.RevokeLease():
            slowly = " (slowly: a mass failure is suspected)" if decision.braked else ""
            return f"revoke the Lease {decision.target.key[1]}: {decision.because}{slowly}"
        case made.DeleteLease():
            return f"delete the Lease {decision.target.key[1]}: its boot is gone and nobody names it"
        case made.ApplyDeployment():
            return ("create" if decision.create else "update") + " its Deployment"
        case made.ApplyBudget():
            return ("create" if decision.create else "update") + " its PodDisruptionBudget"
        case made.SetDeletionCost():
            return f"set the deletion cost of {decision.target.key[1]} to {decision.cost}"
        case made.SetReplicas():
            return f"set its number of workers to {decision.replicas}"
        case made.MarkPod():
            pod = decision.target.key[1]
            return f"have {pod} give its sessions away and go" if decision.leaves else f"keep {pod} after all"
        case made.SetPoolStatus():
            return "write its status"
        case made.Tell():
            return "tell: " + "; ".join(story.message for story in decision.stories)
        case _:  # a kind that this page does not know yet: its own words
            return "; ".join((type(decision).__name__, *(story.message for story in decision.stories)))


def _scheduled(decision: made.SetStatus) -> str:
    found = next((one for one in decision.conditions if one.type.value == "Scheduled"), None)
    return "" if found is None else f": {found.reason}, {found.message}"


def _held(held: Holding) -> str:
    why = f": {held.because}" if held.because else ""
    match held.hold:
        case Hold.FREE:
            return "by nobody"
        case Hold.HELD:
            return f"by {held.worker}" + ("" if held.verdict is None else f" ({held.verdict.value})") + why
        case Hold.HANDED_OVER:
            return f"by nobody any more; {held.worker} handed it over"
        case Hold.LOST:
            return f"by nobody any more; {held.worker} is lost{why}"
        case _:
            assert_never(held.hold)


def _session(
    session: WhatsAppSession, held: Holding, mine: Sequence[made.Decision], views: tuple[WorkerView, ...]
) -> SessionPlan:
    chosen = next((one.assignment.worker for one in mine if isinstance(one, made.Assign)), None)
    successor = next((one.successor for one in mine if isinstance(one, made.NameSuccessor)), None)
    return SessionPlan(
        session="/".join(session.metadata.key),
        held=_held(held),
        steps=tuple(describe(one) for one in mine),
        chosen=chosen if successor is None else successor.worker,
        workers=views,
    )


def _pool_of_decision(decision: made.Decision, snapshot: Snapshot, boots: Boots) -> Key | None:
    """The pool that a decision about a pool, a Lease or a pod belongs to."""
    match decision:
        case made.RevokeLease():
            return decision.pool
        case made.DeleteLease():
            boot = boots.by_key.get(decision.boot)
            return None if boot is None else boot.pool
        case made.SetDeletionCost() | made.MarkPod():
            pod = snapshot.pods.get(decision.target.uid)
            return None if pod is None else (pod.namespace, pod.pool)
        case _:
            return decision.target.key


def _if_it_had_to(floor: Floor, boots: Boots, session: WhatsAppSession) -> tuple[WorkerView, ...]:
    """How the workers would look if the session needed a place now."""
    hall = floor.hall(pool_of(session))
    if hall is None:
        return ()
    here = boots.by_key.get(boot_of(session) or ("", ""))
    ask = Ask(
        tenant=session.spec.tenant,
        paired=session.status.jid is not None,
        engine="" if here is None else here.lease.record.engine_version,
        avoid_pod=None if here is None else here.lease.record.pod_uid,
    )
    return tuple(look(hall, one, ask) for one in hall.candidates)


def _pool(pool: WorkerPool, snapshot: Snapshot, floor: Floor, now: Moment, mine: Sequence[made.Decision]) -> PoolPlan:
    key, boots = pool.metadata.key, floor.boots
    present = boots.present(key)
    names: Mapping[BootKey, str] = {boot.key: boot.lease.record.pod_name for boot in present}
    workers = tuple(
        PoolWorker(
            worker=boot.lease.record.pod_name,
            boot=boot.lease.record.boot_id,
            verdict=boot.judgement.verdict.value,
            because=boot.judgement.because,
            sessions=boots.sessions.get(boot.key, 0),
            places=pool.spec.sessions_per_worker,
            cpu=boot.lease.record.load.cpu,
            memory=boot.lease.record.load.memory,
        )
        for boot in present
    )
    # Of many deletion costs and Leases a count says enough.
    steps = Counter(describe(one) for one in mine)
    found = wished(snapshot, boots, floor.untouched(pool), now)
    why = pause(snapshot, boots, pool, now)
    use = use_of(snapshot, boots, pool)
    advice, step = advise(pool, use), next_step(pool, use, remembered(pool, use, now.wall), now.wall)
    return PoolPlan(
        pool="/".join(key),
        workers=workers,
        steps=tuple(text if count == 1 else f"{text} ({count} times)" for text, count in steps.items()),
        brake=brake(present).value,
        marks=Marks.of(pool.spec.rebalance),
        rebalancing="" if why is None else why.value,
        moves=tuple(
            MoveView("/".join(one.session), names[one.from_boot], names[one.to_boot], one.reason.value)
            for one in found
            if why is not Pause.LOSSES
        ),
        autoscaling=f"{advice.replicas} workers are right: {advice.because}; now: {step.verb.value} ({step.because})"
        if pool.spec.autoscaling.enabled
        else "off",
    )
