"""Files for tests: an object store in memory, and recordings and films made by a real ffmpeg."""

import io
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import imageio_ffmpeg
from PIL import Image

from whatsam_core.storage.objects import ObjectInfo, ObjectStoreUnreachable


class FakeObjects:
    """Takes the place of the object store. `away`: it does not answer."""

    def __init__(self, *_: Any) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts = 0
        self.away = False

    async def stat(self, key: str) -> ObjectInfo | None:
        if self.away:
            raise ObjectStoreUnreachable("away")
        if key not in self.objects:
            return None
        return ObjectInfo(key, len(self.objects[key]), datetime.now(UTC))

    async def put_file(self, key: str, path: Path, **_: Any) -> None:
        self.puts += 1
        self.objects[key] = path.read_bytes()  # noqa: ASYNC240 - small files of tests

    async def close(self) -> None: ...


def ffmpeg() -> Path:
    """The program."""
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


def picture(kind: str = "JPEG", size: tuple[int, int] = (320, 200), **more: Any) -> bytes:
    """A picture."""
    out = io.BytesIO()
    mode = "RGBA" if kind in {"PNG", "WEBP"} else "RGB"
    Image.new(mode, size, (200, 30, 30) if mode == "RGB" else (200, 30, 30, 128)).save(out, kind, **more)
    return out.getvalue()


def moving_gif() -> bytes:
    """Three frames."""
    frames = [Image.new("RGB", (41, 31), (40 * number, 10, 10)) for number in range(3)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=200)
    return out.getvalue()


def wav(seconds: int = 3) -> bytes:
    """A tone that grows louder."""
    rate = 8000
    samples = [((number // 10) % 2 * 2 - 1) * (number * 20_000 // (rate * seconds)) for number in range(rate * seconds)]
    data = struct.pack(f"<{len(samples)}h", *samples)
    riff = struct.pack("<4sI4s", b"RIFF", 36 + len(data), b"WAVE")
    head = riff + struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16, b"data", len(data))
    return head + data


def made(folder: Path, name: str, *arguments: str) -> bytes:
    """What ffmpeg makes of its arguments."""
    target = folder / name
    subprocess.run([ffmpeg(), "-nostdin", "-loglevel", "error", "-y", *arguments, str(target)], check=True, timeout=60)
    return target.read_bytes()


def film(folder: Path) -> bytes:
    """Two seconds of MP4 with sound."""
    return made(
        folder, "film.mp4", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=2", "-f", "lavfi",
        "-i", "sine=duration=2", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "aac",
    )  # fmt: skip
