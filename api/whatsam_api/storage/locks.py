"""One at a time per tenant, across all replicas: limits are counted and used up under the same lock."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from whatsam_api.storage.database import Database


class TenantLocks:
    """Locks in PostgreSQL that end with their connection, so that a killed replica leaves none behind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def hold(self, tenant: str) -> AsyncGenerator[None]:
        """Hold the tenant's lock. Raises `Unavailable` when it cannot be had within the statement's time limit."""
        async with self._database.transaction() as connection:
            await connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", tenant)
            yield
