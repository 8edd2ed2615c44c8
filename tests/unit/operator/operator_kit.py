"""Objects as the API server gives them, and the operator's view of them, for the operator's tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.snapshot import Moment, ObservedLease, Snapshot
from whatsam_operator.planning.views import ContainerView, PodView, Termination

Json = dict[str, Any]
START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "ns"
RENDERING = Rendering(connector_image="whatsam/connector:test")


def moment(seconds: float = 0.0) -> Moment:
    """Now, that many seconds after the start of the test."""
    return Moment(steady=1000.0 + seconds, wall=START + timedelta(seconds=seconds))


def session_object(name: str, *, namespace: str = NAMESPACE, **parts: Any) -> Json:
    """A session with the operator's finalizer; `spec`, `status` and `metadata` are merged over it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.SESSION_KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": START.isoformat(),
            "finalizers": [names.FINALIZER_OPERATOR],
            **parts.get("metadata", {}),
        },
        "spec": {"tenant": "acme", **parts.get("spec", {})},
        **({"status": parts["status"]} if "status" in parts else {}),
    }


def session(name: str, **parts: Any) -> WhatsAppSession:
    """The same as a model."""
    return WhatsAppSession.from_wire(session_object(name, **parts))


def pool_object(name: str = "default", *, namespace: str = NAMESPACE, **parts: Any) -> Json:
    """A pool with the operator's finalizer."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.POOL_KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-pool-{name}",
            "resourceVersion": "1",
            "generation": 1,
            "finalizers": [names.FINALIZER_OPERATOR],
            **parts.get("metadata", {}),
        },
        "spec": {"replicas": 3, "sessionsPerWorker": 5, **parts.get("spec", {})},
        **({"status": parts["status"]} if "status" in parts else {}),
    }


def pool(name: str = "default", **parts: Any) -> WorkerPool:
    """The same as a model."""
    return WorkerPool.from_wire(pool_object(name, **parts))


def record(boot: str, pod: str = "w1", **changes: Any) -> LeaseRecord:
    """The Lease of a boot in a pod, acquired half a second after the start."""
    values: dict[str, Any] = {
        "name": f"default-{boot}",
        "namespace": NAMESPACE,
        "pool": "default",
        "pod_name": pod,
        "pod_uid": f"uid-{pod}",
        "boot_id": boot,
        "endpoint": "http://10.0.0.1:8080",
        "state": LeaseState.ACTIVE,
        "acquired_at": START + timedelta(seconds=0.5),
        "renewed_at": START + timedelta(seconds=0.5),
        "duration_seconds": 15,
        "engine_version": "neonize-0.5.2",
        "resource_version": "7",
        "uid": f"uid-lease-{boot}",
        **changes,
    }
    return LeaseRecord(**values)


def observed(
    boot: str, pod: str = "w1", unchanged: float = 1.0, created_at: datetime | None = None, **changes: Any
) -> ObservedLease:
    """The same, seen unchanged for so many seconds."""
    return ObservedLease(record(boot, pod, **changes), unchanged, created_at=created_at)


def pod(name: str = "w1", **changes: Any) -> PodView:
    """A ready connector pod whose container has run since the start."""
    values: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": f"uid-{name}",
        "pool": "default",
        "ready": True,
        "deleting": False,
        "cordoned": False,
        "container": ContainerView(running_since=START),
        "deletion_cost": None,
        **changes,
    }
    return PodView(**values)


def ended(after: float, reason: str = "Error", exit_code: int = 137) -> Termination:
    """A container's end, so many seconds after the start."""
    return Termination(START + timedelta(seconds=after), reason, exit_code)


def assignment(boot: str, pod_name: str = "w1") -> Json:
    """An assignment as it stands in a status."""
    return {
        "worker": pod_name,
        "podUID": f"uid-{pod_name}",
        "bootId": boot,
        "endpoint": "http://10.0.0.1:8080",
        "since": START.isoformat(),
    }


def condition(kind: str, status: str, reason: str, message: str = "") -> Json:
    """A condition as it stands in a status."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": START.isoformat(),
    }


def snapshot(
    *,
    sessions: Sequence[WhatsAppSession] = (),
    pools: Sequence[WorkerPool] = (),
    pods: Sequence[PodView] = (),
    leases: Sequence[ObservedLease] = (),
    **rest: Any,
) -> Snapshot:
    """A snapshot of these objects; every session's state was looked up and there is none, unless said otherwise."""
    from whatsam_operator.planning.snapshot import StateKnowledge

    rest.setdefault("states", {one.metadata.uid: StateKnowledge() for one in sessions})
    return Snapshot(
        sessions={one.metadata.key: one for one in sessions},
        pools={one.metadata.key: one for one in pools},
        pods={one.uid: one for one in pods},
        leases={(one.record.namespace, one.record.boot_id): one for one in leases},
        **rest,
    )
