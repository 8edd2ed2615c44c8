"""`WorkerPool`: the connector pods that run sessions. Written by platform teams, reconciled by the operator."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from whatsam_core.resources.base import ObjectMeta, WireModel
from whatsam_core.resources.conditions import Condition

MOST_DEMANDS = 8
"""Entries of `status.autoscaling.needed`."""


class Engine(StrEnum):
    """Which program speaks to WhatsApp."""

    NEONIZE = "neonize"
    WHATSMEOW = "whatsmeow"

    @property
    def largest_cohort(self) -> int:
        """Sessions that one process of it can serve: neonize needs two threads for each, whatsmeow none."""
        return LARGEST_COHORT if self is Engine.WHATSMEOW else LARGEST_NEONIZE_COHORT


LARGEST_NEONIZE_COHORT = 64
LARGEST_COHORT = 200


class WorkerState(StrEnum):
    """A worker as people see it."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    MAINTENANCE = "Maintenance"


class Autoscaling(WireModel):
    """Growth and shrinkage of the pool with its sessions."""

    enabled: bool = Field(default=False, description="Let the operator choose the number of workers.")
    min_replicas: int = Field(default=1, ge=0, le=1000, description="Never fewer workers than this.")
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Never more workers than this.")
    target_utilization: int = Field(
        default=75, ge=1, le=100, description="Sessions as a percentage of capacity to aim for."
    )
    scale_down_stabilization: int = Field(
        default=300, ge=0, le=86400, description="Seconds of low use before the pool shrinks."
    )


class Failover(WireModel):
    """How fast the loss of a worker is noticed, and how gently its sessions are started elsewhere."""

    lease_duration: int = Field(
        default=15, ge=3, le=600, description="Seconds after which a silent worker may be replaced."
    )
    renew_period: int = Field(default=2, ge=1, le=120, description="Seconds between two renewals of a worker's Lease.")
    max_concurrent_starts: int = Field(
        default=8, ge=1, le=256, description="Sessions that one worker starts at a time."
    )
    max_concurrent_logins: int = Field(
        default=100,
        ge=1,
        le=10000,
        description="Sessions that log in at a time behind one outgoing address, as egressTopologyKey tells them.",
    )


class Rebalance(WireModel):
    """Moving sessions from full workers to empty ones."""

    enabled: bool = Field(default=False, description="Move sessions so that workers are evenly used.")
    high_watermark: int = Field(
        default=90, ge=1, le=100, description="Percentage of places or memory above which a worker gives sessions away."
    )
    cpu_high_watermark: int = Field(
        default=80, ge=1, le=100, description="The same for CPU, as a percentage of what the worker may use."
    )
    low_watermark: int = Field(
        default=70,
        ge=0,
        le=100,
        description="Percentage of all three below which a worker takes sessions; at least 10 below the others.",
    )
    max_moves: int = Field(default=5, ge=1, le=100, description="Sessions that move at a time.")
    interval: int = Field(default=60, ge=5, le=86400, description="Seconds between two rounds.")


