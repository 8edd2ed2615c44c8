"""What is asked of the history, and what lies around messages, as it is stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from whatsam_api.models.messages import MessageRow


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages are wanted; None: all."""

    contacts: tuple[str, ...] | None = None
    """Every name of one chat: by number, by LID."""
    direction: str | None = None
    type: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    words: str | None = None
    """Text search: words, "phrases", or, -without."""


@dataclass(frozen=True, slots=True)
class Found:
    """A page of messages."""

    rows: list[MessageRow]
    total: int
    """How many there are in all, as far as they were counted."""
    total_exact: bool


class StoredReaction(BaseModel):
    """What somebody put on a message."""

    model_config = ConfigDict(hide_input_in_errors=True)

    chat: str
    wa_id: str
    sender: str
    emoji: str
    at: datetime


class StoredVote(BaseModel):
    """What somebody chose in a poll."""

    voter: str
    options: list[str]
    at: datetime


class StoredReceipt(BaseModel):
    """How far a message has come with a member of its group."""

    recipient: str
    status: str
    at: datetime


class ChatRow(BaseModel):
    """One chat of a session."""

    model_config = ConfigDict(hide_input_in_errors=True)

    chat: str
    contact: str | None
    name: str | None
    kind: str
    last_at: datetime | None
    last_message_id: UUID | None
    unread: int
    marked_unread: bool
    archived: bool
    pinned_at: datetime | None
    muted_until: datetime | None
    ephemeral_seconds: int
    updated_at: datetime


class ContactRow(BaseModel):
    """One person that a session knows."""

    model_config = ConfigDict(hide_input_in_errors=True)

    jid: str
    phone: str | None
    lid: str | None
    push_name: str | None
    full_name: str | None
    business_name: str | None
    updated_at: datetime


class JobRow(BaseModel):
    """A long piece of work: an export or an erasure."""

    id: UUID
    tenant: str
    session: str
    kind: str
    state: str
    """waiting, running, done, failed or expired."""
    parameters: dict[str, Any]
    progress: int
    total: int | None
    cursor: dict[str, Any] | None
    object: str | None
    error: str | None
    created_at: datetime
    updated_at: datetime
