"""Reads of everything that a plan is made from, with the rights of whoever asks. Writes nothing, needs no leadership.

Used by `services.explain` for `whatsam-operator plan`.
"""

from collections.abc import Sequence
from typing import Any

from whatsam_core.storage.cluster import Cluster, Forbidden, Kind
from whatsam_operator.storage.kube import READ_TIMEOUT, list_leases, list_watched

Json = dict[str, Any]


class Reader:
    """One namespace, or all of them with None."""

    def __init__(self, cluster: Cluster, namespace: str | None) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def list(self, kind: Kind) -> Sequence[Json]:
        """Objects of a kind that the operator watches. Raises `ClusterError`."""
        return await list_watched(self._cluster, kind, self._namespace)

    async def list_if_allowed(self, kind: Kind) -> Sequence[Json] | None:
        """The same; None when the asker may not read them."""
        try:
            return await self.list(kind)
        except Forbidden:
            return None

    async def leases(self) -> Sequence[Json]:
        """The connectors' Leases."""
        return await list_leases(self._cluster, self._namespace, READ_TIMEOUT)
