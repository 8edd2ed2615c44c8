"""Fixtures of the connector's flow tests: a real PostgreSQL."""

import asyncio
from collections.abc import Iterator

import pytest
from connector_postgres import Postgres

from whatsam_api.storage.migrations import migrate


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
