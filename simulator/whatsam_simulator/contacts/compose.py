"""Writes WhatsApp's message protobuf (`waE2E.Message`), as phones and contacts send it. Plain bytes in, bytes out.

Protobuf merges what is appended to a message, so context, secrets and keys are simply added at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from whatsam_simulator.contacts import fields as numbers
from whatsam_simulator.contacts.details import ContactCard, LinkPreview, Place, Target
from whatsam_simulator.contacts.fields import MEDIA, base_kind
from whatsam_simulator.crypto.media import SealedMedia
from whatsam_simulator.errors import RequestRefused
from whatsam_simulator.wire.protobuf import Value, decode, encode

POLL_VERSIONS = (1, 2, 3, 5)


@dataclass(frozen=True)
class MediaFacts:
    """What a media message says about its file besides where it lies."""

    mimetype: str
    caption: str | None = None
    file_name: str | None = None
    seconds: int | None = None
    width: int | None = None
    height: int | None = None
    thumbnail: bytes | None = None
    view_once: bool = False


@dataclass(frozen=True)
class Quote:
    """A quoted message: its sender's JID and its content."""

    id: str
    sender: str
    message: bytes


@dataclass(frozen=True)
class Surroundings:
    """What any message may carry: quote, mentions, timer, forwarded mark."""

    quote: Quote | None = None
    mentions: Sequence[str] = ()
    expiration: int | None = None
    forwarded: bool = False

    def encoded(self) -> bytes:
        """A `ContextInfo`; empty when there is nothing to say."""
        quote = self.quote
        return encode(
            (1, quote.id if quote else None),
            (2, quote.sender if quote else None),
            (3, quote.message if quote else None),
            *((15, mention) for mention in self.mentions),
            (21, 1 if self.forwarded else None),
            (22, True if self.forwarded else None),
            (25, self.expiration),
        )


def compose_text(text: str, preview: LinkPreview | None = None, thumbnail: bytes | None = None) -> bytes:
    if preview is None:
        return encode((numbers.CONVERSATION, text))
    inner = encode((1, text), (2, preview.url), (5, preview.description), (6, preview.title), (16, thumbnail))
    return encode((numbers.EXTENDED_TEXT, inner))


def compose_media(kind: str, media: SealedMedia, host: str, path: str, facts: MediaFacts) -> bytes:
    """A media message whose file lies at `path` on `host`."""
    at = MEDIA[base_kind(kind)]
    optional: list[tuple[int | None, Value]] = [
        (at.caption, facts.caption),
        (at.file_name, facts.file_name),
        (at.seconds, facts.seconds),
        (at.width, facts.width),
        (at.height, facts.height),
        (at.thumbnail, facts.thumbnail),
        (at.view_once, True if facts.view_once else None),
        (at.flag, True if kind in numbers.FLAGGED else None),
    ]
    inner = encode(
        (at.url, host + path),
        (at.mimetype, facts.mimetype),
        (at.plain_sha256, media.plain_sha256),
        (at.size, media.size),
        (at.key, media.key),
        (at.sealed_sha256, media.sealed_sha256),
        (at.path, path),
        *((number, value) for number, value in optional if number is not None),
    )
    message = encode((at.message, inner))
    if not facts.view_once:
        return message
    wrapper = numbers.VIEW_ONCE_2_EXTENSION if base_kind(kind) == "audio" else numbers.VIEW_ONCE_2
    return encode((wrapper, encode((1, message))))


def compose_location(place: Place) -> bytes:
    inner = encode((1, place.latitude), (2, place.longitude), (3, place.name), (4, place.address))
    return encode((numbers.LOCATION, inner))


def compose_live_location(place: Place, caption: str | None) -> bytes:
    inner = encode((1, place.latitude), (2, place.longitude), (3, place.accuracy), (6, caption), (7, place.sequence))
    return encode((numbers.LIVE_LOCATION, inner))


def compose_contacts(cards: Sequence[ContactCard]) -> bytes:
    """One card, or several as an array."""
    encoded = [encode((1, card.name), (16, card.vcard)) for card in cards]
    if len(encoded) == 1:
        return encode((numbers.CONTACT, encoded[0]))
    inner = encode((1, f"{len(encoded)} contacts"), *((2, card) for card in encoded))
    return encode((numbers.CONTACTS, inner))


