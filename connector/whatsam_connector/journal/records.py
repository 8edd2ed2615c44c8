"""What the journal holds: everything that WhatsApp says about a session's messages, calls, groups and contacts.

Written by the engine's inbound handlers, read by the connector's inbox. JIDs are strings as WhatsApp writes them
(`<user>[:<device>]@<server>`); chats of people usually arrive as LIDs (`…@lid`), the phone number beside it.
Fields with defaults were added after the first release: records that lack them are read with the default.
"""

import enum
from dataclasses import dataclass
from datetime import datetime


class ReceiptKind(enum.Enum):
    """What a receipt says about messages. DELIVERED proves arrival, not that it was read."""

    DELIVERED = "delivered"
    SENDER = "sender"
    """Delivered to another device of our own account."""
    RETRY = "retry"
    """The recipient could not decrypt it and asks for it again."""
    READ = "read"
    READ_SELF = "read-self"
    """Read on another device of our own account."""
    PLAYED = "played"
    PLAYED_SELF = "played-self"


class CallStep(enum.Enum):
    """What happened to a call."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    """Taken on another device of our own account, or by another member of a group."""
    ENDED = "ended"


class GroupRole(enum.Enum):
    """What somebody may do in a group."""

    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"
    """WhatsApp's superadmin: the group's creator."""


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """A message that arrived, or one that the own phone or another own device sent (`from_me`)."""

    event_id: str
    """Unique and stable: reading the same record again after a crash gives the same id."""
    wa_id: str
    chat: str
    chat_phone: str | None
    """Digits of the other side of a chat between two people, where WhatsApp told them."""
    sender: str
    sender_phone: str | None
    from_me: bool
    text: str | None
    """Text or caption."""
    type: str
    """Coarse; `raw` says more: text, image, video, audio, document, sticker, location, contact, poll, poll_vote,
    reaction, revoked, edited, system or other."""
    timestamp: datetime
    push_name: str
    group: bool
    raw: bytes
    """WhatsApp's protobuf `Message`, out of its wrappers (ephemeral, view once, document with caption, own device)."""
    is_ephemeral: bool = False
    """It came in the wrapper for chats whose messages disappear; the time is in the content's `contextInfo`."""
    is_view_once: bool = False
    is_edit: bool = False
    edit: str = ""
    """WhatsApp's attribute of that name: 1 edit, 2 pin, 3 edit in a channel, 7 revoked by its sender, 8 by an admin."""
    server_id: int | None = None
    """Number of a message in a newsletter; reactions and views there name it."""
    media_type: str | None = None
    """WhatsApp's word for what is inside (image, ptt, gif, url, vcard, …), where it is in the clear."""
    broadcast_owner: str | None = None
    """Whose broadcast list it was sent to, when it is a list of our own."""
    verified_name: str | None = None
    """Name of a business as WhatsApp has certified it."""
    retries: int = 0
    """How many times its sender had to send it before it could be decrypted."""
    resent_by_phone: bool = False
    """The own phone handed it over after it could not be decrypted."""


@dataclass(frozen=True, slots=True)
class InboundReceipt:
    """Somebody's device says what became of messages."""

    event_id: str
    wa_ids: tuple[str, ...]
    chat: str
    chat_phone: str | None
    sender: str
    kind: ReceiptKind
    timestamp: datetime
    sender_phone: str | None = None
    group: bool = False


@dataclass(frozen=True, slots=True)
class InboundUndecryptable:
    """A message arrived that could not be decrypted; the engine has asked for it again. It may never come.

    When it does, it is an InboundMessage with the same chat and `wa_id`. If that one came before, this says nothing.
    """

    event_id: str
    wa_id: str
    chat: str
    chat_phone: str | None
    sender: str
    sender_phone: str | None
    from_me: bool
    timestamp: datetime
    group: bool
    unavailable: bool
    """WhatsApp never sent the content (view-once media on a linked device, for example)."""
    hidden: bool = False
    """Its sender marked it as nothing that people see (reactions, votes)."""
    already_decrypted: bool = False
    """WhatsApp has delivered it again, but its key is used up: an engine that died has decrypted it before.

    Either its message is in the journal or stored already, or the content is lost. Nobody is asked for it again.
    """


