"""The messages that an outgoing one is about: what WhatsApp calls them, once sent. For `messages.preparing`."""

from uuid import UUID

from whatsam_connector.messages.prepared import TargetRow
from whatsam_connector.storage.database import Database

_QUERY = "select wa_id, status from messages where session = $1 and id = $2"


class Targets:
    """Looks messages up by the ids of their rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def target(self, session: str, message: UUID) -> TargetRow | None:
        """One message of the session. Raises `DatabaseUnavailable`."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_QUERY, session, message)
        return None if row is None else TargetRow(row["wa_id"], row["status"])
