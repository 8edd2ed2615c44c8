"""Groups of a session: look-ups and changes at WhatsApp."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whatsam_api.errors import ApiError
from whatsam_api.models.directory import (
    Group,
    GroupSummary,
    JoinedGroup,
    JoinRequest,
    MemberOutcome,
    Told,
)
from whatsam_api.services.portraits import portrait
from whatsam_api.services.session_calls import SessionCalls
from whatsam_core.resources import WhatsAppSession

MemberAction = Literal["add", "remove", "promote", "demote"]


class _Link(Told):
    link: str


@dataclass(frozen=True)
class GroupSettings:
    """What of a group is to be changed; None leaves it."""

    subject: str | None = None
    description: str | None = None
    announce: bool | None = None
    locked: bool | None = None
    disappearing_seconds: int | None = None


class PartlyDone(ApiError):
    """Some of several changes were made; `details.changed` names them, the rest was not tried after the failure."""

    def __init__(self, failure: ApiError, changed: list[str], field: str) -> None:
        super().__init__(
            f"{field}: {failure.message}", details={"changed": changed, "field": field}, retry_after=failure.retry_after
        )
        self.status = failure.status
        self.code = failure.code


class GroupService:
    """Groups. Arguments are addresses that `policies.jids` has checked."""

    def __init__(self, calls: SessionCalls) -> None:
        self._calls = calls

    async def all(self, session: WhatsAppSession) -> list[GroupSummary]:
        """The groups of the account, by name, without their members."""
        found = await self._calls.ask(session, "groups", list[GroupSummary])
        return sorted(found, key=lambda one: (one.subject.casefold(), one.jid))

    async def one(self, session: WhatsAppSession, jid: str) -> Group:
        """A group with its members."""
        return await self._calls.ask(session, "group", Group, jid=jid)

    async def create(
        self, session: WhatsAppSession, subject: str, participants: Sequence[str], settings: GroupSettings
    ) -> tuple[Group, PartlyDone | None]:
        """A new group, and what of its settings could not be made so. Once it is there, its address is never lost."""
        made = await self._calls.ask(session, "create_group", Group, subject=subject, participants=list(participants))
        try:
            await self.change(session, made.jid, settings)
        except PartlyDone as partly:
            return made, partly
        return made, None

    async def change(self, session: WhatsAppSession, jid: str, settings: GroupSettings) -> list[str]:
        """Change settings, one after another; the names of those that were changed. Raises `PartlyDone`."""
        wanted: list[tuple[str, str, dict[str, Any]]] = [
            ("subject", "set_group_subject", {"jid": jid, "subject": settings.subject}),
            ("description", "set_group_description", {"jid": jid, "description": settings.description}),
            ("announce", "set_group_announce", {"jid": jid, "announce": settings.announce}),
            ("locked", "set_group_locked", {"jid": jid, "locked": settings.locked}),
            (
                "disappearing_seconds",
                "set_disappearing",
                {"chat": jid, "seconds": settings.disappearing_seconds},
            ),
        ]
        changed: list[str] = []
        name = ""
        try:
            async with self._calls.altogether():
                for name, method, arguments in wanted:
                    if getattr(settings, name) is not None:
                        await self._calls.do(session, method, **arguments)
                        changed.append(name)
        except ApiError as error:
            raise PartlyDone(error, changed, name) from error
        return changed

    async def change_members(
        self, session: WhatsAppSession, jid: str, action: MemberAction, participants: Sequence[str]
    ) -> list[MemberOutcome]:
        """Add, remove, promote or demote; what became of each."""
        return await self._each(session, "change_participants", jid, action, participants)

    async def set_picture(self, session: WhatsAppSession, jid: str, content: bytes | None) -> None:
        """Change the picture, or remove it (None). Raises `InvalidField` for what is no picture."""
        picture = None
        if content is not None:
            picture = base64.b64encode(await asyncio.to_thread(portrait, content, "picture")).decode()
        await self._calls.do(session, "set_group_picture", jid=jid, picture=picture)

    async def invite_link(self, session: WhatsAppSession, jid: str, *, reset: bool) -> str:
        """The invite link; a new one with `reset`."""
        return (await self._calls.ask(session, "group_invite_link", _Link, jid=jid, reset=reset)).link

    async def preview(self, session: WhatsAppSession, code: str) -> Group:
        """The group behind an invite link."""
        return await self._calls.ask(session, "group_by_link", Group, link=code)

    async def join(self, session: WhatsAppSession, code: str) -> JoinedGroup:
        """Join by invite link."""
        return await self._calls.ask(session, "join_group", JoinedGroup, link=code)

    async def leave(self, session: WhatsAppSession, jid: str) -> None:
        """Leave a group."""
        await self._calls.do(session, "leave_group", jid=jid)

    async def join_requests(self, session: WhatsAppSession, jid: str) -> list[JoinRequest]:
        """Who waits for approval."""
        return await self._calls.ask(session, "join_requests", list[JoinRequest], jid=jid)

    async def answer_requests(
        self, session: WhatsAppSession, jid: str, action: Literal["approve", "reject"], participants: Sequence[str]
    ) -> list[MemberOutcome]:
        """Approve or reject who waits."""
        return await self._each(session, "change_join_requests", jid, action, participants)

    async def _each(
        self, session: WhatsAppSession, method: str, jid: str, action: str, participants: Sequence[str]
    ) -> list[MemberOutcome]:
        return await self._calls.ask(
            session, method, list[MemberOutcome], jid=jid, action=action, participants=list(participants)
        )