def compose_poll(question: str, options: Sequence[str], selectable: int, version: int) -> bytes:
    """A poll; `version`: 1, 2, 3 or 5."""
    at = numbers.POLLS[POLL_VERSIONS.index(version)]
    named = [encode((1, option)) for option in options]
    fields: list[tuple[int, Value]] = [(2, question), *((3, option) for option in named), (4, selectable)]
    return encode((at, encode(*fields)))


def with_secret(message: bytes, secret: bytes) -> bytes:
    """A message whose votes and reactions are encrypted with `secret` (32 bytes)."""
    return message + encode((numbers.MESSAGE_CONTEXT, encode((numbers.MESSAGE_SECRET, secret))))


def compose_vote(target: Target, sealed: bytes, iv: bytes, milliseconds: int) -> bytes:
    vote = encode((1, sealed), (2, iv))
    return encode((numbers.VOTE, encode((1, message_key(target)), (2, vote), (4, milliseconds))))


def vote_content(options: Sequence[str]) -> bytes:
    """What a vote says inside its encryption: hashes of the chosen options."""
    return encode(*((1, option_hash(option)) for option in options))


def option_hash(option: str) -> bytes:
    return hashlib.sha256(option.encode()).digest()


def compose_reaction(target: Target, emoji: str, milliseconds: int) -> bytes:
    return encode((numbers.REACTION, encode((1, message_key(target)), (2, emoji), (4, milliseconds))))


def compose_edit(target: Target, message: bytes, milliseconds: int) -> bytes:
    """An edit, in the wrapper that WhatsApp gives it."""
    inner = encode((1, message_key(target)), (2, numbers.MESSAGE_EDIT), (14, message), (15, milliseconds))
    return encode((numbers.EDITED, encode((1, encode((numbers.PROTOCOL, inner))))))


def compose_revoke(target: Target) -> bytes:
    return encode((numbers.PROTOCOL, encode((1, message_key(target)), (2, numbers.REVOKE))))


def compose_timer(seconds: int, now: int) -> bytes:
    """The chat's timer for disappearing messages was changed."""
    return encode((numbers.PROTOCOL, encode((2, numbers.EPHEMERAL_SETTING), (4, seconds), (5, now))))


def compose_group_invite(group: str, code: str, expires: int, name: str, caption: str | None) -> bytes:
    inner = encode((1, group), (2, code), (3, expires), (4, name), (6, caption))
    return encode((numbers.GROUP_INVITE, inner))


def message_key(target: Target) -> bytes:
    """A `MessageKey`."""
    return encode((1, target.chat), (2, target.from_me), (3, target.id), (4, target.participant))


def surrounded(message: bytes, surroundings: Surroundings) -> bytes:
    """The message with its context; a plain text becomes an extended one."""
    context = surroundings.encoded()
    if not context:
        return message
    fields = decode(message)
    if numbers.CONVERSATION in fields:
        return encode((numbers.EXTENDED_TEXT, encode((1, fields.text(numbers.CONVERSATION)), (17, context))))
    content = next((number for number in fields.numbers if number != numbers.MESSAGE_CONTEXT), None)
    if content is None or content == numbers.PROTOCOL:
        raise RequestRefused("this kind of message has no quote, mentions or timer")
    if content in numbers.WRAPPERS:
        return encode((content, encode((1, surrounded(fields.message(content).data(1), surroundings)))))
    at = numbers.OTHER_CONTEXT_INFO.get(content, numbers.CONTEXT_INFO)
    return message + encode((content, encode((at, context))))


def in_ephemeral_wrapper(message: bytes) -> bytes:
    """As older clients send messages that disappear."""
    return encode((numbers.EPHEMERAL, encode((1, message))))


def compose_own_copy(destination: str, message: bytes) -> bytes:
    """The copy for the sender's other devices. A message's secret stays outside, where a companion looks for it."""
    copy = encode((numbers.DEVICE_SENT, encode((1, destination), (2, message))))
    context = decode(message).data_or_none(numbers.MESSAGE_CONTEXT)
    return copy if context is None else copy + encode((numbers.MESSAGE_CONTEXT, context))


def with_distribution(message: bytes, group: str, distribution: bytes) -> bytes:
    """A message that also (or, with an empty `message`, only) brings a sender key."""
    return message + encode((numbers.SENDER_KEY_DISTRIBUTION, encode((1, group), (2, distribution))))
