"""The table `worker_samples`: what this worker did. Used by `lease.sampling`; the API deletes what is 30 days old."""

import asyncpg

from whatsam_connector.errors import DatabaseUnavailable
from whatsam_connector.storage.database import Database
from whatsam_core.lease import Load

_INSERT = """
insert into worker_samples (namespace, pool, worker, boot, sessions, cpu, memory) values ($1, $2, $3, $4, $5, $6, $7)
"""


class SampleTable:
    """The rows of one boot. The time is PostgreSQL's, so that those of all workers can be compared."""

    def __init__(self, database: Database, *, namespace: str, pool: str, worker: str, boot: str) -> None:
        self._database = database
        self._who = (namespace, pool, worker, boot)

    async def write(self, sessions: int, load: Load) -> None:
        """Add one row. Raises `DatabaseUnavailable`, for whatever reason PostgreSQL did not take it."""
        try:
            async with self._database.statement() as connection:
                await connection.execute(_INSERT, *self._who, sessions, load.cpu, load.memory)
        except asyncpg.PostgresError as error:
            raise DatabaseUnavailable(f"PostgreSQL takes no sample: {type(error).__name__}") from error
