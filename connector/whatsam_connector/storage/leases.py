"""This boot's Lease in the Kubernetes API. Used by the keeper, which judges the answers."""

from collections.abc import Awaitable
from typing import Any

from whatsam_connector.lease.verdict import Answer
from whatsam_core.lease import LeaseFormatError, LeaseRecord
from whatsam_core.logging import get_logger
from whatsam_core.storage import cluster as core
from whatsam_core.storage.kinds import LEASES

_log = get_logger(__name__)


class ClusterLeases:
    """Creates, replaces and reads one Lease."""

    def __init__(self, cluster: core.Cluster, namespace: str, pool_uid: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._pool_uid = pool_uid

    async def create(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Create it, owned by the pool; CONFLICT when it exists."""
        body = record.to_wire(pool_uid=self._pool_uid)
        return await _answer(self._cluster.create(LEASES, self._namespace, body, timeout=timeout))

    async def update(self, record: LeaseRecord, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Replace it, if it still has the record's resourceVersion."""
        body = record.to_wire(pool_uid=self._pool_uid)
        return await _answer(self._cluster.replace(LEASES, self._namespace, record.name, body, timeout=timeout))

    async def read(self, name: str, *, timeout: float) -> tuple[Answer, LeaseRecord | None]:
        """Read it."""
        return await _answer(self._cluster.get(LEASES, self._namespace, name, timeout=timeout))


async def _answer(call: Awaitable[dict[str, Any]]) -> tuple[Answer, LeaseRecord | None]:
    try:
        return Answer.ACCEPTED, LeaseRecord.from_wire(await call)
    except core.Conflict:
        return Answer.CONFLICT, None
    except core.NotFound:
        return Answer.MISSING, None
    except core.Unreachable:
        return Answer.UNREACHABLE, None
    except LeaseFormatError:
        return Answer.ACCEPTED, None  # somebody made it something else: readable, and not ours
    except core.ClusterError as error:
        _log.error("lease.refused", error=error.message)
        return Answer.REFUSED, None
