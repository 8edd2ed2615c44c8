"""The Kubernetes objects that the operator reads and writes. The services' only way to the API server.

Every write asks first whether this process still leads, has a precondition where the object existed before, and ends
within `WRITE_TIMEOUT`: a write that is sent just before the leader's deadline has ended when the next one may lead.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from whatsam_core import names
from whatsam_core.lease import LeaseState
from whatsam_core.storage.cluster import (
    DEPLOYMENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PDBS,
    PODS,
    POOLS,
    SESSIONS,
    Cluster,
    Kind,
)
from whatsam_operator.planning.snapshot import Key

Json = dict[str, Any]

WRITE_TIMEOUT: Final = 3.0
"""Seconds for one write: the leader's deadline (5 s) plus this is its Lease's duration (8 s)."""
READ_TIMEOUT: Final = 5.0
LEASE_READ_TIMEOUT: Final = 3.0
ANNOTATION_REVOKED_BECAUSE: Final = f"{names.GROUP}/revoked-because"
CONNECTOR_LEASES: Final = f"{names.LABEL_COMPONENT}={names.COMPONENT_CONNECTOR_LEASE}"
CONNECTORS: Final = f"{names.LABEL_COMPONENT}={names.COMPONENT_CONNECTOR}"

WATCHED: Final[dict[Kind, str | None]] = {
    SESSIONS: None,
    POOLS: None,
    PODS: CONNECTORS,
    DEPLOYMENTS: CONNECTORS,
    PDBS: CONNECTORS,
    NODES: None,
}
"""What the operator keeps in its index, with the label selector."""


async def list_watched(cluster: Cluster, kind: Kind, namespace: str | None) -> Sequence[Json]:
    """A fresh, complete list of a watched kind, of one namespace or (None) of all. Raises `ClusterError`."""
    where = namespace if kind.namespaced else None
    return (await cluster.list(kind, where, label_selector=WATCHED[kind], timeout=READ_TIMEOUT)).items


async def list_leases(cluster: Cluster, namespace: str | None, timeout: float) -> Sequence[Json]:
    """A fresh, complete list of the connectors' Leases. Raises `ClusterError`."""
    return (await cluster.list(LEASES, namespace, label_selector=CONNECTOR_LEASES, timeout=timeout)).items


class Kube:
    """Reads and guarded writes. `guard` raises `NotLeader` when this process may not write."""

    def __init__(self, cluster: Cluster, guard: Callable[[], None]) -> None:
        self._cluster = cluster
        self._guard = guard

    async def list(self, kind: Kind) -> Sequence[Json]:
        """A fresh, complete list of a watched kind in all namespaces."""
        return await list_watched(self._cluster, kind, None)

    async def list_leases(self) -> Sequence[Json]:
        """A fresh, complete list of the connectors' Leases."""
        return await list_leases(self._cluster, None, LEASE_READ_TIMEOUT)

    async def get(self, kind: Kind, key: Key) -> Json:
        """A fresh read of one object. Raises `NotFound`."""
        return await self._cluster.get(kind, key[0], key[1], timeout=READ_TIMEOUT)

    async def cluster_uid(self) -> str:
        """What tells this cluster from all others: the UID of its namespace kube-system."""
        found = await self._cluster.get(NAMESPACES, "", "kube-system", timeout=READ_TIMEOUT)
        return found["metadata"]["uid"]

    def require(self) -> None:
        """Raises `NotLeader` when this process may not write, wherever that is."""
        self._guard()

    async def set_finalizers(self, kind: Kind, key: Key, version: str, finalizers: Sequence[str]) -> Json:
        """Replace the finalizers of an object that is still at `version`."""
        metadata = {"resourceVersion": version, "finalizers": list(finalizers)}
        return await self._patch(kind, key, {"metadata": metadata})

    async def annotate(
        self, kind: Kind, key: Key, version: str | None, uid: str, *annotations: tuple[str, str | None]
    ) -> Json:
        """Set annotations (None: remove it); with `version` only if the object is still at it."""
        metadata: Json = {"uid": uid, "annotations": dict(annotations)}
        if version is not None:
            metadata["resourceVersion"] = version
        return await self._patch(kind, key, {"metadata": metadata})

    async def set_replicas(self, kind: Kind, key: Key, version: str, replicas: int) -> Json:
        """Write `spec.replicas` of an object that is still at `version`."""
        return await self._patch(kind, key, {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}})

    async def patch_status(self, kind: Kind, key: Key, version: str, status: Json) -> Json:
        """Merge `status` into the status of an object that is still at `version`; None removes a field."""
        patch = {"metadata": {"resourceVersion": version}, "status": status}
        return await self._patch(kind, key, patch, subresource="status")

    async def revoke_lease(self, key: Key, version: str, because: str) -> Json:
        """Take a Lease away that is still at `version`: a holder that renewed in between makes this a `Conflict`."""
        annotations = {names.LEASE_STATE: LeaseState.REVOKED.value, ANNOTATION_REVOKED_BECAUSE: because}
        return await self._patch(LEASES, key, {"metadata": {"resourceVersion": version, "annotations": annotations}})

    async def delete_lease(self, key: Key, uid: str, version: str) -> None:
        """Delete a Lease that is still at `version`."""
        self._guard()
        await self._cluster.delete(LEASES, key[0], key[1], uid=uid, resource_version=version, timeout=WRITE_TIMEOUT)

    async def apply(self, kind: Kind, body: Json, *, create: bool) -> Json:
        """Create an object, or replace it if it is still at the resourceVersion in `body`."""
        self._guard()
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        if create:
            return await self._cluster.create(kind, namespace, body, timeout=WRITE_TIMEOUT)
        return await self._cluster.replace(kind, namespace, name, body, timeout=WRITE_TIMEOUT)

    async def tell(self, regarding: Json, reason: str, message: str, *, warning: bool) -> None:
        """Create (or count) an Event about an object."""
        self._guard()
        await self._cluster.create_event(
            regarding,
            reason=reason,
            message=message,
            component="whatsam-operator",
            type="Warning" if warning else "Normal",
            timeout=WRITE_TIMEOUT,
        )

    async def _patch(self, kind: Kind, key: Key, patch: Json, *, subresource: str | None = None) -> Json:
        self._guard()
        return await self._cluster.merge_patch(
            kind, key[0], key[1], patch, subresource=subresource, timeout=WRITE_TIMEOUT
        )
