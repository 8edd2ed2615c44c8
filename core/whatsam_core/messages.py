"""What a message consists of, by type: the column `body` of an outgoing row. The API writes it, the connector reads it.

Received messages use the same names where they say the same thing; readers ignore fields that they do not know, so
either side may be newer. Strings hold no media: files are named by `MediaRef`, only thumbnails travel in the row.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from whatsam_core.errors import WhatsamError
from whatsam_core.media import MediaRef

MAX_TEXT: Final = 65_536
"""Characters that WhatsApp's apps take in one text."""
MAX_CAPTION: Final = 4096
MAX_MENTIONS: Final = 1024
"""The members of the largest group."""
MAX_OPTIONS: Final = 12
"""Options of a poll in WhatsApp's apps."""
MAX_CARDS: Final = 100
MAX_THUMBNAIL: Final = 64 * 1024
"""Characters of a thumbnail in base64; it lies in the row and travels inside the message."""
WAVEFORM_POINTS: Final = 64
"""Loudness values, 0 to 100, that WhatsApp draws for a voice note."""
MESSAGE_SECRET_BYTES: Final = 32


class MessageType(StrEnum):
    """What a row of `messages` is."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    GIF = "gif"
    """A short video without sound that plays by itself: what WhatsApp makes of GIFs."""
    AUDIO = "audio"
    """A file of music or speech."""
    VOICE = "voice"
    """A recording, shown with a microphone and a waveform."""
    DOCUMENT = "document"
    STICKER = "sticker"
    LOCATION = "location"
    LIVE_LOCATION = "live_location"
    CONTACT = "contact"
    """One or more contact cards."""
    POLL = "poll"
    REACTION = "reaction"
    EDIT = "edit"
    REVOKE = "revoke"
    """Deletes a message for everyone."""
    SYSTEM = "system"
    CALL = "call"
    UNKNOWN = "unknown"


MEDIA_TYPES: Final = frozenset(
    {
        MessageType.IMAGE,
        MessageType.VIDEO,
        MessageType.GIF,
        MessageType.AUDIO,
        MessageType.VOICE,
        MessageType.DOCUMENT,
        MessageType.STICKER,
    }
)
"""Types that carry a file."""


class InvalidBody(WhatsamError):
    """A body that does not fit its type. The text names fields, never what is in them."""


class BodyPart(BaseModel):
    """Base: camelCase in the row, snake_case in Python; unknown fields are those of a newer version."""

    # An error must not carry somebody's words into a log.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


Caption = Annotated[str, StringConstraints(max_length=MAX_CAPTION)]
Thumbnail = Annotated[str, StringConstraints(max_length=MAX_THUMBNAIL)]
"""A small JPEG in base64."""


class Quoted(BodyPart):
    """The message that this one answers."""

    message_id: UUID | None = None
    """Its row. Its `wa_id` is looked up when it is sent, for it may not have one yet."""
    wa_id: str | None = None
    sender: str | None = None
    """JID of who wrote it."""
    from_me: bool = False
    """Whether this session wrote it."""
    type: str | None = None
    text: str | None = None
    """Its text or caption, shown above the answer."""


class Target(BodyPart):
    """The message that a reaction, an edit or a revoke is about."""

    message_id: UUID | None = None
    """Its row; its `wa_id` is looked up when this one is sent."""
    wa_id: str | None = None
    sender: str | None = None
    """JID of who wrote it; needed in groups, for messages of others."""
    from_me: bool = True
    type: str | None = None
    """Its type, which decides what an edit is called."""


class LinkPreview(BodyPart):
    """What is shown of a page that the text links to."""

    url: Annotated[str, StringConstraints(max_length=2048)]
    """As it stands in the text."""
    title: Annotated[str, StringConstraints(max_length=300)] = ""
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    thumbnail: Thumbnail | None = None


class Location(BodyPart):
    """A place on earth."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    """Degrees."""
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    """Degrees."""
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    address: Annotated[str, StringConstraints(max_length=512)] | None = None
    url: Annotated[str, StringConstraints(max_length=2048)] | None = None
    accuracy: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Metres."""
    speed: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """Metres per second; live locations only."""
    heading: Annotated[int, Field(ge=0, le=360)] | None = None
    """Degrees clockwise from magnetic north; live locations only."""


class ContactCard(BodyPart):
    """One contact: as a vCard, or made from name and number."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{5,20}$")] | None = None
    vcard: Annotated[str, StringConstraints(min_length=1, max_length=16_384)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "ContactCard":
        if self.phone is None and self.vcard is None:
            raise ValueError("a contact needs a phone or a vcard")
        return self


class Poll(BodyPart):
    """A question and its options."""

    question: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    options: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=100)]],
        Field(min_length=2, max_length=MAX_OPTIONS),
    ]
    selectable: Annotated[int, Field(ge=0, le=MAX_OPTIONS)] = 1
    """How many options one person may choose; 0: any number."""
    secret: str | None = None
    """Base64 of 32 random bytes that votes are encrypted with. Made by the API; never shown to callers."""

    @model_validator(mode="after")
    def _options_differ(self) -> "Poll":
        if len(set(self.options)) != len(self.options):
            raise ValueError("the options must differ")
        if self.selectable > len(self.options):
            raise ValueError("selectable is more than there are options")
        return self


class ReactionContent(BodyPart):
    """What somebody feels about a message."""

    emoji: Annotated[str, StringConstraints(max_length=32)]
    """Empty: the reaction is taken back."""


class Body(BodyPart):
    """Base of what a row holds. `fingerprint`: hash of the call that made the row, where it had an Idempotency-Key."""

    fingerprint: str | None = None


class ContentBody(Body):
    """What every message that shows up as a bubble may have."""

    mentions: Annotated[list[str], Field(max_length=MAX_MENTIONS)] = []
    """JIDs of people whom the text names as @user."""
    quoted: Quoted | None = None
    forwarded: bool = False
    forwarding_score: Annotated[int, Field(ge=0, le=2**31)] = 0
    """How often it was forwarded before; from 4 on, apps show "many times"."""
    raw: str | None = None
    """Base64 of WhatsApp's own message that is forwarded; then nothing else of the content is used."""


