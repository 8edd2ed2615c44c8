"""Files in the object store, for handing them out: media of messages, and exports."""

from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

from whatsam_api.errors import FileNotFound, Unavailable
from whatsam_core.media import media_key, media_prefix, sha256_of_key
from whatsam_core.storage.objects import ObjectMissing, ObjectStore, ObjectStoreError

_PART = 1024 * 1024
"""Bytes that are held at a time while a file goes through the API."""
_LINK_SECONDS = 300
"""How long a link to the object store works: long enough to follow a redirect, too short to pass it on."""


class FileStore:
    """Reads, writes and deletes objects by key."""

    def __init__(self, objects: ObjectStore, installation_id: str, *, public: bool, encrypt: bool) -> None:
        self._objects = objects
        self._installation_id = installation_id
        self._encrypt = encrypt
        self.public = public
        """Whether callers can reach the object store themselves."""

    def media_key(self, tenant: str, sha256: str) -> str:
        """Where a file of a message lies."""
        return media_key(self._installation_id, tenant, sha256)

    def export_key(self, tenant: str, job: str) -> str:
        """Where the parts of an export lie: a prefix of its own beside the media."""
        return media_prefix(self._installation_id, tenant).replace("/media/", "/exports/", 1) + job

    def link(self, key: str, content_type: str, disposition: str) -> str:
        """A link for one caller, for a short time."""
        return self._objects.presign(key, _LINK_SECONDS, content_type=content_type, disposition=disposition)

    async def size(self, key: str) -> int:
        """Bytes of the object. Raises `FileNotFound` or `Unavailable`."""
        try:
            found = await self._objects.stat(key)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error
        if found is None:
            raise FileNotFound("the file is not there any more")
        return found.size

    async def read(self, key: str, first: int, length: int) -> AsyncGenerator[bytes]:
        """The bytes, a part at a time. After the first part nothing can be told to the caller but an early end."""
        end = first + length
        while first < end:
            try:
                part = await self._objects.get_part(key, first, min(_PART, end - first))
            except ObjectMissing as error:
                raise FileNotFound("the file is not there any more") from error
            except ObjectStoreError as error:
                raise Unavailable("the file store is away; try again") from error
            if not part:
                return
            first += len(part)
            yield part

    async def put(self, key: str, data: bytes) -> None:
        """Store an object. Raises `Unavailable`."""
        try:
            await self._objects.put(key, data)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error

    async def put_file(self, key: str, path: Path, content_type: str) -> None:
        """Store a file. Raises `Unavailable`."""
        try:
            await self._objects.put_file(key, path, content_type=content_type, encrypt=self._encrypt)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error

    async def get_file(self, key: str, path: Path) -> None:
        """Write the object to a local file. Raises `FileNotFound` or `Unavailable`."""
        try:
            await self._objects.get_file(key, path)
        except ObjectMissing as error:
            raise FileNotFound("the file is not there any more") from error
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error

    async def modified(self, key: str) -> datetime | None:
        """When the object was last written; None when there is none. Raises `Unavailable`."""
        try:
            found = await self._objects.stat(key)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error
        return None if found is None else found.modified

    async def media_in(self, tenant: str, folder: str) -> list[tuple[str, datetime]]:
        """Hashes of the tenant's files in one folder (two hexadecimal digits), and when they were written."""
        prefix = f"{media_prefix(self._installation_id, tenant)}{folder}/"
        try:
            found = await self._objects.list(prefix)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error
        return [(name, one.modified) for one in found if (name := sha256_of_key(one.key)) is not None]

    async def delete(self, key: str) -> None:
        """Delete an object; no error when it is not there. Raises `Unavailable`."""
        try:
            await self._objects.delete(key)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error

    async def delete_all(self, prefix: str) -> None:
        """Delete every object under a prefix. Raises `Unavailable` when one of them is still there."""
        try:
            await self._objects.delete_prefix(prefix)
        except ObjectStoreError as error:
            raise Unavailable("the file store is away; try again") from error
