"""Changes of chats: kept in our own list first, then told to the phone where the session's engine can.

The flags of a chat are two things: how the tenant's list shows it, which is ours, and how the phone shows it, which
only an engine with app state can change. So a change always holds here, and the answer says whether the phone knows.
The disappearing timer is WhatsApp's alone: it is changed there first.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from whatsam_api.errors import ApiError, MessageNotFound, SessionNotReady
from whatsam_api.models.chat_changes import (
    FOR_EVER,
    ChangedChat,
    ChatSettings,
    ChatWish,
    Cleared,
    KnownMessage,
    TakenOver,
)
from whatsam_api.services.session_calls import SessionCalls
from whatsam_api.storage.chat_changes import BATCH, ChatChangeStore
from whatsam_api.storage.chats import ChatStore
from whatsam_core.resources import WhatsAppSession

MOST_CHATS = 1000
"""Chats whose settings are taken over by one call: the youngest ones."""
DELETE_SECONDS = 10.0
"""How long one call deletes; a chat of a million messages takes several."""


@dataclass(frozen=True)
class ChatOutcome:
    """A chat after a change. `synchronized`: whether the phone knows; if not, why."""

    chat: ChangedChat
    synchronized: bool
    detail: str | None


class ChatService:
    """Changes of chats of sessions that the caller was found to own."""

    def __init__(
        self,
        calls: SessionCalls,
        chats: ChatStore,
        changes: ChatChangeStore,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._chats = chats
        self._changes = changes
        self._monotonic = monotonic

    async def change(self, session: WhatsAppSession, key: str, chat: str, wish: ChatWish) -> ChatOutcome:
        """Change what is wished. Raises `ApiError` when the timer could not be set: then nothing was changed."""
        if wish.disappearing_seconds is not None:
            await self._calls.do(session, "set_disappearing", chat=chat, seconds=wish.disappearing_seconds)
        names = await self._chats.names(session.spec.tenant, key, chat)
        kind = "group" if chat.endswith("@g.us") else "person"
        columns = _columns(wish, datetime.now(UTC))
        changed = await self._changes.change(session.spec.tenant, key, names, kind, columns)
        problem = await self._tell_phone(session, chat, wish)
        return ChatOutcome(changed, synchronized=problem is None, detail=problem)

    async def take_over(self, session: WhatsAppSession, key: str) -> TakenOver:
        """Make the list show what the phone shows: engines without events for that can be asked. The phone wins."""
        tenant = session.spec.tenant
        names = await self._changes.names(tenant, key, MOST_CHATS)
        seen = await self._calls.ask(session, "chat_settings", list[ChatSettings], chats=names) if names else []
        return TakenOver(len(seen), await self._changes.take_over(tenant, key, seen))

    async def older(self, session: WhatsAppSession, key: str, chat: str, count: int) -> KnownMessage:
        """Ask the phone for messages that are older than the oldest one here, which is returned.

        They come as history does, if the phone is there and has any. Raises `ApiError` when it could not be asked.
        """
        if not session.spec.history.enabled:
            raise SessionNotReady("this session stores no history (spec.history.enabled)")
        tenant = session.spec.tenant
        oldest = await self._changes.oldest(tenant, key, await self._chats.names(tenant, key, chat))
        if oldest is None:
            raise MessageNotFound("no message of this chat is known, so nothing older than it can be asked for")
        await self._calls.do(
            session,
            "request_history",
            chat=oldest.chat,
            message_id=oldest.wa_id,
            from_me=oldest.own,
            timestamp=int(oldest.at.timestamp()),
            count=count,
        )
        return oldest

    async def delete(self, session: WhatsAppSession, key: str, chat: str, *, keep: bool) -> tuple[Cleared, str | None]:
        """Delete the chat's messages here, and unless `keep` the chat itself; and why the phone keeps them, if so."""
        tenant = session.spec.tenant
        names = await self._chats.names(tenant, key, chat)
        deadline, count = self._monotonic() + DELETE_SECONDS, 0
        while (deleted := await self._changes.delete_messages(tenant, key, names)) > 0:
            count += deleted
            if deleted == BATCH and self._monotonic() > deadline:
                return Cleared(count, complete=False), None
        await self._changes.forget(tenant, key, names, keep=keep)
        return Cleared(count, complete=True), await self._try(session, "delete_chat", chat=chat, keep=keep)

    async def _tell_phone(self, session: WhatsAppSession, chat: str, wish: ChatWish) -> str | None:
        wanted: list[tuple[str, dict[str, Any]]] = []
        if wish.archived is not None:
            wanted.append(("archive", {"archived": wish.archived}))
        if wish.pinned is not None:
            wanted.append(("pin", {"pinned": wish.pinned}))
        if wish.muted is not None:
            until = int(wish.muted_until.timestamp()) if wish.muted_until is not None else None
            wanted.append(("mute", {"muted": wish.muted, "until": until}))
        if wish.unread is not None:
            wanted.append(("mark_unread", {"unread": wish.unread}))
        for method, arguments in wanted:
            problem = await self._try(session, method, chat=chat, **arguments)
            if problem is not None:
                return problem
        return None

    async def _try(self, session: WhatsAppSession, method: str, **arguments: Any) -> str | None:
        try:
            await self._calls.do(session, method, **arguments)
        except ApiError as error:
            return f"the phone was not told: {error.message}"
        return None


def _columns(wish: ChatWish, now: datetime) -> dict[str, bool | int | datetime | None]:
    columns: dict[str, bool | int | datetime | None] = {}
    if wish.archived is not None:
        columns["archived"] = wish.archived
        if wish.archived:
            columns["pinned_at"] = None  # as WhatsApp does it
    if wish.pinned is not None:
        columns["pinned_at"] = now if wish.pinned else None
    if wish.muted is not None:
        columns["muted_until"] = (wish.muted_until or FOR_EVER) if wish.muted else None
    if wish.unread is not None:
        columns["marked_unread"] = wish.unread
        if not wish.unread:
            columns["unread"] = 0
    if wish.disappearing_seconds is not None:
        columns["ephemeral_seconds"] = wish.disappearing_seconds
    return columns
