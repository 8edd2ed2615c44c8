"""Fixtures of the connector's flow tests: a real PostgreSQL."""

from collections.abc import Iterator

import pytest
from connector_postgres import database, migrated_postgres, sql

from whatsam_connector.storage.database import Database
from whatsam_connector.storage.messages import MessageTable
from whatsam_local.postgres import PostgresServer

__all__ = ["database", "sql"]  # fixtures


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """See `migrated_postgres`; one for each file of tests."""
    with migrated_postgres() as server:
        yield server


@pytest.fixture
def table(database: Database) -> MessageTable:
    """Its table of messages."""
    return MessageTable(database)
