"""The operator's own Lease in the API server. Used by `services.leadership` alone; needs no leadership to write."""

from typing import Any

from whatsam_core.storage.cluster import LEASES, Cluster, NotFound
from whatsam_operator.planning.snapshot import Key

Json = dict[str, Any]


class LeaderLease:
    """One Lease object."""

    def __init__(self, cluster: Cluster, key: Key, timeout: float) -> None:
        self._cluster = cluster
        self.key = key
        self._timeout = timeout

    async def read(self) -> Json | None:
        """A fresh read; None when it does not exist."""
        try:
            return await self._cluster.get(LEASES, self.key[0], self.key[1], timeout=self._timeout)
        except NotFound:
            return None

    async def create(self, body: Json) -> Json:
        """Raises `Conflict` when somebody was faster."""
        return await self._cluster.create(LEASES, self.key[0], body, timeout=self._timeout)

    async def replace(self, body: Json) -> Json:
        """Raises `Conflict` when somebody wrote since the resourceVersion in `body`."""
        return await self._cluster.replace(LEASES, self.key[0], self.key[1], body, timeout=self._timeout)
