"""Sending messages of every kind, and what is done to those that were sent: edit, delete, forward, read, typing."""

import time
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Request, Response

from whatsam_api.dependencies import Caller, Context, SendSession, apply_allowance
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.errors import Forbidden
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.messages import MessageRow
from whatsam_api.models.sending import KINDS, Edit, Forward, Presence, Typing
from whatsam_api.routes.send_bodies import send_call
from whatsam_api.services.identity import Principal
from whatsam_api.services.outgoing import Sent
from whatsam_core.resources import WhatsAppSession

router = APIRouter(tags=["messages"])

IDEMPOTENCY_KEY = r"^[ -~]{1,128}$"
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", pattern=IDEMPOTENCY_KEY)]
MessageId = Annotated[str, Path(pattern=r"^[A-Za-z0-9.:_-]{1,128}$")]
"""The `messageId` that the API gave, or WhatsApp's own `waId`."""


class SentView(Wire):
    """A message that was accepted."""

    message_id: UUID
    status: str
    """pending, sending or uncertain: accepted, the outcome comes later; sent, delivered, read; failed."""
    wa_id: str | None
    timestamp: datetime
    type: str
    media_url: str | None
    """Where the message's file can be read again; None for messages without one."""
    error: str | None


class DoneView(Wire):
    """What was asked for was done."""

    done: bool = True


def _view(session: WhatsAppSession, row: MessageRow) -> SentView:
    media = f"/api/v1/sessions/{session.metadata.name}/messages/{row.id}/media" if row.body.get("media") else None
    return SentView(
        message_id=row.id,
        status=row.status,
        wa_id=row.wa_id,
        timestamp=row.timestamp or row.created_at,
        type=row.type,
        media_url=media,
        error=row.error,
    )


def _answer(session: WhatsAppSession, sent: Sent, response: Response) -> Success[SentView]:
    if sent.allowance is not None:
        apply_allowance(response, sent.allowance, time.time())
    response.status_code = 200 if sent.outcome.settled else 202
    return ok(_view(session, sent.outcome.row))


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_SENDABLE = "SendableMessage"
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _reference(_SENDABLE)},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "The same fields, one part each (objects and lists as JSON), or all of them as JSON"
                    " in the part `payload`; the file in the part `file`.",
                    "required": ["type", "to", "file"],
                    "properties": {
                        "type": {"type": "string", "enum": list(KINDS)},
                        "to": {"type": "string"},
                        "caption": {"type": "string"},
                        "payload": {"type": "string", "contentMediaType": "application/json"},
                        "file": {"type": "string", "contentMediaType": "application/octet-stream"},
                    },
                }
            },
        },
    }
}
_LATER: dict[int | str, dict[str, Any]] = {
    202: {"model": Success[SentView], "description": "Accepted; the session is moving or busy."}
}


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Add the models of what can be sent to the OpenAPI description: the routes read their bodies themselves."""
    schemas: dict[str, Any] = schema.setdefault("components", {}).setdefault("schemas", {})
    if _SENDABLE in schemas:
        return schema
    kinds: dict[str, str] = {}
    for kind, adapter in KINDS.items():
        model = adapter.json_schema(ref_template="#/components/schemas/{model}")
        for name, definition in model.pop("$defs", {}).items():
            schemas.setdefault(name, definition)
        name = str(model["title"])
        schemas.setdefault(name, model)
        kinds[kind] = name
    schemas[_SENDABLE] = {
        "oneOf": [_reference(name) for name in kinds.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: f"#/components/schemas/{name}" for kind, name in kinds.items()},
        },
    }
    return schema


async def answer_send(
    request: Request,
    caller: Principal,
    session: WhatsAppSession,
    context: Context,
    *,
    key: str | None,
    response: Response,
) -> Success[SentView]:
    """Read a send call and carry it out; status and headers go into `response`."""
    async with send_call(request, context.intake, session.spec.tenant) as call:
        sent = await context.outgoing.send(
            caller, session, call.wanted, key=key, incoming=call.incoming, folder=call.folder
        )
    return _answer(session, sent, response)


@router.post("/sessions/{session_id}/send", summary="Send a message", responses=_LATER, openapi_extra=_BODY)
async def send(  # noqa: PLR0917 - FastAPI's dependencies
    request: Request,
    caller: Caller,
    session: SendSession,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Send a message. `200` when its fate is known (`sent`, or `failed` with the reason), `202` when it goes later."""
    return await answer_send(request, caller, session, context, key=idempotency_key, response=response)


@router.post("/send", summary="Send a message with a session's key", responses=_LATER, openapi_extra=_BODY)
async def send_by_key(
    request: Request,
    caller: Caller,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Send a message from the session that the API key belongs to."""
    if caller.session is None or "send" not in caller.scopes:
        raise Forbidden("use an API key with the scope 'send'; its session is the sender")
    session = await context.sessions.find(caller, caller.session.partition("/")[2])
    return await answer_send(request, caller, session, context, key=idempotency_key, response=response)


@router.patch("/sessions/{session_id}/messages/{message_id}", summary="Edit a message", responses=_LATER)
async def edit(  # noqa: PLR0917 - FastAPI's dependencies
    body: Edit,
    message_id: MessageId,
    caller: Caller,
    session: SendSession,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Give a text or caption that this session sent new words. The answer is about the edit, which has its own id."""
    sent = await context.outgoing.edit(caller, session, message_id, body, idempotency_key)
    return _answer(session, sent, response)


@router.delete("/sessions/{session_id}/messages/{message_id}", summary="Delete for everyone", responses=_LATER)
async def revoke(  # noqa: PLR0917 - FastAPI's dependencies
    message_id: MessageId,
    caller: Caller,
    session: SendSession,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Delete a message for everyone: one of this session, or as a group's administrator somebody else's."""
    sent = await context.outgoing.revoke(caller, session, message_id, idempotency_key)
    return _answer(session, sent, response)


@router.post("/sessions/{session_id}/messages/{message_id}/forward", summary="Forward", responses=_LATER)
async def forward(  # noqa: PLR0917 - FastAPI's dependencies
    body: Forward,
    message_id: MessageId,
    caller: Caller,
    session: SendSession,
    response: Response,
    context: Context,
    idempotency_key: IdempotencyKey = None,
) -> Success[SentView]:
    """Send a message of this session on to somebody else."""
    sent = await context.outgoing.forward(caller, session, message_id, body.to, idempotency_key)
    return _answer(session, sent, response)


@router.post("/sessions/{session_id}/messages/{message_id}/read", summary="Mark as read")
async def mark_read(message_id: MessageId, session: SendSession, context: Context, _: CallerLimit) -> Success[DoneView]:
    """Tell the sender that a received message was read."""
    await context.gestures.mark_read(session, message_id)
    return ok(DoneView())


@router.post("/sessions/{session_id}/typing", summary="Show that somebody writes")
async def typing(body: Typing, session: SendSession, context: Context, _: CallerLimit) -> Success[DoneView]:
    """Show in a chat that the session writes or records, or no longer does. WhatsApp shows it for about 25 seconds."""
    await context.gestures.typing(session, body.to, body.state)
    return ok(DoneView())


@router.put("/sessions/{session_id}/presence", summary="Online or not")
async def presence(body: Presence, session: SendSession, context: Context, _: CallerLimit) -> Success[DoneView]:
    """Show the session as online, or no longer."""
    await context.gestures.presence(session, available=body.available)
    return ok(DoneView())
