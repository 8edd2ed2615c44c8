"""The schema: made once, by however many replicas, and never taken back by an older one."""

import asyncio
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

import whatsam_api.migrations as package
from whatsam_api.errors import Unavailable
from whatsam_api.storage import migrations
from whatsam_core.message_ids import derived_message_id, message_at, new_message_id


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


async def test_messages_move_into_their_months_and_back(fresh_database: str) -> None:
    await _to(fresh_database, "0001")
    connection = await asyncpg.connect(fresh_database)
    ids = [uuid4() for _ in range(6)]
    said = '{"text": "hello there", "chatPhone": "49151", "senderPhone": "49151"}'
    rows = [
        # direction, chat, wa_id, status, key, body, timestamp, created_at
        ("in", "55@lid", "A1", "received", None, said, -400),
        ("in", "55@lid", "A2", "received", None, '{"text": "again"}', -3000),
        ("out", "49151@s.whatsapp.net", "B1", "read", "order 1", '{"text": "hi"}', -40),
        ("out", "49151@s.whatsapp.net", None, "pending", "order 2", '{"text": "soon"}', 0),
        ("out", "49152@s.whatsapp.net", None, "failed", None, '{"text": "never"}', 0),
        ("out", "99@g.us", "B2", "sent", None, '{"text": "to all"}', -1),
    ]  # fmt: skip
    now = datetime.now(UTC)
    for row_id, (direction, chat, wa_id, status, key, body, days) in zip(ids, rows, strict=True):
        at = now + timedelta(days=days)
        await connection.execute(
            "insert into messages (id, session, tenant, direction, chat, wa_id, status, idempotency_key, body,"
            ' "timestamp", created_at) values ($1, \'ns/s\', \'t\', $2, $3, $4, $5, $6, $7, $8, $8)',
            row_id, direction, chat, wa_id, status, key, body, at,
        )  # fmt: skip
    before = await _old_columns(connection)
    await connection.close()

    await _to(fresh_database, "0002")
    connection = await asyncpg.connect(fresh_database)
    assert await _old_columns(connection) == before
    assert await connection.fetchval("select count(*) from messages_rest") == 0
    first = await connection.fetchrow("select at, contact, sender_phone, search from messages where id = $1", ids[0])
    assert first is not None
    assert (first["contact"], first["sender_phone"]) == ("49151@s.whatsapp.net", "49151")
    assert first["at"] == (now - timedelta(days=400)).replace(microsecond=0)
    assert "'hello'" in first["search"]
    assert [row["id"] for row in await connection.fetch("select id from open_messages")] == [ids[3]]
    keys = await connection.fetch("select wa_id, direction, chat, id from message_keys order by wa_id")
    assert [tuple(row) for row in keys] == [
        ("A1", "in", "55@lid", ids[0]), ("A2", "in", "55@lid", ids[1]), ("B1", "out", "", ids[2]),
        ("B2", "out", "", ids[5]),
    ]  # fmt: skip
    assert {row["key"] for row in await connection.fetch("select key from idempotency_keys")} == {"order 1", "order 2"}
    following = await connection.fetchval(
        "insert into messages (id, session, tenant, direction, chat, body, status)"
        " values ($1, 'ns/s', 't', 'in', '55@lid', '{}', 'undecryptable') returning seq",
        uuid4(),
    )
    assert following > max(before, key=itemgetter(3))[3], "later messages stand behind earlier ones"
    await connection.close()

    await _to(fresh_database, "0001")
    connection = await asyncpg.connect(fresh_database)
    assert await _old_columns(connection) == before
    again = await connection.fetchval(
        "insert into messages (id, session, tenant, direction, chat, body, status)"
        " values ($1, 'ns/s', 't', 'out', '1', '{}', 'pending') returning seq",
        uuid4(),
    )
    assert again > max(before, key=itemgetter(3))[3]
    await connection.close()
    await _to(fresh_database, "0002")


async def test_a_row_is_filed_under_the_time_of_its_id(database: str) -> None:
    connection = await asyncpg.connect(database)
    insert = (
        "insert into messages (id, at, session, tenant, direction, chat, body, status)"
        " values ($1, $2, 'ns/filed', 't', 'in', '1', '{}', 'received')"
    )
    now = datetime.now(UTC)
    await connection.execute(insert, new_message_id(now), message_at(now))
    await connection.execute(insert, derived_message_id(message_at(now), "x"), message_at(now))
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(insert, new_message_id(now), message_at(now) + timedelta(seconds=1))
    await connection.execute("delete from messages where session = 'ns/filed'")
    await connection.close()


async def test_a_month_is_made_once_also_by_many_and_takes_over_what_waited(fresh_database: str) -> None:
    await migrations.migrate(fresh_database)
    connections = [await asyncpg.connect(fresh_database) for _ in range(4)]
    await connections[0].execute(
        "insert into messages (id, at, session, tenant, direction, chat, body, status) values"
        " (gen_random_uuid(), '2025-03-31 23:59:59Z', 's', 't', 'in', '1', '{\"text\": \"old\"}', 'received'),"
        " (gen_random_uuid(), '2025-04-01 00:00:00Z', 's', 't', 'in', '1', '{\"text\": \"old\"}', 'received')"
    )
    assert await connections[0].fetchval("select count(*) from messages_rest") == 2
    make = "select messages_make_partition('2025-03-15Z')"
    names = await asyncio.gather(*(connection.fetchval(make) for connection in connections))
    assert sorted(names, key=str) == [None, None, None, "messages_2025_03"]
    assert await connections[0].fetchval("select count(*) from messages_2025_03 where search @@ 'old'::tsquery") == 1
    assert await connections[0].fetchval("select count(*) from messages_rest") == 1
    for connection in connections:
        await connection.close()


async def _to(url: str, revision: str) -> None:
    """Bring the schema to this revision, up or down."""

    def move(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", package.__path__[0])
        config.attributes["connection"] = connection
        present = MigrationContext.configure(
            connection, opts={"version_table": migrations.VERSION_TABLE}
        ).get_current_revision()
        (command.downgrade if (present or "") > revision else command.upgrade)(config, revision)

    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(url)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect)
    async with engine.connect() as connection:
        await connection.run_sync(move)
        await connection.commit()
    await engine.dispose()


async def _old_columns(connection: asyncpg.Connection) -> list[tuple[object, ...]]:
    query = (
        'select id, session, tenant, seq, direction, chat, wa_id, type, body, status, idempotency_key, "timestamp",'
        " created_at from messages order by seq"
    )
    return [tuple(row) for row in await connection.fetch(query)]
