"""Newsletters (channels) of a session."""

import asyncio
import base64

from whatsam_api.models.directory import Newsletter
from whatsam_api.services.portraits import portrait
from whatsam_api.services.session_calls import SessionCalls
from whatsam_core.resources import WhatsAppSession


class NewsletterService:
    """Newsletters. Arguments are addresses that `policies.jids` has checked."""

    def __init__(self, calls: SessionCalls) -> None:
        self._calls = calls

    async def all(self, session: WhatsAppSession) -> list[Newsletter]:
        """Those that the account follows or owns, by name."""
        found = await self._calls.ask(session, "newsletters", list[Newsletter])
        return sorted(found, key=lambda one: (one.name.casefold(), one.jid))

    async def one(self, session: WhatsAppSession, *, jid: str | None = None, link: str | None = None) -> Newsletter:
        """One, by address or by link."""
        return await self._calls.ask(session, "newsletter", Newsletter, jid=jid, link=link)

    async def create(
        self, session: WhatsAppSession, *, name: str, description: str | None, picture: bytes | None
    ) -> Newsletter:
        """A new one. The terms for newsletters must have been accepted in the app."""
        drawn = await asyncio.to_thread(portrait, picture, "picture") if picture is not None else None
        return await self._calls.ask(
            session,
            "create_newsletter",
            Newsletter,
            name=name,
            description=description,
            picture=base64.b64encode(drawn).decode() if drawn is not None else None,
        )

    async def follow(self, session: WhatsAppSession, jid: str) -> None:
        """Follow it."""
        await self._calls.do(session, "follow_newsletter", jid=jid)

    async def unfollow(self, session: WhatsAppSession, jid: str) -> None:
        """Follow it no longer."""
        await self._calls.do(session, "unfollow_newsletter", jid=jid)

    async def mute(self, session: WhatsAppSession, jid: str, *, muted: bool) -> None:
        """Mute it, or no longer."""
        await self._calls.do(session, "mute_newsletter", jid=jid, muted=muted)
