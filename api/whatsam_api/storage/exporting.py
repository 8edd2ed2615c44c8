"""Reads everything that is kept of a session, page by page in a fixed order, for exports."""

from typing import Any
from uuid import UUID

from whatsam_api.models.messages import MessageRow
from whatsam_api.policies.history import Place
from whatsam_api.storage.database import Database
from whatsam_api.storage.messages import COLUMNS

_AROUND = {
    "chats": (
        "chat",
        "chat, contact, name, kind as chat_kind, last_at, unread, archived, pinned_at, muted_until, ephemeral_seconds",
    ),
    "contacts": ("jid", "jid, phone, lid, push_name, full_name, business_name"),
}  # fmt: skip
"""Tables that are small enough to be read by name: key and columns."""


class ExportReader:
    """Pages of one session's rows, oldest first. The tenant is a required argument of every query."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def around(self, table: str, tenant: str, session: str, after: str, limit: int) -> list[dict[str, Any]]:
        """Rows of `chats` or `contacts` whose key stands behind `after`."""
        key, columns = _AROUND[table]
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {columns} from {table} where session = $1 and tenant = $2 and {key} > $3"
                f" order by {key} limit {limit:d}",
                session, tenant, after,
            )  # fmt: skip
        return [dict(row) for row in rows]

    async def messages(self, tenant: str, session: str, after: Place, limit: int) -> list[MessageRow]:
        """Messages behind that place."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"select {COLUMNS} from messages where session = $1 and tenant = $2 and at >= $3"
                f" and (at, seq) > ($3, $4) order by at, seq limit {limit:d}",
                session, tenant, after.at, after.seq,
            )  # fmt: skip
        return [MessageRow.model_validate(dict(row)) for row in rows]

    async def beside(self, tenant: str, session: str, rows: list[MessageRow]) -> dict[str, list[dict[str, Any]]]:
        """What lies around these messages: reactions, votes, old texts, receipts."""
        wa_ids = [row.wa_id for row in rows if row.wa_id is not None]
        ids: list[UUID] = [row.id for row in rows]
        found: dict[str, list[dict[str, Any]]] = {}
        async with self._database.connection() as connection:
            for name, query, keys in (
                (
                    "reaction",
                    "select chat, wa_id, sender, emoji, at from reactions"
                    " where emoji <> '' and wa_id = any($3::text[])",
                    wa_ids,
                ),
                (
                    "vote",
                    "select chat, wa_id, voter, options, at from poll_votes where wa_id = any($3::text[])",
                    wa_ids,
                ),
                (
                    "earlier_text",
                    "select message_id, body, replaced_at from message_edits where message_id = any($3::uuid[])",
                    ids,
                ),
                (
                    "receipt",
                    "select message_id, recipient, status, at from message_receipts where message_id = any($3::uuid[])",
                    ids,
                ),
            ):
                rows_found = await connection.fetch(f"{query} and session = $1 and tenant = $2", session, tenant, keys)
                found[name] = [dict(row) for row in rows_found]
        return found
