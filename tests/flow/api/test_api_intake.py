"""Files as they are taken in: converted, looked at, stored once, or refused with what to do."""

import base64
import hashlib
import struct
import zlib
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from api_media import FakeObjects, ffmpeg, film, made, moving_gif, picture, wav
from PIL import Image

from whatsam_api.errors import MediaNotAccepted, MediaNotConfigured, TooLarge, Unavailable
from whatsam_api.models.sending import MediaSource
from whatsam_api.policies.media_kinds import is_opus_voice, sniff
from whatsam_api.services import media_intake
from whatsam_api.services.media_intake import Accepted, Incoming, MediaIntake
from whatsam_api.storage.ffmpeg import Ffmpeg
from whatsam_api.storage.guarded_http import GuardedHttp
from whatsam_api.storage.media import MediaStore
from whatsam_core.media import media_key
from whatsam_core.messages import MessageType

MOST = 5_000_000


class Desk:
    """An intake with an object store in memory."""

    def __init__(self, folder: Path, program: Path | None) -> None:
        self.folder = folder
        self.objects: Any = FakeObjects()
        store = MediaStore(self.objects, "whatsam", encrypt=False)
        self.intake = self.with_store(store, program)

    @staticmethod
    def with_store(store: MediaStore | None, program: Path | None = None) -> MediaIntake:
        tool = Ffmpeg(program) if program else None
        return MediaIntake(store, GuardedHttp(), tool, most_bytes=MOST, most_base64_bytes=MOST)

    async def accept(self, kind: str, data: bytes, declared: str | None = None, name: str | None = None) -> Accepted:
        async with self.intake.turn("acme") as folder:
            path = folder / "given"
            path.write_bytes(data)
            return await self.intake.accept("acme", MessageType(kind), Incoming(path, declared, name), folder)

    def stored(self, accepted: Accepted) -> bytes:
        return self.objects.objects[media_key("whatsam", "acme", accepted.media.sha256)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, ffmpeg())


@pytest.fixture
def poor(tmp_path: Path) -> Desk:
    """An installation without ffmpeg."""
    return Desk(tmp_path, None)


async def test_a_picture_goes_as_it_is_with_its_size_and_thumbnail(poor: Desk) -> None:
    data = picture()
    accepted = await poor.accept("image", data, "application/pdf", "C:\\me\\holiday.jpg")
    assert poor.stored(accepted) == data
    assert (accepted.media.mimetype, accepted.media.size) == ("image/jpeg", len(data))
    assert accepted.media.file_name == "holiday.jpg"
    assert (accepted.look.width, accepted.look.height) == (320, 200)
    thumbnail = base64.b64decode(accepted.look.thumbnail or "")
    assert sniff(thumbnail) == "image/jpeg"
    assert len(thumbnail) < 5000


async def test_a_turned_photograph_is_as_high_as_it_looks(poor: Desk) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    accepted = await poor.accept("image", picture(exif=exif))
    assert (accepted.look.width, accepted.look.height) == (200, 320)


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF"])
async def test_other_pictures_become_jpegs(poor: Desk, kind: str) -> None:
    accepted = await poor.accept("image", picture(kind))
    assert accepted.media.mimetype == "image/jpeg"
    assert sniff(poor.stored(accepted)) == "image/jpeg"


async def test_a_picture_becomes_a_sticker(poor: Desk) -> None:
    accepted = await poor.accept("sticker", picture("PNG"))
    assert sniff(poor.stored(accepted)) == "image/webp"
    assert (accepted.look.width, accepted.look.height, accepted.look.animated) == (512, 512, False)


