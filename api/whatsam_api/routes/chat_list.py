"""The list of a session's chats."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from whatsam_api.dependencies import Context, ReadSession
from whatsam_api.envelope import Page, Success, Wire, ok
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.history import ChatRow
from whatsam_api.models.message_views import MessageView, view
from whatsam_api.models.messages import MessageRow
from whatsam_api.routes.messages import Limit, Offset, Words

router = APIRouter(tags=["chats"])


class ChatView(Wire):
    """One chat."""

    chat: str
    """Its address, by phone number where it is known."""
    name: str | None
    kind: str
    """person, group, newsletter or status."""
    unread: int
    marked_unread: bool
    archived: bool
    pinned_at: datetime | None
    muted_until: datetime | None
    disappearing_seconds: int
    """After how many seconds messages disappear; 0: they stay."""
    last_at: datetime | None
    last_message: MessageView | None


@router.get("/sessions/{session_id}/chats", summary="List chats")
async def list_chats(  # noqa: PLR0917 - one parameter per filter
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    limit: Limit = 50,
    offset: Offset = 0,
    archived: Annotated[bool | None, Query(description="Only archived ones, or only others.")] = None,
    q: Annotated[Words, Query(description="Part of a name or number.")] = None,
) -> Success[Page[ChatView]]:
    """Chats with their last messages: pinned ones first, then the youngest."""
    chats, total = await context.history.chats(
        session.spec.tenant, context.sessions.row_key(session), limit=limit, offset=offset, archived=archived, words=q
    )
    items = [_chat(chat, last, session.metadata.name) for chat, last in chats]
    return ok(Page(items=items, total=total, limit=limit))


def _chat(chat: ChatRow, last: MessageRow | None, session_id: str) -> ChatView:
    return ChatView(
        chat=chat.chat,
        name=chat.name,
        kind=chat.kind,
        unread=chat.unread,
        marked_unread=chat.marked_unread,
        archived=chat.archived,
        pinned_at=chat.pinned_at,
        muted_until=chat.muted_until,
        disappearing_seconds=chat.ephemeral_seconds,
        last_at=chat.last_at,
        last_message=None if last is None else view(last, session_id),
    )
