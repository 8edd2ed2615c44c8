"""What a tenant sees of a message: the row in the words of the REST contract, without what is ours alone. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from whatsam_api.models.history import StoredReaction, StoredReceipt, StoredVote
from whatsam_api.models.messages import MessageRow

_OURS = frozenset({"fingerprint", "raw", "text", "caption", "media"})
"""Fields of a body that are not shown, or shown elsewhere."""


class _View(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class MediaView(_View):
    """The file of a message."""

    kind: str | None
    """image, video, audio, document, sticker …"""
    state: str
    """pending: on its way from WhatsApp; stored: `url` has it; expired, failed, skipped: it will not come."""
    mimetype: str | None
    size: int | None
    """Bytes."""
    file_name: str | None
    sha256: str | None
    url: str | None
    """Path of this API that gives the file; None while it is not here."""


class ReactionView(_View):
    """What somebody put on a message."""

    sender: str
    emoji: str
    at: datetime


class ReceiptView(_View):
    """How far a message has come with one member of a group."""

    recipient: str
    status: str
    at: datetime


class OptionView(_View):
    """One option of a poll, and how many chose it."""

    option: str
    votes: int


class PollResultView(_View):
    """What came of a poll so far."""

    options: list[OptionView]
    voters: int


class VoteView(_View):
    """What somebody chose."""

    voter: str
    options: list[str]
    at: datetime


class MessageView(_View):
    """One message."""

    message_id: UUID
    wa_id: str | None
    direction: Literal["in", "out"]
    contact: str
    """The chat: a person's or a group's address, by phone number where it is known."""
    sender: str | None
    sender_phone: str | None
    type: str
    text: str | None
    """Text or caption."""
    content: dict[str, Any]
    """What else the message holds: location, contacts, poll, mentions, quoted message, dimensions."""
    media: MediaView | None
    reactions: list[ReactionView]
    quoted_message_wa_id: str | None
    status: str
    error: str | None
    history: bool
    """It came with the phone's history, not as it was sent."""
    timestamp: datetime
    edited_at: datetime | None
    deleted_at: datetime | None


class MessageDetailView(MessageView):
    """One message and what came of it."""

    poll_result: PollResultView | None
    receipts: list[ReceiptView]
    """Of messages to groups: how far they have come with each member."""


def view(row: MessageRow, session_id: str, reactions: Iterable[StoredReaction] = ()) -> MessageView:
    """The row as REST shows it."""
    return MessageView(
        message_id=row.id,
        wa_id=row.wa_id,
        direction="in" if row.direction == "in" else "out",
        contact=row.contact or row.chat,
        sender=row.sender,
        sender_phone=row.sender_phone,
        type=row.type,
        text=_text(row.body),
        content=_content(row.body),
        media=_media(row, session_id),
        reactions=[ReactionView(sender=one.sender, emoji=one.emoji, at=one.at) for one in reactions],
        quoted_message_wa_id=row.quoted_wa_id,
        status=row.status,
        error=row.error,
        history=row.history,
        timestamp=row.timestamp or row.created_at,
        edited_at=row.edited_at,
        deleted_at=row.deleted_at,
    )


def detail(
    row: MessageRow,
    session_id: str,
    reactions: Iterable[StoredReaction],
    votes: Sequence[StoredVote],
    receipts: Iterable[StoredReceipt],
) -> MessageDetailView:
    """The row and everything around it."""
    return MessageDetailView(
        **view(row, session_id, reactions).model_dump(),
        poll_result=poll_result(row, votes),
        receipts=[ReceiptView(recipient=one.recipient, status=one.status, at=one.at) for one in receipts],
    )


def poll_result(row: MessageRow, votes: Sequence[StoredVote]) -> PollResultView | None:
    """How many chose each option; None for what is no poll."""
    poll = row.body.get("poll")
    if not isinstance(poll, Mapping):
        return None
    counted = {str(option): 0 for option in poll.get("options", ())}  # pyright: ignore[reportUnknownVariableType] - json
    for vote in votes:
        for option in vote.options:
            counted[option] = counted.get(option, 0) + 1
    options = [OptionView(option=option, votes=number) for option, number in counted.items()]
    return PollResultView(options=options, voters=len(votes))


def reactions_by_message(
    rows: Iterable[MessageRow], reactions: Iterable[StoredReaction]
) -> dict[UUID, list[StoredReaction]]:
    """Each message's reactions. WhatsApp's ids are unique within a chat only, and a chat may have two names."""
    messages: dict[str, list[MessageRow]] = {}
    for row in rows:
        if row.wa_id is not None:
            messages.setdefault(row.wa_id, []).append(row)
    found: dict[UUID, list[StoredReaction]] = {}
    for reaction in reactions:
        for row in messages.get(reaction.wa_id, []):
            if reaction.chat in {row.chat, row.contact} or _two_names(reaction.chat, row.contact or row.chat):
                found.setdefault(row.id, []).append(reaction)
    return found


def _two_names(one: str, other: str) -> bool:
    """Whether the two may be one person: stored before his number was known, and spoken of since."""
    return {one.rpartition("@")[2], other.rpartition("@")[2]} == {"lid", "s.whatsapp.net"}


def _text(body: Mapping[str, Any]) -> str | None:
    text = body.get("text", body.get("caption"))
    return text if isinstance(text, str) else None


def _content(body: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in body.items() if name not in _OURS}
    poll = shown.get("poll")
    if isinstance(poll, Mapping):
        # With the secret somebody could read the votes of others off the wire.
        shown["poll"] = {name: value for name, value in poll.items() if name != "secret"}  # pyright: ignore[reportUnknownVariableType] - json
    return shown


def _media(row: MessageRow, session_id: str) -> MediaView | None:
    media = row.media
    if media is None:
        return None
    state = str(media.get("state", "pending"))
    return MediaView(
        kind=media.get("kind"),
        state=state,
        mimetype=media.get("mimetype"),
        size=media.get("size"),
        file_name=media.get("fileName"),
        sha256=media.get("sha256"),
        url=f"/api/v1/sessions/{session_id}/messages/{row.id}/media" if state == "stored" else None,
    )