class EnvironmentVariable(WireModel):
    """One variable of the connector's environment, as in a container."""

    name: str = Field(min_length=1, max_length=253, description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value.")
    value_from: dict[str, Any] | None = Field(
        default=None, description="Where its value comes from, as in a container."
    )


class PoolTemplate(WireModel):
    """What the pool's pods get beyond what the operator decides."""

    image: str | None = Field(
        default=None, max_length=512, description="The connector's image; the operator's default otherwise."
    )
    resources: dict[str, Any] | None = Field(default=None, description="Requests and limits, as in a container.")
    env: list[EnvironmentVariable] = Field(
        default_factory=list[EnvironmentVariable], max_length=100, description="Further environment variables."
    )
    labels: dict[str, str] = Field(
        default_factory=dict[str, str], max_length=64, description="Further labels of the pods."
    )
    annotations: dict[str, str] = Field(default_factory=dict[str, str], description="Annotations of the pods.")
    node_selector: dict[str, str] = Field(default_factory=dict[str, str], description="Labels that a node must have.")
    tolerations: list[dict[str, Any]] = Field(
        default_factory=list[dict[str, Any]], max_length=50, description="Taints that the pods bear, as in a pod."
    )
    affinity: dict[str, Any] | None = Field(default=None, description="Affinity, as in a pod.")
    priority_class_name: str | None = Field(default=None, max_length=253, description="Priority class of the pods.")
    termination_grace_period_seconds: int | None = Field(
        default=None,
        ge=10,
        le=3600,
        description="Seconds that a worker has to hand its sessions over; what its sessions need otherwise.",
    )


class PoolSpec(WireModel):
    """What the platform team declares."""

    replicas: int = Field(default=1, ge=0, le=1000, description="Number of workers.")
    sessions_per_worker: int = Field(default=50, ge=1, le=1000, description="Sessions that one worker holds at most.")
    engine: Engine = Field(default=Engine.NEONIZE, description="Which program speaks to WhatsApp.")
    cohort_size: int = Field(
        default=50,
        ge=1,
        le=LARGEST_COHORT,
        description="Connected sessions that share one engine process at most; with neonize up to 64.",
    )
    autoscaling: Autoscaling = Field(default_factory=Autoscaling, description="Growth and shrinkage with the sessions.")
    failover: Failover = Field(default_factory=Failover, description="Noticing and answering the loss of a worker.")
    rebalance: Rebalance = Field(
        default_factory=Rebalance, description="Moving sessions from full workers to empty ones."
    )
    egress_topology_key: str | None = Field(
        default=None, max_length=253, description="Sessions prefer to stay behind the same value of this node label."
    )
    template: PoolTemplate = Field(
        default_factory=PoolTemplate, description="What the pods get beyond what the operator decides."
    )


class Worker(WireModel):
    """One connector pod as the operator sees it."""

    name: str = Field(description="Name of the pod.")
    pod_uid: str = Field(alias="podUID", description="UID of the pod.")
    boot_id: str | None = Field(default=None, description="The boot that runs in it now.")
    state: WorkerState = Field(description="Online, Offline or Maintenance.")
    sessions: int = Field(default=0, ge=0, description="Sessions assigned to it.")
    cpu: str | None = Field(default=None, description="CPU it uses, as a percentage of what it may use.")
    memory: str | None = Field(default=None, description="Memory it uses, as a percentage of what it may use.")
    last_heartbeat: datetime | None = Field(default=None, description="Last renewal of its Lease.")


class Demand(WireModel):
    """So many workers were needed until then."""

    replicas: int = Field(ge=0, description="Workers.")
    until: datetime = Field(description="The last moment at which so many were needed.")


class Scaling(WireModel):
    """What autoscaling found, and what it must not forget when the operator's leader changes."""

    desired: int = Field(ge=0, description="Workers that are right now.")
    reason: str = Field(description="What asks for them: Sessions, Pairings, Cpu, Memory, MinReplicas or MaxReplicas.")
    busy_since: datetime | None = Field(
        default=None, description="Since when CPU or memory have asked for more workers than there are."
    )
    needed: list[Demand] = Field(
        default_factory=list[Demand],
        max_length=MOST_DEMANDS,
        description="Larger numbers that were right within the stabilization window, the largest first.",
    )


class PoolStatus(WireModel):
    """What is."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation of spec that this status is about."
    )
    replicas: int = Field(default=0, ge=0, description="Pods of the pool.")
    ready_replicas: int = Field(default=0, ge=0, description="Workers that take sessions.")
    sessions: int = Field(default=0, ge=0, description="Sessions that refer to the pool.")
    capacity: int = Field(default=0, ge=0, description="Sessions that its ready workers can hold.")
    selector: str = Field(default="", description="Label selector of its pods, for autoscalers.")
    workers: list[Worker] = Field(default_factory=list[Worker], description="Its workers.")
    autoscaling: Scaling | None = Field(default=None, description="How many workers are right, if that is asked for.")
    conditions: list[Condition] = Field(default_factory=list[Condition], description="Ready, Reconciling, Stalled.")


class WorkerPool(WireModel):
    """A group of equal connector pods that run sessions."""

    api_version: Literal["whatsam.io/v1alpha1"] = "whatsam.io/v1alpha1"
    kind: Literal["WorkerPool"] = "WorkerPool"
    metadata: ObjectMeta
    spec: PoolSpec = Field(default_factory=PoolSpec)
    status: PoolStatus = Field(default_factory=PoolStatus)
