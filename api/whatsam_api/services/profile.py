"""The own account of a session: profile and privacy."""

import asyncio
import base64

from whatsam_api.models.directory import Privacy, Profile
from whatsam_api.services.portraits import portrait
from whatsam_api.services.session_calls import SessionCalls
from whatsam_core.resources import WhatsAppSession


class ProfileService:
    """What the account shows of itself, and to whom."""

    def __init__(self, calls: SessionCalls) -> None:
        self._calls = calls

    async def profile(self, session: WhatsAppSession) -> Profile:
        """Name, about and picture."""
        return await self._calls.ask(session, "profile", Profile)

    async def change(self, session: WhatsAppSession, *, name: str | None, about: str | None) -> None:
        """Change what is not None."""
        async with self._calls.altogether():
            if name is not None:
                await self._calls.do(session, "set_profile_name", name=name)
            if about is not None:
                await self._calls.do(session, "set_about", about=about)

    async def set_picture(self, session: WhatsAppSession, content: bytes | None) -> None:
        """Change the picture, or remove it (None). Raises `InvalidField` for what is no picture."""
        picture = None
        if content is not None:
            picture = base64.b64encode(await asyncio.to_thread(portrait, content, "picture")).decode()
        await self._calls.do(session, "set_profile_picture", picture=picture)

    async def privacy(self, session: WhatsAppSession) -> Privacy:
        """Who sees what."""
        return await self._calls.ask(session, "privacy", Privacy)

    async def change_privacy(self, session: WhatsAppSession, wanted: dict[str, str]) -> Privacy:
        """Change some settings; all of them as they are then."""
        shown: Privacy | None = None
        async with self._calls.altogether():
            for name, value in wanted.items():
                shown = await self._calls.ask(session, "set_privacy", Privacy, name=name, value=value)
        return shown or await self.privacy(session)
