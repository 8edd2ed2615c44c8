"""The connection to PostgreSQL: one pool, bounded waits, and one error for "it is away"."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from whatsam_api.errors import Unavailable

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]

STATEMENT_TIMEOUT = 10.0
"""Seconds for one statement."""
CONNECT_TIMEOUT = 3.0
"""Seconds for a connection, from the pool or new."""

AWAY = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
)
"""What a stopped, starting, overloaded, frozen, full, switched-over or not yet prepared server looks like."""


class Database:
    """A pool that opens connections when they are needed, so that the API starts while PostgreSQL is away."""

    def __init__(self, url: str, size: int, settings: dict[str, str] | None = None) -> None:
        self._url = url
        self._size = size
        self._settings = settings or {}
        """PostgreSQL's settings for these connections."""
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Make the pool; opens no connection yet."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            timeout=CONNECT_TIMEOUT,
            command_timeout=STATEMENT_TIMEOUT,
            max_inactive_connection_lifetime=60,
            init=_teach_json,
            reset=_reset,
            # Compiling takes longer than what is asked here, and than asyncpg's look at the types of each connection.
            server_settings={"jit": "off", **self._settings},
        )

    async def close(self) -> None:
        """Close every connection, at once when they do not end by themselves."""
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_TIMEOUT)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator["Connection"]:
        """A connection for a few statements. Raises `Unavailable` while PostgreSQL is away."""
        if self._pool is None:
            raise Unavailable("the database is not open yet")
        try:
            async with self._pool.acquire(timeout=CONNECT_TIMEOUT) as connection:
                yield connection
        except AWAY as error:
            if isinstance(error, ValueError):  # asyncpg's word for an argument that does not fit: a bug, not an outage
                raise
            raise Unavailable("the database is away; try again") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator["Connection"]:
        """A connection within a transaction: everything or nothing."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def reachable(self) -> bool:
        """Whether a statement gets through now."""
        try:
            async with self.connection() as connection:
                await connection.fetchval("select 1")
        except Unavailable:
            return False
        return True


async def _reset(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What the pool does when it takes a connection back: nothing of ours outlives a transaction.

    asyncpg's own reset is one more round trip for every statement.
    """
    if connection.is_in_transaction():
        await connection.reset()


async def _teach_json(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec("jsonb", encoder=_dump, decoder=json.loads, schema="pg_catalog")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
