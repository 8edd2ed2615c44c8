"""What a message from WhatsApp is: its protobuf as one of a few plain records. Pure; for the inbox.

Whoever sent the bytes is not trusted: what does not parse, nests too deep or says nothing is told apart by name, and
every text is made storable. Source of the shapes: WhatsApp's own descriptors and whatsmeow's `message.go`.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from whatsam_connector.content.fields import ProtocolType
from whatsam_connector.content.reading_bodies import Body, body_of
from whatsam_connector.content.reading_parts import MediaSource, string, time_of
from whatsam_connector.content.schema import MalformedMessage, parse

_DEEPEST: Final = 6
"""Wrappers inside each other that are opened; WhatsApp uses three."""

_WRAPPERS: Final = (
    "deviceSentMessage",
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
    "groupMentionedMessage",
    "botInvokeMessage",
    "lottieStickerMessage",
    "statusMentionMessage",
    "associatedChildMessage",
    "groupStatusMentionMessage",
    "groupStatusMessage",
    "groupStatusMessageV2",
    "pollCreationMessageV4",
    "limitSharingMessage",
    "questionMessage",
)
_VIEW_ONCE: Final = frozenset({"viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension"})

_MOST_RAW: Final = 48 * 1024
"""Bytes of WhatsApp's own message that are kept beside what was read of it."""

_PINNED: Final = 1
"""Value of `PinInChatMessage.type` for pinning."""


@dataclass(frozen=True, slots=True)
class Key:
    """The message that another one is about, as its sender names it. Nothing in it is proven."""

    wa_id: str
    chat: str
    """remoteJID: the chat as the sender sees it."""
    participant: str
    """Author, in groups."""
    from_me: bool
    """The author is the sender."""


@dataclass(frozen=True, slots=True)
class MessageContent:
    """A message that people see."""

    type: str
    """As in `whatsam_core.messages`: text, image, … system, unknown."""
    body: dict[str, Any]
    quoted_wa_id: str | None = None
    media: MediaSource | None = None
    secret: bytes | None = None
    """What votes, reactions and comments on it are encrypted with, where it has such a secret."""
    expiration: int = 0
    """Seconds after which it disappears."""


@dataclass(frozen=True, slots=True)
class EditContent:
    """Another text or caption for an earlier message."""

    key: Key
    changes: dict[str, Any]
    """Fields of the body that are replaced."""
    at: datetime | None


@dataclass(frozen=True, slots=True)
class RevokeContent:
    """An earlier message shall be deleted for everyone."""

    key: Key
    for_me: bool = False
    """Only for the own account, which did it on another device: whoever wrote it."""


@dataclass(frozen=True, slots=True)
class ReactionContent:
    """An emoji for an earlier message; empty takes it back."""

    key: Key
    emoji: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class VoteContent:
    """An encrypted vote in a poll."""

    key: Key
    payload: bytes
    iv: bytes
    at: datetime | None


@dataclass(frozen=True, slots=True)
class EncryptedReaction:
    """A reaction in an announcement group, encrypted with the message's secret."""

    key: Key
    payload: bytes
    iv: bytes


@dataclass(frozen=True, slots=True)
class EphemeralContent:
    """The chat's messages disappear after so many seconds from now on; 0: they stay."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing for people: keys, notices among devices, or bytes that are no message."""

    reason: str
    """keys, protocol, malformed, nested or empty."""


Content = (
    MessageContent
    | EditContent
    | RevokeContent
    | ReactionContent
    | VoteContent
    | EncryptedReaction
    | EphemeralContent
    | Nothing
)

_ONLY_KEYS: Final = frozenset({"senderKeyDistributionMessage", "messageContextInfo"})


def read(raw: bytes, *, view_once: bool = False) -> Content:
    """What the bytes of a `Message` say. `view_once`: the engine has opened such a wrapper already. Never raises."""
    try:
        message = parse(raw)
    except MalformedMessage:
        return Nothing("malformed")
    return read_message(message, view_once=view_once)


def read_message(message: Any, *, view_once: bool = False) -> Content:  # noqa: PLR0911  # a table
    """As `read`, for a message that is parsed already (history)."""
    secret = b""
    for _ in range(_DEEPEST):
        secret = message.messageContextInfo.messageSecret or secret
        wrapper = next((name for name in _WRAPPERS if message.HasField(name)), None)
        if wrapper is None:
            break
        view_once = view_once or wrapper in _VIEW_ONCE
        message = getattr(message, wrapper).message
    else:
        return Nothing("nested")
    names = {field.name for field, _value in message.ListFields()}
    if names and names <= _ONLY_KEYS:
        return Nothing("keys")
    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage)
    if message.HasField("reactionMessage"):
        reaction = message.reactionMessage
        at = time_of(reaction.senderTimestampMS / 1000)
        return ReactionContent(_key(reaction.key), string(reaction.text)[:64], at)
    if message.HasField("pollUpdateMessage"):
        update = message.pollUpdateMessage
        at = time_of(update.senderTimestampMS / 1000)
        return VoteContent(_key(update.pollCreationMessageKey), update.vote.encPayload, update.vote.encIV, at)
    if message.HasField("encReactionMessage"):
        encrypted = message.encReactionMessage
        return EncryptedReaction(_key(encrypted.targetMessageKey), encrypted.encPayload, encrypted.encIV)
    if message.HasField("pinInChatMessage"):
        pin = message.pinInChatMessage
        kind = "message_pinned" if pin.type == _PINNED else "message_unpinned"
        return MessageContent("system", {"system": {"kind": kind, "waId": string(pin.key.ID)}})
    if message.HasField("keepInChatMessage"):
        return Nothing("protocol")
    found = body_of(message, view_once=view_once)
    if found is None:
        return Nothing("empty") if not message.ByteSize() else _unknown(message)
    return _content(message, found, secret)


def _content(message: Any, found: Body, secret: bytes) -> MessageContent:
    body = found.body
    if found.type != "text" and not body.get("viewOnce") and message.ByteSize() <= _MOST_RAW:
        # What forwarding needs, and whatever the table of fields does not know. Never shown: it holds keys.
        body["raw"] = base64.b64encode(message.SerializeToString()).decode()
    return MessageContent(
        type=found.type,
        body=body,
        quoted_wa_id=found.quoted_wa_id,
        media=found.media,
        secret=secret if len(secret) == 32 else None,
        expiration=found.expiration,
    )


def _unknown(message: Any) -> MessageContent:
    return _content(message, Body("unknown", {}), b"")


def _protocol(protocol: Any) -> Content:
    # An absent type reads as 0, which is REVOKE: only a message that says so may delete.
    if not protocol.HasField("type"):
        return Nothing("protocol")
    match protocol.type:
        case ProtocolType.REVOKE:
            return RevokeContent(_key(protocol.key))
        case ProtocolType.MESSAGE_EDIT:
            edited = read_message(protocol.editedMessage)
            if not isinstance(edited, MessageContent):
                return Nothing("protocol")
            changes = {name: edited.body[name] for name in ("text", "caption", "mentions") if name in edited.body}
            # Taking all mentions away is a change as well.
            changes.setdefault("mentions", [])
            return EditContent(_key(protocol.key), changes, time_of(protocol.timestampMS / 1000))
        case ProtocolType.EPHEMERAL_SETTING:
            return EphemeralContent(int(protocol.ephemeralExpiration))
        case _:
            return Nothing("protocol")


def _key(key: Any) -> Key:
    return Key(string(key.ID), string(key.remoteJID), string(key.participant), bool(key.fromMe))
