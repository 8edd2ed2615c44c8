"""Persons as a session sees them: contacts, number checks, what somebody shows of himself, who is blocked."""

from dataclasses import dataclass

from whatsam_api.errors import ApiError, WhatsAppNotFound
from whatsam_api.models.directory import Avatar, Contact, NumberCheck, Person, UserInfo
from whatsam_api.services.session_calls import SessionCalls
from whatsam_core.resources import WhatsAppSession


@dataclass(frozen=True)
class NotBlocked:
    """Somebody whose entry in the block list could not be changed."""

    jid: str
    error: ApiError


class DirectoryService:
    """Look-ups of persons. Arguments are addresses that `policies.jids` has checked."""

    def __init__(self, calls: SessionCalls) -> None:
        self._calls = calls

    async def contacts(
        self, session: WhatsAppSession, *, search: str | None, limit: int, offset: int
    ) -> tuple[list[Contact], int]:
        """Contacts by name, and how many there are; `search` looks into names and numbers."""
        found = await self._calls.ask(session, "contacts", list[Contact])
        if search:
            wanted = search.casefold()
            found = [one for one in found if _matches(one, wanted)]
        found.sort(key=lambda one: (one.name.casefold(), one.jid))
        return found[offset : offset + limit], len(found)

    async def check(self, session: WhatsAppSession, phones: list[str]) -> list[NumberCheck]:
        """Which numbers have an account."""
        return await self._calls.ask(session, "is_on_whatsapp", list[NumberCheck], phones=phones)

    async def user(self, session: WhatsAppSession, jid: str) -> UserInfo:
        """What somebody shows of himself. Raises `WhatsAppNotFound`."""
        found = await self._calls.ask(session, "user_info", list[UserInfo], jids=[jid])
        if not found:
            raise WhatsAppNotFound("WhatsApp does not know this person")
        return found[0]

    async def avatar(self, session: WhatsAppSession, jid: str, *, preview: bool) -> Avatar:
        """Where the picture is. Raises `WhatsAppNotFound` without one, `WhatsAppForbidden` for a hidden one."""
        return await self._calls.ask(session, "avatar", Avatar, jid=jid, preview=preview)

    async def blocked(self, session: WhatsAppSession) -> list[Person]:
        """Who is blocked."""
        return await self._calls.ask(session, "blocklist", list[Person])

    async def change_blocked(
        self, session: WhatsAppSession, *, block: list[str], unblock: list[str]
    ) -> tuple[list[Person], list[NotBlocked]]:
        """Block and unblock, one after another; the list as it is then, and whose entry could not be changed."""
        failed: list[NotBlocked] = []
        async with self._calls.altogether():
            for method, jids in (("block", block), ("unblock", unblock)):
                for jid in jids:
                    try:
                        await self._calls.do(session, method, jid=jid)
                    except ApiError as error:
                        if len(block) + len(unblock) == 1:
                            raise
                        failed.append(NotBlocked(jid, error))
            return await self.blocked(session), failed


def _matches(contact: Contact, wanted: str) -> bool:
    names = (contact.full_name, contact.push_name, contact.business_name, contact.phone, contact.jid)
    return any(wanted in name.casefold() for name in names if name)
