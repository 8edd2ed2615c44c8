"""Whether a session could do what its owner asks; used by everything that sends or asks WhatsApp through a worker."""

from collections.abc import Awaitable, Callable

from whatsam_api.errors import SessionNotReady
from whatsam_api.policies.readiness import hopeless
from whatsam_core.resources import WhatsAppSession

Newest = Callable[[str], Awaitable[WhatsAppSession | None]]
"""The session of that name as the API server has it, or as well as it can be known (`SessionStore.newest`)."""


class Readiness:
    """Refuses what is hopeless, but never because the cache is a moment behind what the owner saw happen."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest

    async def require(self, session: WhatsAppSession) -> WhatsAppSession:
        """The session as it is known now. Raises `SessionNotReady` when nothing could be done for it as things are."""
        why = hopeless(session)
        if why is None:
            return session
        newest = await self._newest(session.metadata.name)
        if newest is None or newest.metadata.uid != session.metadata.uid:
            raise SessionNotReady(why)
        why = hopeless(newest)
        if why is not None:
            raise SessionNotReady(why)
        return newest
