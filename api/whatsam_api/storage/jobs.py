"""Rows of long pieces of work. A worker holds a job for a while and says so again with each step.

A worker that is killed says nothing any more: when its time is over, the next one goes on where the last step ended.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from whatsam_api.errors import JobNotFound
from whatsam_api.models.history import JobRow
from whatsam_api.storage.database import Database

_COLUMNS = (
    "id, tenant, session, kind, state, parameters, progress, total, cursor, object, error, created_at, updated_at"
)
_TAKE = f"""
update jobs set state = 'running', claimed_until = now() + $1::interval, updated_at = now()
where id = (select id from jobs where state in ('waiting', 'running')
            and (claimed_until is null or claimed_until < now()) order by created_at limit 1 for update skip locked)
returning {_COLUMNS}
"""


class JobStore:
    """Jobs in PostgreSQL. What callers ask names their tenant; workers take whatever is to be done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: UUID, tenant: str, session: str, kind: str, parameters: dict[str, Any]) -> JobRow:
        """A new job, or the one of this id that is there already."""
        async with self._database.connection() as connection:
            await connection.execute(
                "insert into jobs (id, tenant, session, kind, parameters) values ($1, $2, $3, $4, $5)"
                " on conflict do nothing",
                job, tenant, session, kind, parameters,
            )  # fmt: skip
            row = await connection.fetchrow(f"select {_COLUMNS} from jobs where id = $1 and tenant = $2", job, tenant)
        if row is None:  # ids are random or made of the session's uid: another tenant has none of them
            raise JobNotFound("there is no such job")
        return JobRow.model_validate(dict(row))

    async def get(self, tenant: str, session: str, kind: str, job: UUID) -> JobRow | None:
        """One job."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS} from jobs where id = $1 and tenant = $2 and session = $3 and kind = $4",
                job, tenant, session, kind,
            )  # fmt: skip
        return JobRow.model_validate(dict(row)) if row is not None else None

    async def of_session(self, tenant: str, session: str, kind: str, limit: int) -> list[JobRow]:
        """The session's jobs, newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from jobs where tenant = $1 and session = $2 and kind = $3"
                f" order by created_at desc, id limit {limit:d}",
                tenant, session, kind,
            )  # fmt: skip
        return [JobRow.model_validate(dict(row)) for row in rows]

    async def take(self, hold: timedelta) -> JobRow | None:
        """A job that nobody works on, the oldest first; nobody else gets it for so long."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_TAKE, hold)
        return JobRow.model_validate(dict(row)) if row is not None else None

    async def step(
        self, job: JobRow, hold: timedelta, *, progress: int, total: int | None, cursor: dict[str, Any]
    ) -> None:
        """A step is done: the next begins here, whoever does it."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update jobs set progress = $2, total = $3, cursor = $4, claimed_until = now() + $5::interval,"
                " updated_at = now() where id = $1 and state = 'running'",
                job.id, progress, total, cursor, hold,
            )  # fmt: skip

    async def put_back(self, job: JobRow, pause: timedelta) -> None:
        """What it needs is away: it is taken up again after the pause."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update jobs set claimed_until = now() + $2::interval where id = $1 and state = 'running'",
                job.id, pause,
            )  # fmt: skip

    async def end(self, job: JobRow, state: str, *, progress: int, object_key: str | None, error: str | None) -> None:
        """It is done, or failed."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update jobs set state = $2, progress = $3, object = $4, error = $5, claimed_until = null,"
                " updated_at = now() where id = $1",
                job.id, state, progress, object_key, error,
            )  # fmt: skip

    async def again(self, job: JobRow) -> None:
        """A failed job waits once more."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update jobs set state = 'waiting', claimed_until = null, error = null where id = $1"
                " and state = 'failed'",
                job.id,
            )

    async def exports_to_remove(self, tenant: str | None, session: str | None, older: timedelta) -> list[JobRow]:
        """Exports whose files are to go: all that ended so long ago, or all of a session."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from jobs where kind = 'export' and state <> 'expired'"
                " and (($1::text is not null and tenant = $1 and session = $2)"
                " or ($1::text is null and state in ('done', 'failed') and updated_at < now() - $3::interval))"
                " order by created_at limit 100",
                tenant, session, older,
            )  # fmt: skip
        return [JobRow.model_validate(dict(row)) for row in rows]

    async def expire(self, job: UUID) -> None:
        """The file of an export is gone."""
        async with self._database.connection() as connection:
            await connection.execute(
                "update jobs set state = 'expired', object = null, cursor = null, updated_at = now() where id = $1", job
            )

    async def forget(self, older: timedelta) -> None:
        """Delete the rows of jobs that ended so long ago."""
        async with self._database.connection() as connection:
            await connection.execute(
                "delete from jobs where state in ('done', 'failed', 'expired') and updated_at < now() - $1::interval"
                " and (kind <> 'export' or state = 'expired')",
                older,
            )
