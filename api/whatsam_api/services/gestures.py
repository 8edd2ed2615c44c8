"""What is shown to others without being a message: read, typing, online. Done at once or not at all."""

from contextlib import suppress
from typing import Final
from uuid import UUID

from whatsam_api.errors import CannotChange, MessageNotFound, Unavailable
from whatsam_api.policies.recipients import recipient
from whatsam_api.policies.row_names import is_row_id
from whatsam_api.services.acceptance import row_key
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.storage.messages import MessageStore
from whatsam_api.storage.read_marks import ReadMarks
from whatsam_core.messages import MessageType
from whatsam_core.resources import WhatsAppSession

_STATES: Final = {"typing": "composing", "recording": "recording", "paused": "paused"}


class Gestures:
    """Read receipts, typing, presence of sessions that the caller was found to own."""

    def __init__(self, messages: MessageStore, marks: ReadMarks, calls: SessionCalls) -> None:
        self._messages = messages
        self._marks = marks
        self._calls = calls

    async def mark_read(self, session: WhatsAppSession, name: str) -> None:
        """Tell the sender that his message was read. Raises `MessageNotFound`, `CannotChange`, `ApiError`."""
        tenant, key = session.spec.tenant, row_key(session)
        if is_row_id(name):
            row = await self._messages.get(tenant, key, UUID(name))
        else:
            row = await self._messages.by_wa_id(tenant, key, name)
        if row is None:
            raise MessageNotFound("there is no such message in this session")
        if row.direction != "in" or row.wa_id is None:
            raise CannotChange("only received messages can be marked as read")
        await self._calls.do(
            session,
            "mark_read",
            chat=row.chat,
            sender=row.sender or row.chat,
            message_ids=[row.wa_id],
            played=row.type == MessageType.VOICE,
        )
        # WhatsApp knows; a count that stays too high for a while is the lesser harm.
        with suppress(Unavailable):
            await self._marks.read_up_to(tenant, key, row)

    async def typing(self, session: WhatsAppSession, to: str, state: str) -> None:
        """Show in a chat that the session writes or records, or no longer does."""
        await self._calls.do(session, "chat_presence", chat=recipient(to), state=_STATES[state])

    async def presence(self, session: WhatsAppSession, *, available: bool) -> None:
        """Show the session as online, or no longer."""
        await self._calls.do(session, "presence", available=available)
