"""WhatsApp's message of an outgoing row. Pure; called by `messages.preparing` when all that it needs is there."""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from whatsam_connector.content.context import Named, Surroundings, Uploaded, context_info, message_key, with_text
from whatsam_connector.content.fields import ProtocolType
from whatsam_connector.content.forwarding import forwarded
from whatsam_connector.content.schema import ContextInfo, Message
from whatsam_connector.content.vcards import vcard
from whatsam_core.media import MediaRef
from whatsam_core.messages import (
    MESSAGE_SECRET_BYTES,
    AudioBody,
    ContactBody,
    ContentBody,
    DocumentBody,
    EditBody,
    FileBody,
    ImageBody,
    InvalidBody,
    LocationBody,
    MessageType,
    OutgoingBody,
    PollBody,
    ReactionBody,
    RevokeBody,
    StickerBody,
    TextBody,
    VideoBody,
)

_VOICE_MIMETYPE: Final = "audio/ogg; codecs=opus"
"""What WhatsApp's apps call a voice note; other names are not played by all of them."""


def plain_text(text: str) -> bytes:
    """A text that nothing surrounds."""
    return Message(conversation=text).SerializeToString()


def build(kind: str, body: OutgoingBody, around: Surroundings) -> bytes:
    """WhatsApp's protobuf of a message. Raises `InvalidBody` when something that its kind needs is missing."""
    return _message(kind, body, around).SerializeToString()


def _message(kind: str, body: OutgoingBody, around: Surroundings) -> Any:
    match body:
        case ReactionBody():
            return _reaction(body, _target(around), around.now)
        case EditBody():
            return _edit(body, _target(around), around)
        case RevokeBody():
            return _revoke(_target(around))
        case _:
            return _content(kind, body, around)


def _content(kind: str, body: ContentBody, around: Surroundings) -> Any:
    context = context_info(body, around)
    if body.raw is not None:
        return forwarded(decoded(body.raw, "raw"), context)
    if isinstance(body, TextBody):
        return _text(body, context)
    if isinstance(body, PollBody):
        return _poll(body, context)
    message = Message()
    if isinstance(body, ContactBody):
        part = _contacts(message, body)
    elif isinstance(body, LocationBody):
        part = _location(message, body, live=kind == MessageType.LIVE_LOCATION)
    elif isinstance(body, FileBody):
        part = _file(message, kind, body, around)
    else:
        raise InvalidBody(f"messages of type {kind} cannot be sent")
    if context is not None:
        part.contextInfo.CopyFrom(context)
    return _enveloped(message, body)


def _enveloped(message: Any, body: ContentBody) -> Any:
    """Some contents travel in an envelope, so that old apps show "not supported" and not the wrong thing."""
    outer = Message()
    if isinstance(body, FileBody) and body.view_once:
        if isinstance(body, AudioBody):
            outer.viewOnceMessageV2Extension.message.CopyFrom(message)
        else:
            outer.viewOnceMessageV2.message.CopyFrom(message)
        return outer
    if isinstance(body, DocumentBody) and body.caption:
        outer.documentWithCaptionMessage.message.CopyFrom(message)
        return outer
    return message


def _text(body: TextBody, context: Any | None) -> Any:
    if context is None and body.preview is None:
        return Message(conversation=body.text)
    message = Message()
    part = message.extendedTextMessage
    part.text = body.text
    if body.preview is not None:
        part.matchedText = body.preview.url
        part.title = body.preview.title
        part.description = body.preview.description
        part.previewType = 0
        if body.preview.thumbnail:
            part.JPEGThumbnail = decoded(body.preview.thumbnail, "preview.thumbnail")
    if context is not None:
        part.contextInfo.CopyFrom(context)
    return message


def _poll(body: PollBody, context: Any | None) -> Any:
    secret = decoded(body.poll.secret or "", "poll.secret")
    if len(secret) != MESSAGE_SECRET_BYTES:
        raise InvalidBody("poll.secret: a poll needs a secret of 32 bytes")
    message = Message()
    # Not one of the later versions: whatsmeow marks only this one as a poll on the wire.
    part = message.pollCreationMessage
    part.name = body.poll.question
    part.selectableOptionsCount = body.poll.selectable
    for option in body.poll.options:
        part.options.add(optionName=option)
    message.messageContextInfo.messageSecret = secret
    if context is not None:
        part.contextInfo.CopyFrom(context)
    return message


def _contacts(message: Any, body: ContactBody) -> Any:
    cards = [(card.name, vcard(card)) for card in body.contacts]
    if len(cards) == 1:
        part = message.contactMessage
        part.displayName, part.vcard = cards[0]
        return part
    part = message.contactsArrayMessage
    part.displayName = f"{len(cards)} contacts"
    for name, text in cards:
        part.contacts.add(displayName=name, vcard=text)
    return part


