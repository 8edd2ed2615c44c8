"""ffmpeg as a child process: conversion of voice notes and GIFs, first frames, durations.

What it reads comes from strangers. The format of the input is named, never guessed, so that a playlist cannot pass for
a recording and make ffmpeg open other files or addresses; it may use files and pipes only; time, memory, processor time
and the size of what it writes are bounded; its environment is as good as empty.
"""

import asyncio
import contextlib
import re
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whatsam_core.logging import get_logger

log = get_logger()

SECONDS: Final = 60.0
"""Wall clock for one run."""
_CPU_SECONDS: Final = 60
_MEMORY_BYTES: Final = 1024 * 1024 * 1024
"""Of addresses, most of them never used: each of its threads reserves some."""
_OUTPUT_LIMIT: Final = 8 * 1024 * 1024
"""Bytes that are read from a pipe."""
_AT_A_TIME: Final = 1

_FORMATS: Final = {
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mp4": "mov",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/x-flac": "flac",
    "audio/x-wav": "wav",
    "image/gif": "gif",
    "video/3gpp": "mov",
    "video/mp4": "mov",
    "video/webm": "matroska",
}
"""Sniffed media type to ffmpeg's name of the demuxer."""
_TO_VOICE: Final = (
    *("-map", "0:a:0", "-vn", "-map_metadata", "-1", "-ac", "1", "-ar", "48000"),
    *("-c:a", "libopus", "-b:a", "32k", "-application", "voip", "-f", "ogg"),
)
_TO_MP4: Final = (
    *("-an", "-map_metadata", "-1", "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2"),
    *("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"),
    *("-t", "60", "-f", "mp4"),
)
_DURATION = re.compile(rb"Duration: (\d{1,4}):(\d\d):(\d\d)\.(\d\d)")
_PICTURE = re.compile(rb"Video: .*?, (\d{2,5})x(\d{2,5})")
_ROTATED = re.compile(rb"rotation of -?(90|270)\.")


class ConversionFailed(Exception):
    """ffmpeg cannot make anything of the file, or not within the limits."""


@dataclass(frozen=True)
class Facts:
    """What ffmpeg says of a file; None where it says nothing."""

    seconds: int | None = None
    width: int | None = None
    height: int | None = None


class Ffmpeg:
    """Runs of one ffmpeg program, one at a time: each may take a whole processor."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    @classmethod
    def find(cls, configured: Path | None) -> "Ffmpeg | None":
        """The configured program, else the one of the PATH; None when there is none."""
        found = str(configured) if configured is not None else shutil.which("ffmpeg")
        return cls(Path(found)) if found else None

    async def voice(self, source: Path, mimetype: str, target: Path, most_bytes: int) -> None:
        """Make a voice note: Ogg, Opus, one channel, 48 kHz. Raises `ConversionFailed`."""
        await self._run(
            [*_input(source, mimetype), *_TO_VOICE, f"file:{target}"],
            most_bytes,
        )
        await _check(target, most_bytes)

    async def gif(self, source: Path, target: Path, most_bytes: int) -> None:
        """Make an MP4 of a GIF, as WhatsApp's apps do. Raises `ConversionFailed`."""
        await self._run(
            [*_input(source, "image/gif"), *_TO_MP4, f"file:{target}"],
            most_bytes,
        )
        await _check(target, most_bytes)

    async def samples(self, source: Path, mimetype: str, rate: int) -> bytes:
        """The sound as signed 16-bit little-endian samples of one channel. Raises `ConversionFailed`."""
        arguments = [*_input(source, mimetype), "-map", "0:a:0", "-vn", "-ac", "1", "-ar", str(rate)]
        output, _ = await self._run([*arguments, "-f", "s16le", "pipe:1"], _OUTPUT_LIMIT)
        return output

    async def frame(self, source: Path, mimetype: str, width: int) -> bytes:
        """The first picture of a video as a JPEG. Raises `ConversionFailed`."""
        arguments = [*_input(source, mimetype), "-an", "-frames:v", "1", "-vf", f"scale={width}:-2", "-q:v", "8"]
        output, _ = await self._run([*arguments, "-c:v", "mjpeg", "-f", "image2pipe", "pipe:1"], _OUTPUT_LIMIT)
        return output

    async def facts(self, source: Path, mimetype: str) -> Facts:
        """Duration and size of the picture, as far as the file's head tells."""
        try:
            # Without an output ffmpeg prints what it sees and fails: that is meant.
            _, said = await self._run(_input(source, mimetype), 0, may_fail=True, level="info")
        except ConversionFailed:
            return Facts()
        duration, picture = _DURATION.search(said), _PICTURE.search(said)
        seconds = None
        if duration is not None:
            hours, minutes, whole, hundredths = (int(part) for part in duration.groups())
            seconds = hours * 3600 + minutes * 60 + whole + (1 if hundredths >= 50 else 0)
        if picture is None:
            return Facts(seconds)
        width, height = int(picture[1]), int(picture[2])
        if _ROTATED.search(said):
            width, height = height, width
        return Facts(seconds, width, height)

    async def _run(
        self, arguments: list[str], most_bytes: int, *, may_fail: bool = False, level: str = "error"
    ) -> tuple[bytes, bytes]:
        """Standard output and error of one run."""
        async with self._slots:
            try:
                process = await asyncio.create_subprocess_exec(
                    self._program,
                    *("-nostdin", "-hide_banner", "-loglevel", level, "-threads", "1", "-y"),
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    env={"MALLOC_ARENA_MAX": "2"},
                )
            except OSError as error:
                raise ConversionFailed("ffmpeg cannot be started") from error
            try:
                _confine(process.pid, most_bytes)
                async with asyncio.timeout(SECONDS):
                    output, said, code = await asyncio.gather(
                        _bounded(process.stdout, _OUTPUT_LIMIT), _bounded(process.stderr, 64 * 1024), process.wait()
                    )
            except TimeoutError as error:
                raise ConversionFailed("the conversion took too long") from error
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        if code != 0 and not may_fail:
            log.info("ffmpeg.failed", code=code)
            raise ConversionFailed("the file cannot be converted: it is damaged, too long, or not what it seems to be")
        return output, said


def _input(source: Path, mimetype: str) -> list[str]:
    name = _FORMATS.get(mimetype)
    if name is None:
        raise ConversionFailed("files of this kind cannot be converted")
    return ["-protocol_whitelist", "file,pipe", "-f", name, "-i", f"file:{source}"]


def _confine(pid: int, most_bytes: int) -> None:
    """Limits that hold whatever the file makes ffmpeg do. The process may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        resource.prlimit(pid, resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


async def _bounded(stream: asyncio.StreamReader | None, most: int) -> bytes:
    """What comes, up to the limit; the rest is read and dropped, so that the process can end."""
    found = bytearray()
    while stream is not None and (chunk := await stream.read(64 * 1024)):
        if len(found) < most:
            found += chunk[: most - len(found)]
    return bytes(found)


async def _check(target: Path, most_bytes: int) -> None:
    try:
        size = (await asyncio.to_thread(target.stat)).st_size
    except OSError as error:
        raise ConversionFailed("nothing came out of the conversion") from error
    if not 0 < size < most_bytes:
        raise ConversionFailed("what comes out of the conversion is too large")