class TextBody(ContentBody):
    """A text."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
    link_preview: bool = False
    """Whether a preview was asked for."""
    preview: LinkPreview | None = None
    """What was found; None: nothing could be found, the text goes out all the same."""


class FileBody(ContentBody):
    """A message with a file. Without `media` only when it is forwarded from `raw`."""

    media: MediaRef | None = None
    caption: Caption | None = None
    view_once: bool = False

    @model_validator(mode="after")
    def _has_content(self) -> "FileBody":
        if self.media is None and self.raw is None:
            raise ValueError("media is missing")
        return self


class ImageBody(FileBody):
    """A picture, shown as such."""

    width: Annotated[int, Field(ge=0, le=2**31)] | None = None
    height: Annotated[int, Field(ge=0, le=2**31)] | None = None
    thumbnail: Thumbnail | None = None


class VideoBody(ImageBody):
    """A video, or a GIF."""

    seconds: Annotated[int, Field(ge=0, le=2**31)] | None = None


class AudioBody(FileBody):
    """Audio, or a voice note."""

    seconds: Annotated[int, Field(ge=0, le=2**31)] | None = None
    waveform: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Base64 of 64 bytes, each 0 to 100."""


class DocumentBody(FileBody):
    """A file of any kind, shown with its name."""

    thumbnail: Thumbnail | None = None
    pages: Annotated[int, Field(ge=0, le=2**31)] | None = None


class StickerBody(FileBody):
    """A WebP picture without a bubble."""

    width: Annotated[int, Field(ge=0, le=2**31)] | None = None
    height: Annotated[int, Field(ge=0, le=2**31)] | None = None
    animated: bool = False


class LocationBody(ContentBody):
    """A place, or the first position of a live location."""

    location: Location
    caption: Caption | None = None
    """Live locations only."""


class ContactBody(ContentBody):
    """Contact cards."""

    contacts: Annotated[list[ContactCard], Field(min_length=1, max_length=MAX_CARDS)]


class PollBody(ContentBody):
    """A poll."""

    poll: Poll


class ReactionBody(Body):
    """A reaction to a message."""

    reaction: ReactionContent
    target: Target
    actor: str | None = None
    """JID of this session: whose reaction it is."""


class EditBody(Body):
    """A new text for a message of this session, of at most about 15 minutes of age (WhatsApp's rule)."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
    mentions: Annotated[list[str], Field(max_length=MAX_MENTIONS)] = []
    target: Target


class RevokeBody(Body):
    """Deletes a message for everyone: an own one, or as a group's administrator somebody else's."""

    target: Target


OutgoingBody = (
    TextBody
    | ImageBody
    | VideoBody
    | AudioBody
    | DocumentBody
    | StickerBody
    | LocationBody
    | ContactBody
    | PollBody
    | ReactionBody
    | EditBody
    | RevokeBody
)

BODIES: Final[Mapping[str, type[OutgoingBody]]] = {
    MessageType.TEXT: TextBody,
    MessageType.IMAGE: ImageBody,
    MessageType.VIDEO: VideoBody,
    MessageType.GIF: VideoBody,
    MessageType.AUDIO: AudioBody,
    MessageType.VOICE: AudioBody,
    MessageType.DOCUMENT: DocumentBody,
    MessageType.STICKER: StickerBody,
    MessageType.LOCATION: LocationBody,
    MessageType.LIVE_LOCATION: LocationBody,
    MessageType.CONTACT: ContactBody,
    MessageType.POLL: PollBody,
    MessageType.REACTION: ReactionBody,
    MessageType.EDIT: EditBody,
    MessageType.REVOKE: RevokeBody,
}
"""The body of each type that can be sent."""


def parse_body(kind: str, body: Mapping[str, Any]) -> OutgoingBody:
    """The body of an outgoing row. Raises `InvalidBody`, also for a type that cannot be sent."""
    model = BODIES.get(kind)
    if model is None:
        raise InvalidBody(f"messages of type {kind} cannot be sent")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        named = "; ".join(f"{'.'.join(str(part) for part in one['loc']) or 'body'}: {one['msg']}" for one in problems)
        raise InvalidBody(f"not a {kind} message: {named}") from None


def dump_body(body: OutgoingBody) -> dict[str, Any]:
    """What goes into the row: camelCase, nothing that is at its default."""
    return body.model_dump(mode="json", by_alias=True, exclude_defaults=True)
