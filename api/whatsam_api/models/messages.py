"""Messages as they are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class MessageRow(BaseModel):
    """One message, in either direction."""

    # A row that does not fit would else put its text into a traceback, and the traceback into the log.
    model_config = ConfigDict(hide_input_in_errors=True)

    id: UUID
    at: datetime
    """The time it is filed under, in whole seconds; the order of lists is by this and `seq`."""
    seq: int
    direction: str
    chat: str
    contact: str | None
    """The chat's canonical name: by phone number where it is known."""
    sender: str | None
    sender_phone: str | None
    wa_id: str | None
    type: str
    body: dict[str, Any]
    media: dict[str, Any] | None
    status: str
    error: str | None
    history: bool
    quoted_wa_id: str | None
    timestamp: datetime | None
    edited_at: datetime | None
    deleted_at: datetime | None
    created_at: datetime
    updated_at: datetime
