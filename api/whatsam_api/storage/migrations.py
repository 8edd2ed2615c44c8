"""Brings the PostgreSQL schema to this version. Called at the start of the API and by `whatsam-api migrate`."""

from importlib import resources
from typing import TYPE_CHECKING

import asyncpg

from whatsam_api.errors import Unavailable
from whatsam_api.storage.database import CONNECT_TIMEOUT
from whatsam_core.logging import get_logger

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

log = get_logger()

HEAD = "0004"
"""Newest revision of this version; a test holds it equal to what alembic finds."""
VERSION_TABLE = "whatsam_schema"
_LOCK = 7_243_001_120
"""Advisory lock: replicas that start together migrate one after the other."""
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def migrate(url: str) -> None:
    """Upgrade to the newest revision, or do nothing. Raises `Unavailable` when PostgreSQL is away."""
    try:
        present = await _present(url)
    except _FAILURES as error:
        raise Unavailable("the database is away") from error
    if present != HEAD:
        # Alembic and SQLAlchemy cost a second of CPU; a start that finds the schema ready does without them.
        await _upgrade_all(url)


async def _present(url: str) -> str | None:
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=CONNECT_TIMEOUT)
    try:
        if await connection.fetchval("select to_regclass($1)", VERSION_TABLE) is None:
            return None
        return await connection.fetchval(f"select version_num from {VERSION_TABLE}")
    finally:
        connection.terminate()


async def _upgrade_all(url: str) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        # The same reading of the URL as the pool's: SQLAlchemy's own differs in sockets and TLS.
        return await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                await connection.commit()
    except (*_FAILURES, DBAPIError) as error:
        raise Unavailable("the database is away or refuses the migration") from error
    finally:
        await engine.dispose()


def _upgrade(connection: "Connection") -> None:
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with resources.as_file(resources.files("whatsam_api") / "migrations") as location:
        config = _config(str(location))
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        present = context.get_current_revision()
        if present is not None and present not in known:
            # In the middle of an upgrade of the platform an old replica restarts: schemas only grow, so it goes on.
            log.warning("database.schema_newer", schema_revision=present, known=HEAD)
            return
        command.upgrade(config, "head")


def _config(location: str) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", location)
    return config
