"""What the downloader works off, and what it needs for it. Real ones: `storage.media_work`, `storage.media_host`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

from whatsam_connector.content.reading_parts import MediaSource
from whatsam_connector.messages.media.outcomes import Again, Settled
from whatsam_core.storage.objects import ObjectInfo


@dataclass(frozen=True, slots=True)
class MediaItem:
    """A file that is wanted."""

    message_id: UUID
    message_at: datetime
    session: str
    tenant: str
    source: MediaSource
    attempts: int


@dataclass(frozen=True, slots=True)
class Route:
    """How a session's files are fetched."""

    proxy: str | None
    """URL of the session's own proxy; None: the way of all engines."""
    most_bytes: int
    """Larger files are not wanted."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file, opened and proven."""

    sha256: str
    size: int


class WorkList(Protocol):
    """The table `media`. Every call may raise `DatabaseUnavailable`."""

    async def claim(self, sessions: Mapping[str, int], boot: str, seconds: float) -> list[MediaItem]:
        """Take files in hand for so many seconds: of each session the number that is given at most."""
        ...

    async def settle(self, item: MediaItem, settled: Settled, fetched: Fetched | None, key: str | None) -> None:
        """Write the last state, into the message as well."""
        ...

    async def again(self, item: MediaItem, again: Again) -> None:
        """Put it back for later."""
        ...

    async def release(self, boot: str) -> None:
        """Let go of everything that this boot has in hand."""
        ...


class MediaHost(Protocol):
    """WhatsApp's media servers."""

    async def fetch(self, source: MediaSource, path: Path, route: Route) -> Fetched:
        """Write the opened file to `path`. Raises `FetchFailed`."""
        ...

    async def close(self) -> None:
        """Drop all connections."""
        ...


class MediaObjects(Protocol):
    """The object store."""

    async def stat(self, key: str) -> ObjectInfo | None: ...
    async def put_file(self, key: str, path: Path, *, content_type: str, encrypt: bool) -> None: ...