def _location(message: Any, body: LocationBody, *, live: bool) -> Any:
    place = body.location
    part = message.liveLocationMessage if live else message.locationMessage
    part.degreesLatitude = place.latitude
    part.degreesLongitude = place.longitude
    if place.accuracy is not None:
        part.accuracyInMeters = place.accuracy
    if live:
        part.sequenceNumber = 1
        part.timeOffset = 0
        _set(part, speedInMps=place.speed, degreesClockwiseFromMagneticNorth=place.heading, caption=body.caption)
    else:
        _set(part, name=place.name, address=place.address, URL=place.url)
    return part


def _file(message: Any, kind: str, body: FileBody, around: Surroundings) -> Any:
    if body.media is None or around.uploaded is None:
        raise InvalidBody("media: the file is missing")
    part = _PARTS[type(body)](message, kind, body, body.media)
    file = around.uploaded
    part.URL = file.url
    part.directPath = file.direct_path
    part.mediaKey = file.media_key
    part.fileSHA256 = file.file_sha256
    part.fileEncSHA256 = file.file_enc_sha256
    part.fileLength = file.file_length
    part.mediaKeyTimestamp = int(file.at.timestamp())
    return part


def _image(message: Any, _kind: str, body: Any, media: MediaRef) -> Any:
    part = message.imageMessage
    _set(part, mimetype=media.mimetype, caption=body.caption, width=body.width, height=body.height)
    _thumbnail(part, body.thumbnail)
    _view_once(part, body)
    return part


def _video(message: Any, kind: str, body: Any, media: MediaRef) -> Any:
    part = message.videoMessage
    _set(part, mimetype=media.mimetype, caption=body.caption, width=body.width, height=body.height)
    _set(part, seconds=body.seconds)
    if kind == MessageType.GIF:
        part.gifPlayback = True
    _thumbnail(part, body.thumbnail)
    _view_once(part, body)
    return part


def _audio(message: Any, kind: str, body: Any, media: MediaRef) -> Any:
    part = message.audioMessage
    voice = kind == MessageType.VOICE
    part.mimetype = _VOICE_MIMETYPE if voice else media.mimetype
    part.PTT = voice
    _set(part, seconds=body.seconds)
    if body.waveform:
        part.waveform = decoded(body.waveform, "waveform")
    _view_once(part, body)
    return part


def _document(message: Any, _kind: str, body: Any, media: MediaRef) -> Any:
    part = message.documentMessage
    name = media.file_name or "file"
    _set(part, mimetype=media.mimetype, fileName=name, title=name, caption=body.caption, pageCount=body.pages)
    _thumbnail(part, body.thumbnail)
    return part


def _sticker(message: Any, _kind: str, body: Any, media: MediaRef) -> Any:
    part = message.stickerMessage
    _set(part, mimetype=media.mimetype, width=body.width, height=body.height)
    part.isAnimated = body.animated
    return part


_PARTS: Final[dict[type[FileBody], Callable[[Any, str, Any, MediaRef], Any]]] = {
    ImageBody: _image,
    VideoBody: _video,
    AudioBody: _audio,
    DocumentBody: _document,
    StickerBody: _sticker,
}


def _target(around: Surroundings) -> Named:
    if around.target is None:
        raise InvalidBody("target: the message that this one is about is missing")
    return around.target


def _reaction(body: ReactionBody, target: Named, now: datetime) -> Any:
    message = Message()
    part = message.reactionMessage
    part.key.CopyFrom(message_key(target))
    part.text = body.reaction.emoji
    part.senderTimestampMS = _milliseconds(now)
    return message


def _edit(body: EditBody, target: Named, around: Surroundings) -> Any:
    if not target.from_me:
        raise InvalidBody("target: only messages of this session can be edited")
    message = Message()
    part = message.editedMessage.message.protocolMessage
    part.key.CopyFrom(message_key(target))
    part.type = ProtocolType.MESSAGE_EDIT
    part.editedMessage.CopyFrom(with_text(target.type, body.text))
    part.timestampMS = _milliseconds(around.now)
    if body.mentions and part.editedMessage.HasField("conversation"):
        part.editedMessage.ClearField("conversation")
        part.editedMessage.extendedTextMessage.text = body.text
        part.editedMessage.extendedTextMessage.contextInfo.CopyFrom(ContextInfo(mentionedJID=body.mentions))
    return message


def _revoke(target: Named) -> Any:
    message = Message()
    part = message.protocolMessage
    part.key.CopyFrom(message_key(target))
    part.type = ProtocolType.REVOKE
    return message


def decoded(text: str, field: str) -> bytes:
    """Bytes of a base64 field. Raises `InvalidBody`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidBody(f"{field}: not base64") from error


def _set(part: Any, **values: Any) -> None:
    for name, value in values.items():
        if value is not None:
            setattr(part, name, value)


def _thumbnail(part: Any, thumbnail: str | None) -> None:
    if thumbnail:
        part.JPEGThumbnail = decoded(thumbnail, "thumbnail")


def _view_once(part: Any, body: FileBody) -> None:
    if body.view_once:
        part.viewOnce = True


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


__all__ = ["Uploaded", "build", "decoded", "plain_text"]
