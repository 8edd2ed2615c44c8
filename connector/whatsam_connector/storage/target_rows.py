"""How a stored message is read that another record or an effect is about. For the modules that look such rows up."""

import base64
import binascii
import json
from typing import Any, Final

import asyncpg

from whatsam_connector.messages.batch import TargetRow

TARGET_COLUMNS: Final = (
    "messages.id, messages.at, messages.wa_id, messages.chat, "
    "coalesce(messages.contact, messages.chat) as contact, messages.direction, "
    "coalesce(messages.sender, '') as sender, messages.sender_phone, messages.type, messages.secret, "
    "messages.body -> 'poll' as poll"
)
"""What `target_row` needs of the table `messages`."""


def target_row(row: asyncpg.Record) -> TargetRow:
    """The message in a row of `TARGET_COLUMNS`."""
    poll: dict[str, Any] = json.loads(row["poll"]) if row["poll"] else {}
    return TargetRow(
        id=row["id"],
        at=row["at"],
        wa_id=row["wa_id"],
        chat=row["chat"],
        contact=row["contact"],
        direction=row["direction"],
        sender=row["sender"],
        sender_phone=row["sender_phone"],
        type=row["type"],
        secret=row["secret"] or _secret(poll.get("secret")),
        options=tuple(str(option) for option in poll.get("options", ())),
    )


def _secret(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except binascii.Error:
        return None