@dataclass(frozen=True, slots=True)
class InboundCall:
    """Somebody calls, or a call went on."""

    event_id: str
    call_id: str
    step: CallStep
    caller: str
    caller_phone: str | None
    group: str | None
    """The group that is called; None for a call between two people."""
    video: bool
    reason: str | None
    """Why it ended, in WhatsApp's word, where there is one (timeout, accepted_elsewhere, …)."""
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class GroupMember:
    """Somebody in a group."""

    jid: str
    phone: str | None
    role: GroupRole


@dataclass(frozen=True, slots=True)
class InboundGroup:
    """We have come into a group: made it, joined it, or were added."""

    event_id: str
    group: str
    reason: str
    """WhatsApp's word (invite, …); empty when it tells none."""
    subject: str
    description: str
    owner: str | None
    announce: bool
    """Only admins may send."""
    locked: bool
    """Only admins may change subject, picture and description."""
    ephemeral_seconds: int
    """0: messages stay."""
    members: tuple[GroupMember, ...]
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class InboundGroupChange:
    """Something about a group changed. What did not change is None or empty."""

    event_id: str
    group: str
    by: str | None
    """Who did it; None where WhatsApp does not say (somebody joined by a link, for example)."""
    timestamp: datetime
    joined: tuple[str, ...]
    left: tuple[str, ...]
    """Who left or was removed: `by` is the same person, or another one."""
    promoted: tuple[str, ...]
    demoted: tuple[str, ...]
    join_reason: str
    subject: str | None
    description: str | None
    """Empty: it was deleted."""
    announce: bool | None
    locked: bool | None
    ephemeral_seconds: int | None
    deleted: bool
    invite_link: str | None
    other: tuple[str, ...]
    """WhatsApp's words for changes that the engine does not know."""


@dataclass(frozen=True, slots=True)
class InboundPicture:
    """The picture of a person or a group was changed or removed."""

    event_id: str
    jid: str
    by: str | None
    timestamp: datetime
    removed: bool


@dataclass(frozen=True, slots=True)
class InboundIdentityChange:
    """Somebody registered anew: the security code of the chat with them is another one."""

    event_id: str
    jid: str
    timestamp: datetime


@dataclass(frozen=True, slots=True)
class InboundAppState:
    """What was done to a chat, a contact or a message on another device of the account, our own changes included.

    neonize tells nothing of it. A change that is repeated is the same record again; what is so afterwards counts.
    """

    event_id: str
    index: tuple[str, ...]
    """What was done and to what, in WhatsApp's words: `archive`, `pin_v1`, `mute`, `markChatAsRead`, `contact` with the
    JID behind them; `deleteChat`, `clearChat` with JID and whether files go too (`1`); `deleteMessageForMe` with chat,
    message id, whether it is ours (`1`) and its sender (`0` where WhatsApp leaves it out)."""
    timestamp: datetime
    """When it was done, by the clock of that device."""
    full_sync: bool
    """It has been so for some minutes or longer: told when all settings are read, after pairing."""
    data: bytes
    """WhatsApp's protobuf `SyncActionValue`."""


@dataclass(frozen=True, slots=True)
class InboundHistory:
    """History that the phone hands over after pairing or on request: nothing of it is new.

    A large one comes in parts, each of them a `HistorySync` of its own with some of the conversations; a conversation
    that is too large alone is in several parts, with its own fields repeated.
    """

    event_id: str
    part: int
    """From 1."""
    parts: int
    data: bytes
    """WhatsApp's protobuf `HistorySync`."""


@dataclass(frozen=True, slots=True)
class InboundUnreadable:
    """Something that the engine could not make a record of. It is kept as it came, for people to look at."""

    event_id: str
    event: str
    """What neonize calls it."""
    error: str
    """Class of the error; no content."""
    data: bytes


@dataclass(frozen=True, slots=True)
class UnknownRecord:
    """An undamaged record that this version cannot read (a newer engine wrote it). The reader goes on behind it."""

    payload: bytes


JournalRecord = (
    InboundMessage
    | InboundReceipt
    | InboundUndecryptable
    | InboundCall
    | InboundGroup
    | InboundGroupChange
    | InboundPicture
    | InboundIdentityChange
    | InboundAppState
    | InboundHistory
    | InboundUnreadable
)
