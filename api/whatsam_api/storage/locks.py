"""One at a time per tenant, across all replicas: limits are counted and used up under the same lock."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from whatsam_api.storage.database import Database

if TYPE_CHECKING:
    from whatsam_api.storage.database import Connection


class TenantLocks:
    """Locks in PostgreSQL that end with their connection, so that a killed replica leaves none behind."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Callers of one tenant wait here, not each on a connection: a tenant must not use up the pool.
        self._waiting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, tenant: str) -> AsyncGenerator["Connection"]:
        """Hold the tenant's lock: a connection in a transaction that is committed when the lock is let go.

        Raises `Unavailable` when it cannot be had within the statement's time limit.
        """
        turn = self._waiting.setdefault(tenant, asyncio.Lock())
        async with turn, self._database.transaction() as connection:
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", tenant)
            yield connection
