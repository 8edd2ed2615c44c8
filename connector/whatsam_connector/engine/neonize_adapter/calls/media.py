"""Upload of media.

neonize takes the file as one piece of memory and has no time-out; the lane lets one upload at a time through, whatever
the number of sessions. The file is mapped, not read: what an upload costs is in `docs/neonize.md`. One that hangs is
left behind when nobody waits for it any more; it gives its memory back when the server answers or hangs up.
"""

import base64
import ctypes
import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neonize._binder import gocode
from neonize.exc import UploadError
from neonize.proto.Neonize_pb2 import UploadReturnFunction
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

MOST_BYTES = 2**31 - 1
"""neonize passes the size as a C int."""


def upload(session: "NeonizeSession", arguments: dict[str, Any]) -> dict[str, Any]:
    """Encrypt a local file, upload it, and return what the message has to say about it."""
    kind = _KINDS.get(arguments["kind"])
    if kind is None:
        raise CallRefused("Invalid", f"the kind is one of {', '.join(_KINDS)}")
    try:
        with Path(arguments["path"]).open("rb") as file:
            size = file.seek(0, 2)
            if not 0 < size <= MOST_BYTES:
                raise CallRefused("Invalid", "the file is empty or too large")
            # A private copy that nobody writes to: only its pages that are being read are in memory, once.
            content = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise CallRefused("FileUnreadable", f"the file cannot be read: {error.strerror}") from error
    with content:
        first = ctypes.c_char.from_buffer(content)
        try:
            # What neonize's own upload() calls; that one takes the whole file as bytes.
            answer = gocode.Upload(
                session.client.uuid, ctypes.cast(ctypes.byref(first), ctypes.c_char_p), size, kind.value
            )
        finally:
            del first  # a mapping that is still pointed to cannot be closed
    answered = UploadReturnFunction.FromString(answer)
    if answered.Error:
        raise UploadError(answered.Error)
    uploaded = answered.UploadResponse
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
