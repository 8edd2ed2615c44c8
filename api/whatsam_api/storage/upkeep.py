"""What keeps the history in order, for the upkeep job: months ahead, empty months, what has had its time.

One replica at a time does it: who begins a round writes the time down, and again with each step; a replica that dies
leaves an old time behind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from whatsam_api.storage.database import Database
from whatsam_core.logging import get_logger

log = get_logger()

_MONTHS_AHEAD = 3
_PARTS = """
select relname, substring(pg_get_expr(relpartbound, pg_class.oid) from 'TO \\(''([^'']+)''\\)')::timestamptz as upper
from pg_class join pg_inherits on inhrelid = pg_class.oid
where inhparent = 'messages'::regclass and relname <> 'messages_rest'
"""
_AGES = (
    ("events", "created_at"),
    ("deferred", "created_at"),
    ("dead_letters", "created_at"),
    ("worker_samples", "at"),
)
"""Tables whose rows go by age, whatever session they are of, and the column of the age."""


@dataclass(frozen=True, slots=True)
class Departed:
    """A session whose object is gone while its rows stayed."""

    session: str
    tenant: str
    at: datetime


class UpkeepStore:
    """The upkeep's own statements."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_turn(self, every: timedelta) -> bool:
        """Whether a round is due that no other replica has begun; from now on it is ours."""
        async with self._database.connection() as connection:
            done = await connection.execute(
                "insert into upkeep (name, at) values ('round', now()) on conflict (name) do update set at = now()"
                " where upkeep.at < now() - $1::interval",
                every,
            )
        return not done.endswith(" 0")

    async def still_at_it(self) -> None:
        """The round goes on: nobody else begins one."""
        async with self._database.connection() as connection:
            await connection.execute("update upkeep set at = now() where name = 'round'")

    async def make_months(self) -> None:
        """Partitions for this month and the next ones."""
        for ahead in range(_MONTHS_AHEAD + 1):
            try:
                async with self._database.transaction() as connection:
                    # Whoever waits for a lock holds up those behind him: better to try again in the next round.
                    await connection.execute("set local lock_timeout = '2s'")
                    query = "select messages_make_partition(now() + $1 * interval '1 month')"
                    if (made := await connection.fetchval(query, ahead)) is not None:
                        log.info("history.month_made", partition=made)
            except asyncpg.LockNotAvailableError:
                log.info("history.month_delayed", ahead=ahead)

    async def drop_empty_months(self, before: datetime) -> list[str]:
        """Drop partitions that end before that time and hold nothing; their names. A busy one waits for next time."""
        async with self._database.connection() as connection:
            old = [
                str(row["relname"]) for row in await connection.fetch(f"{_PARTS} order by 2") if row["upper"] <= before
            ]
        return [name for name in old if await self._drop_empty(name)]

    async def delete_aged(self, older: timedelta, at_once: int) -> int:
        """Delete some rows that nobody needs after so long: events, records that waited in vain, samples. How many."""
        deleted = 0
        for table, column in _AGES:
            async with self._database.connection() as connection:
                done = await connection.execute(
                    f"delete from {table} where ctid = any(array(select ctid from {table}"
                    f" where {column} < now() - $1::interval limit {at_once:d}))",
                    older,
                )
            deleted += int(done.rpartition(" ")[2])
        return deleted

    async def depart(self, tenant: str, session: str) -> None:
        """The session's object is gone; its rows stay for a while."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into departed_sessions (session, tenant) values ($1, $2)"
                " on conflict (session) do update set tenant = excluded.tenant, at = now()",
                session, tenant,
            )  # fmt: skip

    async def departed(self, older: timedelta) -> list[Departed]:
        """Sessions that went so long ago."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select session, tenant, at from departed_sessions where at < now() - $1::interval"
                " order by at limit 100",
                older,
            )
        return [Departed(row["session"], row["tenant"], row["at"]) for row in rows]

    async def settle(self, one: Departed) -> None:
        """The rows of a session that went are dealt with (or it is back)."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from departed_sessions where session = $1 and tenant = $2 and at = $3",
                one.session, one.tenant, one.at,
            )  # fmt: skip

    async def tenants(self) -> list[str]:
        """Every tenant that may have files."""
        async with self._database.connection() as connection:
            return [str(row["tenant"]) for row in await connection.fetch("select tenant from users order by tenant")]

    async def suspects(self, limit: int) -> list[tuple[str, str]]:
        """Files that perhaps no message refers to: tenant and hash. Those that are due, oldest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select tenant, sha256 from media_unreferenced where since <= now() order by since limit $1", limit
            )
        return [(row["tenant"], row["sha256"]) for row in rows]

    async def referenced(self, tenant: str, hashes: Sequence[str]) -> set[str]:
        """Which of these files some message of the tenant refers to."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "select sha256 from unnest($2::text[]) as given(sha256) where exists (select from messages"
                " where tenant = $1 and coalesce(media ->> 'sha256', body #>> '{media,sha256}') = given.sha256)"
                " or exists (select from media where media.tenant = $1 and media.sha256 = given.sha256)",
                tenant, list(hashes),
            )  # fmt: skip
        return {str(row["sha256"]) for row in rows}

    async def suspect(self, tenant: str, hashes: Sequence[str]) -> None:
        """Look at these files soon."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into media_unreferenced (tenant, sha256) select $1, unnest($2::text[]) on conflict do nothing",
                tenant, list(hashes),
            )  # fmt: skip

    async def look_again(self, tenant: str, sha256: str, at: datetime) -> None:
        """The file is too young to be judged; look at it again then."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update media_unreferenced set since = $3 where tenant = $1 and sha256 = $2", tenant, sha256, at
            )

    async def clear(self, tenant: str, sha256: str) -> None:
        """The file is gone, or in use."""
        async with self._database.connection() as connection:
            await connection.execute("delete from media_unreferenced where tenant = $1 and sha256 = $2", tenant, sha256)

    async def _drop_empty(self, name: str) -> bool:
        try:
            async with self._database.transaction() as connection:
                if not await connection.fetchval(f"select not exists (select from {name})"):
                    return False
                await connection.execute("set local lock_timeout = '2s'")
                await connection.execute(f"lock table only messages, {name} in access exclusive mode")
                if not await connection.fetchval(f"select not exists (select from {name})"):
                    return False
                await connection.execute(f"drop table {name}")
        except asyncpg.LockNotAvailableError:
            return False
        return True
