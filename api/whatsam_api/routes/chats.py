"""Changes of a chat: flags, disappearing timer, delete and clear; its past. The list is in `chat_list`."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from whatsam_api.dependencies import Context, SendSession
from whatsam_api.envelope import Moment, Success, Wire, ok
from whatsam_api.errors import InvalidField
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.chat_changes import FOR_EVER, ChatWish
from whatsam_api.policies import jids
from whatsam_api.services.chats import ChatOutcome

router = APIRouter(tags=["chats"])

Which = Annotated[str, Path(min_length=5, max_length=64, description="A phone number, or an address.")]


class ChatChanges(Wire):
    """What is to be changed; what is left out stays."""

    archived: bool | None = None
    pinned: bool | None = None
    muted: bool | None = None
    muted_until: Moment | None = None
    """Mutes until then; `muted: true` alone mutes for ever."""
    unread: bool | None = None
    """False also sets the number of unread messages to 0. Senders are told nothing; see `…/read` for that."""
    disappearing_timer: Literal[0, 86_400, 604_800, 7_776_000] | None = None
    """Seconds after which new messages disappear, for everybody in the chat."""


class ChatChangeView(Wire):
    """A chat after a change."""

    chat: str
    archived: bool
    pinned: bool
    pinned_at: datetime | None
    muted: bool
    muted_until: datetime | None
    """None with `muted`: for ever."""
    unread: int
    marked_unread: bool
    disappearing_seconds: int
    synchronized: bool
    """Whether the phone shows it too. False: it holds in this API, and `detail` says why the phone was not told."""
    detail: str | None


class ChatDeletionView(Wire):
    """A chat that was deleted or cleared."""

    chat: str
    messages: int
    """Messages that were deleted by this call."""
    complete: bool
    """False: there are more; the same call goes on."""
    synchronized: bool
    detail: str | None


class HistoryWish(Wire):
    """How much of a chat's past is wanted."""

    count: Annotated[int, Field(ge=1, le=500)] = 50


class HistoryAskedView(Wire):
    """What the phone was asked for."""

    chat: str
    older_than: datetime
    """Time of the oldest message that is here."""


class TakenOverView(Wire):
    """What came of taking the phone's settings over."""

    chats: int
    changed: int


@router.post("/sessions/{session_id}/chats/sync", summary="Take over the phone's chat settings")
async def sync(session: SendSession, context: Context, _: CallerLimit) -> Success[TakenOverView]:
    """Make archived, pinned and muted of the 1,000 youngest chats what the phone shows; the phone wins."""
    taken = await context.chats.take_over(session, context.sessions.row_key(session))
    return ok(TakenOverView(chats=taken.chats, changed=taken.changed))


@router.post("/sessions/{session_id}/chats/{jid}/history", status_code=202, summary="Ask the phone for older messages")
async def history(
    jid: Which, body: HistoryWish, session: SendSession, context: Context, _: CallerLimit
) -> Success[HistoryAskedView]:
    """They appear among the messages when the phone has sent them, which may be never. 501 from engines that cannot."""
    address = jids.chat(jid, "jid")
    oldest = await context.chats.older(session, context.sessions.row_key(session), address, body.count)
    return ok(HistoryAskedView(chat=address, older_than=oldest.at))


@router.patch("/sessions/{session_id}/chats/{jid}", summary="Change a chat")
async def change(
    jid: Which, body: ChatChanges, session: SendSession, context: Context, _: CallerLimit
) -> Success[ChatChangeView]:
    """Archive, pin, mute, mark as unread, set the disappearing timer."""
    if not body.model_dump(exclude_none=True):
        raise InvalidField("archived", "give at least one thing to change")
    if body.muted is False and body.muted_until is not None:
        raise InvalidField("mutedUntil", "a chat that is not muted has no end of that")
    wish = ChatWish(
        archived=body.archived,
        pinned=body.pinned,
        muted=True if body.muted_until is not None else body.muted,
        muted_until=body.muted_until,
        unread=body.unread,
        disappearing_seconds=body.disappearing_timer,
    )
    outcome = await context.chats.change(session, context.sessions.row_key(session), jids.chat(jid, "jid"), wish)
    return ok(_view(outcome))


@router.delete(
    "/sessions/{session_id}/chats/{jid}",
    summary="Delete or clear a chat",
    responses={202: {"model": Success[ChatDeletionView], "description": "There are more messages; call again."}},
)
async def delete(
    jid: Which,
    session: SendSession,
    context: Context,
    response: Response,
    _: CallerLimit,
    clear: Annotated[bool, Query(description="Delete the messages and keep the chat in the list.")] = False,
) -> Success[ChatDeletionView]:
    """Delete a chat with its messages from this API's history. Messages that are still to be sent stay."""
    address = jids.chat(jid, "jid")
    cleared, detail = await context.chats.delete(session, context.sessions.row_key(session), address, keep=clear)
    response.status_code = 200 if cleared.complete else 202
    return ok(
        ChatDeletionView(
            chat=address,
            messages=cleared.messages,
            complete=cleared.complete,
            synchronized=cleared.complete and detail is None,
            detail=detail,
        )
    )


def _view(outcome: ChatOutcome) -> ChatChangeView:
    chat = outcome.chat
    muted = chat.muted_until is not None and chat.muted_until > datetime.now(UTC)
    return ChatChangeView(
        chat=chat.chat,
        archived=chat.archived,
        pinned=chat.pinned_at is not None,
        pinned_at=chat.pinned_at,
        muted=muted,
        muted_until=chat.muted_until if muted and chat.muted_until != FOR_EVER else None,
        unread=chat.unread,
        marked_unread=chat.marked_unread,
        disappearing_seconds=chat.ephemeral_seconds,
        synchronized=outcome.synchronized,
        detail=outcome.detail,
    )
