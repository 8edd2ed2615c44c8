"""Members of a group: list (also as CSV), add, remove, promote, demote; and who asks to join."""

import csv
import io
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Response
from pydantic import Field, StringConstraints

from whatsam_api.dependencies import Context, ReadSession, SendSession
from whatsam_api.envelope import Success, Wire, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.directory import JoinRequest, Member, MemberOutcome
from whatsam_api.policies import jids

router = APIRouter(tags=["groups"])

MOST_AT_ONCE = 100
"""Members in one change: WhatsApp takes few new ones at a time."""

Which = Annotated[str, Path(min_length=5, max_length=64, description="Digits followed by @g.us.")]
Address = Annotated[str, StringConstraints(min_length=5, max_length=64)]
Members = Annotated[list[Address], Field(min_length=1, max_length=MOST_AT_ONCE)]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would carry out."""


class MembersWish(Wire):
    """Persons: phone numbers or addresses."""

    participants: Members


class RoleWish(Wire):
    """Members, and what they shall be."""

    participants: Members
    role: Literal["admin", "member"]


class RequestsWish(Wire):
    """Whose requests are approved or rejected."""

    participants: Members
    action: Literal["approve", "reject"]


@router.get(
    "/sessions/{session_id}/groups/{jid}/members",
    summary="Members",
    response_model=Success[list[Member]],
    responses={200: {"content": {"text/csv": {}}}},
)
async def members(
    jid: Which,
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    form: Annotated[Literal["json", "csv"] | None, Query(alias="format")] = None,
    accept: Annotated[str, Header()] = "",
) -> Success[list[Member]] | Response:
    """The members of a group as JSON, or as CSV with `format=csv` or `Accept: text/csv`."""
    found = (await context.groups.one(session, jids.group(jid, "jid"))).participants
    if form == "csv" or (form is None and "text/csv" in accept):
        return Response(
            _csv(found),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="members.csv"'},
        )
    return ok(found)


@router.post("/sessions/{session_id}/groups/{jid}/members", summary="Add members")
async def add(
    jid: Which, body: MembersWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[list[MemberOutcome]]:
    """Add persons; what became of each. `invite_needed`: this person may only be invited by link."""
    wanted = jids.persons(body.participants, "participants")
    return ok(await context.groups.change_members(session, jids.group(jid, "jid"), "add", wanted))


@router.patch("/sessions/{session_id}/groups/{jid}/members", summary="Promote or demote members")
async def change_role(
    jid: Which, body: RoleWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[list[MemberOutcome]]:
    """Make members admins, or admins members; what became of each."""
    wanted = jids.persons(body.participants, "participants")
    action = "promote" if body.role == "admin" else "demote"
    return ok(await context.groups.change_members(session, jids.group(jid, "jid"), action, wanted))


@router.delete("/sessions/{session_id}/groups/{jid}/members", summary="Remove members")
async def remove(
    jid: Which,
    session: SendSession,
    context: Context,
    _: CallerLimit,
    participants: Annotated[list[str], Query(description="Phone numbers or addresses, separated by commas.")],
) -> Success[list[MemberOutcome]]:
    """Remove members; what became of each."""
    named = [one for text in participants for one in text.split(",") if one.strip()]
    if not 1 <= len(named) <= MOST_AT_ONCE:
        raise InvalidField("participants", f"name 1 to {MOST_AT_ONCE} members")
    wanted = jids.persons(named, "participants")
    return ok(await context.groups.change_members(session, jids.group(jid, "jid"), "remove", wanted))


@router.get("/sessions/{session_id}/groups/{jid}/requests", summary="Join requests")
async def requests(jid: Which, session: ReadSession, context: Context, _: CallerLimit) -> Success[list[JoinRequest]]:
    """Who waits for an admin's approval."""
    return ok(await context.groups.join_requests(session, jids.group(jid, "jid")))


@router.post("/sessions/{session_id}/groups/{jid}/requests", summary="Approve or reject join requests")
async def answer_requests(
    jid: Which, body: RequestsWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[list[MemberOutcome]]:
    """Approve or reject who waits. 501 from engines that cannot."""
    wanted = jids.persons(body.participants, "participants")
    return ok(await context.groups.answer_requests(session, jids.group(jid, "jid"), body.action, wanted))


def _csv(found: list[Member]) -> str:
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(("jid", "phone", "lid", "role", "name"))
    for one in found:
        writer.writerow(_cell(text) for text in (one.jid, one.phone, one.lid, one.role, one.name))
    return target.getvalue()


def _cell(text: str | None) -> str:
    """Names are chosen by strangers: one that a spreadsheet would carry out becomes a text."""
    return f"'{text}" if text and text.startswith(_FORMULA) else text or ""
