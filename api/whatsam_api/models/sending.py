"""What callers send: one model for each type of message, told apart by `type`. JSON and multipart forms alike."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BeforeValidator, Field, StringConstraints, TypeAdapter, model_validator

from whatsam_api.envelope import Wire, Writable
from whatsam_core.messages import MAX_CAPTION, MAX_CARDS, MAX_MENTIONS, MAX_OPTIONS, MAX_TEXT

MAX_URL: Final = 2048
_DATA_URL = re.compile(r"data:(?P<mimetype>[^;,]{0,255})(;[^;,]{0,100})*;base64,")
_HTTP = re.compile(r"https?://", re.IGNORECASE)


Recipient = Annotated[str, StringConstraints(min_length=5, max_length=64)]
"""A phone number with its country code, or the address of a person or group."""
MessageName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,128}$")]
"""The `messageId` that the API gave, or WhatsApp's own `waId`."""


class MediaSource(Wire):
    """Where a file comes from: exactly one of `url` and `base64`; an upload is the part `file` of a multipart form."""

    url: Annotated[str, StringConstraints(max_length=MAX_URL)] | None = None
    base64: str | None = None
    mimetype: Annotated[Writable, StringConstraints(max_length=255)] | None = None
    """Counts only where the bytes do not tell, such as for text files."""
    file_name: Annotated[Writable, StringConstraints(min_length=1, max_length=255)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> "MediaSource":
        if (self.url is None) == (self.base64 is None):
            raise ValueError("give either url or base64")
        return self


def _source(value: Any) -> Any:
    """A string stands for a URL, a data URL, or base64."""
    if not isinstance(value, str):
        return value
    if _HTTP.match(value):
        return {"url": value}
    data = _DATA_URL.match(value)
    if data is not None:
        return {"base64": value[data.end() :], "mimetype": data["mimetype"] or None}
    return {"base64": value}


Source = Annotated[MediaSource, BeforeValidator(_source)]


class Addressed(Wire):
    """What every message has."""

    to: Recipient


class Content(Addressed):
    """What every message that shows up as a bubble may have."""

    quoted_message_id: MessageName | None = None
    """The message that this one answers."""
    mentions: Annotated[list[Recipient], Field(max_length=MAX_MENTIONS, default_factory=list)]
    """People whom the text names as @number."""


class TextMessage(Content):
    """A text."""

    type: Literal["text"] = "text"
    text: Annotated[Writable, StringConstraints(min_length=1, max_length=MAX_TEXT)] = Field(
        validation_alias=AliasChoices("text", "message")
    )
    link_preview: bool = False
    """Fetch title, description and picture of the first link in the text."""


class FileMessage(Content):
    """A message with a file."""

    media: Source | None = None
    """A URL, base64, or an object; nothing in a multipart form."""
    file_name: Annotated[Writable, StringConstraints(min_length=1, max_length=255)] | None = None


class CaptionedMessage(FileMessage):
    """A file with words under it."""

    caption: Annotated[Writable, StringConstraints(max_length=MAX_CAPTION)] | None = None


class ImageMessage(CaptionedMessage):
    """A picture."""

    type: Literal["image"]
    view_once: bool = False


class VideoMessage(CaptionedMessage):
    """A video."""

    type: Literal["video"]
    view_once: bool = False


class GifMessage(CaptionedMessage):
    """A GIF, or a short MP4 that plays like one."""

    type: Literal["gif"]


class AudioMessage(FileMessage):
    """A file of music or speech."""

    type: Literal["audio"]


class VoiceMessage(FileMessage):
    """A voice note: any recording, which is converted."""

    type: Literal["voice"]
    view_once: bool = False


class DocumentMessage(CaptionedMessage):
    """Any file."""

    type: Literal["document"]


class StickerMessage(FileMessage):
    """A sticker: WebP, or a picture that one is made of."""

    type: Literal["sticker"]


class Place(Wire):
    """A place on earth, in degrees."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    name: Annotated[Writable, StringConstraints(max_length=256)] | None = None
    address: Annotated[Writable, StringConstraints(max_length=512)] | None = None
    url: Annotated[Writable, StringConstraints(max_length=MAX_URL)] | None = None
    accuracy: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Metres."""


class LivePlace(Wire):
    """The position of somebody who moves."""

    latitude: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    longitude: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    accuracy: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    speed: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] | None = None
    """Metres per second."""
    heading: Annotated[int, Field(ge=0, le=360)] | None = None
    """Degrees clockwise from magnetic north."""


