"""Persons as a session sees them: contacts, number checks, what somebody shows of himself, the block list."""

import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field, StringConstraints

from whatsam_api.dependencies import Caller, Context, ReadSession, SendSession, apply_allowance
from whatsam_api.envelope import Page, Success, Wire, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.directory import Avatar, Contact, NumberCheck, Person, UserInfo
from whatsam_api.policies import jids

router = APIRouter(tags=["contacts"])

MOST_NUMBERS = 50
"""Phone numbers in one check."""
MOST_BLOCKED = 20
"""Persons in one change of the block list: each is a question to WhatsApp."""

Whom = Annotated[str, Path(min_length=5, max_length=64, description="A phone number, or the address of a person.")]
Address = Annotated[str, StringConstraints(min_length=5, max_length=64)]


class BlockWish(Wire):
    """Whom to block, and whom not to block any more."""

    block: Annotated[list[Address], Field(max_length=MOST_BLOCKED, default_factory=list)]
    unblock: Annotated[list[Address], Field(max_length=MOST_BLOCKED, default_factory=list)]


class NotBlockedView(Wire):
    """Somebody whose entry could not be changed."""

    jid: str
    code: str
    message: str


class BlockListView(Wire):
    """Who is blocked."""

    blocked: list[Person]
    failed: list[NotBlockedView] = Field(default_factory=list[NotBlockedView])


@router.get("/sessions/{session_id}/contacts", summary="Contacts")
async def contacts(
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    q: Annotated[str | None, Query(max_length=128, description="Part of a name or number.")] = None,
) -> Success[Page[Contact]]:
    """Everybody whom the session's device knows by name, by name."""
    found, total = await context.directory.contacts(session, search=q, limit=limit, offset=offset)
    return ok(Page(items=found, total=total, limit=limit))


@router.get("/sessions/{session_id}/contacts/check", summary="Check numbers")
async def check(
    session: ReadSession,
    caller: Caller,
    context: Context,
    response: Response,
    phones: Annotated[list[str], Query(description="Phone numbers with country code, separated by commas.")],
) -> Success[list[NumberCheck]]:
    """Which of these numbers are on WhatsApp. Few an hour and tenant, each number counts."""
    numbers = [number for text in phones for number in text.split(",") if number.strip()]
    if not 1 <= len(numbers) <= MOST_NUMBERS:
        raise InvalidField("phones", f"give 1 to {MOST_NUMBERS} phone numbers")
    asked = list(dict.fromkeys(jids.phone(number, "phones") for number in numbers))
    apply_allowance(response, await context.limits.number_checks(caller, len(asked)), time.time())
    return ok(await context.directory.check(session, asked))


@router.get("/sessions/{session_id}/users/{jid}", summary="What somebody shows")
async def user(jid: Whom, session: ReadSession, context: Context, _: CallerLimit) -> Success[UserInfo]:
    """About, business name, picture id and number of devices of somebody."""
    return ok(await context.directory.user(session, jids.person(jid, "jid")))


@router.get("/sessions/{session_id}/users/{jid}/avatar", summary="A picture")
async def avatar(
    jid: Whom,
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    preview: Annotated[bool, Query(description="The small one.")] = False,
) -> Success[Avatar]:
    """Where the picture of a person or group can be fetched. 404 without one, 403 when it is hidden."""
    return ok(await context.directory.avatar(session, jids.chat(jid, "jid"), preview=preview))


@router.get("/sessions/{session_id}/blocklist", summary="The block list")
async def blocklist(session: ReadSession, context: Context, _: CallerLimit) -> Success[BlockListView]:
    """Whom this account has blocked."""
    return ok(BlockListView(blocked=await context.directory.blocked(session)))


@router.put("/sessions/{session_id}/blocklist", summary="Block and unblock")
async def change_blocklist(
    body: BlockWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[BlockListView]:
    """Block and unblock persons; the list as it is then, and in `failed` whose entry could not be changed."""
    block, unblock = jids.persons(body.block, "block"), jids.persons(body.unblock, "unblock")
    if not block and not unblock:
        raise InvalidField("block", "name somebody to block or to unblock")
    blocked, failed = await context.directory.change_blocked(session, block=block, unblock=unblock)
    return ok(
        BlockListView(
            blocked=blocked,
            failed=[NotBlockedView(jid=one.jid, code=one.error.code, message=one.error.message) for one in failed],
        )
    )
