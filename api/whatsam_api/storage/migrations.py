"""Brings the PostgreSQL schema to this version. Called at the start of the API and by `whatsam-api migrate`."""

from importlib import resources

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from whatsam_api.errors import Unavailable

_LOCK = 7_243_001_120
"""Advisory lock: replicas that start together migrate one after the other."""


async def migrate(url: str) -> None:
    """Upgrade to the newest revision, or do nothing. Raises `Unavailable` when PostgreSQL is away."""
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1).replace("postgres://", "postgresql+asyncpg://", 1)
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": _LOCK})
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                await connection.commit()
    except (OSError, DBAPIError) as error:
        raise Unavailable("the database is away or refuses the migration") from error
    finally:
        await engine.dispose()


def _upgrade(connection: Connection) -> None:
    with resources.as_file(resources.files("whatsam_api") / "migrations") as location:
        config = Config()
        config.set_main_option("script_location", str(location))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
