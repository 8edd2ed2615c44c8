"""Groups of a session: list, create, change, invite, join, leave. Their members are in `group_members`."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field, StringConstraints

from whatsam_api.dependencies import Context, ReadSession, SendSession
from whatsam_api.envelope import Problem, Success, Wire, Writable, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.directory import Group, GroupSummary, JoinedGroup
from whatsam_api.policies import jids
from whatsam_api.routes.pictures import UPLOAD, uploaded_picture
from whatsam_api.services.groups import GroupSettings

router = APIRouter(tags=["groups"])

MOST_MEMBERS = 1023
"""WhatsApp's groups have 1,024 members, the own account among them."""

Which = Annotated[str, Path(min_length=5, max_length=64, description="Digits followed by @g.us.")]
Address = Annotated[str, StringConstraints(min_length=5, max_length=64)]
Link = Annotated[str, StringConstraints(min_length=6, max_length=200)]
Subject = Annotated[Writable, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"\S")]
Timer = Literal[0, 86_400, 604_800, 7_776_000]
"""Seconds that WhatsApp's apps know: off, 1, 7 and 90 days."""


class GroupSettingsWish(Wire):
    """How a group is to be; what is left out stays."""

    description: Annotated[Writable, StringConstraints(max_length=2048)] | None = None
    """An empty one removes it."""
    announce: bool | None = None
    """Only admins may write."""
    locked: bool | None = None
    """Only admins may change subject, description and picture."""
    disappearing_timer: Timer | None = None

    def settings(self, subject: str | None) -> GroupSettings:
        """For the service."""
        return GroupSettings(
            subject=subject,
            description=self.description,
            announce=self.announce,
            locked=self.locked,
            disappearing_seconds=self.disappearing_timer,
        )


class GroupChanges(GroupSettingsWish):
    """What is to be changed; what is left out stays."""

    subject: Subject | None = None


class GroupWish(GroupSettingsWish):
    """A new group."""

    subject: Subject
    participants: Annotated[list[Address], Field(max_length=MOST_MEMBERS, default_factory=list)]


class CreatedGroup(Group):
    """A new group. Members with an `error` are not in it; `problem` names a setting that could not be made."""

    problem: Problem | None = None


class GroupChange(Wire):
    """A group that was changed."""

    jid: str
    changed: list[str]


class InviteView(Wire):
    """An invite link."""

    link: str


class JoinWish(Wire):
    """A group to join."""

    link: Link


@router.get("/sessions/{session_id}/groups", summary="Groups")
async def groups(session: ReadSession, context: Context, _: CallerLimit) -> Success[list[GroupSummary]]:
    """The groups of the account, by name, without their members."""
    return ok(await context.groups.all(session))


@router.post("/sessions/{session_id}/groups", status_code=201, summary="Create a group")
async def create(body: GroupWish, session: SendSession, context: Context, _: CallerLimit) -> Success[CreatedGroup]:
    """A new group with the account as its owner. Who cannot be added is shown with the reason."""
    members = jids.persons(body.participants, "participants")
    made, partly = await context.groups.create(session, body.subject, members, body.settings(None))
    problem = Problem(code=partly.code, message=partly.message, details=partly.details) if partly else None
    return ok(CreatedGroup(**made.model_dump(), problem=problem))


@router.get("/sessions/{session_id}/groups/preview", summary="A group by invite link")
async def preview(
    session: ReadSession, context: Context, _: CallerLimit, link: Annotated[str, Query(min_length=6, max_length=200)]
) -> Success[Group]:
    """The group behind an invite link, without joining it."""
    return ok(await context.groups.preview(session, jids.group_link(link, "link")))


@router.post("/sessions/{session_id}/groups/join", summary="Join a group")
async def join(body: JoinWish, session: SendSession, context: Context, _: CallerLimit) -> Success[JoinedGroup]:
    """Join a group by invite link. `joined` is false while an admin must approve."""
    return ok(await context.groups.join(session, jids.group_link(body.link, "link")))


@router.get("/sessions/{session_id}/groups/{jid}", summary="One group")
async def group(jid: Which, session: ReadSession, context: Context, _: CallerLimit) -> Success[Group]:
    """A group with its members."""
    return ok(await context.groups.one(session, jids.group(jid, "jid")))


@router.patch("/sessions/{session_id}/groups/{jid}", summary="Change a group")
async def change(
    jid: Which, body: GroupChanges, session: SendSession, context: Context, _: CallerLimit
) -> Success[GroupChange]:
    """Change subject, description and settings. When one fails, `details.changed` names those before it."""
    if not body.model_dump(exclude_none=True):
        raise InvalidField("subject", "give at least one thing to change")
    address = jids.group(jid, "jid")
    changed = await context.groups.change(session, address, body.settings(body.subject))
    return ok(GroupChange(jid=address, changed=changed))


@router.put("/sessions/{session_id}/groups/{jid}/picture", summary="Change a group's picture", openapi_extra=UPLOAD)
async def set_picture(
    jid: Which, request: Request, session: SendSession, context: Context, _: CallerLimit
) -> Success[GroupChange]:
    """Change the picture: JPEG, PNG, WebP or GIF; its middle is taken."""
    address = jids.group(jid, "jid")
    await context.groups.set_picture(session, address, await uploaded_picture(request))
    return ok(GroupChange(jid=address, changed=["picture"]))


@router.delete("/sessions/{session_id}/groups/{jid}/picture", summary="Remove a group's picture")
async def remove_picture(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[GroupChange]:
    """Remove the picture. 501 from engines that cannot."""
    address = jids.group(jid, "jid")
    await context.groups.set_picture(session, address, None)
    return ok(GroupChange(jid=address, changed=["picture"]))


@router.get("/sessions/{session_id}/groups/{jid}/invite", summary="Invite link")
async def invite(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[InviteView]:
    """The invite link; who has it may join. Only admins get it."""
    return ok(InviteView(link=await context.groups.invite_link(session, jids.group(jid, "jid"), reset=False)))


@router.post("/sessions/{session_id}/groups/{jid}/invite", summary="Reset the invite link")
async def reset_invite(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[InviteView]:
    """A new invite link; the old one ends."""
    return ok(InviteView(link=await context.groups.invite_link(session, jids.group(jid, "jid"), reset=True)))


@router.post("/sessions/{session_id}/groups/{jid}/leave", summary="Leave a group")
async def leave(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[GroupChange]:
    """Leave a group."""
    address = jids.group(jid, "jid")
    await context.groups.leave(session, address)
    return ok(GroupChange(jid=address, changed=["membership"]))