class LocationMessage(Content):
    """A place."""

    type: Literal["location"]
    location: Place


class LiveLocationMessage(Content):
    """A position of a live location. One message is one position; WhatsApp's way of updating it is not offered."""

    type: Literal["live_location"]
    location: LivePlace
    caption: Annotated[Writable, StringConstraints(max_length=MAX_CAPTION)] | None = None


class Card(Wire):
    """One contact: `phone`, or a whole `vcard`."""

    name: Annotated[Writable, StringConstraints(min_length=1, max_length=256)]
    phone: Annotated[str, StringConstraints(min_length=5, max_length=32)] | None = None
    vcard: Annotated[Writable, StringConstraints(min_length=1, max_length=16_384)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Card":
        if (self.phone is None) == (self.vcard is None):
            raise ValueError("give either phone or vcard")
        return self


class ContactMessage(Content):
    """Contact cards."""

    type: Literal["contact"]
    contacts: Annotated[list[Card], Field(min_length=1, max_length=MAX_CARDS)]


class PollQuestion(Wire):
    """A question and its options. `selectable`: how many one person may choose; 0 for any number."""

    question: Annotated[Writable, StringConstraints(min_length=1, max_length=255)]
    options: Annotated[
        list[Annotated[Writable, StringConstraints(min_length=1, max_length=100)]],
        Field(min_length=2, max_length=MAX_OPTIONS),
    ]
    selectable: Annotated[int, Field(ge=0, le=MAX_OPTIONS)] = 1

    @model_validator(mode="after")
    def _makes_sense(self) -> "PollQuestion":
        if len(set(self.options)) != len(self.options):
            raise ValueError("the options must differ")
        if self.selectable > len(self.options):
            raise ValueError("selectable is more than there are options")
        return self


class PollMessage(Content):
    """A poll."""

    type: Literal["poll"]
    poll: PollQuestion


class ReactionMessage(Wire):
    """A reaction to a message of the session, in the chat of that message."""

    type: Literal["reaction"]
    to: Recipient | None = None
    """Not needed: the chat is that of the message. Where it is given, it must be that chat."""
    message_id: MessageName
    emoji: Annotated[Writable, StringConstraints(max_length=32)]
    """Empty takes the reaction back."""


Sendable = (
    TextMessage
    | ImageMessage
    | VideoMessage
    | GifMessage
    | AudioMessage
    | VoiceMessage
    | DocumentMessage
    | StickerMessage
    | LocationMessage
    | LiveLocationMessage
    | ContactMessage
    | PollMessage
    | ReactionMessage
)

KINDS: Final[dict[str, TypeAdapter[Any]]] = {
    "text": TypeAdapter(TextMessage),
    "image": TypeAdapter(ImageMessage),
    "video": TypeAdapter(VideoMessage),
    "gif": TypeAdapter(GifMessage),
    "audio": TypeAdapter(AudioMessage),
    "voice": TypeAdapter(VoiceMessage),
    "document": TypeAdapter(DocumentMessage),
    "sticker": TypeAdapter(StickerMessage),
    "location": TypeAdapter(LocationMessage),
    "live_location": TypeAdapter(LiveLocationMessage),
    "contact": TypeAdapter(ContactMessage),
    "poll": TypeAdapter(PollMessage),
    "reaction": TypeAdapter(ReactionMessage),
}
"""By `type`; a message without one is a text."""


class Edit(Wire):
    """A new text, or a new caption."""

    text: Annotated[Writable, StringConstraints(min_length=1, max_length=MAX_TEXT)] = Field(
        validation_alias=AliasChoices("text", "message")
    )
    mentions: Annotated[list[Recipient], Field(max_length=MAX_MENTIONS, default_factory=list)]


class Forward(Wire):
    """Where to forward a message to."""

    to: Recipient


class Typing(Wire):
    """What a chat is shown that the session does."""

    to: Recipient
    state: Literal["typing", "recording", "paused"] = "typing"


class Presence(Wire):
    """Whether the session shows as online."""

    available: bool
