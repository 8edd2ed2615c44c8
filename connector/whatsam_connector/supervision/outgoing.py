"""Outgoing messages: from a row of the outbox to a recipient's JID and WhatsApp's protobuf. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whatsam_connector.supervision.errors import EngineRefused

_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{4,24}")
_PERSON_OR_GROUP = re.compile(r"[0-9]{4,20}(-[0-9]{4,20})?@(s\.whatsapp\.net|lid|g\.us)")
_CONVERSATION_FIELD = b"\x0a"
"""Field 1 of WhatsApp's `Message` (conversation: a string), wire type 2."""

MAX_TEXT_BYTES = 256 * 1024
"""WhatsApp's apps take 65,536 characters; four bytes each at most."""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send."""

    row_id: str
    """The outbox's id; for the caller's logs, WhatsApp never sees it."""
    to: str
    """A phone number with country code, or the JID of a person (`…@s.whatsapp.net`, `…@lid`) or group (`…@g.us`)."""
    type: str
    """`text`."""
    body: dict[str, Any]
    """`{"text": "…"}`."""
    message_id: str | None = None
    """The id that WhatsApp shall give it; only for engines with the capability `own_message_ids`."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """WhatsApp's server took the message. It proves neither delivery nor that every device could be addressed."""

    wa_id: str
    timestamp: datetime


def recipient_jid(to: str) -> str:
    """JID of a recipient given as number or JID; raises EngineRefused(InvalidRecipient)."""
    if _PERSON_OR_GROUP.fullmatch(to):
        return to
    digits = re.sub(r"[^0-9]", "", to)
    if _NUMBER.fullmatch(to) and 5 <= len(digits) <= 20:
        return f"{digits}@s.whatsapp.net"
    raise EngineRefused("InvalidRecipient", "the recipient is neither a phone number nor a JID of a person or group")


def message_bytes(message: OutgoingMessage) -> bytes:
    """WhatsApp's protobuf of a message; raises EngineRefused (UnsupportedType, InvalidMessage)."""
    if message.type != "text":
        raise EngineRefused("UnsupportedType", f"messages of type {message.type} cannot be sent")
    text = message.body.get("text")
    if not isinstance(text, str) or not text:
        raise EngineRefused("InvalidMessage", "a text message needs a text")
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise EngineRefused("InvalidMessage", "the text is not valid Unicode") from error
    if len(data) > MAX_TEXT_BYTES:
        raise EngineRefused("InvalidMessage", "the text is too long")
    return _CONVERSATION_FIELD + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
