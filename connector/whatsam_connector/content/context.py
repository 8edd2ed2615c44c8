"""What surrounds a message's content: the quoted message, mentions, forwarding, the timer of the chat. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from whatsam_connector.content.schema import ContextInfo, Message, MessageKey
from whatsam_core.messages import ContentBody, Quoted


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file on WhatsApp's media servers, as the engine has put it there."""

    url: str
    direct_path: str
    media_key: bytes
    file_sha256: bytes
    file_enc_sha256: bytes
    file_length: int
    """Bytes of the plain file."""
    at: datetime
    """When it was uploaded."""


@dataclass(frozen=True, slots=True)
class Named:
    """Another message, as WhatsApp names it."""

    chat: str
    """JID of its chat."""
    wa_id: str
    sender: str | None
    """JID of who wrote it, without device."""
    from_me: bool
    """Whether this session wrote it."""
    type: str | None = None
    """Its type as in its row, where that is known."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a message needs to know beside its own row."""

    now: datetime
    ephemeral_seconds: int = 0
    """The chat's timer of disappearing messages; 0: off."""
    uploaded: Uploaded | None = None
    """For a message with a file."""
    quoted: Named | None = None
    target: Named | None = None
    """For a reaction, an edit, a revoke."""


_GROUP: Final = "@g.us"
_CAPTIONED: Final = {
    "image": "imageMessage",
    "video": "videoMessage",
    "gif": "videoMessage",
    "document": "documentMessage",
}


def context_info(body: ContentBody, around: Surroundings) -> Any | None:
    """The `ContextInfo` of a message; None when there is nothing to say."""
    info = ContextInfo()
    if around.quoted is not None:
        _quote(info, around.quoted, body.quoted)
    if body.mentions:
        info.mentionedJID.extend(body.mentions)
    if body.forwarded:
        info.isForwarded = True
        info.forwardingScore = body.forwarding_score + 1
    if around.ephemeral_seconds:
        info.expiration = around.ephemeral_seconds
    return info if info.ListFields() else None


def message_key(named: Named) -> Any:
    """How a reaction, an edit or a revoke names its target."""
    key = MessageKey(remoteJID=named.chat, fromMe=named.from_me, ID=named.wa_id)
    if not named.from_me and named.sender is not None and named.chat.endswith(_GROUP):
        key.participant = named.sender
    return key


def with_text(kind: str | None, text: str) -> Any:
    """A message of a type that says no more than its text or caption: what is shown of another message."""
    field = _CAPTIONED.get(kind or "text")
    message = Message()
    if field is None:
        message.conversation = text
    else:
        getattr(message, field).caption = text
    return message


def _quote(info: Any, named: Named, body: Quoted | None) -> None:
    info.stanzaID = named.wa_id
    if named.sender is not None:
        info.participant = named.sender
    text = body.text if body is not None and body.text is not None else ""
    info.quotedMessage.CopyFrom(with_text(named.type, text))
