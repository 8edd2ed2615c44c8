"""One PostgreSQL for all tests of the API, a migrated database of its own for each module."""

import secrets
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from api_cluster import FakeCluster
from api_connector import FakeConnector
from api_rig import TOKEN, Instance, Rig
from argon2 import PasswordHasher

from whatsam_api.storage.migrations import migrate
from whatsam_local.postgres import PostgresServer


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password costs what it must in production; here nobody guesses them."""
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("whatsam_api.services.identity.PasswordHasher", cheap)


@pytest.fixture(autouse=True)
def _accounts_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests change accounts behind the API's back and want to see it at once."""
    monkeypatch.setattr("whatsam_api.services.identity.BELIEVED", 0.0)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> list[str]:
    """Where the first test that needs it notes the database that all share: tenants keep tests apart."""
    return []


async def empty_database(postgres: PostgresServer) -> str:
    """A database without tables."""
    name = f"whatsam_{secrets.token_hex(4)}"
    connection = await asyncpg.connect(postgres.url)
    await connection.execute(f"create database {name}")
    await connection.close()
    return postgres.database(name)


@pytest.fixture
async def database(postgres: PostgresServer, migrated: list[str]) -> str:
    """A database with the schema."""
    if not migrated:
        url = await empty_database(postgres)
        await migrate(url)
        migrated.append(url)
    return migrated[0]


@pytest.fixture
async def fresh_database(postgres: PostgresServer) -> str:
    """A database of the test's own, without tables."""
    return await empty_database(postgres)


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncGenerator[Rig]:
    """Cluster and connector around the shared database."""
    token_file = tmp_path / "token"
    token_file.write_text(TOKEN)
    connector = FakeConnector()
    await connector.start()
    rig = Rig(database, FakeCluster(), connector, token_file)
    try:
        yield rig
    finally:
        await rig.close()
        await connector.stop()


@pytest.fixture
async def api(rig: Rig) -> Instance:
    """One replica."""
    return await rig.replica()
