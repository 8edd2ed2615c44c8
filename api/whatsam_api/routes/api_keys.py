"""API keys of a session."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from whatsam_api.dependencies import Context, Person
from whatsam_api.envelope import Moment, Success, Wire, Writable, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.accounts import ApiKeyRow

router = APIRouter(tags=["api keys"])

Scope = Literal["send", "read", "manage"]


class KeyWish(Wire):
    """A new key."""

    name: Annotated[Writable, StringConstraints(min_length=1, max_length=128, strip_whitespace=True)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    expires_at: Moment | None = None


class KeyView(Wire):
    """A key without its secret."""

    key_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class CreatedKeyView(KeyView):
    """A new key. `api_key` is shown once."""

    api_key: str


def _key(row: ApiKeyRow) -> KeyView:
    return KeyView(
        key_id=row.id,
        name=row.name,
        prefix=row.prefix,
        scopes=row.scopes,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
    )


@router.post("/sessions/{session_id}/api-keys", status_code=201, summary="Make an API key")
async def create(
    session_id: str, body: KeyWish, person: Person, context: Context, _: CallerLimit
) -> Success[CreatedKeyView]:
    """A key for this session. Its secret is shown once."""
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise InvalidField("expiresAt", "give a time in the future, or none")
    session = await context.sessions.find(person, session_id)
    created = await context.keys.create(
        person.tenant,
        context.sessions.row_key(session),
        name=body.name,
        scopes=sorted(set(body.scopes)),
        expires_at=body.expires_at,
    )
    return ok(CreatedKeyView(**_key(created.row).model_dump(), api_key=created.secret))


@router.get("/sessions/{session_id}/api-keys", summary="List API keys")
async def list_keys(session_id: str, person: Person, context: Context, _: CallerLimit) -> Success[list[KeyView]]:
    """All keys of the session, without their secrets."""
    session = await context.sessions.find(person, session_id)
    rows = await context.keys.of_session(person.tenant, context.sessions.row_key(session))
    return ok([_key(row) for row in rows])


@router.delete("/sessions/{session_id}/api-keys/{key_id}", summary="End an API key")
async def delete(session_id: str, key_id: UUID, person: Person, context: Context, _: CallerLimit) -> Success[None]:
    """End a key at once."""
    session = await context.sessions.find(person, session_id)
    await context.keys.end(person.tenant, context.sessions.row_key(session), key_id)
    return ok(None)
