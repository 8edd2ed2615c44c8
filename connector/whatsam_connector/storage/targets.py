"""The messages that an outgoing one is about: what WhatsApp calls them, once they have been sent. For `preparing`."""

from dataclasses import dataclass
from uuid import UUID

from whatsam_connector.storage.database import Database

_QUERY = "select chat, sender, wa_id, direction, type, status from messages where session = $1 and id = $2"


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A message, as far as one that is about it needs to know."""

    chat: str
    sender: str | None
    wa_id: str | None
    direction: str
    type: str
    status: str


class Targets:
    """Looks messages up by the ids of their rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def target(self, session: str, message: UUID) -> TargetRow | None:
        """One message of the session. Raises `DatabaseUnavailable`."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_QUERY, session, message)
        if row is None:
            return None
        return TargetRow(row["chat"], row["sender"], row["wa_id"], row["direction"], row["type"], row["status"])
