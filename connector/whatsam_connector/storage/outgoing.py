"""Open outgoing messages: claimed before an engine sees them, settled after it has answered. For the outbox.

A settled row never goes back, whoever writes: each statement names the status it starts from. Sessions are always
named, so no statement can reach another tenant's rows.
"""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.rules import OutRow, OutStatus
from whatsam_connector.storage.database import Database

CHANNEL = "whatsam_messages"
"""Notified with '<namespace>/<name>' when a row is added; only a wake-up."""

_OPEN = "('pending', 'sending', 'uncertain')"


class OutgoingMessages:
    """Outgoing rows of `messages`. Each call is a transaction of its own and raises `DatabaseUnavailable`."""

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
