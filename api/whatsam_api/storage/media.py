"""Files of outgoing messages in the object store, under their tenant and their content's hash."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from whatsam_core.logging import get_logger
from whatsam_core.media import media_key
from whatsam_core.storage.objects import ObjectStore, ObjectStoreError

log = get_logger()

_FRESH: Final = timedelta(hours=12)
"""Objects that no row names are swept when they are a day old: an older one is written anew, which makes it young."""


class StoreAway(Exception):
    """The file could not be stored. Nothing was accepted."""


class MediaStore:
    """Puts files. The connector gets them."""

    def __init__(self, objects: ObjectStore, installation_id: str, *, encrypt: bool) -> None:
        self._objects = objects
        self._installation_id = installation_id
        self._encrypt = encrypt

    async def put(self, tenant: str, sha256: str, size: int, path: Path, mimetype: str) -> None:
        """Store a file, unless the tenant has it already. Raises `StoreAway`."""
        key = media_key(self._installation_id, tenant, sha256)
        try:
            there = await self._objects.stat(key)
            if there is not None and there.size == size and datetime.now(UTC) - there.modified < _FRESH:
                return
            await self._objects.put_file(key, path, content_type=mimetype, encrypt=self._encrypt)
        except ObjectStoreError as error:
            log.warning("media.not_stored", error=type(error).__name__)
            raise StoreAway("the file store is away") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._objects.close()
