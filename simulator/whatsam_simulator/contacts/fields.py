"""Field numbers of WhatsApp's message protobuf (`waE2E.Message`), as far as phones and contacts write and read it."""

from __future__ import annotations

from dataclasses import dataclass, replace

CONVERSATION, SENDER_KEY_DISTRIBUTION, CONTACT, LOCATION, EXTENDED_TEXT = 1, 2, 4, 5, 6
PROTOCOL, CONTACTS, LIVE_LOCATION, GROUP_INVITE, DEVICE_SENT, MESSAGE_CONTEXT = 12, 13, 18, 28, 31, 35
REACTION, POLL, VOTE, ENCRYPTED_REACTION, EDITED = 46, 49, 50, 56, 58
POLLS = (POLL, 60, 64, 111)
"""A poll in its versions 1, 2, 3 and 5; all have the same fields."""
VIEW_ONCE, EPHEMERAL, DOCUMENT_WITH_CAPTION, VIEW_ONCE_2, VIEW_ONCE_2_EXTENSION, LOTTIE = 37, 40, 53, 55, 59, 74
VIEW_ONCE_WRAPPERS = (VIEW_ONCE, VIEW_ONCE_2, VIEW_ONCE_2_EXTENSION)
WRAPPERS = (*VIEW_ONCE_WRAPPERS, EPHEMERAL, DOCUMENT_WITH_CAPTION, LOTTIE, EDITED)
"""Messages that hold another message in their field 1."""
CONTEXT_INFO = 17
"""Where nearly every kind keeps its context (quote, mentions, timer)."""
OTHER_CONTEXT_INFO = dict.fromkeys(POLLS, 5) | {GROUP_INVITE: 7}
MESSAGE_SECRET = 3
"""In the message context."""

REVOKE, EPHEMERAL_SETTING, HISTORY_SYNC, KEY_SHARE, KEY_REQUEST, MESSAGE_EDIT = 0, 3, 5, 6, 7, 14
PEER_REQUEST, PEER_ANSWER = 16, 17
"""Types of a protocol message."""
ON_DEMAND_HISTORY, PLACEHOLDER_RESEND = 3, 4
"""Types of a request to the phone."""


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
    seconds: int | None = None
    height: int | None = None
    width: int | None = None
    view_once: int | None = None
    flag: int | None = None
    """A voice note among the audios, a GIF among the videos."""
    thumbnail: int | None = 16


_VIDEO = MediaFields(
    9,
    mimetype=2,
    plain_sha256=3,
    size=4,
    key=6,
    sealed_sha256=11,
    path=13,
    caption=7,
    seconds=5,
    height=9,
    width=10,
    view_once=20,
    flag=8,
)
MEDIA = {
    "image": MediaFields(
        3,
        mimetype=2,
        plain_sha256=4,
        size=5,
        key=8,
        sealed_sha256=9,
        path=11,
        caption=3,
        height=6,
        width=7,
        view_once=25,
    ),
    "document": MediaFields(
        7, mimetype=2, plain_sha256=4, size=5, key=7, sealed_sha256=9, path=10, caption=20, file_name=8
    ),
    "audio": MediaFields(
        8,
        mimetype=2,
        plain_sha256=3,
        size=4,
        key=7,
        sealed_sha256=8,
        path=9,
        seconds=5,
        view_once=21,
        flag=6,
        thumbnail=None,
    ),
    "video": _VIDEO,
    "ptv": replace(_VIDEO, message=66, flag=None),
    "sticker": MediaFields(26, mimetype=5, plain_sha256=2, size=9, key=4, sealed_sha256=3, path=8, height=6, width=7),
}
FLAGGED = {"voice": "audio", "gif": "video"}
"""Kinds that are another kind with its flag set."""


def base_kind(kind: str) -> str:
    """The kind whose fields and media keys `kind` uses."""
    return FLAGGED.get(kind, kind)
