"""Rows of messages. The API inserts outbound ones and reads; the connector that holds the session does the rest."""

from datetime import datetime
from typing import Any
from uuid import UUID

from whatsam_api.errors import IdempotencyConflict
from whatsam_api.models.messages import MessageRow
from whatsam_api.storage.database import Database

_COLUMNS = 'id, seq, direction, chat, sender, wa_id, type, body, status, error, "timestamp", created_at, updated_at'

REMOVED_AT_ONCE = 5000
"""Rows in one statement of `remove_all`."""


class MessageStore:
    """Messages in PostgreSQL. The tenant is a required argument of every query, so that no query can forget it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_outbound(
        self,
        *,
        message_id: UUID,
        tenant: str,
        session: str,
        session_uid: UUID | None,
        chat: str,
        kind: str,
        body: dict[str, Any],
        idempotency_key: str | None,
    ) -> tuple[MessageRow, bool]:
        """Insert a `pending` message before any socket sees it: the row, and whether it is new.

        With an idempotency key that was used before, the first row comes back and nothing is inserted.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                "insert into messages"
                " (id, session, tenant, session_uid, direction, chat, type, body, status, idempotency_key)"
                " values ($1, $2, $3, $4, 'out', $5, $6, $7, 'pending', $8)"
                " on conflict (session, idempotency_key) where idempotency_key is not null do nothing"
                f" returning {_COLUMNS}",
                message_id, session, tenant, session_uid, chat, kind, body, idempotency_key,
            )  # fmt: skip
            if row is not None:
                return MessageRow.model_validate(dict(row)), True
            first = await connection.fetchrow(
                f"select {_COLUMNS} from messages where tenant = $1 and session = $2 and idempotency_key = $3",
                tenant, session, idempotency_key,
            )  # fmt: skip
        if first is None:  # another tenant's row of a session of that name, or removed in this very moment
            raise IdempotencyConflict("this Idempotency-Key was used before for another message")
        return MessageRow.model_validate(dict(first)), False

    async def by_idempotency_key(self, tenant: str, session: str, idempotency_key: str) -> MessageRow | None:
        """The message that was accepted under this key."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS} from messages where tenant = $1 and session = $2 and idempotency_key = $3",
                tenant, session, idempotency_key,
            )  # fmt: skip
        return MessageRow.model_validate(dict(row)) if row is not None else None

    async def get(self, tenant: str, session: str, message_id: UUID) -> MessageRow | None:
        """One message by the id that the API gave it."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {_COLUMNS} from messages where tenant = $1 and session = $2 and id = $3",
                tenant, session, message_id,
            )  # fmt: skip
        return MessageRow.model_validate(dict(row)) if row is not None else None

    async def page(
        self,
        tenant: str,
        session: str,
        *,
        limit: int,
        offset: int = 0,
        before: int | None = None,
        direction: str | None = None,
        status: str | None = None,
        chat: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[list[MessageRow], int]:
        """Messages, newest first, and how many there are in all. `before`: the `seq` of the last page's last one."""
        clauses, arguments = ["tenant = $1", "session = $2"], list[object]([tenant, session])
        for clause, value in (
            ("direction = ${}", direction),
            ("status = ${}", status),
            ("chat = ${}", chat),
            ("created_at >= ${}", since),
            ("created_at < ${}", until),
        ):
            if value is not None:
                arguments.append(value)
                clauses.append(clause.format(len(arguments)))
        where = " and ".join(clauses)
        async with self._database.connection() as connection:
            total = await connection.fetchval(f"select count(*) from messages where {where}", *arguments)
            if before is not None:
                arguments.append(before)
                where += f" and seq < ${len(arguments)}"
            rows = await connection.fetch(
                f"select {_COLUMNS} from messages where {where} order by seq desc limit {limit:d} offset {offset:d}",
                *arguments,
            )
        return [MessageRow.model_validate(dict(row)) for row in rows], int(total or 0)

    async def count(self, tenant: str, session: str) -> int:
        """How many messages the session has, both ways."""
        async with self._database.connection() as connection:
            return int(
                await connection.fetchval(
                    "select count(*) from messages where tenant = $1 and session = $2", tenant, session
                )
                or 0
            )

    async def remove_all(self, tenant: str, session: str) -> None:
        """Delete every message of a session, in pieces that each fit into a statement's time."""
        while True:
            async with self._database.connection() as connection:
                done = await connection.execute(
                    "delete from messages where id in"
                    f" (select id from messages where tenant = $1 and session = $2 limit {REMOVED_AT_ONCE})",
                    tenant,
                    session,
                )
            if done == "DELETE 0":
                return
