"""Sending and reading messages."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Response
from pydantic import AliasChoices, Field, StringConstraints

from whatsam_api.dependencies import Caller, Context, ReadSession, SendSession
from whatsam_api.envelope import Moment, Page, Success, Wire, Writable, ok
from whatsam_api.errors import Forbidden
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.messages import MessageRow
from whatsam_api.policies.recipients import recipient
from whatsam_core.resources import WhatsAppSession

router = APIRouter(tags=["messages"])

IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", pattern=r"^[ -~]{1,128}$")]

MessageStatus = Literal["pending", "sending", "uncertain", "sent", "delivered", "read", "failed", "received"]
MAX_OFFSET = 1_000_000
"""Beyond it a page costs the database more than it is worth; use a cursor."""


class TextMessage(Wire):
    """A text to send."""

    type: Literal["text"] = "text"
    to: Annotated[str, StringConstraints(min_length=5, max_length=64)]
    """A phone number with its country code, or the address of a person or group."""
    text: Annotated[Writable, StringConstraints(min_length=1, max_length=65536)] = Field(
        validation_alias=AliasChoices("text", "message")
    )


class SentView(Wire):
    """A message that was accepted."""

    message_id: UUID
    status: str
    """pending, sending or uncertain: accepted, the outcome comes later; sent, delivered, read; failed."""
    wa_id: str | None
    timestamp: datetime
    error: str | None


class MessageView(Wire):
    """One message."""

    message_id: UUID
    wa_id: str | None
    direction: Literal["in", "out"]
    contact: str
    """The chat: a person's or a group's address."""
    sender: str | None
    type: str
    text: str | None
    status: str
    error: str | None
    timestamp: datetime


def _sent(row: MessageRow) -> SentView:
    return SentView(
        message_id=row.id,
        status=row.status,
        wa_id=row.wa_id,
        timestamp=row.timestamp or row.created_at,
        error=row.error,
    )


def _message(row: MessageRow) -> MessageView:
    return MessageView(
        message_id=row.id,
        wa_id=row.wa_id,
        direction="in" if row.direction == "in" else "out",
        contact=row.chat,
        sender=row.sender,
        type=row.type,
        text=row.body.get("text"),
        status=row.status,
        error=row.error,
        timestamp=row.timestamp or row.created_at,
    )


async def _send(
    context: Context, session: WhatsAppSession, body: TextMessage, key: str | None, response: Response
) -> Success[SentView]:
    outcome = await context.messages.send(session, to=recipient(body.to), text=body.text, idempotency_key=key)
    response.status_code = 200 if outcome.settled else 202
    return ok(_sent(outcome.row))


@router.post(
    "/sessions/{session_id}/send",
    summary="Send a message",
    responses={202: {"model": Success[SentView], "description": "Accepted; the session is moving or busy."}},
)
async def send(
    body: TextMessage,
    session: SendSession,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Send a text. `200` when its fate is known (`sent`, or `failed` with the reason), `202` when it goes out later."""
    return await _send(context, session, body, idempotency_key, response)


@router.post(
    "/send",
    summary="Send a message with a session's key",
    responses={202: {"model": Success[SentView], "description": "Accepted; the session is moving or busy."}},
)
async def send_by_key(
    body: TextMessage,
    caller: Caller,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Send a text from the session that the API key belongs to."""
    if caller.session is None or "send" not in caller.scopes:
        raise Forbidden("use an API key with the scope 'send'; its session is the sender")
    session = context.sessions.find(caller, caller.session.partition("/")[2])
    return await _send(context, session, body, idempotency_key, response)


@router.get("/sessions/{session_id}/messages", summary="List messages")
async def list_messages(  # noqa: PLR0917 - one parameter per filter of the contract
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$", description="`nextCursor` of the last page.")] = None,
    direction: Literal["in", "out"] | None = None,
    status: MessageStatus | None = None,
    contact: Annotated[str | None, Query(max_length=64)] = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> Success[Page[MessageView]]:
    """Messages, newest first, by page (`offset`) or from a cursor."""
    query: dict[str, Any] = {
        "limit": limit,
        "offset": offset,
        "before": int(cursor) if cursor else None,
        "direction": direction,
        "status": status,
        "chat": recipient(contact) if contact else None,
        "since": since,
        "until": until,
    }
    rows, total = await context.messages.page(session.spec.tenant, context.sessions.row_key(session), **query)
    following = str(rows[-1].seq) if len(rows) == limit else None
    return ok(Page(items=[_message(row) for row in rows], total=total, limit=limit, next_cursor=following))


@router.get("/sessions/{session_id}/messages/{message_id}", summary="One message")
async def get_message(message_id: UUID, session: ReadSession, context: Context, _: CallerLimit) -> Success[MessageView]:
    """One message by the id that sending it gave."""
    row = await context.messages.get(session.spec.tenant, context.sessions.row_key(session), message_id)
    return ok(_message(row))
