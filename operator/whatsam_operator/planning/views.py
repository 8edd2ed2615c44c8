"""The parts of pods, nodes, Deployments and PodDisruptionBudgets that planning looks at, read from API objects.

Called by the index for every object that arrives, so that a plan parses nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from whatsam_core import names

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Termination:
    """The end of one run of a container, as the kubelet reports it."""

    finished_at: datetime | None
    reason: str
    exit_code: int
    signal: int = 0
    started_at: datetime | None = None

    @property
    def text(self) -> str:
        """For people: how it ended."""
        ended = f"exit code {self.exit_code}" + (f", signal {self.signal}" if self.signal else "")
        return f"{ended}, {self.reason}" if self.reason else ended


@dataclass(frozen=True, slots=True)
class ContainerView:
    """The connector's container: what runs now and how the run before ended."""

    running_since: datetime | None = None
    waiting: bool = False
    terminated: Termination | None = None
    last_terminated: Termination | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class PodView:
    """One connector pod."""

    namespace: str
    name: str
    uid: str
    pool: str
    ready: bool
    deleting: bool
    cordoned: bool
    container: ContainerView | None
    deletion_cost: int | None
    node: str = ""
    """Name of its node; empty while it has none."""
    draining: bool = False
    """Somebody wants its sessions elsewhere; it is cordoned, too."""
    leaving: bool = False
    """That somebody is autoscaling: the pod goes when it is empty."""
    template: str = ""
    """Which template of its pool it was made from."""
    resource_version: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node's labels: which outgoing address its pods share is written there."""

    name: str
    labels: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A Deployment, as far as it matters to the pool that owns it."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    owner_uid: str | None
    """UID of the controlling owner."""
    fingerprint: str | None
    replicas: int
    status_replicas: int
    ready_replicas: int
    annotations: dict[str, str] = field(default_factory=dict[str, str])
    template_annotations: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def template(self) -> str:
        """Which template new pods are made from."""
        return template_of(self.template_annotations)


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A PodDisruptionBudget, as far as it matters to the pool that owns it."""

    namespace: str
    name: str
    resource_version: str
    owner_uid: str | None
    fingerprint: str | None


RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""Written by `kubectl rollout restart` into the template of a Deployment, hence into its pods."""
ANNOTATION_FINGERPRINT = f"{names.GROUP}/fingerprint"
"""Hash of what the operator rendered; another one means that the object must be written again."""


def template_of(annotations: Mapping[str, str]) -> str:
    """What tells one template of a pool from another: what the operator rendered, and the last restart."""
    return f"{annotations.get(names.ANNOTATION_TEMPLATE, '')}@{annotations.get(RESTARTED_AT, '')}"


def read_pod(pod: Json) -> PodView:
    """A connector pod from the API server's object."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    annotations = metadata.get("annotations") or {}
    cordon = annotations.get(names.ANNOTATION_CORDON, "false").lower()
    return PodView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        pool=(metadata.get("labels") or {}).get(names.LABEL_POOL, ""),
        ready=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or []
        ),
        deleting=metadata.get("deletionTimestamp") is not None,
        cordoned=cordon not in ("false", "no", "0"),
        container=_read_container(status),
        deletion_cost=_whole_number(annotations.get(names.ANNOTATION_POD_DELETION_COST)),
        node=(pod.get("spec") or {}).get("nodeName") or "",
        draining=cordon in (names.CORDON_DRAIN, names.CORDON_SCALE_DOWN),
        leaving=cordon == names.CORDON_SCALE_DOWN,
        template=template_of(annotations),
        resource_version=metadata.get("resourceVersion", ""),
    )


def read_node(node: Json) -> NodeView:
    """A node from the API server's object."""
    metadata = node["metadata"]
    return NodeView(name=metadata["name"], labels=dict(metadata.get("labels") or {}))


def read_deployment(deployment: Json) -> DeploymentView:
    """A pool's Deployment from the API server's object."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    annotations = metadata.get("annotations") or {}
    return DeploymentView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owner_uid=_controller(metadata),
        fingerprint=annotations.get(ANNOTATION_FINGERPRINT),
        replicas=spec.get("replicas", 1),
        status_replicas=status.get("replicas") or 0,
        ready_replicas=status.get("readyReplicas") or 0,
        annotations=dict(annotations),
        template_annotations=dict(spec["template"].get("metadata", {}).get("annotations") or {}),
    )


def read_budget(budget: Json) -> BudgetView:
    """A pool's PodDisruptionBudget from the API server's object."""
    metadata = budget["metadata"]
    return BudgetView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        resource_version=metadata["resourceVersion"],
        owner_uid=_controller(metadata),
        fingerprint=(metadata.get("annotations") or {}).get(ANNOTATION_FINGERPRINT),
    )


def _read_container(status: Json) -> ContainerView | None:
    for container in status.get("containerStatuses") or []:
        if container.get("name") != names.CONNECTOR_CONTAINER:
            continue
        state, last = container.get("state") or {}, container.get("lastState") or {}
        return ContainerView(
            running_since=_moment((state.get("running") or {}).get("startedAt")),
            waiting=state.get("waiting") is not None,
            terminated=_termination(state.get("terminated")),
            last_terminated=_termination(last.get("terminated")),
            restarts=container.get("restartCount") or 0,
        )
    return None


def _termination(value: Json | None) -> Termination | None:
    if value is None:
        return None
    return Termination(
        finished_at=_moment(value.get("finishedAt")),
        reason=value.get("reason") or "",
        exit_code=value.get("exitCode", 0),
        signal=value.get("signal") or 0,
        started_at=_moment(value.get("startedAt")),
    )


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _controller(metadata: Json) -> str | None:
    owners = metadata.get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _whole_number(value: str | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:  # somebody else's annotation: the operator writes its own over it
        return None
