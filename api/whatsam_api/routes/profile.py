"""The own account of a session: profile and privacy."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Base64Bytes, StringConstraints

from whatsam_api.dependencies import Context, ManageSession, ReadSession
from whatsam_api.envelope import Success, Wire, Writable, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.directory import Privacy, Profile
from whatsam_api.routes.pictures import UPLOAD, uploaded_picture

router = APIRouter(tags=["profile"])

Audience = Literal["all", "contacts", "contact_blacklist", "none"]


class ProfileWish(Wire):
    """What is to be changed."""

    name: (
        Annotated[Writable, StringConstraints(min_length=1, max_length=25, strip_whitespace=True, pattern=r"\S")] | None
    ) = None
    """WhatsApp's apps take 25 characters."""
    about: Annotated[Writable, StringConstraints(max_length=139)] | None = None
    picture: Base64Bytes | None = None
    """In base64; see `PUT …/profile/picture` for other ways."""


class PrivacyWish(Wire):
    """What is to be changed."""

    group_add: Audience | None = None
    last_seen: Audience | None = None
    status: Audience | None = None
    profile: Audience | None = None
    read_receipts: Literal["all", "none"] | None = None
    online: Literal["all", "match_last_seen"] | None = None
    call_add: Literal["all", "known"] | None = None


class Changed(Wire):
    """What was changed."""

    changed: list[str]


@router.get("/sessions/{session_id}/profile", summary="The own profile")
async def profile(session: ReadSession, context: Context, _: CallerLimit) -> Success[Profile]:
    """Name, about and picture of the account."""
    return ok(await context.profile.profile(session))


@router.put("/sessions/{session_id}/profile", summary="Change the own profile")
async def change_profile(
    body: ProfileWish, session: ManageSession, context: Context, _: CallerLimit
) -> Success[Changed]:
    """Change name, about and picture; what is left out stays."""
    changed = [name for name in ("name", "about", "picture") if getattr(body, name) is not None]
    if not changed:
        raise InvalidField("name", "give a name, an about text or a picture")
    await context.profile.change(session, name=body.name, about=body.about)
    if body.picture is not None:
        await context.profile.set_picture(session, body.picture)
    return ok(Changed(changed=changed))


@router.put("/sessions/{session_id}/profile/picture", summary="Change the own picture", openapi_extra=UPLOAD)
async def set_picture(request: Request, session: ManageSession, context: Context, _: CallerLimit) -> Success[Changed]:
    """Change the picture: JPEG, PNG, WebP or GIF; its middle is taken."""
    await context.profile.set_picture(session, await uploaded_picture(request))
    return ok(Changed(changed=["picture"]))


@router.delete("/sessions/{session_id}/profile/picture", summary="Remove the own picture")
async def remove_picture(session: ManageSession, context: Context, _: CallerLimit) -> Success[Changed]:
    """Remove the picture. 501 from engines that cannot."""
    await context.profile.set_picture(session, None)
    return ok(Changed(changed=["picture"]))


@router.get("/sessions/{session_id}/privacy", summary="Privacy settings")
async def privacy(session: ReadSession, context: Context, _: CallerLimit) -> Success[Privacy]:
    """Who sees what of this account."""
    return ok(await context.profile.privacy(session))


@router.put("/sessions/{session_id}/privacy", summary="Change privacy settings")
async def change_privacy(
    body: PrivacyWish, session: ManageSession, context: Context, _: CallerLimit
) -> Success[Privacy]:
    """Change settings; what is left out stays. All of them as they are then."""
    wanted = body.model_dump(exclude_none=True)
    if not wanted:
        raise InvalidField("lastSeen", "give at least one setting")
    return ok(await context.profile.change_privacy(session, wanted))
