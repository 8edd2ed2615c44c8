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
    seq: int
    direction: str
    chat: str
    sender: str | None
    wa_id: str | None
    type: str
    body: dict[str, Any]
    status: str
    error: str | None
    timestamp: datetime | None
    created_at: datetime
    updated_at: datetime
