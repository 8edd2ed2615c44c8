"""Fixtures of the connector's flow tests: a real PostgreSQL."""

from collections.abc import Iterator

import pytest
from connector_postgres import Postgres


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A running server without tables; one for each file of tests."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()
