"""Autoscaling as decisions: the pool's number of workers, and the mark on the pod that goes. Called by `pools`.

The mark is the annotation `whatsam.io/cordon: scale-down` on the pod, so that a new leader finds it: planned moves
empty such a pod as they empty one that a person drains. Only when nobody is connected there any more, `spec.replicas`
becomes less, and the pod has the lowest deletion cost of all: the Deployment removes that one.
`spec.replicas` has one writer. Without `spec.autoscaling.enabled` that is whoever writes it (a person, Git, an
HorizontalPodAutoscaler through `scale`), and the operator only takes its marks back.
"""

from collections.abc import Sequence

from whatsam_core.resources import Scaling, WorkerPool
from whatsam_operator.planning.autoscaling import Step, Verb, advise, next_step, remembered, use_of
from whatsam_operator.planning.boots import Boots
from whatsam_operator.planning.decisions import Decision, MarkPod, SetReplicas, Story, Target
from whatsam_operator.planning.snapshot import Moment, Snapshot
from whatsam_operator.planning.views import PodView


def plan_scaling(
    pool: WorkerPool, pods: Sequence[PodView], snapshot: Snapshot, boots: Boots, now: Moment
) -> tuple[WorkerPool, list[Decision]]:
    """The next step, and the pool with what its status shall remember of this moment."""
    marked = [pod for pod in pods if pod.leaving and not pod.deleting]
    if not pool.spec.autoscaling.enabled:
        return _with(pool, None), _take_back(marked, pool, pods)
    use = use_of(snapshot, boots, pool)
    known = remembered(pool, use, now.wall)
    step = next_step(pool, use, known, now.wall)
    decisions: list[Decision] = []
    if step.verb is Verb.GROW or use.homeless or advise(pool, use).replicas >= use.replicas:
        decisions += _take_back(marked, pool, pods)
    if step.verb in (Verb.GROW, Verb.SHRINK):
        decisions.append(_replicas(pool, step))
    if step.verb is Verb.DRAIN and step.worker is not None:
        uid = boots.by_key[step.worker].lease.record.pod_uid
        decisions += [_mark(pool, pod, step) for pod in pods if pod.uid == uid and not pod.leaving]
    return _with(pool, known), decisions


def _take_back(marked: Sequence[PodView], pool: WorkerPool, pods: Sequence[PodView]) -> list[Decision]:
    """Take marks back, unless the Deployment is about to remove one pod anyhow: it must not choose another one then."""
    if sum(not pod.deleting for pod in pods) > pool.spec.replicas:
        return []
    return [MarkPod(target=_of(pod), resource_version=pod.resource_version, leaves=False) for pod in marked]


def _mark(pool: WorkerPool, pod: PodView, step: Step) -> MarkPod:
    story = Story("ScalingDown", f"{pod.name} gives its sessions away and goes: {step.because}")
    version = pod.resource_version
    return MarkPod(target=_of(pod), stories=(story,), about=_itself(pool), resource_version=version, leaves=True)


def _itself(pool: WorkerPool) -> Target:
    return Target("pool", pool.metadata.key, pool.metadata.uid)


def _of(pod: PodView) -> Target:
    return Target("pod", (pod.namespace, pod.name), pod.uid)


def _replicas(pool: WorkerPool, step: Step) -> SetReplicas:
    text = f"{pool.spec.replicas} workers become {step.replicas}: {step.because}"
    return SetReplicas(
        target=_itself(pool),
        stories=(Story("Scaled", text),),
        resource_version=pool.metadata.resource_version,
        replicas=step.replicas,
    )


def _with(pool: WorkerPool, known: Scaling | None) -> WorkerPool:
    return pool.model_copy(update={"status": pool.status.model_copy(update={"autoscaling": known})})
