"""The entries of the journal, as the control API shows them. What is made for every message is a plain dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class EndReason(StrEnum):
    """Why a connection stopped to hold its device."""

    CLOSED = "closed"
    REPLACED = "replaced"
    UNLINKED = "unlinked"
    LOGGED_OUT = "logged-out"
    STREAM_ERROR = "stream-error"
    REFUSED = "refused"
    SWALLOWED = "swallowed"


class Holder(BaseModel):
    """One connection that was logged in as one device. Monotonic values are CLOCK_MONOTONIC seconds."""

    device: str = Field(description="number:id, for example 4915110000001:1")
    connection: str
    since: datetime
    since_monotonic: float
    until: datetime | None = Field(default=None, description="Socket closed or device taken away; null: holds")
    until_monotonic: float | None = None
    end: EndReason | None = None
    closed_monotonic: float | None = Field(default=None, description="When the socket itself was gone")
    last_heard_monotonic: float = Field(description="When the client last sent a frame")


class MessageStep(StrEnum):
    """What happened to a message."""

    RECEIVED = "server-received"
    QUEUED = "server-queued"
    SENT = "server-sent"
    ACKNOWLEDGED = "device-acknowledged"
    READ = "contact-read"
    UNREADABLE = "contact-could-not-read"
    DROPPED = "contact-dropped-used-key"
    RETRY_ASKED = "retry-asked"
    RETRY_ANSWERED = "retry-answered"


@dataclass(slots=True, kw_only=True)
class MessageEvent:
    """One step of one message."""

    sequence: int
    step: MessageStep
    message_id: str
    sender: Annotated[str, Field(description="Device that sent it, number:id")]
    receiver: Annotated[str | None, Field(description="Device it is for; null: the server itself")] = None
    chat: str | None = None
    at: datetime
    at_monotonic: float
    detail: str | None = None


@dataclass(slots=True, kw_only=True)
class CounterUse:
    """One use of a Signal counter: `chain` is the ratchet key (1:1) or the key id (group), as hex."""

    sequence: int
    receiver: Annotated[str, Field(description="Device, or group for sender keys")]
    sender: str
    kind: Annotated[str, Field(description="msg, pkmsg or skmsg")]
    chain: str
    counter: int
    message_id: str
    at: datetime
    at_monotonic: float
    reused: Annotated[bool, Field(description="The same counter was used before, for another ciphertext")]
    repeated: Annotated[bool, Field(description="The very same ciphertext was sent before")]


class ViolationKind(StrEnum):
    """What a client must never do."""

    TWO_HOLDERS = "two-holders"
    COUNTER_REUSED = "counter-reused"
    BAD_MAC = "bad-mac"
    BAD_SIGNATURE = "bad-signature"
    MALFORMED = "malformed"


class Violation(BaseModel):
    """One violation, with what is needed to find its cause."""

    sequence: int
    kind: ViolationKind
    device: str | None = Field(default=None, description="The device that did it, number:id, where it is known")
    detail: str
    at: datetime
    at_monotonic: float
    connections: list[str] = Field(default_factory=list[str], description="For two holders: the older, the newer")
    older_spoke_after: bool = Field(default=False, description="The older sent frames after the newer's login")


class JournalSettings(BaseModel):
    """What the journal and the inboxes keep in memory."""

    model_config = ConfigDict(extra="forbid")

    keep: Literal["everything", "counts"] = Field(
        default="everything",
        description="counts: no message steps, no counters (reused ones are not noticed), no stanzas; for volume runs",
    )
    inbox: int = Field(default=20_000, ge=0, description="Messages, receipts and events that an inbox keeps of each")


class JournalSummary(BaseModel):
    """How much was seen."""

    settings: JournalSettings
    steps: dict[str, int] = Field(description="Step of messages → how often since the start or the last clearing")
    counters: int
    violations: int
