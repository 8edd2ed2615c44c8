"""Rows of `messages` as inbox, outbox and HTTP speak of them. Pure data; `storage.messages` reads and writes them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class NewMessage:
    """A message that came from WhatsApp."""

    id: UUID
    direction: str
    """in, or out for what the own phone sent."""
    chat: str
    sender: str
    wa_id: str
    type: str
    body: dict[str, Any]
    status: str
    timestamp: datetime


@dataclass(frozen=True)
class ReceiptFor:
    """A receipt for one message."""

    wa_id: str
    status: str
    """delivered or read."""


@dataclass(frozen=True)
class MessageView:
    """What a caller who waits for a message is told."""

    id: UUID
    status: str
    wa_id: str | None
    timestamp: datetime | None
    error: str | None

    @property
    def settled(self) -> bool:
        """Whether it was sent or failed for good."""
        return self.status not in {"pending", "sending", "uncertain"}
