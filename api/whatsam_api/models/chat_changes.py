"""What tenants change of a chat, and what it is then."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
"""Until when a chat is muted that is muted without an end."""


@dataclass(frozen=True)
class ChatWish:
    """What is to be changed; None leaves it."""

    archived: bool | None = None
    pinned: bool | None = None
    muted: bool | None = None
    muted_until: datetime | None = None
    """With `muted`; None: for ever."""
    unread: bool | None = None
    disappearing_seconds: int | None = None


class ChangedChat(BaseModel):
    """A chat's flags as they are stored."""

    model_config = ConfigDict(hide_input_in_errors=True)

    chat: str
    archived: bool = False
    pinned_at: datetime | None = None
    muted_until: datetime | None = None
    unread: int = 0
    marked_unread: bool = False
    ephemeral_seconds: int = 0


@dataclass(frozen=True)
class Cleared:
    """What became of a chat that was to be deleted."""

    messages: int
    """How many were deleted now."""
    complete: bool
    """False: there are more; the same call goes on."""


@dataclass(frozen=True)
class KnownMessage:
    """The oldest message of a chat that is stored: what is older is asked for by it."""

    chat: str
    """As WhatsApp names the chat."""
    wa_id: str
    own: bool
    at: datetime


class ChatSettings(BaseModel):
    """What the phone has set for a chat, as engines tell it."""

    model_config = ConfigDict(hide_input_in_errors=True, extra="ignore")

    chat: str
    archived: bool
    pinned: bool
    muted: bool
    muted_until: datetime | None = None
    """None with `muted`: for ever."""

    @property
    def until(self) -> datetime | None:
        """As it is stored."""
        return (self.muted_until or FOR_EVER) if self.muted else None


@dataclass(frozen=True)
class TakenOver:
    """What came of taking the phone's settings over."""

    chats: int
    changed: int
