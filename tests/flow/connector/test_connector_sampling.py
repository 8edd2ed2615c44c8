"""Samples of a worker reach PostgreSQL once a minute; without PostgreSQL they are missing, and nothing else is."""

import asyncio

import asyncpg
import pytest
from connector_virtual import run

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.lease.sampling import PERIOD, Sampler
from whatsam_connector.storage.database import Database
from whatsam_connector.storage.samples import SampleTable
from whatsam_core.lease import UNKNOWN_LOAD, Load


def samples(database: Database) -> SampleTable:
    return SampleTable(database, namespace="ns", pool="default", worker="w1", boot="b1")


async def test_a_row_says_who_when_and_how_much(database: Database, sql: asyncpg.Connection):
    await samples(database).write(7, Load(cpu=41, memory=12))
    await samples(database).write(0, UNKNOWN_LOAD)
    rows = await sql.fetch("select *, now() - at < interval '1 minute' as fresh from worker_samples order by at")
    assert [(row["sessions"], row["cpu"], row["memory"]) for row in rows] == [(7, 41, 12), (0, None, None)]
    assert {(row["namespace"], row["pool"], row["worker"], row["boot"]) for row in rows} == {
        ("ns", "default", "w1", "b1")
    }
    assert all(row["fresh"] for row in rows)


async def test_whatever_postgresql_says_is_one_error(database: Database, sql: asyncpg.Connection):
    await sql.execute("alter table worker_samples add constraint none check (sessions < 0)")
    try:
        with pytest.raises(DatabaseUnavailable, match="CheckViolation"):
            await samples(database).write(1, UNKNOWN_LOAD)
    finally:
        await sql.execute("alter table worker_samples drop constraint none")
    nowhere = Database("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseUnavailable):
        await samples(nowhere).write(1, UNKNOWN_LOAD)


def test_one_sample_a_period_and_none_while_postgresql_is_away():
    written: list[tuple[float, int]] = []
    away = False

    async def write(sessions: int, load: Load) -> None:
        if away:
            raise DatabaseUnavailable("away")
        written.append((asyncio.get_running_loop().time(), sessions))

    async def main() -> None:
        nonlocal away
        began = asyncio.get_running_loop().time()
        working = asyncio.create_task(Sampler(write, lambda: 3, lambda: UNKNOWN_LOAD, 0.5).run())
        await asyncio.sleep(2 * PERIOD)
        away = True
        await asyncio.sleep(2 * PERIOD)
        away = False
        await asyncio.sleep(PERIOD)
        assert not working.done()
        working.cancel()
        assert [round(at - began) for at, _ in written] == [30, 90, 270]

    run(main())
