"""What one journal record says, before it is known what is stored already. Pure data, made by `translating`."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from whatsam_connector.content.reading import EditContent, EncryptedReaction, RevokeContent, VoteContent
from whatsam_connector.messages.batch import (
    ChatChange,
    ContactChange,
    NewEvent,
    NewMessage,
    ReactionChange,
    ReceiptFor,
    TargetKey,
    Vote,
)
from whatsam_connector.messages.inbound.names import ChatNames, phone_of


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose journal it is."""

    uid: str
    """UID of the session: part of every id."""
    own: tuple[str, ...] = ()
    """JIDs of the account, by number and as LID, without device."""

    @property
    def phone(self) -> str | None:
        """Digits of the account's number. WhatsApp names it by LID alone in copies of what it sent."""
        return next((digits for jid in self.own if (digits := phone_of(jid)) is not None), None)


@dataclass(frozen=True, slots=True)
class Wants:
    """What the session's owner has asked for (`spec`)."""

    history: bool = False
    history_events: bool = False
    reject_calls: bool = False
    download: bool = True
    max_bytes: int = 64 * 1024 * 1024
    """Larger files are not downloaded."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that changes an earlier message, or needs its secret."""

    record_id: UUID
    """Of the deferred row, should it have to wait."""
    key: TargetKey
    content: EditContent | RevokeContent | VoteContent | EncryptedReaction
    names: ChatNames
    sender: str
    """Canonical name of who sent it."""
    sender_names: tuple[str, ...]
    from_me: bool
    at: datetime
    payload: bytes
    """The journal record."""
    event: UUID


@dataclass(slots=True)
class Finding:
    """What one record adds to a batch. `count` is the kind under which it is counted."""

    count: str
    messages: list[NewMessage] = field(default_factory=list[NewMessage])
    receipts: list[ReceiptFor] = field(default_factory=list[ReceiptFor])
    reactions: list[ReactionChange] = field(default_factory=list[ReactionChange])
    votes: list[Vote] = field(default_factory=list[Vote])
    chats: list[ChatChange] = field(default_factory=list[ChatChange])
    contacts: list[ContactChange] = field(default_factory=list[ContactChange])
    events: list[NewEvent] = field(default_factory=list[NewEvent])
    reference: Reference | None = None
    settles: UUID | None = None
    """The deferred row that this record waited in."""
    aside: str | None = None
    """Why the record cannot be understood: it is kept aside."""
