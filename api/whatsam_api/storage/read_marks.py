"""How many messages of a chat are unread, after one of them was read through the API."""

from whatsam_api.models.messages import MessageRow
from whatsam_api.storage.database import Database

_MOST = 10_000
"""More is not counted: nobody tells 10,000 unread messages from 11,000."""

_READ = f"""
update chats set marked_unread = false, updated_at = now(), unread = least(unread, (select count(*) from (
    select 1 from messages where session = $2 and tenant = $1 and contact = $3 and at >= $4 and (at, seq) > ($4, $5)
        and direction = 'in' and not history and type <> 'system' limit {_MOST}) as later))
where tenant = $1 and session = $2 and contact = $3
"""


class ReadMarks:
    """Unread counts of chats."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read_up_to(self, tenant: str, session: str, row: MessageRow) -> None:
        """Only what came after this message is unread now; a count never grows by reading. Raises `Unavailable`."""
        async with self._database.connection() as connection:
            await connection.execute(_READ, tenant, session, row.contact or row.chat, row.at, row.seq)
