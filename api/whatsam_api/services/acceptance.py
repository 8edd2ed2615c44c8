"""Accepting a message: a row before anything else, then the holder is woken and given a moment to send it."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from whatsam_api.errors import IdempotencyConflict, Unavailable
from whatsam_api.models.messages import MessageRow
from whatsam_api.services.readiness import Readiness
from whatsam_api.storage.connectors import ConnectorClient, Told, Wake
from whatsam_api.storage.messages import MessageStore
from whatsam_core.message_ids import new_message_id
from whatsam_core.resources import WhatsAppSession

OPEN = frozenset({"pending", "sending", "uncertain"})
"""Statuses of an outbound row whose outcome is not known yet."""


@dataclass(frozen=True)
class Outcome:
    """A message that was accepted, and whether its outcome is known."""

    row: MessageRow
    settled: bool


class Acceptance:
    """Writes outgoing rows of sessions that the caller was found to own."""

    def __init__(self, messages: MessageStore, connectors: ConnectorClient, readiness: Readiness, wait: float) -> None:
        """`wait`: seconds for which a call waits for its message's outcome."""
        self._messages = messages
        self._connectors = connectors
        self._readiness = readiness
        self._wait = wait

    async def require_ready(self, session: WhatsAppSession) -> WhatsAppSession:
        """The session as it is known now. Raises `SessionNotReady` when nothing could ever be sent as things are."""
        return await self._readiness.require(session)

    async def repeated(self, session: WhatsAppSession, key: str, fingerprint: str) -> Outcome | None:
        """What became of an earlier call with this Idempotency-Key; None: there was none.

        What was accepted before stays accepted, whatever became of the session since. Raises `IdempotencyConflict`.
        """
        row = await self._messages.by_idempotency_key(session.spec.tenant, row_key(session), key)
        if row is None:
            return None
        _refuse_other(row, fingerprint)
        return await self._outcome(session, row)

    async def accept(
        self,
        session: WhatsAppSession,
        *,
        chat: str,
        kind: str,
        body: dict[str, Any],
        key: str | None,
        secret: bytes | None = None,
        quoted_wa_id: str | None = None,
    ) -> Outcome:
        """Write the row. From here on the message is not lost: if the session is moving, its next holder sends it.

        With an Idempotency-Key the body has a `fingerprint`. Raises `IdempotencyConflict`.
        """
        row, new = await self._messages.add_outbound(
            message_id=new_message_id(datetime.now(UTC)),
            tenant=session.spec.tenant,
            session=row_key(session),
            session_uid=UUID(session.metadata.uid) if session.metadata.uid else None,
            chat=chat,
            kind=kind,
            body=body,
            idempotency_key=key,
            secret=secret,
            quoted_wa_id=quoted_wa_id,
        )
        if not new:
            _refuse_other(row, str(body.get("fingerprint")))
        return await self._outcome(session, row)

    async def _outcome(self, session: WhatsAppSession, row: MessageRow) -> Outcome:
        if row.status in OPEN:
            told = await self._connectors.send(session, row.id, self._wait)
            if isinstance(told, Told):
                row = row.model_copy(update=vars(told))
            else:
                if told is Wake.ELSEWHERE:
                    await self._messages.announce(row_key(session))
                # With the database away now, the message is accepted all the same: its row is written.
                with suppress(Unavailable):
                    row = await self._messages.get(session.spec.tenant, row_key(session), row.id) or row
        return Outcome(row=row, settled=row.status not in OPEN)


def row_key(session: WhatsAppSession) -> str:
    """What the session is called in rows."""
    return f"{session.metadata.namespace}/{session.metadata.name}"


def _refuse_other(row: MessageRow, fingerprint: str) -> None:
    """Rows of the first version have no fingerprint: their key alone must do."""
    if row.body.get("fingerprint", fingerprint) != fingerprint:
        raise IdempotencyConflict("this Idempotency-Key was used before for another message")
