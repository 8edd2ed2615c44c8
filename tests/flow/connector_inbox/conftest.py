"""Simulator, PostgreSQL, object store, one of each for all tests here; a session of a real engine for each test."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

# The rigs of the neighbours: PostgreSQL, engines, the object store.
sys.path += [str(Path(__file__).parents[1] / name) for name in ("connector", "connector_engine", "connector_state")]

from connector_engine_fixtures import engine_simulator, engines, program
from connector_engine_rig import Rig
from connector_engines import Engine, Kind
from connector_inbox_rig import InboxRig
from connector_postgres import database, migrated_postgres, sql
from connector_state_weed import Weed, bucket_of, running_weed

from whatsam_connector.storage.database import Database
from whatsam_core.storage.objects import ObjectStore
from whatsam_local.postgres import PostgresServer
from whatsam_simulator.environment import hook_environment
from whatsam_simulator.process import SimulatorProcess

__all__ = ["database", "engine_simulator", "engines", "program", "sql"]  # fixtures


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with migrated_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def inbox_weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with running_weed(tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def new_number() -> Callable[[], str]:
    """A phone number that no other test of this run has."""
    count = iter(range(1, 10**6))
    return lambda: f"49172{next(count):08d}"


@pytest.fixture
async def objects(inbox_weed: Weed) -> AsyncIterator[ObjectStore]:
    async with bucket_of(inbox_weed, "whatsam-inbox") as store:
        yield store


@pytest.fixture
def kind() -> Kind:
    """The engine of the session; a file that is about the other one says so."""
    return Kind.NEONIZE


@pytest.fixture
async def rig(
    kind: Kind,
    engine_simulator: SimulatorProcess,
    sql: asyncpg.Connection,
    database: Database,
    objects: ObjectStore,
    new_number: Callable[[], str],
    tmp_path: Path,
) -> AsyncIterator[InboxRig]:
    engines = Rig(engine_simulator.client, Engine.of(kind), hook_environment(engine_simulator.info), tmp_path)
    made = InboxRig(engines, sql, database, objects, new_number(), new_number())
    try:
        yield made
    finally:
        await made.close()
        await engines.close()
        engine_simulator.client.clear_faults()
