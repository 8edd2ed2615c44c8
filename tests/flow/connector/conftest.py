"""Fixtures of the connector's flow tests: a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from connector_postgres import Postgres, empty

from whatsam_api.storage.migrations import migrate
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A running server with the tables that the API's migrations make; one for each file of tests."""
    server = Postgres()
    try:
        server.start()
        asyncio.run(migrate(server.url))
        yield server
    finally:
        server.close()


@pytest.fixture
async def sql(postgres: Postgres) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, and empty tables."""
    connection = await asyncpg.connect(postgres.url)
    await empty(connection)
    yield connection
    await connection.close()


@pytest.fixture
async def database(postgres: Postgres, sql: asyncpg.Connection) -> AsyncIterator[Database]:
    """The connector's client of the emptied database."""
    made = Database(postgres.url)
    yield made
    await made.close()


@pytest.fixture
def table(database: Database) -> MessageTable:
    """Its table of messages."""
    return MessageTable(database)
