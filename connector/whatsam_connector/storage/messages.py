"""The table `messages` as the connector reads and writes it. The API's migrations make it; nobody else has SQL here.

A settled row never goes back, whoever writes: each statement names the status it starts from. Sessions are always
named, so no statement can reach another tenant's rows.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from whatsam_connector.errors import UnstorableRecord
from whatsam_connector.messages.rows import MessageView, NewMessage, ReceiptFor
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_connector.storage.database import Database

CHANNEL = "whatsam_messages"
"""Notified with '<namespace>/<name>' when a row is added; only a wake-up."""

_OPEN = "('pending', 'sending', 'uncertain')"


class MessageTable:
    """Rows of `messages`. Each call is a transaction of its own and raises `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with the session of each new row, for ever."""
        await self._database.listen(CHANNEL, heard)

    async def sessions_with_work(self, sessions: Sequence[str]) -> set[str]:
        """Which of the sessions have an open outgoing message."""
        if not sessions:
            return set()
        query = f"select distinct session from messages where session = any($1) and status in {_OPEN}"  # a constant
        async with self._database.transaction() as connection:
            return {str(row["session"]) for row in await connection.fetch(query, list(sessions))}

    async def head(self, session: str) -> OutRow | None:
        """The oldest open outgoing message."""
        query = (
            "select id, chat, type, body, status, attempts, updated_at from messages "  # a constant
            f"where session = $1 and direction = 'out' and status in {_OPEN} order by seq limit 1"
        )
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(query, session)
        return None if row is None else _open_row(row)

    async def claim(self, session: str, message: UUID, *, epoch: int, boot: str) -> bool:
        """Take a pending message in hand, before the engine sees it. False: it is not pending any more."""
        query = (
            "update messages set status = 'sending', epoch = $3, boot = $4, attempts = attempts + 1, "
            "error = null, updated_at = now() where session = $1 and id = $2 and status = 'pending'"
        )
        return await self._changes(query, session, message, epoch, boot)

    async def put_back(self, session: str, message: UUID, *, counted: bool) -> bool:
        """It certainly was not sent (or may be sent again): pending once more, in its old place.

        `counted` False takes the attempt off: it never began.
        """
        query = (
            "update messages set status = 'pending', attempts = greatest(attempts - $3, 0), updated_at = now() "
            "where session = $1 and id = $2 and status in ('sending', 'uncertain')"
        )
        return await self._changes(query, session, message, 0 if counted else 1)

    async def mark_uncertain(self, session: str, message: UUID) -> bool:
        """It may have been sent. `updated_at` stays the time of the claim: receipts are compared with it."""
        query = "update messages set status = 'uncertain' where session = $1 and id = $2 and status = 'sending'"
        return await self._changes(query, session, message)

    async def sent(self, session: str, message: UUID, *, wa_id: str, status: str, at: datetime | None) -> bool:
        """It was sent under this id; `status` is sent, or what a receipt says already."""
        query = (
            "update messages set status = $4, wa_id = $3, timestamp = coalesce($5, now()), error = null, "
            "updated_at = now() where session = $1 and id = $2 and status in ('sending', 'uncertain')"
        )
        return await self._changes(query, session, message, wa_id, status, at)

    async def failed(self, session: str, message: UUID, *, error: str) -> bool:
        """It will not be sent."""
        query = (
            "update messages set status = 'failed', error = $3, updated_at = now() "
            f"where session = $1 and id = $2 and status in {_OPEN}"
        )
        return await self._changes(query, session, message, error[:1000])

    async def advance(self, session: str, receipts: Sequence[ReceiptFor]) -> set[str]:
        """Receipts for messages of ours: which ids were known. Never backwards."""
        async with self._database.transaction() as connection:
            return await _advance(connection, session, receipts)

    async def record(
        self,
        session: str,
        tenant: str,
        session_uid: UUID | None,
        messages: Sequence[NewMessage],
        receipts: Sequence[ReceiptFor],
    ) -> set[str]:
        """Store what came, all or nothing; a message that is there already stays as it is.

        Returns the ids of `receipts` that have a row. Raises `UnstorableRecord` for a value PostgreSQL cannot hold.
        """
        query = (
            "insert into messages (id, session, tenant, session_uid, direction, chat, sender, wa_id, type, body, "
            "status, timestamp) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12) "
            "on conflict do nothing"
        )
        rows = [
            (
                new.id,
                session,
                tenant,
                session_uid,
                new.direction,
                new.chat,
                new.sender,
                new.wa_id,
                new.type,
                json.dumps(new.body),
                new.status,
                new.timestamp,
            )
            for new in messages
        ]
        try:
            async with self._database.transaction() as connection:
                if rows:
                    await connection.executemany(query, rows)
                return await _advance(connection, session, receipts)
        except (asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError) as error:
            raise UnstorableRecord(type(error).__name__) from error

    async def view(self, session: str, message: UUID) -> MessageView | None:
        """What became of a message."""
        query = "select id, status, wa_id, timestamp, error from messages where session = $1 and id = $2"
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(query, session, message)
        if row is None:
            return None
        return MessageView(row["id"], row["status"], row["wa_id"], row["timestamp"], row["error"])

    async def _changes(self, query: str, *values: Any) -> bool:
        async with self._database.transaction() as connection:
            return str(await connection.execute(query, *values)).endswith(" 1")


async def _advance(
    connection: asyncpg.pool.PoolConnectionProxy, session: str, receipts: Sequence[ReceiptFor]
) -> set[str]:
    known: set[str] = set()
    for status, earlier in (("delivered", ["sent"]), ("read", ["sent", "delivered"])):
        ids = [receipt.wa_id for receipt in receipts if receipt.status == status]
        if not ids:
            continue
        await connection.execute(
            "update messages set status = $3, updated_at = now() "
            "where session = $1 and direction = 'out' and wa_id = any($2) and status = any($4)",
            session,
            ids,
            status,
            earlier,
        )
        found = await connection.fetch(
            "select wa_id from messages where session = $1 and direction = 'out' and wa_id = any($2)", session, ids
        )
        known |= {str(row["wa_id"]) for row in found}
    return known


def _open_row(row: asyncpg.Record) -> OutRow:
    body = row["body"]
    parsed = json.loads(body) if isinstance(body, str) else body
    return OutRow(
        id=row["id"],
        chat=row["chat"],
        type=row["type"],
        body=parsed if isinstance(parsed, dict) else {},
        status=OutStatus(row["status"]),
        attempts=row["attempts"],
        claimed_at=row["updated_at"],
    )
