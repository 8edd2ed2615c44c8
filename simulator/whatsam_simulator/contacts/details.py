"""What a message says beside its text and file, in the form that the inbox shows. Filled by `content.py`."""

from __future__ import annotations

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


class Details(BaseModel):
    """Everything but text and file; what a kind does not have is empty."""

    quoted_id: str | None = None
    quoted_sender: str | None = Field(default=None, description="JID")
    quoted_text: str | None = None
    mentions: list[str] = Field(default_factory=list[str], description="JIDs")
    forwarded: bool = False
    expiration: int = Field(default=0, description="Disappears after so many seconds; kind timer: the new timer")
    ephemeral: bool = Field(default=False, description="Came in the wrapper of disappearing messages")
    view_once: bool = False
    target: Target | None = None
    options: list[str] = Field(default_factory=list[str], description="Poll: its options; vote: those chosen")
    selectable: int = Field(default=0, description="Poll: how many may be chosen; 0: any number")
    place: Place | None = None
    contacts: list[ContactCard] = Field(default_factory=list[ContactCard])
    preview: LinkPreview | None = None
    seconds: int | None = Field(default=None, description="Length of audio or video")
    width: int | None = None
    height: int | None = None
    thumbnail_size: int = 0
    secret: bool = Field(default=False, description="Carries a message secret")
    invite_code: str | None = None
