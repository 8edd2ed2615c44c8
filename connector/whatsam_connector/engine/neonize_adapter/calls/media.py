"""Upload of media. neonize holds the whole file in memory and has no time-out; the lane lets one through at a time."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neonize.utils.enum import MediaType

from whatsam_connector.engine.neonize_adapter.calls.errors import CallRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_KINDS = {
    "image": MediaType.MediaImage,
    "sticker": MediaType.MediaImage,
    "video": MediaType.MediaVideo,
    "gif": MediaType.MediaVideo,
    "audio": MediaType.MediaAudio,
    "voice": MediaType.MediaAudio,
    "document": MediaType.MediaDocument,
    "link_thumbnail": MediaType.MediaLinkThumbnail,
}
"""WhatsApp derives the media's keys from this: it must fit the message in which the media is sent."""


def upload(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Encrypt a local file, upload it, and return what the message has to say about it."""
    kind = _KINDS.get(arguments["kind"])
    if kind is None:
        raise CallRefused("Invalid", f"the kind is one of {', '.join(_KINDS)}")
    try:
        content = Path(arguments["path"]).read_bytes()
    except OSError as error:
        raise CallRefused("FileUnreadable", f"the file cannot be read: {error.strerror}") from error
    if not content:
        raise CallRefused("Invalid", "the file is empty")
    uploaded = session.client.upload(content, kind)
    return {
        "url": uploaded.url,
        "direct_path": uploaded.DirectPath,
        "handle": uploaded.Handle,
        "media_key": base64.b64encode(uploaded.MediaKey).decode(),
        "file_sha256": base64.b64encode(uploaded.FileSHA256).decode(),
        "file_enc_sha256": base64.b64encode(uploaded.FileEncSHA256).decode(),
        "file_length": uploaded.FileLength,
    }


CALLS: dict[str, "Callable[[NeonizeSession, dict[str, Any]], Any]"] = {"upload": upload}
