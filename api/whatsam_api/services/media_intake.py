"""Files that callers send: taken in, looked at, converted where needed, and stored before their message is a row.

A file is on disk from its first byte to its last; what is held in memory is a chunk of it. How many files are worked on
at one time is bounded, and so is the size of each.
"""

import asyncio
import base64
import binascii
import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar
from weakref import WeakValueDictionary

from whatsam_api.errors import (
    MediaNotAccepted,
    MediaNotConfigured,
    MediaNotFetched,
    TooLarge,
    Unavailable,
)
from whatsam_api.models.sending import MediaSource
from whatsam_api.policies.media_kinds import HEAD_BYTES, NotForThisType, is_opus_voice, judge
from whatsam_api.policies.sound import WAVEFORM_RATE, ogg_seconds, waveform
from whatsam_api.services import thumbnails
from whatsam_api.storage.ffmpeg import ConversionFailed, Facts, Ffmpeg
from whatsam_api.storage.guarded_http import FetchFailed, GuardedHttp, Limits
from whatsam_api.storage.guarded_http import TooLarge as FetchTooLarge
from whatsam_api.storage.media import MediaStore, StoreAway
from whatsam_core.media import MediaRef
from whatsam_core.messages import WAVEFORM_POINTS, MessageType

AT_A_TIME: Final = 8
"""Files that one process works on at one time; the others wait."""
OF_ONE_TENANT: Final = 4
"""Of these: one tenant's slow uploads must not keep everybody else's files waiting."""
UPLOAD_SECONDS: Final = 600.0
"""For a whole upload: 64 MiB at 110 KiB a second."""
HEAVY_AT_A_TIME: Final = 2
"""Bodies with a file in base64 that one process holds in memory at one time."""
WAIT_SECONDS: Final = 30.0
"""How long a call waits for its turn."""
FETCH_SECONDS: Final = 90.0
"""For one file by URL, from the first connection to the last byte."""
_TAIL_BYTES: Final = 128 * 1024
_THUMBNAIL_WIDTH: Final = 96
_PICTURES: Final = frozenset({MessageType.IMAGE, MessageType.STICKER})
_FILMS: Final = frozenset({MessageType.VIDEO, MessageType.GIF})
_VOICE_MIMETYPE: Final = "audio/ogg"

T = TypeVar("T")


