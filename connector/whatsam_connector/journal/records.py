"""What the journal holds: messages, receipts, and messages that could not be decrypted.

Written by the engine's inbound handlers, read by the connector's inbox. JIDs are strings as WhatsApp writes them
(`<user>[:<device>]@<server>`); chats of people usually arrive as LIDs (`…@lid`), the phone number beside it.
"""

import enum
from dataclasses import dataclass
from datetime import datetime

from whatsam_connector.engine.wire import Decoder, WireError, encode


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
    """text, image, video, audio, document, sticker, location, contact, poll, reaction, revoked, edited or other."""
    timestamp: datetime
    push_name: str
    group: bool
    raw: bytes
    """WhatsApp's protobuf `Message`."""


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


@dataclass(frozen=True, slots=True)
class InboundUndecryptable:
    """A message arrived that could not be decrypted; the engine has asked for it again. It may never come."""

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


@dataclass(frozen=True, slots=True)
class UnknownRecord:
    """An undamaged record that this version cannot read (a newer engine wrote it). The reader goes on behind it."""

    payload: bytes


JournalRecord = InboundMessage | InboundReceipt | InboundUndecryptable

_decoder = Decoder(InboundMessage, InboundReceipt, InboundUndecryptable)


def to_payload(record: JournalRecord) -> bytes:
    """Bytes of a record for the journal."""
    return encode(record)


def from_payload(payload: bytes) -> JournalRecord | UnknownRecord:
    """Record of the journal's bytes; never raises: one strange record must not stop a session's inbox."""
    try:
        record: JournalRecord = _decoder.decode(payload)
    except WireError:
        return UnknownRecord(payload)
    return record
