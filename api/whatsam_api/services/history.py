"""Reading of what was said: messages by any filter, one with all that came of it, chats, votes."""

import time
from dataclasses import dataclass, replace
from uuid import UUID

from whatsam_api.errors import InvalidField, MessageNotFound
from whatsam_api.models.history import (
    ChatRow,
    ContactRow,
    Found,
    MessageFilter,
    StoredReaction,
    StoredReceipt,
    StoredVote,
)
from whatsam_api.models.message_views import reactions_by_message
from whatsam_api.models.messages import MessageRow
from whatsam_api.policies.history import Place
from whatsam_api.storage.chats import ChatStore
from whatsam_api.storage.history import HistoryStore
from whatsam_api.storage.messages import MessageStore

COUNTED = 1000
"""Messages that a list counts for its total: the count of a large history would cost more than its first page."""
_LARGE = 10_000
"""Messages from which on the count of a whole session is remembered."""
_REMEMBERED = 60.0
"""Seconds."""
_MOST_REMEMBERED = 1000
COUNTED_BY_WORDS = 100
"""The same for a text search, where each message that is counted has to be looked at."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One message and what came of it."""

    row: MessageRow
    reactions: list[StoredReaction]
    votes: list[StoredVote]
    receipts: list[StoredReceipt]


class HistoryService:
    """The history of sessions that the caller was found to own."""

    def __init__(self, messages: MessageStore, history: HistoryStore, chats: ChatStore) -> None:
        self._messages = messages
        self._history = history
        self._chats = chats
        self._totals: dict[tuple[str, str], tuple[float, int]] = {}

    async def page(
        self,
        tenant: str,
        session: str,
        wanted: MessageFilter,
        *,
        limit: int,
        offset: int = 0,
        before: Place | None = None,
    ) -> Found:
        """Messages, newest first. A chat is found by any of its names."""
        if wanted.words is not None and not await self._history.has_words(wanted.words):
            raise InvalidField("q", "give a word to look for")
        if wanted.contacts is not None:
            names = [name for one in wanted.contacts for name in await self._chats.names(tenant, session, one)]
            wanted = replace(wanted, contacts=tuple(dict.fromkeys(names)))
        if wanted.words is not None and before is None and offset == 0:
            return await self._first_found(tenant, session, wanted, limit)
        rows = await self._history.page(tenant, session, wanted, limit=limit, offset=offset, before=before)
        if before is None and offset == 0 and len(rows) < limit:
            return Found(rows, len(rows), total_exact=True)  # the first page is all there is
        most = COUNTED if wanted.words is None else COUNTED_BY_WORDS
        total = await self._history.count(tenant, session, wanted, most + 1)
        return Found(rows, min(total, most), total_exact=total <= most)

    async def _first_found(self, tenant: str, session: str, wanted: MessageFilter, limit: int) -> Found:
        """A search finds as many as it would count: that costs less than to look for them once more."""
        wanted_rows = max(limit, COUNTED_BY_WORDS) + 1
        rows = await self._history.page(tenant, session, wanted, limit=wanted_rows)
        more = len(rows) == wanted_rows
        return Found(rows[:limit], len(rows) - more, total_exact=not more)

    async def total(self, tenant: str, session: str) -> int:
        """How many messages the session has, both ways; of a large history, how many it had up to a minute ago."""
        now = time.monotonic()
        counted_at, known = self._totals.get((tenant, session), (0.0, 0))
        if known > _LARGE and now - counted_at < _REMEMBERED:
            return known
        total = await self._history.count(tenant, session, MessageFilter())
        if total > _LARGE:  # to count it took longer than whoever polls should cost
            self._totals[tenant, session] = (now, total)
            while len(self._totals) > _MOST_REMEMBERED:
                del self._totals[next(iter(self._totals))]
        return total

    async def reactions(self, tenant: str, session: str, rows: list[MessageRow]) -> dict[UUID, list[StoredReaction]]:
        """What was put on these messages."""
        found = await self._history.reactions(tenant, session, [row.wa_id for row in rows if row.wa_id is not None])
        return reactions_by_message(rows, found)

    async def one(self, tenant: str, session: str, message_id: UUID) -> Detail:
        """One message. Raises `MessageNotFound`."""
        row = await self._row(tenant, session, message_id)
        reactions = await self.reactions(tenant, session, [row])
        votes = await self._votes(tenant, session, row) if "poll" in row.body else []
        receipts = await self._history.receipts(tenant, session, row.id) if row.direction == "out" else []
        return Detail(row, reactions.get(row.id, []), votes, receipts)

    async def votes(self, tenant: str, session: str, message_id: UUID) -> tuple[MessageRow, list[StoredVote]]:
        """A poll and its votes. Raises `MessageNotFound` for what is no poll."""
        row = await self._row(tenant, session, message_id)
        if "poll" not in row.body:
            raise MessageNotFound("this message is no poll")
        return row, await self._votes(tenant, session, row)

    async def chats(
        self, tenant: str, session: str, *, limit: int, offset: int, archived: bool | None, words: str | None
    ) -> tuple[list[tuple[ChatRow, MessageRow | None]], int]:
        """Chats with their last messages, and how many there are."""
        chats, total = await self._chats.page(
            tenant, session, limit=limit, offset=offset, archived=archived, words=words
        )
        last = await self._history.texts(tenant, session, [c.last_message_id for c in chats if c.last_message_id])
        return [(chat, last.get(chat.last_message_id) if chat.last_message_id else None) for chat in chats], total

    async def contacts(
        self, tenant: str, session: str, *, limit: int, offset: int, words: str | None
    ) -> tuple[list[ContactRow], int]:
        """People that the session knows."""
        return await self._chats.contacts(tenant, session, limit=limit, offset=offset, words=words)

    async def _row(self, tenant: str, session: str, message_id: UUID) -> MessageRow:
        row = await self._messages.get(tenant, session, message_id)
        if row is None:
            raise MessageNotFound("there is no such message in this session")
        return row

    async def _votes(self, tenant: str, session: str, row: MessageRow) -> list[StoredVote]:
        if row.wa_id is None:
            return []
        names = [row.chat, *await self._chats.names(tenant, session, row.contact or row.chat)]
        return await self._history.votes(tenant, session, names, row.wa_id)