def bomb() -> bytes:
    """A PNG of 30,000 by 30,000 pixels in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


async def test_a_picture_that_would_fill_the_memory_is_not_unpacked(poor: Desk) -> None:
    for kind in ("image", "sticker"):
        with pytest.raises(MediaNotAccepted):
            await poor.accept(kind, bomb())


@pytest.mark.parametrize("kind", ["image", "sticker"])
async def test_broken_pictures_are_refused(poor: Desk, kind: str) -> None:
    for data in (picture("PNG")[:60], picture("WEBP")[:40], b"\xff\xd8\xff" + bytes(40)):
        with pytest.raises(MediaNotAccepted):
            await poor.accept(kind, data)
    assert poor.objects.objects == {}


async def test_any_recording_becomes_a_voice_note(desk: Desk, tmp_path: Path) -> None:
    sources = [wav(), made(tmp_path, "a.mp3", "-f", "lavfi", "-i", "sine=duration=3")]
    for source in sources:
        accepted = await desk.accept("voice", source)
        stored = desk.stored(accepted)
        assert is_opus_voice(stored[:1000])
        assert stored[stored.index(b"OpusHead") + 9] == 1, "one channel"
        assert accepted.media.mimetype == "audio/ogg"
        assert accepted.look.seconds == 3
        assert len(base64.b64decode(accepted.look.waveform or "")) == 64
    growing = base64.b64decode((await desk.accept("voice", wav())).look.waveform or "")
    assert growing[8] < growing[32] < growing[60]


async def test_a_voice_note_stays_what_it_is(desk: Desk, poor: Desk, tmp_path: Path) -> None:
    note = made(tmp_path, "n.ogg", "-f", "lavfi", "-i", "sine=duration=5", "-c:a", "libopus")
    accepted = await desk.accept("voice", note)
    assert desk.stored(accepted) == note
    assert (await poor.accept("voice", note)).look.seconds == 5


async def test_without_ffmpeg_a_voice_note_must_be_one(poor: Desk) -> None:
    with pytest.raises(MediaNotAccepted, match="no ffmpeg"):
        await poor.accept("voice", wav())
    with pytest.raises(MediaNotAccepted, match="no ffmpeg"):
        await poor.accept("gif", moving_gif())


async def test_films_have_a_length_a_size_and_a_first_picture(desk: Desk, poor: Desk, tmp_path: Path) -> None:
    data = film(tmp_path)
    look = (await desk.accept("video", data)).look
    assert (look.seconds, look.width, look.height) == (2, 160, 120)
    assert sniff(base64.b64decode(look.thumbnail or "")) == "image/jpeg"
    bare = (await poor.accept("video", data)).look
    assert (bare.seconds, bare.thumbnail) == (None, None)


async def test_a_gif_becomes_a_film(desk: Desk) -> None:
    accepted = await desk.accept("gif", moving_gif())
    assert sniff(desk.stored(accepted)) == "video/mp4"
    assert (accepted.look.width, accepted.look.height) == (40, 30)


async def test_recordings_have_a_length(desk: Desk, tmp_path: Path) -> None:
    song = made(tmp_path, "s.mp3", "-f", "lavfi", "-i", "sine=duration=4")
    accepted = await desk.accept("audio", song)
    assert (desk.stored(accepted), accepted.look.seconds) == (song, 4)


async def test_damaged_recordings_are_refused(desk: Desk) -> None:
    for data in (b"ID3\x03" + bytes(200), wav()[:30], b"OggS" + bytes(60)):
        with pytest.raises(MediaNotAccepted):
            await desk.accept("voice", data)
    assert desk.objects.objects == {}


async def test_ffmpeg_reads_nothing_but_the_file(desk: Desk, tmp_path: Path) -> None:
    """A list of other files inside of something that looks like a recording is not followed."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(wav(2))
    playlists = [f"#EXTM3U\n#EXTINF:2,\nfile://{secret}\n", f"ffconcat version 1.0\nfile '{secret}'\n"]
    for text in playlists:
        for disguise in (b"ID3\x03\x00\x00\x00\x00\x00\x00", b"", b"OggS"):
            with pytest.raises(MediaNotAccepted):
                await desk.accept("voice", disguise + text.encode())


async def test_a_document_is_stored_as_it_came(poor: Desk) -> None:
    accepted = await poor.accept("document", b"a;b\n1;2\n", "text/csv", "../../etc/passwd\x00.csv")
    assert (accepted.media.mimetype, accepted.media.file_name) == ("text/csv", "passwd.csv")
    assert accepted.media.sha256 == hashlib.sha256(b"a;b\n1;2\n").hexdigest()
    with pytest.raises(MediaNotAccepted, match="empty"):
        await poor.accept("document", b"")


async def test_the_same_file_is_stored_once(poor: Desk) -> None:
    for _ in range(3):
        await poor.accept("document", b"the same bytes")
    assert poor.objects.puts == 1


async def test_the_store_is_away_or_not_there(poor: Desk) -> None:
    poor.objects.away = True
    with pytest.raises(Unavailable):
        await poor.accept("document", b"x")
    with pytest.raises(MediaNotConfigured):
        async with Desk.with_store(None).turn("acme"):
            pass


async def test_base64_is_decoded_within_its_limit(poor: Desk, tmp_path: Path) -> None:
    take = poor.intake.from_source
    incoming = await take(
        tmp_path, MediaSource(base64=base64.encodebytes(b"hello" * 50).decode(), mimetype="text/plain")
    )
    assert incoming.path.read_bytes() == b"hello" * 50
    with pytest.raises(MediaNotAccepted):
        await take(tmp_path, MediaSource(base64="not base64 at all!"))
    with pytest.raises(TooLarge):
        await take(tmp_path, MediaSource(base64="A" * (MOST * 4 // 3 + 8)))


async def test_nothing_is_left_on_the_disk(poor: Desk) -> None:
    async with poor.intake.turn("acme") as folder:
        (folder / "x").write_bytes(b"x")
    assert not folder.exists()
    with pytest.raises(RuntimeError):
        async with poor.intake.turn("acme") as folder:
            raise RuntimeError
    assert not folder.exists()


async def test_one_tenant_leaves_room_for_others(poor: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_intake, "WAIT_SECONDS", 0.05)
    async with AsyncExitStack() as held:
        for _ in range(media_intake.OF_ONE_TENANT):
            await held.enter_async_context(poor.intake.turn("acme"))
        with pytest.raises(Unavailable):
            await held.enter_async_context(poor.intake.turn("acme"))
        for _ in range(media_intake.AT_A_TIME - media_intake.OF_ONE_TENANT):
            await held.enter_async_context(poor.intake.turn("other"))
        with pytest.raises(Unavailable):
            await held.enter_async_context(poor.intake.turn("third"))
    async with poor.intake.turn("acme"):
        pass
