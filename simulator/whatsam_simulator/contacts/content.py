"""Reads WhatsApp's message protobuf (`waE2E.Message`), as phones and contacts see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from whatsam_simulator.contacts import fields as numbers
from whatsam_simulator.contacts.details import ContactCard, Details, LinkPreview, Place, Target
from whatsam_simulator.contacts.fields import MEDIA, MediaFields
from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.wire.protobuf import Fields, decode

MAX_DEPTH = 6
"""Messages inside messages; more is refused."""
_EMPTY = Fields(b"")


@dataclass(frozen=True)
class MediaReference:
    """A file as a message names it."""

    kind: str
    path: str
    key: bytes
    plain_sha256: bytes
    size: int
    mimetype: str
    file_name: str | None


@dataclass(slots=True)
class Content:
    """What a receiver sees in a message."""

    kind: str
    """`text`, a kind of media, `location` …; `protocol`, `sender-key` or `other` for what no person sees."""
    text: str | None = None
    media: MediaReference | None = None
    own: bool = False
    """A copy of what another device of the same account sent."""
    destination: str | None = None
    """The chat of such a copy."""
    distribution: bytes | None = None
    """A sender key for the group that the message came in."""
    details: Details = field(default_factory=Details)
    message: Fields = field(default=_EMPTY, repr=False)
    """The message inside all wrappers."""
    secret: bytes | None = None
    """What votes and reactions to this message are encrypted with."""


def read(plain: bytes) -> Content:
    """The content of a decrypted message; raises `MalformedInput`."""
    return _read(decode(plain), 0)


def _read(fields: Fields, depth: int) -> Content:
    if depth > MAX_DEPTH:
        raise MalformedInput("messages nested too deep")
    if numbers.DEVICE_SENT in fields:
        sent = fields.message(numbers.DEVICE_SENT)
        content = _read(sent.message(2), depth + 1)
        content.own, content.destination = True, sent.text(1, "")
    else:
        content = _unwrapped(fields, depth)
    if content.distribution is None and numbers.SENDER_KEY_DISTRIBUTION in fields:
        content.distribution = fields.message(numbers.SENDER_KEY_DISTRIBUTION).data_or_none(2)
    if content.secret is None and numbers.MESSAGE_CONTEXT in fields:
        content.secret = fields.message(numbers.MESSAGE_CONTEXT).data_or_none(numbers.MESSAGE_SECRET)
        content.details.secret = content.secret is not None
    return content


def _unwrapped(fields: Fields, depth: int) -> Content:
    wrapper = fields.first_of(numbers.WRAPPERS)
    if wrapper is None:
        return _plain(fields)
    content = _read(fields.message(wrapper).message(1), depth + 1)
    if wrapper in numbers.VIEW_ONCE_WRAPPERS:
        content.details.view_once = True
    elif wrapper == numbers.EPHEMERAL:
        content.details.ephemeral = True
    return content


def _plain(fields: Fields) -> Content:
    if numbers.CONVERSATION in fields:
        return Content("text", fields.text(numbers.CONVERSATION), message=fields)
    details = Details()
    for number in fields.numbers:
        media_kind, reader = _MEDIA_BY_NUMBER.get(number), _READERS.get(number)
        if media_kind is None and reader is None:
            continue
        inner = fields.message(number)
        context = numbers.OTHER_CONTEXT_INFO.get(number, numbers.CONTEXT_INFO)
        if number != numbers.PROTOCOL and context in inner:
            _context(inner.message(context), details)
        if media_kind is not None:
            return _media(media_kind, MEDIA[media_kind], inner, details, fields)
        if reader is not None:
            kind, text = reader(inner, details)
            return Content(kind, text, details=details, message=fields)
    kind = "sender-key" if numbers.SENDER_KEY_DISTRIBUTION in fields else "other"
    return Content(kind, details=details, message=fields)


def _context(context: Fields, details: Details) -> None:
    details.quoted_id = context.text(1, "") or None
    details.quoted_sender = context.text(2, "") or None
    if 3 in context:
        details.quoted_text = _read(context.message(3), 1).text
    details.mentions = [jid.decode(errors="replace") for jid in context.every(15)]
    details.forwarded = context.flag(22)
    details.expiration = context.integer(25, 0)


def _optional(fields: Fields, number: int) -> str | None:
    return fields.text(number, "") or None


def target_of(key: Fields) -> Target:
    """A `MessageKey`."""
    return Target(id=key.text(3, ""), chat=key.text(1, ""), from_me=key.flag(2), participant=_optional(key, 4))


def _text(inner: Fields, details: Details) -> tuple[str, str | None]:
    if 2 in inner or 6 in inner:
        details.preview = LinkPreview(
            url=inner.text(2, ""),
            title=_optional(inner, 6),
            description=_optional(inner, 5),
            thumbnail_size=len(inner.data_or_none(16) or b""),
        )
    return "text", inner.text(1, "")


def _contact(inner: Fields, details: Details) -> tuple[str, str | None]:
    details.contacts = [ContactCard(name=inner.text(1, ""), vcard=inner.text(16, ""))]
    return "contact", inner.text(1, "")


def _contacts(inner: Fields, details: Details) -> tuple[str, str | None]:
    cards = [Fields(card) for card in inner.every(2)]
    details.contacts = [ContactCard(name=card.text(1, ""), vcard=card.text(16, "")) for card in cards]
    return "contacts", inner.text(1, "")


def _location(inner: Fields, details: Details) -> tuple[str, str | None]:
    details.place = Place(
        latitude=inner.double(1), longitude=inner.double(2), name=_optional(inner, 3), address=_optional(inner, 4)
    )
    return "location", _optional(inner, 11)


def _live_location(inner: Fields, details: Details) -> tuple[str, str | None]:
    details.place = Place(
        latitude=inner.double(1),
        longitude=inner.double(2),
        accuracy=inner.integer(3, 0) or None,
        sequence=inner.integer(7, 0) or None,
    )
    return "live_location", _optional(inner, 6)


def _invite(inner: Fields, details: Details) -> tuple[str, str | None]:
    details.invite_code = _optional(inner, 2)
    return "group_invite", _optional(inner, 6)


def _reaction(inner: Fields, details: Details) -> tuple[str, str | None]:
    if 1 in inner:
        details.target = target_of(inner.message(1))
    return "reaction", inner.text(2, "")


def _encrypted_reaction(inner: Fields, details: Details) -> tuple[str, str | None]:
    if 1 in inner:
        details.target = target_of(inner.message(1))
    return "encrypted_reaction", None


def _poll(inner: Fields, details: Details) -> tuple[str, str | None]:
    details.options = [Fields(option).text(1, "") for option in inner.every(3)]
    details.selectable = inner.integer(4, 0)
    return "poll", inner.text(2, "")


def _vote(inner: Fields, details: Details) -> tuple[str, str | None]:
    if 1 in inner:
        details.target = target_of(inner.message(1))
    return "vote", None


def _protocol(inner: Fields, details: Details) -> tuple[str, str | None]:
    kind = inner.integer(2, 0)
    if 1 in inner:
        details.target = target_of(inner.message(1))
    if kind == numbers.REVOKE and 1 in inner:
        return "revoke", None
    if kind == numbers.MESSAGE_EDIT and 14 in inner:
        edited = _read(inner.message(14), 1)
        details.mentions = edited.details.mentions
        return "edit", edited.text
    if kind == numbers.EPHEMERAL_SETTING:
        details.expiration = inner.integer(4, 0)
        return "timer", None
    return "protocol", None


def _media(kind: str, at: MediaFields, inner: Fields, details: Details, message: Fields) -> Content:
    reference = MediaReference(
        kind,
        inner.text(at.path),
        inner.data(at.key),
        inner.data(at.plain_sha256),
        inner.integer(at.size, 0),
        inner.text(at.mimetype, ""),
        inner.text(at.file_name) if at.file_name is not None and at.file_name in inner else None,
    )
    details.seconds, details.height, details.width = (
        inner.integer(number, 0) or None if number is not None else None for number in (at.seconds, at.height, at.width)
    )
    details.view_once = at.view_once is not None and inner.flag(at.view_once)
    details.thumbnail_size = len((inner.data_or_none(at.thumbnail) if at.thumbnail else None) or b"")
    caption = _optional(inner, at.caption) if at.caption is not None else None
    if at.flag is not None and inner.flag(at.flag):
        kind = {base: flagged for flagged, base in numbers.FLAGGED.items()}[kind]
    return Content(kind, caption, reference, details=details, message=message)


_MEDIA_BY_NUMBER = {media.message: kind for kind, media in MEDIA.items()}
_READERS: dict[int, Callable[[Fields, Details], tuple[str, str | None]]] = {
    numbers.EXTENDED_TEXT: _text,
    numbers.CONTACT: _contact,
    numbers.CONTACTS: _contacts,
    numbers.LOCATION: _location,
    numbers.LIVE_LOCATION: _live_location,
    numbers.GROUP_INVITE: _invite,
    numbers.REACTION: _reaction,
    numbers.ENCRYPTED_REACTION: _encrypted_reaction,
    numbers.VOTE: _vote,
    numbers.PROTOCOL: _protocol,
    **dict.fromkeys(numbers.POLLS, _poll),
}
