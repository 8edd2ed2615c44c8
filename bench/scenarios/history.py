"""The history with many messages: the first page of a chat and a text search within one session. Needs no cluster.

`python -m bench.scenarios.history` fills a PostgreSQL of its own (embedded, `WHATSAM_BENCH_HISTORY_ROWS` messages,
10 million by default, in twelve months; a fifth of them in one session, the rest in two hundred) below
`WHATSAM_BENCH_HISTORY_FOLDER`, asks through the API's own service and storage, and deletes everything again.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from bench.harness import Figure, Machine, Result, figure
from whatsam_api.models.history import MessageFilter
from whatsam_api.services.history import HistoryService
from whatsam_api.storage.chats import ChatStore
from whatsam_api.storage.database import Database
from whatsam_api.storage.history import HistoryStore
from whatsam_api.storage.messages import MessageStore
from whatsam_api.storage.migrations import migrate
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.postgres import PostgresServer

ROWS = int(os.environ.get("WHATSAM_BENCH_HISTORY_ROWS", "10000000"))
MONTHS = 12
SAMPLES = 200
GOAL = 50.0
"""Milliseconds, of the slowest in a hundred."""
WORDS = 60_000
HEAVY, LIGHT = "bench/s0", "bench/s7"

# ruff: noqa: S608 - statements are put together from the constants of this file

PREPARE = f"""
create table words as
    select n as place, substr(md5(n::text), 1, 3 + n % 7) as word from generate_series(1, {WORDS}) as n;
create unique index on words (place);
-- Few words are used often and most of them rarely, as in a language.
create table pieces as select n as place,
    (select string_agg(word, ' ') from words where n > 0 and place in
        (select 1 + floor({WORDS - 1} * power(random(), 3))::int from generate_series(1, 4) as i where n > 0)) as text
    from generate_series(1, 20000) as n;
create unique index on pieces (place);
analyze;
"""
FILL = """
create table part (like messages including defaults including generated including constraints including storage)
    with (fillfactor = 85);
insert into part (id, at, session, tenant, direction, chat, contact, sender, wa_id, type, body, status, "timestamp")
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(hash, 1, 3) || '8'
        || substr(hash, 4, 15))::uuid,
    at, 'bench/s' || session, 't' || session, case when luck < 0.5 then 'in' else 'out' end, chat, chat, chat, hash,
    case when luck < 0.9 then 'text' when luck < 0.999 then 'image' else 'poll' end,
    jsonb_build_object('text', p1.text || ' ' || p2.text || ' ' || p3.text),
    case when luck < 0.5 then 'received' when luck > 0.9999 then 'failed' else 'read' end, at
from (
    select date_trunc('second', {lower} + random() * ({upper} - {lower})) as at, md5({month} || '/' || n) as hash,
        case when random() < 0.2 then 0 else 1 + floor(random() * 200)::int end as session, random() as luck,
        (491500000000 + floor(500 * power(random(), 2)))::text || '@s.whatsapp.net' as chat,
        1 + floor(random() * 20000)::int as one, 1 + floor(random() * 20000)::int as two,
        1 + floor(random() * 20000)::int as three
    from generate_series(1, {rows}) as n
) as made
join pieces as p1 on p1.place = one join pieces as p2 on p2.place = two join pieces as p3 on p3.place = three
"""


_SETTINGS = ("shared_buffers=1GB", "effective_cache_size=4GB", "max_wal_size=8GB", "random_page_cost=1.1", "jit=off")
"""As for a database on an SSD with a few gigabytes; fsync is off: only reading is measured."""


def measure(_cluster: RunningCluster | None = None) -> list[Figure]:
    """Fill a database, ask it, delete it."""
    parent = Path(os.environ.get("WHATSAM_BENCH_HISTORY_FOLDER") or tempfile.gettempdir())
    server = PostgresServer(parent, settings=_SETTINGS)
    try:
        server.start()
        return asyncio.run(_measure(server.url))
    finally:
        server.close()


async def _measure(url: str) -> list[Figure]:
    began = time.monotonic()
    await migrate(url)
    await _fill(url)
    filled = time.monotonic() - began
    database = Database(url, 2, {"plan_cache_mode": "force_custom_plan"})
    await database.open()
    try:
        service = HistoryService(MessageStore(database), HistoryStore(database), ChatStore(database))
        figures = [figure("messages", "", [ROWS], digits=0), figure("filled in", "s", [filled], digits=0)]
        for name, ask in (await _questions(database, service)).items():
            figures += await _ask(name, ask)
        return figures
    finally:
        await database.close()


async def _fill(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("set maintenance_work_mem = '1GB'; set work_mem = '256MB'")
    await connection.execute(PREPARE)
    for ago in range(MONTHS):
        month = await connection.fetchrow("select * from messages_bounds(now() - $1 * interval '1 month')", ago)
        assert month is not None
        lower, upper = (f"timestamptz '{month[side].isoformat()}'" for side in ("lower", "upper"))
        last = upper if ago else "now()"
        await connection.execute(FILL.format(lower=lower, upper=last, month=ago, rows=ROWS // MONTHS))
        name = month["name"]
        # Filled first and attached afterwards: the indexes are built at once, not row by row.
        await connection.execute(
            f"drop table if exists {name}; alter table part rename to {name};"
            f" alter table messages attach partition {name} for values from ({lower}) to ({upper})"
        )
        await connection.execute(f"vacuum analyze {name}")
        sys.stderr.write(f"{name} filled\n")
    await connection.execute("analyze messages")
    await connection.close()


async def _questions(database: Database, service: HistoryService) -> dict[str, Callable[[], Awaitable[object]]]:
    chance = random.Random(7)  # noqa: S311 - the same questions each time
    async with database.connection() as connection:
        words = [str(row["word"]) for row in await connection.fetch("select word from words order by place")]

    def page(session: str, wanted: MessageFilter) -> Awaitable[object]:
        return service.page(f"t{session.partition('/s')[2]}", session, wanted, limit=50)

    def chat(session: str) -> Awaitable[object]:
        person = f"{491500000000 + int(500 * chance.random() ** 2)}@s.whatsapp.net"
        return page(session, MessageFilter(contacts=(person,)))

    def search(session: str, first: int, last: int) -> Awaitable[object]:
        return page(session, MessageFilter(words=words[chance.randrange(first, last)]))

    return {
        "first page of a session": lambda: page(HEAVY, MessageFilter()),
        "first page of a chat, large session": lambda: chat(HEAVY),
        "first page of a chat, small session": lambda: chat(LIGHT),
        "search of a common word, large session": lambda: search(HEAVY, 0, 100),
        "search of a middling word, large session": lambda: search(HEAVY, 100, 5000),
        "search of a rare word, large session": lambda: search(HEAVY, 5000, WORDS),
        "search of any word, small session": lambda: search(LIGHT, 0, WORDS),
    }


async def _ask(name: str, ask: Callable[[], Awaitable[object]]) -> list[Figure]:
    await ask()
    samples: list[float] = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await ask()
        samples.append((time.perf_counter() - began) * 1000)
    p99 = statistics.quantiles(samples, n=100)[98]
    return [
        figure(f"{name}, p50", "ms", [statistics.median(samples)], digits=1),
        figure(f"{name}, p99", "ms", [p99], goal=GOAL, digits=1),
    ]


if __name__ == "__main__":
    result = Result(scenario="history", machine=Machine.here(), figures=measure())
    for one in result.figures:
        sys.stdout.write(f"{one.name:45} {one.value:>10g} {one.unit}\n")
    sys.stdout.write(f"written to {result.write()}\n")
