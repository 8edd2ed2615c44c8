"""Puts files of outgoing messages from the object store onto WhatsApp's media servers. For `preparing`.

The file goes through the local disk, never through this process's memory; how much disk all sessions of a worker may
use at one time is bounded. What was uploaded is remembered for a while: a picture that goes to a thousand people is
uploaded once per session.
"""

import asyncio
import base64
import binascii
import hashlib
import secrets
import shutil
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from whatsam_connector.content.context import Uploaded
from whatsam_connector.engine.methods import upload_seconds
from whatsam_connector.messages.prepared import PreparationFailed, Uploader
from whatsam_connector.supervision.errors import EngineError, EngineGone, EngineRefused
from whatsam_core.media import MediaRef, media_key
from whatsam_core.storage.objects import ObjectMissing, ObjectStoreError, ObjectStoreUnreachable

DISK_BYTES: Final = 512 * 1024 * 1024
"""Local disk that files on their way may take, all sessions together."""
KEPT_FOR: Final = timedelta(hours=6)
"""How long an upload is used again. WhatsApp keeps files for weeks; that one is gone is seen by the reader only."""
_REMEMBERED: Final = 1024
_AT_A_TIME: Final = 3
"""Files between store and engine at one time: the engine holds each in memory while it uploads."""
_STORE_PAUSE: Final = 2.0
"""Seconds before a store that did not answer is asked again."""
_NOT_NOW: Final = frozenset({"NotConnected", "NotStarted", "EngineGone", "UnknownSession"})


class MediaFiles(Protocol):
    """The object store."""

    async def get_file(self, key: str, path: Path) -> int:
        """Write the object to a file; its size. Raises `ObjectMissing`, `ObjectStoreError`."""
        ...


class Uploads:
    """Uploads of all sessions of a worker."""

    def __init__(
        self,
        files: MediaFiles,
        folder: Path,
        *,
        installation_id: str,
        now: Callable[[], datetime],
        disk_bytes: int = DISK_BYTES,
    ) -> None:
        """`folder` is emptied: what lies there was left by a process that died."""
        self._files = files
        self._folder = folder
        self._installation_id = installation_id
        self._now = now
        self._disk = _Budget(disk_bytes)
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        self._done: OrderedDict[tuple[str, str, str], Uploaded] = OrderedDict()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def upload(self, uid: str, tenant: str, media: MediaRef, kind: str, engine: Uploader) -> Uploaded:
        """The file on WhatsApp's servers, for the session `uid`. `kind`: image, video, audio, document or sticker.

        Raises `PreparationFailed` (nothing has reached anybody) or `EngineGone`.
        """
        name = (uid, media.sha256, kind)
        known = self._done.get(name)
        if known is not None and self._now() - known.at < KEPT_FOR:
            self._done.move_to_end(name)
            return known
        uploaded = await self._upload(uid, tenant, media, kind, engine)
        self._done[name] = uploaded
        self._done.move_to_end(name)
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return uploaded

    async def _upload(self, uid: str, tenant: str, media: MediaRef, kind: str, engine: Uploader) -> Uploaded:
        async with self._slots, self._local_copy(tenant, media) as path:
            arguments = {"path": str(path), "kind": kind}
            try:
                answer = await engine.call(uid, "upload", arguments, upload_seconds(media.size))
            except EngineGone:
                raise
            except EngineRefused as refused:
                if refused.code in _NOT_NOW:
                    raise PreparationFailed("NotConnected", refused.message, retry_after=1.0) from refused
                raise UploadFailed(refused.message) from refused
            except EngineError as error:
                raise UploadFailed("WhatsApp's media server gave no answer in time") from error
            return _uploaded(answer, media, self._now())

    @asynccontextmanager
    async def _local_copy(self, tenant: str, media: MediaRef) -> AsyncGenerator[Path]:
        async with self._disk.taken(media.size):
            path = self._folder / secrets.token_hex(8)
            try:
                await self._fetch(tenant, media, path)
                yield path
            finally:
                await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _fetch(self, tenant: str, media: MediaRef, path: Path) -> None:
        try:
            size = await self._files.get_file(media_key(self._installation_id, tenant, media.sha256), path)
        except ObjectMissing as error:
            raise PreparationFailed("MediaMissing", "the file is not in the store any more", None) from error
        except ObjectStoreUnreachable as error:
            raise PreparationFailed("StoreUnreachable", "the object store does not answer", _STORE_PAUSE) from error
        except (ObjectStoreError, OSError) as error:
            raise UploadFailed("the file cannot be read from the object store") from error
        if size != media.size or await asyncio.to_thread(_sha256, path) != media.sha256:
            raise UploadFailed("the file in the object store is not the one that was accepted")


class UploadFailed(PreparationFailed):
    """The file could not be uploaded; worth another try, but not for ever."""

    def __init__(self, message: str) -> None:
        super().__init__("UploadFailed", message, retry_after=3.0)


class _Budget:
    """Bytes that may be in use at one time; first come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncGenerator[None]:
        if size > self._most:
            raise PreparationFailed("MediaTooLarge", "the file is larger than this worker may store", None)
        async with self._changed:
            await self._changed.wait_for(lambda: self._used + size <= self._most)
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._changed:
                self._changed.notify_all()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _uploaded(answer: Any, media: MediaRef, at: datetime) -> Uploaded:
    try:
        uploaded = Uploaded(
            url=str(answer["url"]),
            direct_path=str(answer["direct_path"]),
            media_key=base64.b64decode(answer["media_key"], validate=True),
            file_sha256=base64.b64decode(answer["file_sha256"], validate=True),
            file_enc_sha256=base64.b64decode(answer["file_enc_sha256"], validate=True),
            file_length=int(answer["file_length"]),
            at=at,
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UploadFailed("the engine's answer to an upload is not understood") from error
    if not (uploaded.direct_path and uploaded.media_key and uploaded.file_enc_sha256):
        raise UploadFailed("the engine's answer to an upload is not understood")
    if uploaded.file_sha256.hex() != media.sha256:
        raise UploadFailed("the engine has uploaded something else")
    return uploaded
