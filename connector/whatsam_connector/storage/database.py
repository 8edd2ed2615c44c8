"""The connection pool to PostgreSQL. Every call is bounded; what asyncpg raises becomes `DatabaseUnavailable`.

PostgreSQL may be away or lack its tables when a connector starts: the pool is made at the first call and made again
after it broke. Callers wait and try again, nothing is lost by that: accepted messages are rows already.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_POOL_SIZE = 8
"""Connections per connector: enough for 50 sessions, few enough for a hundred connectors on one server."""
_CALL_TIMEOUT = 5.0
"""Seconds for one statement; the server ends it as well (`statement_timeout`), so that no lock outlives its caller."""
_CONNECT_TIMEOUT = 5.0
_LISTEN_RETRY = 1.0

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)


class Database:
    """One PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections, waiting briefly for calls under way."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(_CALL_TIMEOUT):
                    await pool.close()
            except (TimeoutError, *_AWAY):
                pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[asyncpg.pool.PoolConnectionProxy]:
        """A connection in a transaction that is committed at the end. Raises `DatabaseUnavailable`."""
        try:
            pool = await self._open()
            async with pool.acquire(timeout=_CONNECT_TIMEOUT) as connection, connection.transaction():
                yield connection
        except _AWAY as error:
            raise DatabaseUnavailable(f"PostgreSQL does not serve: {type(error).__name__}") from error

    @asynccontextmanager
    async def statement(self) -> AsyncGenerator[asyncpg.pool.PoolConnectionProxy]:
        """A connection for one statement, which is a transaction by itself. Raises `DatabaseUnavailable`.

        Two round trips less than `transaction`: on the way of every message that counts.
        """
        try:
            pool = await self._open()
            async with pool.acquire(timeout=_CONNECT_TIMEOUT) as connection:
                yield connection
        except _AWAY as error:
            raise DatabaseUnavailable(f"PostgreSQL does not serve: {type(error).__name__}") from error

    async def alive(self) -> bool:
        """Whether it answers now."""
        try:
            async with self.transaction() as connection:
                await connection.fetchval("select 1")
        except DatabaseUnavailable:
            return False
        return True

    async def listen(self, channel: str, heard: Callable[[str], None]) -> None:
        """Call `heard` with the payload of each notification, for ever; an outage loses some: callers also poll."""
        while True:
            with suppress(*_AWAY):
                await self._listen_once(channel, heard)
            await asyncio.sleep(_LISTEN_RETRY)

    async def _listen_once(self, channel: str, heard: Callable[[str], None]) -> None:
        connection = await asyncpg.connect(self._url, timeout=_CONNECT_TIMEOUT)
        ended = asyncio.Event()

        def on_notification(_connection: Any, _pid: int, _channel: str, payload: Any) -> None:
            heard(str(payload))

        try:
            connection.add_termination_listener(lambda _connection: ended.set())
            await connection.add_listener(channel, on_notification)
            await ended.wait()
        finally:
            connection.terminate()

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=0,
                    max_size=_POOL_SIZE,
                    timeout=_CONNECT_TIMEOUT,
                    command_timeout=_CALL_TIMEOUT,
                    max_inactive_connection_lifetime=60.0,
                    reset=_reset,
                    server_settings={
                        "application_name": "whatsam-connector",
                        # Each statement here names its rows by keys. To plan it anew for its values each time, over
                        # all months, would cost PostgreSQL three times what running it does.
                        "plan_cache_mode": "force_generic_plan",
                        # Compiling takes longer than any of them, and so long for asyncpg's look at the types.
                        "jit": "off",
                        "statement_timeout": str(round(_CALL_TIMEOUT * 1000)),
                        "idle_in_transaction_session_timeout": "10000",
                    },
                )
            return self._pool


async def _reset(connection: asyncpg.Connection) -> None:
    """What the pool does when it takes a connection back: nothing of ours outlives a transaction.

    asyncpg's own reset is one more round trip for every statement.
    """
    if connection.is_in_transaction():
        await connection.reset()
