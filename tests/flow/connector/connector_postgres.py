"""A real PostgreSQL on loopback, as a connector has it over TCP, with the API's tables; and a way to empty them.

Conftests take the fixtures over, and say with one named `postgres` how long a server lives.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import asyncpg
import pytest

from whatsam_api.storage.migrations import migrate
from whatsam_connector.storage.database import Database
from whatsam_local.postgres import PostgresServer

_ALL_TABLES = """
select string_agg(quote_ident(relname), ', ') from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where nspname = 'public' and relkind in ('r', 'p') and not relispartition and relname <> 'whatsam_schema'
"""


@contextmanager
def migrated_postgres() -> Iterator[PostgresServer]:
    """A running server with the tables that the API's migrations make."""
    server = PostgresServer(tcp=True)
    try:
        server.start()
        asyncio.run(migrate(server.url))
        yield server
    finally:
        server.close()


async def empty(connection: asyncpg.Connection) -> None:
    """Take every row out of every table."""
    await connection.execute(f"truncate {await connection.fetchval(_ALL_TABLES)}")


@pytest.fixture
async def sql(postgres: PostgresServer) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, and empty tables."""
    connection = await asyncpg.connect(postgres.url)
    await empty(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def database(postgres: PostgresServer, sql: asyncpg.Connection) -> AsyncIterator[Database]:
    """The connector's client of the emptied database."""
    made = Database(postgres.url)
    yield made
    await made.close()
