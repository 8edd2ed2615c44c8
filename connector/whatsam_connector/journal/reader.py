"""Reads a session's journal and acknowledges what is done. The connector's inbox holds the one reader.

The engine that writes may be alive or dead, and may be a later one than at the last reading. Acknowledge after the
effect of a record is durable elsewhere; after a crash the records behind the acknowledged position come again, with the
same event ids. Not for use from several threads at once.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whatsam_connector.journal import acknowledged
from whatsam_connector.journal.layout import (
    BEGINNING,
    HEADER,
    READABLE_HEADERS,
    JournalError,
    Position,
    segment_path,
    segments,
    unpack,
)
from whatsam_connector.journal.payload import from_payload
from whatsam_connector.journal.records import JournalRecord, UnknownRecord

_CHUNK_BYTES = 1024 * 1024
_SETTLED_NS = 50_000_000
"""Age of the folder's time stamp from which it certainly tells the next file: the kernel stamps in milliseconds."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record and the position to acknowledge when it, and everything before it, is done."""

    position: Position
    record: JournalRecord | UnknownRecord


class Reader:
    """A cursor that starts at the acknowledged position."""

    def __init__(self, folder: Path) -> None:
        """Open the journal; its folder need not exist yet. Raises JournalError when `acknowledged` is damaged."""
        self._folder = folder
        self._acknowledged = acknowledged.load(folder)
        self._cursor = self._acknowledged
        self._torn_bytes = 0
        self._listed = 0
        """The folder's time stamp when it was found without a later segment; 0: that will have to be seen again."""

    @property
    def acknowledged(self) -> Position:
        """Everything before this position is done."""
        return self._acknowledged

    @property
    def cursor(self) -> Position:
        """Everything before this position has been handed out by `entries`."""
        return self._cursor

    @property
    def torn_bytes(self) -> int:
        """Bytes at the ends of segments that were no whole record: what crashes of the writer left behind."""
        return self._torn_bytes

    def __iter__(self) -> Iterator[Entry]:
        """Same as `entries`."""
        return self.entries()

    def entries(self) -> Iterator[Entry]:
        """Hand out the records behind the cursor that are on disk now; the cursor moves with each of them.

        Ends at the newest record; call again when the journal has advanced. A record that is only half there is left
        for the next call, or skipped once a later segment proves that its writer is gone.
        """
        while True:
            # Asked before reading: once a later segment exists, nothing is added to the present one any more.
            later = self._later_segment()
            yield from self._present_segment()
            if later is None:
                return
            self._torn_bytes += self._left_over()
            self._cursor = Position(later, 0)

    def rewind(self) -> None:
        """Go back to the acknowledged position, to have records again whose handling failed."""
        self._cursor, self._listed = self._acknowledged, 0

    def acknowledge(self, position: Position) -> None:
        """Record durably that everything before `position` is done, and delete the segments that are not needed.

        Acknowledging an earlier position than before changes nothing. Raises JournalError for a position that was
        never handed out.
        """
        if position > self._cursor:
            raise JournalError("a position cannot be acknowledged before its record was read")
        if position <= self._acknowledged:
            return
        acknowledged.store(self._folder, position)
        self._acknowledged = position
        for number in segments(self._folder):
            if number < position.segment:
                segment_path(self._folder, number).unlink(missing_ok=True)

    def _later_segment(self) -> int | None:
        """Number of the next segment. The folder is listed only when something in it has changed."""
        try:
            changed = os.stat(self._folder).st_mtime_ns  # noqa: PTH116 - once a second for each session
            if changed == self._listed:
                return None
            numbers = segments(self._folder)
        except FileNotFoundError:
            return None
        later = next((number for number in numbers if number > self._cursor.segment), None)
        settled = later is None and time.time_ns() - changed > _SETTLED_NS
        self._listed = changed if settled else 0
        return later

    def _present_segment(self) -> Iterator[Entry]:
        if self._cursor == BEGINNING:
            return
        number = self._cursor.segment
        data, base = b"", self._cursor.offset
        try:
            file = segment_path(self._folder, number).open("rb")
        except FileNotFoundError:
            return
        with file:
            if base < len(HEADER):
                header = file.read(len(HEADER))
                if header not in READABLE_HEADERS:
                    if len(header) == len(HEADER):
                        raise JournalError("a segment of the journal has a format that this version does not know")
                    return
                base = len(HEADER)
                self._cursor = Position(number, base)
            file.seek(base)
            offset = 0
            while chunk := file.read(_CHUNK_BYTES):
                data = data[offset:] + chunk
                base, offset = base + offset, 0
                while (found := unpack(data, offset)) is not None:
                    payload, offset = found
                    self._cursor = Position(number, base + offset)
                    yield Entry(self._cursor, from_payload(payload))

    def _left_over(self) -> int:
        if self._cursor == BEGINNING:
            return 0
        try:
            size = segment_path(self._folder, self._cursor.segment).stat().st_size
        except FileNotFoundError:
            return 0
        return max(size - self._cursor.offset, 0)
