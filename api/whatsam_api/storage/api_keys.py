"""Rows of API keys. A key itself is never stored, only its hash."""

from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from whatsam_api.models.accounts import ApiKeyRow
from whatsam_api.storage.database import Database

if TYPE_CHECKING:
    from whatsam_api.storage.database import Connection

_COLUMNS = "id, tenant, session, name, prefix, scopes, expires_at, last_used_at, created_at"


class ApiKeyStore:
    """API keys in PostgreSQL. `session` is `<namespace>/<name>` everywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        *,
        key_id: UUID,
        tenant: str,
        session: str,
        name: str,
        prefix: str,
        key_hash: bytes,
        scopes: list[str],
        expires_at: datetime | None,
        within: "Connection | None" = None,
    ) -> ApiKeyRow:
        """Insert a key, as a part of the transaction `within` when there is one."""
        async with nullcontext(within) if within else self._database.connection() as connection:
            row = await connection.fetchrow(
                "insert into api_keys (id, tenant, session, name, prefix, key_hash, scopes, expires_at)"
                f" values ($1, $2, $3, $4, $5, $6, $7, $8) returning {_COLUMNS}",
                key_id, tenant, session, name, prefix, key_hash, scopes, expires_at,
            )  # fmt: skip
        return ApiKeyRow.model_validate(dict(row or {}))

    async def use(self, key_hash: bytes) -> ApiKeyRow | None:
        """The living key with this hash. Notes the use, at most once a minute to spare the row."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS} from api_keys where key_hash = $1 and (expires_at is null or expires_at > now())",
                key_hash,
            )
            if row is None:
                return None
            await connection.execute(
                "update api_keys set last_used_at = now() where id = $1"
                " and (last_used_at is null or last_used_at < now() - interval '1 minute')",
                row["id"],
            )
        return ApiKeyRow.model_validate(dict(row))

    async def of_session(self, tenant: str, session: str) -> list[ApiKeyRow]:
        """All keys of a session."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {_COLUMNS} from api_keys where tenant = $1 and session = $2 order by created_at",
                tenant, session,
            )  # fmt: skip
        return [ApiKeyRow.model_validate(dict(row)) for row in rows]

    async def remove(self, tenant: str, session: str, key_id: UUID) -> bool:
        """Delete a key; False when there is none."""
        async with self._database.connection() as connection:
            found = await connection.fetchval(
                "delete from api_keys where tenant = $1 and session = $2 and id = $3 returning id",
                tenant,
                session,
                key_id,
            )
        return found is not None

    async def remove_all(self, tenant: str, session: str) -> None:
        """Delete every key of a session."""
        async with self._database.connection() as connection:
            await connection.execute("delete from api_keys where tenant = $1 and session = $2", tenant, session)
