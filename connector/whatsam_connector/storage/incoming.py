"""What came from WhatsApp, written batch by batch. For the inbox.

A row that is there already stays as it is, and a status never goes back, so a batch that is written twice has its
effect once.
"""

import json
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from whatsam_connector.errors import UnstorableRecord
from whatsam_connector.messages.rows import NewMessage, ReceiptFor
from whatsam_connector.storage.database import Database


class IncomingMessages:
    """The inbox's side of `messages`. Each call is a transaction of its own and raises `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
