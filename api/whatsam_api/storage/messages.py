"""Rows of messages. The API inserts outbound ones and reads; the connector that holds the session does the rest."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from whatsam_api.errors import IdempotencyConflict, Unavailable
from whatsam_api.models.messages import MessageRow
from whatsam_api.storage.database import Database
from whatsam_core.message_ids import at_of, message_at
from whatsam_core.tracing import traceparent

COLUMNS = (
    "id, at, seq, direction, chat, contact, sender, sender_phone, wa_id, type, body, media, status, error, history,"
    ' quoted_wa_id, "timestamp", edited_at, deleted_at, created_at, updated_at'
)
"""Columns of a `MessageRow`."""

# Somebody who is written to by his LID is filed under his number, where that is known: one chat, not two.
_CONTACT = (
    "case when $6 like '%@lid' then coalesce("
    "(select jid from contacts where session = $3 and tenant = $4 and lid = $6 limit 1), $6) else $6 end"
)
_INSERT = (
    " insert into messages"
    " (id, at, session, tenant, session_uid, direction, chat, contact, type, body, media, status, idempotency_key,"
    " trace, secret, quoted_wa_id)"
    f" select $1, $2, $3, $4, $5, 'out', $6, {_CONTACT}, $7, $8, $9, 'pending', $10, $11, $12, $13"
)
_ADD = f"{_INSERT} where $10::text is null returning {COLUMNS}"
_ADD_ONCE = (
    "with first as (insert into idempotency_keys (session, key, tenant, id, at) values ($3, $10, $4, $1, $2)"
    f" on conflict do nothing returning id) {_INSERT} from first returning {COLUMNS}"
)


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
        secret: bytes | None = None,
        quoted_wa_id: str | None = None,
    ) -> tuple[MessageRow, bool]:
        """Insert a `pending` message before any socket sees it: the row, and whether it is new.

        `secret`: what votes on a poll of ours are encrypted with.

        With an idempotency key that was used before, the first row comes back and nothing is inserted.
        """
        # One statement, so that a send costs one round trip.
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                _ADD if idempotency_key is None else _ADD_ONCE,
                message_id, at_of(message_id) or message_at(datetime.now(UTC)), session, tenant, session_uid, chat,
                kind, body, _media(kind, body), idempotency_key, traceparent(), secret, quoted_wa_id,
            )  # fmt: skip
        if row is not None:
            return MessageRow.model_validate(dict(row)), True
        first = await self.by_idempotency_key(tenant, session, idempotency_key or "")
        if first is None:  # another tenant's row of a session of that name, or removed in this very moment
            raise IdempotencyConflict("this Idempotency-Key was used before for another message")
        return first, False

    async def announce(self, session: str) -> None:
        """Let holders hear of a row that none of them was called for. Only a wake-up: they also look by themselves.

        Not part of each insert: a notification costs PostgreSQL as much as the row, and commits wait for each other.
        """
        with suppress(Unavailable):
            async with self._database.connection() as connection:
                await connection.execute("select pg_notify('whatsam_messages', $1)", session)

    async def by_idempotency_key(self, tenant: str, session: str, idempotency_key: str) -> MessageRow | None:
        """The message that was accepted under this key."""
        async with self._database.connection() as connection:
            key = await connection.fetchrow(
                "select id, at from idempotency_keys where session = $1 and key = $2 and tenant = $3",
                session, idempotency_key, tenant,
            )  # fmt: skip
            if key is None:
                return None
            row = await connection.fetchrow(
                f"select {COLUMNS} from messages where tenant = $1 and session = $2 and id = $3 and at = $4",
                tenant, session, key["id"], key["at"],
            )  # fmt: skip
        return MessageRow.model_validate(dict(row)) if row is not None else None

    async def get(self, tenant: str, session: str, message_id: UUID) -> MessageRow | None:
        """One message by the id that the API gave it."""
        at = at_of(message_id)
        # An id of the first schema tells no time: then every month is looked into.
        narrowed = ("", ()) if at is None else (" and at = $4", (at,))
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {COLUMNS} from messages where tenant = $1 and session = $2 and id = $3{narrowed[0]}",
                tenant, session, message_id, *narrowed[1],
            )  # fmt: skip
        return MessageRow.model_validate(dict(row)) if row is not None else None

    async def by_wa_id(self, tenant: str, session: str, wa_id: str) -> MessageRow | None:
        """One message by WhatsApp's id; the newest, should two chats have used the same."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"select {COLUMNS} from messages where tenant = $1 and session = $2 and (id, at) in"
                " (select id, at from message_keys where session = $2 and wa_id = $3) order by at desc limit 1",
                tenant, session, wa_id,
            )  # fmt: skip
        return MessageRow.model_validate(dict(row)) if row is not None else None


def _media(kind: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """Column `media` of a message that we send: its file is in the object store before the row is."""
    reference = body.get("media")
    if not isinstance(reference, dict) or "sha256" not in reference:
        return None
    return {"state": "stored", "kind": kind, **reference}
