"""What somebody behind a phone or contact may write: the body of the control API's send routes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from whatsam_simulator.contacts.details import ContactCard, LinkPreview, Place

Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{5,15}$")]
"""A phone number: digits only, with country code."""
MAX_MEDIA_BASE64 = 1 << 27


class Request(BaseModel):
    """A body; unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Media(Request):
    """A file to send."""

    kind: Literal["image", "video", "gif", "ptv", "audio", "voice", "document", "sticker"] = "document"
    mimetype: str = "application/octet-stream"
    data: str = Field(description="The file's bytes in base64", max_length=MAX_MEDIA_BASE64)
    caption: str | None = None
    file_name: str | None = None
    seconds: int | None = Field(default=None, ge=0)
    width: int | None = Field(default=None, ge=0)
    height: int | None = Field(default=None, ge=0)
    thumbnail: str | None = Field(default=None, description="base64")
    view_once: bool = False
    missing: bool = Field(default=False, description="The file is not on the media host: downloads get 404")
    wrong_hash: bool = Field(default=False, description="The message announces another SHA-256 than the file's")


class LiveLocation(Place):
    """A live location."""

    caption: str | None = None


class Poll(Request):
    question: str
    options: list[str] = Field(min_length=1)
    selectable: int = Field(default=1, ge=0)
    version: Literal[1, 2, 3, 5] = 3


class Vote(Request):
    id: str = Field(description="The poll's message")
    options: list[str] = Field(description="Empty: takes the vote back")


class Reaction(Request):
    id: str
    emoji: str = Field(description="Empty: takes the reaction back")


class Edit(Request):
    id: str
    text: str


class GroupInvite(Request):
    group: str
    caption: str | None = None


class MessageBody(Request):
    """Exactly one of the first group says what is sent; the rest applies to any of them."""

    raw: str | None = Field(default=None, description="A serialized `Message` protobuf in base64, sent as it is")
    text: str | None = None
    media: Media | None = None
    location: Place | None = None
    live_location: LiveLocation | None = None
    contacts: list[ContactCard] | None = Field(default=None, min_length=1)
    poll: Poll | None = None
    vote: Vote | None = None
    reaction: Reaction | None = None
    edit: Edit | None = None
    revoke: str | None = Field(default=None, description="Id of the message to take back; another's: as group admin")
    timer: int | None = Field(default=None, ge=0, description="Sets the chat's disappearing timer, seconds")
    invite: GroupInvite | None = None

    preview: LinkPreview | None = Field(default=None, description="For `text`")
    quote: str | None = Field(default=None, description="Id of a message that the sender has sent or received")
    mentions: list[Number] = Field(default_factory=list[str])
    forwarded: bool = False
    expiration: int | None = Field(default=None, ge=0, description="Disappears after so many seconds")
    ephemeral: bool = Field(default=False, description="In the wrapper of disappearing messages")
    secret: bool = Field(default=False, description="With a message secret, as polls always have")
    id: str | None = Field(default=None, min_length=1, max_length=128, description="Message id; null: a new one")
    timestamp: int | None = Field(default=None, ge=0, description="Unix seconds that the stanza tells; null: now")
    edit_attribute: str | None = Field(default=None, description="In place of the stanza's own `edit`")
