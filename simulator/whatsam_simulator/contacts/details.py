"""What a message says beside its text and file, in the form that the inbox shows. Filled by `content.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field


class Target(BaseModel):
    """The message that a reaction, edit, revocation or vote is about, as its sender names it."""

    id: str
    chat: str = ""
    from_me: bool = False
    participant: str | None = None


class ContactCard(BaseModel):
    """One contact card."""

    name: str
    vcard: str


class Place(BaseModel):
    """A location or live location."""

    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None
    accuracy: int | None = Field(default=None, description="Live location: metres")
    sequence: int | None = Field(default=None, description="Live location: grows with each update")


class LinkPreview(BaseModel):
    """The preview in a text message."""

    url: str
    title: str | None = None
    description: str | None = None
    thumbnail_size: int = 0


@dataclass(kw_only=True)
class Details:
    """Everything but text and file; what a kind does not have is empty. Made for every message: a plain dataclass."""

    quoted_id: str | None = None
    quoted_sender: Annotated[str | None, Field(description="JID")] = None
    quoted_text: str | None = None
    mentions: Annotated[list[str], Field(description="JIDs")] = field(default_factory=list[str])
    forwarded: bool = False
    expiration: Annotated[int, Field(description="Disappears after so many seconds; kind timer: the new timer")] = 0
    ephemeral: Annotated[bool, Field(description="Came in the wrapper of disappearing messages")] = False
    view_once: bool = False
    target: Target | None = None
    options: Annotated[list[str], Field(description="Poll: its options; vote: those chosen")] = field(
        default_factory=list[str]
    )
    selectable: Annotated[int, Field(description="Poll: how many may be chosen; 0: any number")] = 0
    place: Place | None = None
    contacts: list[ContactCard] = field(default_factory=list[ContactCard])
    preview: LinkPreview | None = None
    seconds: Annotated[int | None, Field(description="Length of audio or video")] = None
    width: int | None = None
    height: int | None = None
    thumbnail_size: int = 0
    secret: Annotated[bool, Field(description="Carries a message secret")] = False
    invite_code: str | None = None
