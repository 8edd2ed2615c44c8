"""Handing out files: a link to the object store where callers can reach it, else the bytes through the API."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from uuid import UUID

from whatsam_api.errors import FileNotFound, FileNotReady, MessageNotFound, PartNotThere, Unavailable
from whatsam_api.policies.downloads import Span, content_type, disposition, span_of
from whatsam_api.storage.media_files import FileStore
from whatsam_api.storage.messages import MessageStore


@dataclass(frozen=True, slots=True)
class Link:
    """Where the caller finds the file for a short time."""

    url: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A file, or a part of it, to be passed through."""

    content_type: str
    disposition: str
    size: int
    """Bytes of the whole file."""
    span: Span | None
    """The part that was asked for; None: all of it."""
    chunks: AsyncGenerator[bytes]


class DownloadService:
    """Files of sessions that the caller was found to own."""

    def __init__(self, messages: MessageStore, files: FileStore | None) -> None:
        self._messages = messages
        self._files = files

    async def media(self, tenant: str, session: str, message_id: UUID, part: str | None) -> Link | Stream:
        """The file of a message; `part` is the call's `Range`.

        Raises `MessageNotFound`, `FileNotReady` while it is on its way from WhatsApp, `FileNotFound` when it will not
        come, `PartNotThere`.
        """
        row = await self._messages.get(tenant, session, message_id)
        if row is None:
            raise MessageNotFound("there is no such message in this session")
        media = row.media or {}
        state, sha256 = media.get("state"), media.get("sha256")
        if state == "pending":
            raise FileNotReady("the file is on its way from WhatsApp; try again", retry_after=5)
        if state != "stored" or not isinstance(sha256, str):
            raise FileNotFound("this message has no file" if not media else "WhatsApp does not have this file any more")
        key = self._store.media_key(tenant, sha256)
        mimetype, name = media.get("mimetype"), media.get("fileName")
        return await self.hand_out(
            key, content_type(mimetype), disposition(mimetype, name, f"{message_id}"), part, gone="this file is gone"
        )

    async def hand_out(self, key: str, kind: str, shown: str, part: str | None, *, gone: str) -> Link | Stream:
        """An object of the store. Raises `FileNotFound` with `gone` when it is not there."""
        store = self._store
        try:
            size = await store.size(key)
        except FileNotFound:
            raise FileNotFound(gone) from None
        if store.public:
            return Link(store.link(key, kind, shown))
        try:
            span = span_of(part, size)
        except ValueError:
            raise PartNotThere(f"the file has {size} bytes") from None
        first, length = (0, size) if span is None else (span.first, span.length)
        return Stream(kind, shown, size, span, store.read(key, first, length))

    @property
    def _store(self) -> FileStore:
        if self._files is None:
            raise Unavailable("this installation has no file store", retry_after=60)
        return self._files
