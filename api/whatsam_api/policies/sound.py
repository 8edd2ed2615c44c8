"""What a recording's bytes say: how long an Ogg file lasts, and how loud it is over time. Pure."""

import array
import math
import struct
import sys
from typing import Final

OPUS_RATE: Final = 48_000
"""Granule positions of Opus count samples at this rate, whatever the input was."""
WAVEFORM_RATE: Final = 2_000
"""Samples a second are enough to draw 64 bars."""
_PAGE: Final = struct.Struct("<4sBBqIII")
_LOUDEST: Final = 100


def ogg_seconds(tail: bytes) -> int | None:
    """Length of an Ogg/Opus file by its last page; `tail` is the file's end. None: no page in it."""
    start = len(tail)
    while (start := tail.rfind(b"OggS", 0, start)) >= 0:
        if len(tail) - start >= _PAGE.size:
            granule = _PAGE.unpack_from(tail, start)[3]
            if granule > 0:
                return max(1, round(granule / OPUS_RATE))
    return None


def waveform(samples: bytes, points: int) -> bytes:
    """Loudness over time, `points` values from 0 to 100, of signed 16-bit little-endian samples."""
    values = array.array("h")
    values.frombytes(samples[: len(samples) // 2 * 2])
    if sys.byteorder == "big":
        values.byteswap()
    if not values:
        return bytes(points)
    peaks: list[int] = []
    for point in range(points):
        part = values[len(values) * point // points : max(len(values) * (point + 1) // points, 1)]
        highest, lowest = (max(part), min(part)) if part else (0, 0)
        peaks.append(max(highest, -lowest))
    loudest = max(peaks) or 1
    return bytes(min(_LOUDEST, math.ceil(peak / loudest * _LOUDEST)) for peak in peaks)
