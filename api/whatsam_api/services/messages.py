"""Messages: a send is a row before anything else, then the holder is woken; reading is a query."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from whatsam_api.errors import IdempotencyConflict, MessageNotFound, SessionNotReady, Unavailable
from whatsam_api.models.messages import MessageRow
from whatsam_api.storage.connectors import ConnectorClient
from whatsam_api.storage.messages import MessageStore
from whatsam_core.message_ids import new_message_id
from whatsam_core.resources import DesiredState, WhatsAppSession

OPEN = frozenset({"pending", "sending", "uncertain"})
"""Statuses of an outbound row whose outcome is not known yet."""


@dataclass(frozen=True)
class Outcome:
    """A message that was accepted, and whether its outcome is known."""

    row: MessageRow
    settled: bool


class MessageService:
    """Sends and reads messages of a session that the caller was found to own."""

    def __init__(self, messages: MessageStore, connectors: ConnectorClient, wait: float) -> None:
        self._messages = messages
        self._connectors = connectors
        self._wait = wait

    async def send(self, session: WhatsAppSession, *, to: str, text: str, idempotency_key: str | None) -> Outcome:
        """Accept a text. From here on it is not lost: if the session is moving, its next holder sends it, in order.

        Raises `SessionNotReady` when nothing could ever send it as things are, `IdempotencyConflict` when the key was
        used for another message.
        """
        body: dict[str, Any] = {"text": text}
        key = f"{session.metadata.namespace}/{session.metadata.name}"
        if idempotency_key is not None:
            # What was accepted before stays accepted, whatever became of the session since.
            first = await self._messages.by_idempotency_key(session.spec.tenant, key, idempotency_key)
            if first is not None and first.status not in OPEN:
                return Outcome(row=_same(first, to, body), settled=True)
        _refuse_hopeless(session)
        row, new = await self._messages.add_outbound(
            message_id=new_message_id(datetime.now(UTC)),
            tenant=session.spec.tenant,
            session=key,
            session_uid=UUID(session.metadata.uid) if session.metadata.uid else None,
            chat=to,
            kind="text",
            body=body,
            idempotency_key=idempotency_key,
        )
        if not new:
            _same(row, to, body)
        if row.status in OPEN:
            await self._connectors.send(session, row.id, self._wait)
            # With the database away now, the message is accepted all the same: its row is written.
            with suppress(Unavailable):
                row = await self._messages.get(session.spec.tenant, key, row.id) or row
        return Outcome(row=row, settled=row.status not in OPEN)

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


def _same(row: MessageRow, to: str, body: dict[str, Any]) -> MessageRow:
    if row.chat != to or row.body != body:
        raise IdempotencyConflict("this Idempotency-Key was used before for another message")
    return row


def _refuse_hopeless(session: WhatsAppSession) -> None:
    if session.metadata.deleting:
        raise SessionNotReady("the session is being deleted")
    if session.spec.desired_state is DesiredState.STOPPED:
        raise SessionNotReady("the session is stopped; connect it first")
    if session.status.jid is None:
        raise SessionNotReady("no phone is paired yet; scan the QR code first")
