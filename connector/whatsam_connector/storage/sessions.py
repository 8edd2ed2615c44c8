"""WhatsAppSession objects in the Kubernetes API: read, watched, their status patched. For watcher and status writer."""

from collections.abc import AsyncGenerator
from typing import Any

from whatsam_core.logging import get_logger
from whatsam_core.resources.session import WhatsAppSession
from whatsam_core.storage import cluster as core
from whatsam_core.storage.cluster_errors import ClusterError

_log = get_logger(__name__)

_TIMEOUT = 5.0
"""Seconds for one call; a status that could not be written is written again."""


class ClusterSessions:
    """The sessions of one namespace, as the connector sees them."""

    def __init__(self, cluster: core.Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def of_worker(self, pod_name: str) -> AsyncGenerator[core.ReflectEvent]:
        """Follow the sessions that are assigned to a pod of this name."""
        selector = f"status.assignment.worker={pod_name}"
        return self._cluster.reflect(core.SESSIONS, self._namespace, field_selector=selector)

    def of_successor(self, pod_name: str) -> AsyncGenerator[core.ReflectEvent]:
        """Follow the sessions that name a pod of this name as their successor."""
        selector = f"status.next.worker={pod_name}"
        return self._cluster.reflect(core.SESSIONS, self._namespace, field_selector=selector)

    async def read(self, name: str) -> WhatsAppSession:
        """A fresh read. Raises `ClusterError`."""
        return WhatsAppSession.from_wire(
            await self._cluster.get(core.SESSIONS, self._namespace, name, timeout=_TIMEOUT)
        )

    async def warn(self, session: WhatsAppSession, reason: str, message: str) -> None:
        """A Warning in `kubectl describe`. What cannot be posted is a log line."""
        about = {
            "apiVersion": session.api_version,
            "kind": session.kind,
            "metadata": {
                "name": session.metadata.name,
                "namespace": session.metadata.namespace,
                "uid": session.metadata.uid,
            },
        }
        try:
            await self._cluster.create_event(
                about, reason=reason, message=message, component="whatsam-connector", type="Warning", timeout=_TIMEOUT
            )
        except ClusterError as error:
            _log.warning("event.not_posted", session=session.metadata.name, reason=reason, error=error.message)

    async def patch_status(self, name: str, patch: dict[str, Any]) -> WhatsAppSession:
        """Apply a merge patch to the status; preconditions are in the patch. Raises `ClusterError`."""
        return WhatsAppSession.from_wire(
            await self._cluster.merge_patch(
                core.SESSIONS, self._namespace, name, patch, subresource="status", timeout=_TIMEOUT
            )
        )
