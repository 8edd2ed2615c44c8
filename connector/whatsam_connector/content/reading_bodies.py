"""The body of each kind of message that people see, from its protobuf. Pure; for `reading`.

Names of fields are those of `whatsam_core.messages`. A kind that is not in the table is the caller's to keep as it is.
"""

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from whatsam_connector.content.reading_interactive import button_text
from whatsam_connector.content.reading_parts import MediaSource, context_of, media_source, present, string

_MOST_THUMBNAIL: Final = 48 * 1024
"""Bytes; as base64 it is what `whatsam_core.messages` takes."""
_MOST_CARDS: Final = 300
_MOST_VCARD: Final = 16_384
_WAVEFORM: Final = 64


@dataclass(slots=True)
class Body:
    """A message's type and body; with its file, if it has one."""

    type: str
    body: dict[str, Any]
    media: MediaSource | None = None
    context: Any = None
    quoted_wa_id: str | None = None
    expiration: int = 0


def body_of(message: Any, *, view_once: bool) -> Body | None:
    """The body of an unwrapped message; None for a kind that is not known."""
    found = _found(message)
    if found is None:
        return None
    if found.context is not None:
        around = context_of(found.context)
        found.body.update(around.fields)
        found.quoted_wa_id, found.expiration = around.quoted_wa_id, around.expiration
    if view_once:
        found.body["viewOnce"] = True
    return found


def _found(message: Any) -> Body | None:
    if message.HasField("conversation"):
        return Body("text", {"text": string(message.conversation)})
    for name, make in _KINDS.items():
        if message.HasField(name):
            return make(getattr(message, name))
    spoken = button_text(message)
    return None if spoken is None else Body("unknown", {"text": spoken})


def _extended_text(part: Any) -> Body:
    body: dict[str, Any] = {"text": string(part.text)}
    if part.matchedText:
        body["preview"] = {
            "url": string(part.matchedText)[:2048],
            **present(title=string(part.title)[:300], description=string(part.description)[:1000]),
            **_thumbnail(part),
        }
    return Body("text", body, context=part.contextInfo)


def _image(part: Any) -> Body:
    body = present(
        caption=string(part.caption), width=part.width, height=part.height, viewOnce=part.viewOnce
    ) | _thumbnail(part)
    return Body("image", body, media_source("image", part), part.contextInfo)


def _video(part: Any, *, note: bool = False) -> Body:
    body = present(
        caption=string(part.caption),
        width=part.width,
        height=part.height,
        seconds=part.seconds,
        viewOnce=part.viewOnce,
        videoNote=note,
    ) | _thumbnail(part)
    return Body("gif" if part.gifPlayback else "video", body, media_source("video", part), part.contextInfo)


def _audio(part: Any) -> Body:
    waveform = base64.b64encode(part.waveform).decode() if len(part.waveform) == _WAVEFORM else None
    body = present(seconds=part.seconds, viewOnce=part.viewOnce, waveform=waveform)
    return Body("voice" if part.PTT else "audio", body, media_source("audio", part), part.contextInfo)


def _document(part: Any) -> Body:
    name = string(part.fileName) or string(part.title) or None
    body = present(caption=string(part.caption), pages=part.pageCount) | _thumbnail(part)
    return Body("document", body, media_source("document", part, name), part.contextInfo)


def _sticker(part: Any) -> Body:
    body = present(width=part.width, height=part.height, animated=part.isAnimated, lottie=part.isLottie)
    return Body("sticker", body, media_source("sticker", part), part.contextInfo)


def _location(part: Any) -> Body:
    place = _place(part) | present(
        name=string(part.name), address=string(part.address), url=string(part.URL), accuracy=part.accuracyInMeters
    )
    body: dict[str, Any] = {"location": place, **present(caption=string(part.comment)), **_thumbnail(part)}
    return Body("live_location" if part.isLive else "location", body, context=part.contextInfo)


