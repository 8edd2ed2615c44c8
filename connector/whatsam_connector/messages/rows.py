"""What becomes of an outgoing message, as outbox and HTTP tell it. Pure data; what comes in is in `batch`."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


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
