"""The schema: made once, by however many replicas, and never taken back by an older one."""

import asyncio

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

import whatsam_api.migrations as package
from whatsam_api.errors import Unavailable
from whatsam_api.storage import migrations


def test_the_head_that_a_start_compares_with_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", package.__path__[0])
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


async def test_replicas_that_start_together_and_again(fresh_database: str) -> None:
    await asyncio.gather(*(migrations.migrate(fresh_database) for _ in range(3)))
    await migrations.migrate(fresh_database)
    connection = await asyncpg.connect(fresh_database)
    tables = {row["tablename"] for row in await connection.fetch("select * from pg_tables where schemaname = 'public'")}
    assert {"users", "refresh_tokens", "api_keys", "messages", "message_keys", migrations.VERSION_TABLE} <= tables
    assert await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory'") == 0
    await connection.execute(f"update {migrations.VERSION_TABLE} set version_num = '9999'")  # noqa: S608 - a constant
    await migrations.migrate(fresh_database)  # an old replica restarts in the middle of an upgrade
    assert await connection.fetchval(f"select version_num from {migrations.VERSION_TABLE}") == "9999"  # noqa: S608
    await connection.close()


async def test_a_server_that_is_away_or_refuses_is_unavailable(fresh_database: str) -> None:
    wrong = [fresh_database.replace("/whatsam_", "/no_such_"), "postgresql://whatsam@127.0.0.1:9/none"]
    for url in wrong:
        with pytest.raises(Unavailable):
            await migrations.migrate(url)