def _live_location(part: Any) -> Body:
    place = _place(part) | present(
        accuracy=part.accuracyInMeters,
        speed=_finite(part.speedInMps),
        heading=part.degreesClockwiseFromMagneticNorth,
    )
    body: dict[str, Any] = {"location": place, **present(caption=string(part.caption), sequence=part.sequenceNumber)}
    return Body("live_location", body | _thumbnail(part), context=part.contextInfo)


def _contact(part: Any) -> Body:
    return Body("contact", {"contacts": [_card(part)]}, context=part.contextInfo)


def _contacts(part: Any) -> Body:
    cards = [_card(card) for card in part.contacts[:_MOST_CARDS]]
    return Body("contact", {"contacts": cards, **present(text=string(part.displayName))}, context=part.contextInfo)


def _poll(part: Any) -> Body:
    poll = {
        "question": string(part.name),
        "options": [string(option.optionName) for option in part.options],
        "selectable": int(part.selectableOptionsCount),
    }
    return Body("poll", {"poll": poll}, context=part.contextInfo)


def _group_invite(part: Any) -> Body:
    invite = present(
        group=string(part.groupJID),
        name=string(part.groupName),
        code=string(part.inviteCode),
        expires=part.inviteExpiration,
    )
    return Body("text", {"text": string(part.caption), "groupInvite": invite}, context=part.contextInfo)


def _album(part: Any) -> Body:
    album = {"images": int(part.expectedImageCount), "videos": int(part.expectedVideoCount)}
    return Body("system", {"system": {"kind": "album", **album}}, context=part.contextInfo)


def _event(part: Any) -> Body:
    event = present(
        name=string(part.name),
        description=string(part.description),
        start=part.startTime,
        end=part.endTime,
        link=string(part.joinLink),
        canceled=part.isCanceled,
    )
    return Body("unknown", {"text": string(part.name), "calendarEvent": event}, context=part.contextInfo)


def _comment(part: Any) -> Body | None:
    # A comment below a message of an announcement group: a message that quotes the other one.
    found = _found(part.message)
    if found is not None and part.targetMessageKey.ID:
        found.body["quoted"] = {"waId": string(part.targetMessageKey.ID)}
    return found


def _call_log(part: Any) -> Body:
    call = {"stage": "ended", "video": bool(part.isVideo), **present(seconds=part.durationSecs)}
    return Body("call", {"call": call})


_KINDS: Final[dict[str, Callable[[Any], Body | None]]] = {
    "extendedTextMessage": _extended_text,
    "imageMessage": _image,
    "videoMessage": _video,
    "ptvMessage": lambda part: _video(part, note=True),
    "audioMessage": _audio,
    "documentMessage": _document,
    "stickerMessage": _sticker,
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollCreationMessageV5": _poll,
    "pollCreationMessageV6": _poll,
    "groupInviteMessage": _group_invite,
    "albumMessage": _album,
    "eventMessage": _event,
    "commentMessage": _comment,
    "callLogMesssage": _call_log,
}


def _card(part: Any) -> dict[str, Any]:
    vcard = string(part.vcard)[:_MOST_VCARD]
    return {"name": string(part.displayName), **present(vcard=vcard, phone=_phone(vcard))}


def _phone(vcard: str) -> str | None:
    """The first number of a vCard: WhatsApp's own `waid`, else the digits of the first TEL."""
    for line in vcard.splitlines():
        head, _, value = line.partition(":")
        if not head.upper().split(";")[0].endswith("TEL"):
            continue
        waid = next((part[5:] for part in head.split(";") if part.lower().startswith("waid=")), "")
        digits = "".join(character for character in waid or value if character.isascii() and character.isdigit())
        if digits:
            return f"+{digits}" if waid or value.strip().startswith("+") else digits
    return None


def _place(part: Any) -> dict[str, Any]:
    return {"latitude": _finite(part.degreesLatitude) or 0.0, "longitude": _finite(part.degreesLongitude) or 0.0}


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None


def _thumbnail(part: Any) -> dict[str, Any]:
    data: bytes = part.JPEGThumbnail
    return {"thumbnail": base64.b64encode(data).decode()} if 0 < len(data) <= _MOST_THUMBNAIL else {}
