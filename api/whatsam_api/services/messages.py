"""Reading messages."""

from typing import Any
from uuid import UUID

from whatsam_api.errors import MessageNotFound
from whatsam_api.models.messages import MessageRow
from whatsam_api.storage.messages import MessageStore


class MessageService:
    """Reads messages of a session that the caller was found to own."""

    def __init__(self, messages: MessageStore) -> None:
        self._messages = messages

    async def get(self, tenant: str, session: str, message_id: UUID) -> MessageRow:
        """One message. Raises `MessageNotFound`."""
        row = await self._messages.get(tenant, session, message_id)
        if row is None:
            raise MessageNotFound("there is no such message in this session")
        return row

    async def page(self, tenant: str, session: str, **query: Any) -> tuple[list[MessageRow], int]:
        """Messages, newest first; see `MessageStore.page`."""
        return await self._messages.page(tenant, session, **query)

    async def count(self, tenant: str, session: str) -> int:
        """How many messages the session has."""
        return await self._messages.count(tenant, session)
