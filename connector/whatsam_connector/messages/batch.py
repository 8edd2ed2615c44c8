"""What a stretch of the inbound journal changes in PostgreSQL: made by `inbound`, written by `storage.incoming`.

Pure data. A batch is written whole or not at all, and writing it again changes nothing: every row and event has an id
that is made of the journal's event id. An event that belongs to a change is written only when the change had an effect,
so a message that WhatsApp delivers twice is announced once.

Names of chats: `chat` is what WhatsApp calls it in that record (`…@lid`, `…@s.whatsapp.net`, `…@g.us`), `contact` the
canonical name: by phone number where it is known. A message of the past may have been stored under either.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from whatsam_connector.content.reading_parts import MediaSource

FOR_EVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Until when a chat is muted that is muted without an end."""
NO_LONGER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""As the time of a ChatChange: the chat is pinned, or muted, no longer."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something to tell webhooks and live events."""

    event_id: UUID
    kind: str
    """As in the REST API's list: message.received, message.status, group.updated …"""
    body: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the message's row does not say. The sink adds nothing to it."""
    message_id: UUID | None = None
    """The row it is about; None where the change that it belongs to knows the row, or there is none."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message, or a system row, that came from WhatsApp.

    A row with the same session, direction, chat and wa_id stays as it is, with one exception: status `undecryptable`
    is completed by a readable one. `id` has the form of a UUIDv7: its first 48 bits are `at` in milliseconds.
    """

    id: UUID
    direction: str
    """in, or out for what the own phone sent."""
    chat: str
    contact: str
    sender: str
    sender_phone: str | None
    wa_id: str | None
    """None for system rows."""
    type: str
    body: dict[str, Any]
    status: str
    """received, sent (direction out), undecryptable."""
    at: datetime
    """WhatsApp's time, clamped to what partitions can hold."""
    history: bool = False
    quoted_wa_id: str | None = None
    media: dict[str, Any] | None = None
    """Column `media`; its `state` is `pending` (then `source` is set), `expired` or `skipped`."""
    source: MediaSource | None = None
    secret: bytes | None = None
    """messageContextInfo.messageSecret of what answers are encrypted with: polls, messages of groups."""
    unread: bool = False
    """Counts in the chat's unread number, if the row is new."""
    event: NewEvent | None = None


@dataclass(frozen=True, slots=True)
class ReceiptFor:
    """A receipt for one message of ours. A status never goes back: sent, delivered, read, played."""

    wa_id: str
    status: str
    """delivered, read or played."""
    recipient: str = ""
    """Canonical name of who has it; in groups it is kept per recipient."""
    group: bool = False
    at: datetime | None = None
    event: NewEvent | None = None
    """Written when the row's status advanced."""
    chat: str = ""
    """Where it came from: an uncertain message is settled by a receipt from its chat."""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class TargetKey:
    """A message that something refers to."""

    wa_id: str
    chats: tuple[str, ...]
    """Every name of the chat: matched against `chat` and `contact` of the row."""


@dataclass(frozen=True, slots=True)
class TargetRow:
    """What is stored of such a message."""

    id: UUID
    at: datetime
    wa_id: str
    chat: str
    contact: str
    direction: str
    sender: str
    sender_phone: str | None
    type: str
    secret: bytes | None
    """Column `secret`, else body.poll.secret decoded."""
    options: tuple[str, ...] = ()
    """body.poll.options."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The author changed a text or a caption. Applied if the row is not deleted and was not edited later than `at`."""

    target: TargetRow
    changes: dict[str, Any]
    """Fields of the body that are replaced (text, caption, mentions …)."""
    at: datetime
    event: NewEvent | None


@dataclass(frozen=True, slots=True)
class Revoke:
    """The author (or a group's admin) deleted it for everyone: `deleted_at`, the body emptied, its media let go."""

    target: TargetRow
    at: datetime
    event: NewEvent | None


@dataclass(frozen=True, slots=True)
class ReactionChange:
    """Somebody's reaction: replaces the one before if it is not younger; an empty emoji takes it away."""

    chat: str
    """Canonical name (`contact`)."""
    wa_id: str
    """Of the message that was reacted to; there need not be a row of it."""
    sender: str
    """Canonical name."""
    emoji: str
    at: datetime
    event: NewEvent | None


@dataclass(frozen=True, slots=True)
class Vote:
    """Somebody's choice in a poll: replaces the one before if it is not younger."""

    target: TargetRow
    voter: str
    """Canonical name."""
    options: tuple[str, ...]
    at: datetime
    event: NewEvent | None


@dataclass(frozen=True, slots=True)
class ChatChange:
    """What is new about a chat, beside its messages (last message and unread number follow from `messages`).

    None leaves a field as it is. At most one per chat and batch. The row is made if there is none.
    """

    chat: str
    contact: str
    kind: str
    """person, group, newsletter or status."""
    name: str | None = None
    read: bool = False
    """The account has read it on another device: unread becomes the number of `unread` messages of this batch."""
    unread: int | None = None
    """From the history: taken only when the row is made by this change."""
    marked_unread: bool | None = None
    archived: bool | None = None
    pinned_at: datetime | None = None
    """`NO_LONGER`: it is not."""
    muted_until: datetime | None = None
    """`NO_LONGER`: it is not."""
    ephemeral_seconds: int | None = None
    gone_at: datetime | None = None
    """It was deleted on the phone: it leaves the list, unless it has a younger message. Its messages stay."""
    emptied_at: datetime | None = None
    """It was cleared on the phone: the list shows no last message, unless that is younger. Its messages stay."""


@dataclass(frozen=True, slots=True)
class ContactChange:
    """What is new about a person; None leaves a field as it is. At most one per jid and batch."""

    jid: str
    """Canonical: by phone number where it is known."""
    phone: str | None
    lid: str | None
    """`…@lid`. With `phone`: a row of that LID is merged into this one, and `contact` of messages and chats that
    have the LID becomes `jid`."""
    push_name: str | None = None
    full_name: str | None = None
    business_name: str | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """A record that waits for something: the message it refers to, or somebody who can tell who is an admin."""

    id: UUID
    """Made of the record's event id."""
    wa_id: str
    """Of the message that it waits for."""
    reason: str
    """target, secret or admins."""
    payload: bytes
    """The journal record."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything that one transaction writes."""

    messages: tuple[NewMessage, ...] = ()
    receipts: tuple[ReceiptFor, ...] = ()
    edits: tuple[Edit, ...] = ()
    revokes: tuple[Revoke, ...] = ()
    reactions: tuple[ReactionChange, ...] = ()
    votes: tuple[Vote, ...] = ()
    chats: tuple[ChatChange, ...] = ()
    contacts: tuple[ContactChange, ...] = ()
    events: tuple[NewEvent, ...] = ()
    """Events that belong to no other change."""
    deferred: tuple[Deferred, ...] = ()
    """Kept for later; one that is there already stays."""
    settled: tuple[UUID, ...] = ()
    """Deferred records that are done."""

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return any(getattr(self, name) for name in self.__slots__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the sink says about a batch that it has written."""

    known: frozenset[str]
    """wa_ids of `receipts` that have a row of direction out."""
    inserted: int = 0
    """Messages that were new or completed."""


@dataclass(frozen=True, slots=True)
class Context:
    """What has to be known of the past before a batch is made."""

    targets: tuple[TargetRow, ...] = ()
    waiting: tuple[Deferred, ...] = ()
