"""What kind of file a message of a type may carry, by what the file's first bytes say. Pure."""

import re
from dataclasses import dataclass
from typing import Final

import filetype

from whatsam_core.messages import MessageType

HEAD_BYTES: Final = 8192
"""How much of a file is looked at."""
UNKNOWN: Final = "application/octet-stream"

_MIMETYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,127}")
_SAME: Final = {
    "video/x-m4v": "video/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "image/jpg": "image/jpeg",
}

_AS_IS: Final = {
    MessageType.IMAGE: frozenset({"image/jpeg", "image/png"}),
    MessageType.VIDEO: frozenset({"video/mp4", "video/3gpp"}),
    MessageType.GIF: frozenset({"video/mp4"}),
    MessageType.AUDIO: frozenset({"audio/aac", "audio/mp4", "audio/mpeg", "audio/amr", "audio/ogg"}),
    MessageType.STICKER: frozenset({"image/webp"}),
}
"""What WhatsApp's apps show or play as it is."""
_CONVERTED: Final = {
    MessageType.IMAGE: frozenset({"image/webp", "image/gif", "image/bmp", "image/tiff"}),
    MessageType.GIF: frozenset({"image/gif"}),
    MessageType.VOICE: frozenset(
        {
            "audio/aac",
            "audio/amr",
            "audio/mp4",
            "audio/mpeg",
            "audio/ogg",
            "audio/x-flac",
            "audio/x-wav",
            "video/mp4",
            "video/webm",
        }
    ),
    MessageType.STICKER: frozenset({"image/jpeg", "image/png"}),
}
"""What we make something suitable of."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a file."""

    mimetype: str
    """As sniffed."""
    convert: bool
    """Whether it must be converted first."""


class NotForThisType(ValueError):
    """The file is of a kind that a message of this type cannot carry. Its text says what could."""


def sniff(head: bytes) -> str | None:
    """The media type that the first bytes say; None when they say nothing."""
    if head.startswith(b"OggS"):
        return "audio/ogg"  # the library takes Ogg with a video track for audio as well; so do we
    guessed = filetype.guess_mime(head)
    if guessed is None:
        return None
    if guessed == "video/mp4" and head[8:12] in (b"M4A ", b"M4B "):
        return "audio/mp4"
    return _SAME.get(guessed, guessed)


def judge(kind: MessageType, head: bytes, declared: str | None) -> Verdict:
    """What a message of type `kind` does with a file. Raises `NotForThisType`.

    `declared` is what the caller says it is: it names a document whose bytes say nothing (text, CSV), and counts for
    nothing else.
    """
    found = sniff(head)
    if kind is MessageType.DOCUMENT:
        return Verdict(found or _plausible(declared), convert=False)
    if found is not None and found in _AS_IS.get(kind, ()):
        return Verdict(found, convert=False)
    if found is not None and found in _CONVERTED.get(kind, ()):
        return Verdict(found, convert=True)
    wanted = ", ".join(sorted(_AS_IS.get(kind, frozenset()) | _CONVERTED.get(kind, frozenset())))
    raise NotForThisType(
        f"this file is {found or 'of no known kind'}; a message of type {kind} takes {wanted}."
        " Any file can be sent as a document"
    )


def is_opus_voice(head: bytes) -> bool:
    """Whether an Ogg file starts with an Opus stream: a voice note as it is."""
    return head.startswith(b"OggS") and b"OpusHead" in head[:512]


def _plausible(declared: str | None) -> str:
    plain = (declared or "").partition(";")[0].strip().lower()
    # Types of which the bytes always tell: a file that claims one of them and lacks its signature is not one.
    if not _MIMETYPE.fullmatch(plain) or plain.startswith(("image/", "audio/", "video/")):
        return UNKNOWN
    return plain
