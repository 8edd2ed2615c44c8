"""What to do about one WorkerPool: finalizer, Deployment, budget, deletion costs, status. Called by the planner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from whatsam_core import names
from whatsam_core.resources import (
    Condition,
    ConditionStatus,
    ConditionType,
    PoolStatus,
    Worker,
    WorkerPool,
    WorkerState,
    set_condition,
)
from whatsam_operator.planning import deployment as build
from whatsam_operator.planning.boots import Boot, Boots
from whatsam_operator.planning.decisions import (
    ApplyBudget,
    ApplyDeployment,
    Decision,
    SetDeletionCost,
    SetFinalizers,
    SetPoolStatus,
    SetReplicas,
    Story,
    Target,
    Tell,
)
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.losses import Brake, brake
from whatsam_operator.planning.scaling import plan_scaling
from whatsam_operator.planning.snapshot import Moment, Snapshot
from whatsam_operator.planning.views import PodView

HEARTBEAT_GRAIN = timedelta(seconds=30)
"""Heartbeat and load alone are written no more often than this: the Lease itself has the newest."""
COUNT_GRAIN = 5.0
"""Seconds between two writes when only numbers of sessions have changed: of 200 workers each write has 50 KiB."""
MOST_SHOWN = 1000
"""Workers in the status at most, as many as a pool may ask for: 250 KiB, where an object may have 1.5 MiB."""
FIRST_TO_GO = -1
"""Deletion cost of the pod that scaling down has chosen; others cost as much as they have sessions."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """What belongs to one pool."""

    pods: Sequence[PodView]
    mine: Sequence[Boot]
    boots: Boots
    referring: int
    """Sessions that name the pool."""


def plan_pool(
    pool: WorkerPool, snapshot: Snapshot, boots: Boots, rendering: build.Rendering, now: Moment, *, referring: int
) -> list[Decision]:
    """The next steps for the pool. `referring` is the number of sessions that name it."""
    target = Target("pool", pool.metadata.key, pool.metadata.uid)
    finalizers, version = pool.metadata.finalizers, pool.metadata.resource_version
    if pool.metadata.deleting:
        if names.FINALIZER_OPERATOR not in finalizers:
            return []
        if referring == 0:
            rest = tuple(item for item in finalizers if item != names.FINALIZER_OPERATOR)
            return [SetFinalizers(target=target, resource_version=version, finalizers=rest)]
    elif names.FINALIZER_OPERATOR not in finalizers:
        wanted = (*finalizers, names.FINALIZER_OPERATOR)
        return [SetFinalizers(target=target, resource_version=version, finalizers=wanted)]
    pods = sorted(
        (pod for pod in snapshot.pods.values() if (pod.namespace, pod.pool) == pool.metadata.key),
        key=lambda pod: (pod.name, pod.uid),
    )
    scope = _Scope(pods=pods, mine=boots.of_pool(pool.metadata.key), boots=boots, referring=referring)
    decisions: list[Decision] = []
    before = pool.status
    if pool.metadata.deleting:
        text = f"waiting: {referring} session{'s' if referring != 1 else ''} still refer to this pool"
        decisions.append(Tell(target=target, stories=(Story("DeletionWaiting", text, warning=True),)))
    else:
        pool, scaled = plan_scaling(pool, pods, snapshot, boots, now)
        decisions += [*_apply(pool, target, scope, snapshot, rendering), *scaled]
    status = _status(pool, scope, snapshot, now)
    written = snapshot.pool_written.get(pool.metadata.key)
    fresh = written is not None and now.steady - written < COUNT_GRAIN
    # The number of workers changes the same object: one write after the other.
    if not any(isinstance(one, SetReplicas) for one in decisions) and _worth_writing(before, status, fresh=fresh):
        decisions.append(SetPoolStatus(target=target, resource_version=version, status=status))
    return decisions


def _apply(
    pool: WorkerPool, target: Target, scope: _Scope, snapshot: Snapshot, rendering: build.Rendering
) -> list[Decision]:
    known, known_budget = snapshot.deployments.get(pool.metadata.key), snapshot.budgets.get(pool.metadata.key)
    if known is not None and known.owner_uid != pool.metadata.uid:
        text = f"a Deployment {known.name!r} that does not belong to this pool is in the way: delete it"
        return [Tell(target=target, stories=(Story("NameTaken", text, warning=True),))]
    decisions: list[Decision] = []
    wanted = build.deployment(pool, rendering, known)
    if known is None:
        decisions.append(ApplyDeployment(target=target, body=wanted, create=True))
    elif pool.spec.replicas < known.replicas and (costs := _deletion_costs(scope)):
        # The ReplicaSet controller picks its victims the moment the number sinks: it must know before.
        decisions += costs
    elif known.replicas != pool.spec.replicas or known.fingerprint != build.fingerprint_of(wanted):
        decisions.append(ApplyDeployment(target=target, body=wanted, create=False))
    rendered = build.budget(pool, known_budget)
    if known_budget is None:
        decisions.append(ApplyBudget(target=target, body=rendered, create=True))
    elif known_budget.owner_uid == pool.metadata.uid and known_budget.fingerprint != build.fingerprint_of(rendered):
        decisions.append(ApplyBudget(target=target, body=rendered, create=False))
    return decisions


def _deletion_costs(scope: _Scope) -> list[Decision]:
    held = {pod.uid: FIRST_TO_GO if pod.leaving else 0 for pod in scope.pods}
    going = {pod.uid for pod in scope.pods if pod.leaving}
    for boot in scope.mine:
        uid = boot.lease.record.pod_uid
        if uid in held and uid not in going:
            held[uid] += scope.boots.sessions.get(boot.key, 0)
    return [
        SetDeletionCost(target=Target("pod", (pod.namespace, pod.name), pod.uid), cost=held[pod.uid])
        for pod in scope.pods
        if not pod.deleting and (pod.deletion_cost or 0) != held[pod.uid]
    ]


def _status(pool: WorkerPool, scope: _Scope, snapshot: Snapshot, now: Moment) -> PoolStatus:
    workers = [_worker(pod, scope.mine, scope.boots) for pod in scope.pods]
    online = sum(1 for worker in workers if worker.state is WorkerState.ONLINE)
    known = snapshot.deployments.get(pool.metadata.key)
    foreign = known is not None and known.owner_uid != pool.metadata.uid
    return PoolStatus(
        observed_generation=pool.metadata.generation,
        replicas=0 if known is None or foreign else known.status_replicas,
        ready_replicas=online,
        sessions=scope.referring,
        capacity=online * pool.spec.sessions_per_worker,
        selector=build.selector_text(pool.metadata.name),
        workers=workers[:MOST_SHOWN],
        autoscaling=pool.status.autoscaling,
        conditions=_conditions(pool, scope, online, now.wall, foreign=foreign),
    )


def _worker(pod: PodView, mine: Sequence[Boot], boots: Boots) -> Worker:
    living = [boot for boot in mine if boot.lease.record.pod_uid == pod.uid and not boot.judgement.verdict.gone]
    boot = max(living, key=lambda one: one.lease.record.acquired_at, default=None)
    verdict = None if boot is None else boot.judgement.verdict
    state = WorkerState.OFFLINE
    if verdict in (Verdict.ALIVE, Verdict.DRAINING) and (pod.ready or pod.deleting):
        # One that ends gives its sessions away in order, like one that is cordoned.
        leaves = pod.cordoned or pod.deleting or verdict is Verdict.DRAINING
        state = WorkerState.MAINTENANCE if leaves else WorkerState.ONLINE
    return Worker(
        name=pod.name,
        podUID=pod.uid,
        boot_id=None if boot is None else boot.lease.record.boot_id,
        state=state,
        sessions=0 if boot is None else boots.sessions.get(boot.key, 0),
        cpu=_share(None if boot is None else boot.lease.record.load.cpu),
        memory=_share(None if boot is None else boot.lease.record.load.memory),
        last_heartbeat=None if boot is None else boot.lease.record.renewed_at,
    )


def _share(percent: int | None) -> str | None:
    return None if percent is None else f"{percent}%"


def _conditions(pool: WorkerPool, scope: _Scope, online: int, now: datetime, *, foreign: bool) -> list[Condition]:
    wanted = pool.spec.replicas
    rows: list[tuple[ConditionType, ConditionStatus, str, str]]
    count = f"{online} of {wanted} workers are ready"
    if pool.metadata.deleting:
        text = f"{scope.referring} sessions still refer to this pool: delete them, or stop them and change poolRef"
        rows = [
            (ConditionType.READY, "False", "DeletionWaiting", text),
            (ConditionType.RECONCILING, "True", "DeletionWaiting", text),
            (ConditionType.STALLED, "False", "DeletionWaiting", ""),
        ]
    elif foreign:
        text = f"a Deployment {pool.metadata.name!r} that does not belong to this pool is in the way: delete it"
        rows = [
            (ConditionType.READY, "False", "NameTaken", text),
            (ConditionType.RECONCILING, "False", "NameTaken", text),
            (ConditionType.STALLED, "True", "NameTaken", text),
        ]
    elif brake(scope.mine) is Brake.ON:
        text = f"{count}; more than half went silent together: their sessions are moved slowly"
        rows = [
            (ConditionType.READY, "False", "MassFailure", text),
            (ConditionType.RECONCILING, "True", "MassFailure", text),
            (ConditionType.STALLED, "False", "MassFailure", ""),
        ]
    else:
        complete = online >= wanted
        reason = "WorkersReady" if complete else "WorkersMissing"
        rows = [
            (ConditionType.READY, "True" if complete else "False", reason, count),
            (ConditionType.RECONCILING, "False" if complete else "True", reason, count),
            (ConditionType.STALLED, "False", reason, ""),
        ]
    conditions = list(pool.status.conditions)
    for kind, status, reason, message in rows:
        generation = pool.metadata.generation
        new = Condition(type=kind, status=status, reason=reason, message=message, observed_generation=generation)
        conditions = set_condition(conditions, new, now)
    return conditions


def _worth_writing(old: PoolStatus, new: PoolStatus, *, fresh: bool) -> bool:
    """A new status is written at once when a worker's state or a condition changed, and otherwise not too often.

    `fresh`: it was written less than `COUNT_GRAIN` ago.
    """
    if _without(old, "sessions", *_BEATS) != _without(new, "sessions", *_BEATS):
        return True
    if _without(old, *_BEATS) != _without(new, *_BEATS):
        return not fresh
    beats = {worker.name: worker.last_heartbeat for worker in old.workers}
    return any(
        worker.last_heartbeat is not None
        and ((known := beats.get(worker.name)) is None or worker.last_heartbeat - known >= HEARTBEAT_GRAIN)
        for worker in new.workers
    )


_BEATS = ("last_heartbeat", "cpu", "memory")


def _without(status: PoolStatus, *fields: str) -> PoolStatus:
    """The status without what changes often: those fields of each worker, and the number of sessions with them."""
    blank: dict[str, object] = {name: 0 if name == "sessions" else None for name in fields}
    workers = [worker.model_copy(update=blank) for worker in status.workers]
    total = {"sessions": 0} if "sessions" in fields else {}
    return status.model_copy(update={"workers": workers, **total})
