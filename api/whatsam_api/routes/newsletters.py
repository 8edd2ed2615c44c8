"""Newsletters (channels) of a session."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Base64Bytes, Field, StringConstraints

from whatsam_api.dependencies import Context, ReadSession, SendSession
from whatsam_api.envelope import Success, Wire, Writable, ok
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.directory import Newsletter
from whatsam_api.policies import jids

router = APIRouter(tags=["newsletters"])

Which = Annotated[str, Path(min_length=5, max_length=64, description="Digits followed by @newsletter.")]


class NewsletterWish(Wire):
    """A new newsletter."""

    name: Annotated[Writable, StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=r"\S")]
    description: Annotated[Writable, StringConstraints(max_length=2048)] | None = None
    picture: Annotated[Base64Bytes, Field(description="A picture in base64.")] | None = None


class MuteWish(Wire):
    """Whether it is to be muted."""

    muted: bool


class NewsletterChange(Wire):
    """A newsletter that was changed."""

    jid: str


@router.get("/sessions/{session_id}/newsletters", summary="Newsletters")
async def newsletters(session: ReadSession, context: Context, _: CallerLimit) -> Success[list[Newsletter]]:
    """The newsletters that the account follows or owns."""
    return ok(await context.newsletters.all(session))


@router.get("/sessions/{session_id}/newsletters/preview", summary="A newsletter by link")
async def preview(
    session: ReadSession, context: Context, _: CallerLimit, link: Annotated[str, Query(max_length=200)]
) -> Success[Newsletter]:
    """The newsletter behind a link, followed or not."""
    return ok(await context.newsletters.one(session, link=jids.newsletter_link(link, "link")))


@router.get("/sessions/{session_id}/newsletters/{jid}", summary="One newsletter")
async def newsletter(jid: Which, session: ReadSession, context: Context, _: CallerLimit) -> Success[Newsletter]:
    """One newsletter."""
    return ok(await context.newsletters.one(session, jid=jids.newsletter(jid, "jid")))


@router.post("/sessions/{session_id}/newsletters", status_code=201, summary="Create a newsletter")
async def create(body: NewsletterWish, session: SendSession, context: Context, _: CallerLimit) -> Success[Newsletter]:
    """A new newsletter. WhatsApp's terms for newsletters must have been accepted in the app before."""
    return ok(
        await context.newsletters.create(session, name=body.name, description=body.description, picture=body.picture)
    )


@router.patch("/sessions/{session_id}/newsletters/{jid}", summary="Mute a newsletter")
async def mute(
    jid: Which, body: MuteWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[NewsletterChange]:
    """Mute a newsletter, or no longer."""
    address = jids.newsletter(jid, "jid")
    await context.newsletters.mute(session, address, muted=body.muted)
    return ok(NewsletterChange(jid=address))


@router.post("/sessions/{session_id}/newsletters/{jid}/follow", summary="Follow a newsletter")
async def follow(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[NewsletterChange]:
    """Follow a newsletter."""
    address = jids.newsletter(jid, "jid")
    await context.newsletters.follow(session, address)
    return ok(NewsletterChange(jid=address))


@router.post("/sessions/{session_id}/newsletters/{jid}/unfollow", summary="Unfollow a newsletter")
async def unfollow(jid: Which, session: SendSession, context: Context, _: CallerLimit) -> Success[NewsletterChange]:
    """Follow a newsletter no longer."""
    address = jids.newsletter(jid, "jid")
    await context.newsletters.unfollow(session, address)
    return ok(NewsletterChange(jid=address))
