"""A real PostgreSQL on loopback, as a connector has it over TCP, with the API's tables; and a way to empty them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from whatsam_api.storage.migrations import migrate
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
