"""Fixtures of the connector's flow tests: a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from connector_postgres import empty, migrated_postgres

from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_local.postgres import PostgresServer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """See `migrated_postgres`; one for each file of tests."""
    with migrated_postgres() as server:
        yield server


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


@pytest.fixture
def table(database: Database) -> MessageTable:
    """Its table of messages."""
    return MessageTable(database)
