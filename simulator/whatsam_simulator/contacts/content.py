"""WhatsApp's message protobuf, as far as phones and contacts write and read it (`waE2E.Message`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from whatsam_simulator.crypto.media import SealedMedia
from whatsam_simulator.errors import MalformedInput
from whatsam_simulator.wire.protobuf import Fields, decode, encode

CONVERSATION, SENDER_KEY_DISTRIBUTION, EXTENDED_TEXT, PROTOCOL, DEVICE_SENT = 1, 2, 6, 12, 31
REACTION = 46
WRAPPERS = (37, 40, 53, 55, 59)
"""View once, ephemeral, document with caption: a message inside field 1."""
HISTORY_SYNC, KEY_SHARE = 5, 6
"""Types of a protocol message."""


@dataclass(frozen=True)
class MediaFields:
    """Field numbers of one kind of media message."""

    message: int
    mimetype: int
    plain_sha256: int
    size: int
    key: int
    sealed_sha256: int
    path: int
    url: int = 1
    caption: int | None = None
    file_name: int | None = None


MEDIA = {
    "image": MediaFields(3, mimetype=2, plain_sha256=4, size=5, key=8, sealed_sha256=9, path=11, caption=3),
    "document": MediaFields(
        7, mimetype=2, plain_sha256=4, size=5, key=7, sealed_sha256=9, path=10, caption=20, file_name=8
    ),
    "audio": MediaFields(8, mimetype=2, plain_sha256=3, size=4, key=7, sealed_sha256=8, path=9),
    "video": MediaFields(9, mimetype=2, plain_sha256=3, size=4, key=6, sealed_sha256=11, path=13, caption=7),
    "sticker": MediaFields(26, mimetype=5, plain_sha256=2, size=9, key=4, sealed_sha256=3, path=8),
}


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


@dataclass(frozen=True)
class Content:
    """What a receiver sees in a message."""

    kind: str
    """`text`, a kind of media, `reaction`, `protocol`, `sender-key`, or `other`."""
    text: str | None = None
    media: MediaReference | None = None
    own: bool = False
    """A copy of what another device of the same account sent."""
    destination: str | None = None
    """The chat of such a copy."""
    distribution: bytes | None = None
    """A sender key for the group that the message came in."""


def compose_text(text: str) -> bytes:
    return encode((CONVERSATION, text))


def compose_media(
    kind: str,
    media: SealedMedia,
    host: str,
    path: str,
    *,
    mimetype: str,
    caption: str | None,
    file_name: str | None,
) -> bytes:
    """A media message whose file lies at `path` on `host`."""
    fields = MEDIA[kind]
    values: list[tuple[int, int | str | bytes | None]] = [
        (fields.url, host + path),
        (fields.mimetype, mimetype),
        (fields.plain_sha256, media.plain_sha256),
        (fields.size, media.size),
        (fields.key, media.key),
        (fields.sealed_sha256, media.sealed_sha256),
        (fields.path, path),
    ]
    if fields.caption is not None:
        values.append((fields.caption, caption))
    if fields.file_name is not None:
        values.append((fields.file_name, file_name))
    return encode((fields.message, encode(*values)))


def compose_own_copy(destination: str, message: bytes) -> bytes:
    """The copy for the sender's other devices."""
    return encode((DEVICE_SENT, encode((1, destination), (2, message))))


def with_distribution(message: bytes, group: str, distribution: bytes) -> bytes:
    """A message that also (or, with an empty `message`, only) brings a sender key."""
    return message + encode((SENDER_KEY_DISTRIBUTION, encode((1, group), (2, distribution))))


def read(plain: bytes) -> Content:
    """The content of a decrypted message; raises `MalformedInput`."""
    return _read(decode(plain), 0)


def _read(fields: Fields, depth: int) -> Content:
    if depth > 4:
        raise MalformedInput("messages nested too deep")
    distribution = None
    if SENDER_KEY_DISTRIBUTION in fields:
        distribution = fields.message(SENDER_KEY_DISTRIBUTION).data_or_none(2)
    if DEVICE_SENT in fields:
        sent = fields.message(DEVICE_SENT)
        inner = _read(sent.message(2), depth + 1)
        return replace(inner, own=True, destination=sent.text(1, ""), distribution=inner.distribution or distribution)
    for wrapper in WRAPPERS:
        if wrapper in fields:
            return replace(_read(fields.message(wrapper).message(1), depth + 1), distribution=distribution)
    return _plain(fields, distribution)


def _plain(fields: Fields, distribution: bytes | None) -> Content:
    if CONVERSATION in fields:
        return Content("text", fields.text(CONVERSATION), distribution=distribution)
    if EXTENDED_TEXT in fields:
        return Content("text", fields.message(EXTENDED_TEXT).text(1, ""), distribution=distribution)
    for kind, numbers in MEDIA.items():
        if numbers.message in fields:
            return _media(kind, numbers, fields.message(numbers.message), distribution)
    if REACTION in fields:
        return Content("reaction", fields.message(REACTION).text(2, ""), distribution=distribution)
    if PROTOCOL in fields:
        return Content("protocol", distribution=distribution)
    return Content("other" if distribution is None else "sender-key", distribution=distribution)


def _media(kind: str, numbers: MediaFields, fields: Fields, distribution: bytes | None) -> Content:
    reference = MediaReference(
        kind,
        fields.text(numbers.path),
        fields.data(numbers.key),
        fields.data(numbers.plain_sha256),
        fields.integer(numbers.size, 0),
        fields.text(numbers.mimetype, ""),
        fields.text(numbers.file_name) if numbers.file_name is not None and numbers.file_name in fields else None,
    )
    caption = fields.text(numbers.caption) if numbers.caption is not None and numbers.caption in fields else None
    return Content(kind, caption, reference, distribution=distribution)
