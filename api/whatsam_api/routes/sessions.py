"""Sessions of a tenant."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from whatsam_api.dependencies import Caller, Context, ManageSession, Person, ReadSession
from whatsam_api.envelope import Page, Success, Wire, Writable, ok
from whatsam_api.errors import Forbidden
from whatsam_api.limiting import CallerLimit, SessionOperationLimit
from whatsam_api.policies.session_view import SessionView, view
from whatsam_api.routes.pairing import QR_WAIT, qr_code_url
from whatsam_api.services.sessions import NewSession
from whatsam_core.resources import DNS_LABEL

router = APIRouter(tags=["sessions"])

SessionId = Annotated[str, StringConstraints(pattern=DNS_LABEL, min_length=1, max_length=63)]
StatusWord = Literal["init", "qr_required", "connected", "reconnecting", "disconnected", "error"]


class SessionWish(Wire):
    """A new session."""

    name: Annotated[Writable, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
    session_id: SessionId | None = None
    """Its id; made up when it is left out. Lower-case letters, digits and dashes."""
    pool: Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=50)] = "default"
    connect: bool = True
    """Connect at once, so that a QR code can be scanned."""


class CreatedSession(SessionView):
    """A new session with its first API key, which is never shown again."""

    api_key: str = Field(description="All scopes. Shown once.")
    qr_code: str | None = Field(default=None, description="The QR code as a data URL, when it was there at once.")


class SessionStatusView(SessionView):
    """A session with its figures."""

    message_count: int


@router.post("/sessions", status_code=201, summary="Create a session")
async def create(
    body: SessionWish, person: Person, context: Context, _: SessionOperationLimit
) -> Success[CreatedSession]:
    """Create a session and, unless `connect` is false, start it."""
    wish = NewSession(name=body.name, session_id=body.session_id, pool=body.pool, connect=body.connect)
    session, key = await context.sessions.create(person, wish)
    if body.connect:
        session = await context.sessions.wait_for_qr(session, QR_WAIT)
    picture = await qr_code_url(session)
    return ok(CreatedSession(**view(session).model_dump(), api_key=key.secret, qr_code=picture))


@router.get("/sessions", summary="List sessions")
async def list_sessions(
    caller: Caller,
    context: Context,
    _: CallerLimit,
    status: StatusWord | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Success[Page[SessionView]]:
    """The tenant's sessions, oldest first; those made with kubectl too."""
    if "read" not in caller.scopes:
        raise Forbidden("this API key lacks the scope 'read'")
    found, total = context.sessions.page(caller, status=status, limit=limit, offset=offset)
    return ok(Page(items=[view(session) for session in found], total=total, limit=limit))


@router.get("/sessions/{session_id}", summary="One session")
async def get(session: ReadSession, _: CallerLimit) -> Success[SessionView]:
    """One session."""
    return ok(view(session))


@router.get("/sessions/{session_id}/status", summary="Status of a session")
async def status(session: ReadSession, context: Context, _: CallerLimit) -> Success[SessionStatusView]:
    """Status, phone, worker and the number of messages."""
    count = await context.history.total(session.spec.tenant, context.sessions.row_key(session))
    return ok(SessionStatusView(**view(session).model_dump(), message_count=count))


@router.post("/sessions/{session_id}/connect", summary="Start a session")
async def connect(
    session: ManageSession, caller: Caller, context: Context, _: SessionOperationLimit
) -> Success[SessionView]:
    """Start a session that was disconnected."""
    return ok(view(await context.sessions.connect(caller, session.metadata.name)))


@router.post("/sessions/{session_id}/disconnect", summary="Stop a session")
async def disconnect(
    session: ManageSession, caller: Caller, context: Context, _: SessionOperationLimit
) -> Success[SessionView]:
    """Stop a session; the device stays paired."""
    return ok(view(await context.sessions.disconnect(caller, session.metadata.name)))


@router.delete("/sessions/{session_id}", status_code=202, summary="Delete a session")
async def delete(session_id: str, person: Person, context: Context, _: SessionOperationLimit) -> Success[SessionView]:
    """Log the device out, destroy the state and delete the session. Goes on in the background."""
    return ok(view(await context.sessions.delete(person, session_id)))
