"""What messages of several kinds have in common: texts, times, references to files, context. Pure; for `reading`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from whatsam_connector.content.schema import text

_MOST_MENTIONS: Final = 1024
_MOST_MIMETYPE: Final = 127
_MIMETYPE: Final = re.compile(r"[A-Za-z0-9.+-]+/[A-Za-z0-9.+_-]+(; ?[A-Za-z0-9_-]+=[A-Za-z0-9.+_-]+)*")
_MOST_QUOTED: Final = 1000
"""Characters of a quoted text that are kept: the message itself has the rest."""


@dataclass(frozen=True, slots=True)
class MediaSource:
    """Where WhatsApp keeps an encrypted file, and how to open it."""

    kind: str
    """image, video, audio, document or sticker: chooses the keys."""
    direct_path: str
    media_key: bytes
    sha256: bytes
    """Of the plain bytes, as the message says; empty when it does not."""
    enc_sha256: bytes
    size: int | None
    """Of the plain bytes, as the message says."""
    mimetype: str
    file_name: str | None


def string(value: str | bytes) -> str:
    """What PostgreSQL can hold: no NUL, no lone surrogate, no bytes that are no UTF-8. People do send such texts."""
    return text(value).replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def time_of(seconds: float) -> datetime | None:
    """A time from seconds since 1970; None for none and for what is no time."""
    if seconds <= 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def present(**values: Any) -> dict[str, Any]:
    """The values that say something."""
    return {name: value for name, value in values.items() if value not in (None, "", 0, b"", False)}


def media_source(kind: str, part: Any, file_name: str | None = None) -> MediaSource | None:
    """The file of a message; None when it cannot be fetched or opened by what the message says."""
    if not part.directPath or len(part.mediaKey) != 32:
        return None
    return MediaSource(
        kind=kind,
        direct_path=string(part.directPath),
        media_key=part.mediaKey,
        sha256=part.fileSHA256 if len(part.fileSHA256) == 32 else b"",
        enc_sha256=part.fileEncSHA256 if len(part.fileEncSHA256) == 32 else b"",
        size=int(part.fileLength) if part.HasField("fileLength") else None,
        mimetype=_mimetype(string(getattr(part, "mimetype", ""))),
        file_name=file_name[:255] if file_name else None,
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a message's content."""

    fields: dict[str, Any]
    """For the body."""
    quoted_wa_id: str | None
    expiration: int
    """Seconds after which the message disappears, as its sender has it; 0: it stays, or nothing is said."""


def _mimetype(said: str) -> str:
    """The type as the sender says it, if it is one: it travels in headers."""
    return said.lower() if len(said) <= _MOST_MIMETYPE and _MIMETYPE.fullmatch(said) else "application/octet-stream"


def context_of(context: Any) -> Context:
    """What a message's `contextInfo` says."""
    found: dict[str, Any] = {}
    mentions = [string(jid) for jid in context.mentionedJID[:_MOST_MENTIONS]]
    if mentions:
        found["mentions"] = mentions
    if context.isForwarded:
        found["forwarded"] = True
        if context.forwardingScore:
            found["forwardingScore"] = min(int(context.forwardingScore), 2**31 - 1)
    quoted = string(context.stanzaID)
    if quoted:
        found["quoted"] = {
            "waId": quoted,
            **present(
                sender=string(context.participant),
                text=short_text(context.quotedMessage) if context.HasField("quotedMessage") else None,
            ),
        }
    return Context(found, quoted or None, int(context.expiration))


def short_text(message: Any) -> str | None:
    """The text or caption of a quoted message, cut."""
    candidates: Iterable[str | bytes] = (
        message.conversation,
        message.extendedTextMessage.text,
        message.imageMessage.caption,
        message.videoMessage.caption,
        message.documentMessage.caption,
        message.pollCreationMessage.name,
        message.pollCreationMessageV3.name,
    )
    found = next((candidate for candidate in candidates if candidate), None)
    return None if found is None else string(found)[:_MOST_QUOTED]
