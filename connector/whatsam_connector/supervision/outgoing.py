"""Outgoing messages as an engine gets them, and whom a row of the outbox is for. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from whatsam_connector.supervision.errors import EngineRefused

_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{4,24}")
_PERSON_OR_GROUP = re.compile(r"[0-9]{4,20}(-[0-9]{4,20})?@(s\.whatsapp\.net|lid|g\.us)")


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send."""

    row_id: str
    """The outbox's id; for the caller's logs, WhatsApp never sees it."""
    to: str
    """JID of a person (`…@s.whatsapp.net`, `…@lid`) or group (`…@g.us`), or a phone number with country code."""
    message: bytes
    """WhatsApp's protobuf `Message`; `content.building` makes it."""
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
