"""Reading messages: lists by any filter, one with all that came of it, its file, votes."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query

from whatsam_api.dependencies import Context, ReadSession
from whatsam_api.envelope import Moment, Page, Success, Wire, Writable, ok
from whatsam_api.limiting import CallerLimit
from whatsam_api.models.history import MessageFilter
from whatsam_api.models.message_views import (
    MessageDetailView,
    MessageView,
    PollResultView,
    VoteView,
    detail,
    poll_result,
    view,
)
from whatsam_api.policies.history import CURSOR, chat_address, cursor_of, place_of
from whatsam_core.messages import MessageType

router = APIRouter(tags=["messages"])

MessageStatus = Literal[
    "pending", "sending", "uncertain", "sent", "delivered", "read", "played", "failed", "received", "undecryptable"
]
MAX_OFFSET = 100_000
"""Beyond it a page costs the database more than it is worth; use a cursor."""

Limit = Annotated[int, Query(ge=1, le=200)]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET)]
Words = Annotated[Writable | None, Query(min_length=1, max_length=200)]


class VotesView(Wire):
    """A poll's votes."""

    result: PollResultView
    votes: list[VoteView]


@router.get("/sessions/{session_id}/messages", summary="List messages")
async def list_messages(  # noqa: PLR0917 - one parameter per filter of the contract
    session: ReadSession,
    context: Context,
    _: CallerLimit,
    limit: Limit = 50,
    offset: Offset = 0,
    cursor: Annotated[str | None, Query(pattern=CURSOR, description="`nextCursor` of the last page.")] = None,
    contact: Annotated[str | None, Query(max_length=100, description="A phone number or a chat's address.")] = None,
    direction: Literal["in", "out"] | None = None,
    type: MessageType | None = None,
    status: MessageStatus | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    q: Annotated[Words, Query(description='Text search: words, "phrases", or, -without.')] = None,
) -> Success[Page[MessageView]]:
    """Messages, newest first, by page (`offset`) or from a cursor.

    `total` counts at most 1,000 messages (100 in a text search); `totalExact` says whether there are more.
    """
    wanted = MessageFilter(
        contacts=(chat_address(contact),) if contact else None,
        direction=direction,
        type=type,
        status=status,
        since=since,
        until=until,
        words=q,
    )
    tenant, key = session.spec.tenant, context.sessions.row_key(session)
    before = place_of(cursor) if cursor else None
    found = await context.history.page(tenant, key, wanted, limit=limit, offset=offset, before=before)
    reactions = await context.history.reactions(tenant, key, found.rows)
    name = session.metadata.name
    items = [view(row, name, reactions.get(row.id, ())) for row in found.rows]
    following = cursor_of(found.rows[-1].at, found.rows[-1].seq) if len(found.rows) == limit else None
    page = Page(items=items, total=found.total, total_exact=found.total_exact, limit=limit, next_cursor=following)
    return ok(page)


@router.get("/sessions/{session_id}/messages/{message_id}", summary="One message")
async def get_message(
    message_id: UUID, session: ReadSession, context: Context, _: CallerLimit
) -> Success[MessageDetailView]:
    """One message with its reactions, the votes of a poll counted, and how far it has come with a group's members."""
    one = await context.history.one(session.spec.tenant, context.sessions.row_key(session), message_id)
    return ok(detail(one.row, session.metadata.name, one.reactions, one.votes, one.receipts))


@router.get("/sessions/{session_id}/messages/{message_id}/votes", summary="Votes of a poll")
async def get_votes(message_id: UUID, session: ReadSession, context: Context, _: CallerLimit) -> Success[VotesView]:
    """Who chose what, and how many chose each option."""
    row, votes = await context.history.votes(session.spec.tenant, context.sessions.row_key(session), message_id)
    return ok(
        VotesView(
            result=poll_result(row, votes) or PollResultView(options=[], voters=0),
            votes=[VoteView(voter=vote.voter, options=vote.options, at=vote.at) for vote in votes],
        )
    )