class Upload(Protocol):
    """A file of a multipart form."""

    @property
    def filename(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    async def read(self, size: int) -> bytes: ...


@dataclass(frozen=True)
class Incoming:
    """A file on the local disk."""

    path: Path
    declared: str | None
    """What the caller says it is."""
    file_name: str | None


@dataclass(frozen=True)
class Look:
    """What a message says about its file; None where nothing is known."""

    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    thumbnail: str | None = None
    waveform: str | None = None
    animated: bool = False


@dataclass(frozen=True)
class Accepted:
    """A file in the object store."""

    media: MediaRef
    look: Look


class MediaIntake:
    """Takes files of callers in."""

    def __init__(
        self,
        store: MediaStore | None,
        http: GuardedHttp,
        ffmpeg: Ffmpeg | None,
        *,
        most_bytes: int,
        most_base64_bytes: int,
    ) -> None:
        """`store` None: there is no object store, and every file is refused."""
        self._store = store
        self._http = http
        self._ffmpeg = ffmpeg
        self._most = most_bytes
        self._most_base64 = most_base64_bytes
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._of_tenants: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._pictures = asyncio.Semaphore(1)
        self._heavy = asyncio.Semaphore(HEAVY_AT_A_TIME)

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncGenerator[Path]:
        """A folder to work in, when it is this call's turn. Raises `MediaNotConfigured`, `Unavailable`."""
        if self._store is None:
            raise MediaNotConfigured("this installation stores no files, so messages cannot carry any")
        own = self._of_tenants.setdefault(tenant, asyncio.Semaphore(OF_ONE_TENANT))
        async with _in_time(own), _in_time(self._turns):
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="whatsam-"))
            try:
                yield folder
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    @asynccontextmanager
    async def heavy(self) -> AsyncGenerator[None]:
        """Room in memory for a large body. Raises `Unavailable`."""
        async with _in_time(self._heavy):
            yield

    async def from_upload(self, folder: Path, upload: Upload) -> Incoming:
        """A file of a form. Raises `TooLarge`."""
        path, received = folder / "upload", 0
        with await asyncio.to_thread(path.open, "wb") as file:
            while chunk := await upload.read(256 * 1024):
                received += len(chunk)
                if received > self._most:
                    raise self._too_large()
                await asyncio.to_thread(file.write, chunk)
        return Incoming(path, upload.content_type, upload.filename)

    async def from_source(self, folder: Path, source: MediaSource) -> Incoming:
        """A file by URL or base64. Raises `TooLarge`, `MediaNotFetched`, `MediaNotAccepted`."""
        path = folder / "source"
        if source.url is not None:
            try:
                fetched = await self._http.to_file(source.url, path, Limits(self._most, FETCH_SECONDS))
            except FetchTooLarge as error:
                raise self._too_large() from error
            except FetchFailed as error:
                raise MediaNotFetched(str(error)) from error
            return Incoming(path, source.mimetype or fetched.content_type, source.file_name)
        text = source.base64 or ""
        if len(text) > self._most_base64 * 4 // 3 + 4:
            raise TooLarge(f"a file in base64 has at most {self._most_base64} bytes; upload it, or give its URL")
        await asyncio.to_thread(_decode, text, path)
        return Incoming(path, source.mimetype, source.file_name)

    async def accept(self, tenant: str, kind: MessageType, incoming: Incoming, folder: Path) -> Accepted:
        """Look at a file, convert it where a message of this type needs that, and store it.

        Raises `MediaNotAccepted`, or `Unavailable` when the store is away.
        """
        head = await asyncio.to_thread(_head, incoming.path)
        if not head:
            raise MediaNotAccepted("the file is empty")
        try:
            verdict = judge(kind, head, incoming.declared)
        except NotForThisType as error:
            raise MediaNotAccepted(str(error)) from error
        path, mimetype = incoming.path, verdict.mimetype
        if kind is MessageType.VOICE:
            path, mimetype = await self._voice(path, mimetype, head, folder), _VOICE_MIMETYPE
        elif verdict.convert:
            path, mimetype = await self._converted(kind, path, mimetype, folder)
        look = await self._look(kind, path, mimetype)
        sha256, size = await asyncio.to_thread(_digest, path)
        media = MediaRef(sha256=sha256, size=size, mimetype=mimetype, file_name=_name(incoming.file_name))
        await self._put(tenant, media, path)
        return Accepted(media, look)

    # --- by kind ------------------------------------------------------------------------------------------------------

    async def _voice(self, path: Path, mimetype: str, head: bytes, folder: Path) -> Path:
        if is_opus_voice(head):
            return path
        if self._ffmpeg is None:
            raise MediaNotAccepted(
                "a voice note must be Ogg with Opus here, for this installation has no ffmpeg to convert it;"
                " send it as audio, or convert it first"
            )
        target = folder / "voice.ogg"
        try:
            await self._ffmpeg.voice(path, mimetype, target, self._most)
        except ConversionFailed as error:
            raise MediaNotAccepted(str(error)) from error
        return target

    async def _converted(self, kind: MessageType, path: Path, mimetype: str, folder: Path) -> tuple[Path, str]:
        if kind is MessageType.GIF:
            if self._ffmpeg is None:
                raise MediaNotAccepted("this installation has no ffmpeg to convert a GIF; send it as MP4")
            target = folder / "gif.mp4"
            try:
                await self._ffmpeg.gif(path, target, self._most)
            except ConversionFailed as error:
                raise MediaNotAccepted(str(error)) from error
            return target, "video/mp4"
        if kind is MessageType.STICKER:
            target = folder / "sticker.webp"
            await self._picture(thumbnails.to_sticker, path, target)
            return target, "image/webp"
        target = folder / "picture.jpg"
        await self._picture(thumbnails.to_jpeg, path, target)
        return target, "image/jpeg"

    async def _look(self, kind: MessageType, path: Path, mimetype: str) -> Look:
        """What can be said about the file. Nothing of it is needed: what cannot be found out is left out."""
        if kind in _PICTURES:
            picture = await self._picture(thumbnails.look, path)
            thumbnail = picture.thumbnail if kind is MessageType.IMAGE else None
            return Look(picture.width, picture.height, thumbnail=thumbnail, animated=picture.animated)
        if kind in _FILMS:
            facts, thumbnail = await self._film(path, mimetype)
            return Look(facts.width, facts.height, facts.seconds, thumbnail)
        if kind is MessageType.VOICE:
            seconds = ogg_seconds(await asyncio.to_thread(_tail, path))
            return Look(seconds=seconds, waveform=await self._waveform(path, mimetype))
        if kind is MessageType.AUDIO and self._ffmpeg is not None:
            return Look(seconds=(await self._ffmpeg.facts(path, mimetype)).seconds)
        return Look()

    async def _film(self, path: Path, mimetype: str) -> tuple[Facts, str | None]:
        if self._ffmpeg is None:
            return Facts(), None
        facts = await self._ffmpeg.facts(path, mimetype)
        try:
            frame = await self._ffmpeg.frame(path, mimetype, _THUMBNAIL_WIDTH)
        except ConversionFailed:
            return facts, None
        async with self._pictures:
            return facts, await asyncio.to_thread(thumbnails.thumbnail_of, frame)

    async def _waveform(self, path: Path, mimetype: str) -> str | None:
        if self._ffmpeg is None:
            return None
        try:
            samples = await self._ffmpeg.samples(path, mimetype, WAVEFORM_RATE)
        except ConversionFailed as error:
            raise MediaNotAccepted(str(error)) from error
        drawn = await asyncio.to_thread(waveform, samples, WAVEFORM_POINTS)
        return base64.b64encode(drawn).decode()

    async def _picture(self, work: Callable[..., T], *arguments: Path) -> T:
        """One at a time: an unpacked picture may take 100 MB."""
        async with self._pictures:
            try:
                return await asyncio.to_thread(work, *arguments)
            except thumbnails.BadPicture as error:
                raise MediaNotAccepted(str(error)) from error

    async def _put(self, tenant: str, media: MediaRef, path: Path) -> None:
        if self._store is None:
            raise MediaNotConfigured("this installation stores no files, so messages cannot carry any")
        try:
            await self._store.put(tenant, media.sha256, media.size, path, media.mimetype)
        except StoreAway as error:
            raise Unavailable("the file store is away") from error

    def _too_large(self) -> TooLarge:
        return TooLarge(f"a file has at most {self._most} bytes")


@asynccontextmanager
async def _in_time(slots: asyncio.Semaphore) -> AsyncGenerator[None]:
    """One of the slots. Raises `Unavailable` when none becomes free."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await slots.acquire()
    except TimeoutError as error:
        raise Unavailable("too many files are being worked on", retry_after=10) from error
    try:
        yield
    finally:
        slots.release()


def _decode(text: str, path: Path) -> None:
    try:
        path.write_bytes(base64.b64decode("".join(text.split()), validate=True))
    except (binascii.Error, ValueError) as error:
        raise MediaNotAccepted("media: this is neither a URL nor base64") from error


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read()


def _digest(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def _name(given: str | None) -> str | None:
    """A name for people: no folders, nothing that a terminal or a database stumbles over."""
    if given is None:
        return None
    plain = given.replace("\\", "/").rpartition("/")[2]
    plain = "".join(one for one in plain if one.isprintable() and not "\ud800" <= one <= "\udfff")
    return plain.strip()[:255] or None
