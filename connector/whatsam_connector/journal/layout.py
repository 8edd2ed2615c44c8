"""Format of the journal on disk, shared by writer and reader.

A journal is a folder:

* `<segment number, 12 digits>.segment`: an 8-byte header, then records: 4-byte big-endian length of the payload, 4-byte
  CRC-32 over length and payload, payload. A writer never continues a segment that it did not create: a tail that a
  crash has torn therefore stays at the end of its file, and whatever follows is in a file with a higher number.
* `acknowledged`: JSON with the position behind the last record that the reader is done with; replaced atomically.
* `lock`: held by the one writer.

Segment numbers only grow, also when all segments are gone: the next number is above the acknowledged one.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from whatsam_core.errors import WhatsamError

HEADER = b"WSJRNL\x00\x02"
"""Magic and version of a segment file. An older reader stops at it: it would take new records for unknown ones."""
READABLE_HEADERS = frozenset({HEADER, b"WSJRNL\x00\x01"})
"""Version 1 has the same frames, with JSON in all of them (see `payload`)."""

ACKNOWLEDGED = "acknowledged"
LOCK = "lock"

MAX_PAYLOAD_BYTES = 32 * 1024 * 1024
"""A length above this is no record: WhatsApp's messages without media are some kilobytes, history comes in parts."""

_PREFIX = struct.Struct(">II")
PREFIX_BYTES = _PREFIX.size
_SEGMENT = re.compile(r"^(\d{12})\.segment$")


class JournalError(WhatsamError):
    """The journal cannot be used as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two records: number of the segment, byte offset in it. Ordered like the records."""

    segment: int
    offset: int


BEGINNING = Position(0, 0)
"""Before every record."""


def pack(payload: bytes) -> bytes:
    """Frame one record; raises JournalError for a payload that no reader would accept."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise JournalError(f"a record of {len(payload)} bytes is above the limit of {MAX_PAYLOAD_BYTES}")
    return _PREFIX.pack(len(payload), _checksum(payload)) + payload


def unpack(data: bytes, offset: int) -> tuple[bytes, int] | None:
    """Payload of the record at `offset` and the offset behind it; None when there is no whole, undamaged record."""
    start = offset + PREFIX_BYTES
    if len(data) < start:
        return None
    length, checksum = _PREFIX.unpack_from(data, offset)
    end = start + length
    if length > MAX_PAYLOAD_BYTES or len(data) < end:
        return None
    payload = data[start:end]
    return (payload, end) if _checksum(payload) == checksum else None


def _checksum(payload: bytes) -> int:
    # The length takes part: a run of zero bytes, which file systems leave after a power cut, is then no valid record.
    return zlib.crc32(payload, zlib.crc32(len(payload).to_bytes(4)))


def segment_path(folder: Path, number: int) -> Path:
    """Path of a segment file."""
    return folder / f"{number:012d}.segment"


def segments(folder: Path) -> list[int]:
    """Numbers of the segments that exist, ascending."""
    return sorted(int(match[1]) for entry in folder.iterdir() if (match := _SEGMENT.match(entry.name)))
