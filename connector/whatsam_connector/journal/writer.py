"""Appends records to a session's journal. The engine process that runs the session holds the one writer.

When `append` has returned, the record survives the death of the process (the kernel has it). It survives a power cut
after the next `sync`, which the engine calls at most 10 ms later (a quarter of a second, while there are only receipts)
for all records since the last one (group commit): a handler that waited for the disk would only keep more acknowledged
messages in neonize's memory.

Size is bounded by `room`, which the engine asks after each sync: see there.
"""

import fcntl
import os
import threading
from pathlib import Path

from whatsam_connector.journal import acknowledged
from whatsam_connector.journal.layout import (
    HEADER,
    LOCK,
    JournalError,
    Position,
    pack,
    segment_path,
    segments,
)
from whatsam_connector.journal.payload import to_payload
from whatsam_connector.journal.records import JournalRecord
from whatsam_connector.journal.room import Limits, Room, free_bytes, room, unacknowledged_bytes

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment that has grown beyond this is closed: acknowledged space comes back in pieces of this size."""


class JournalBusy(JournalError):
    """Another process still writes this journal: the engine before this one is not dead."""


class JournalClosed(JournalError):
    """The session has left this process: another one may write this journal by now."""


class JournalWriteError(JournalError):
    """The disk did not take a record. The writer is useless from now on; the engine has to stop."""


class Writer:
    """The one writer of a journal. `append` and `sync` may be called from different threads."""

    def __init__(self, folder: Path, *, limits: Limits | None = None, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Create the folder if needed, take the lock, and open a segment of its own.

        `limits`: what `room` goes by; `append` never refuses, because what it is given was acknowledged already.

        Raises JournalBusy while another writer lives, JournalWriteError when the disk refuses.
        """
        self._folder = folder
        self._limits = limits or Limits()
        self._segment_bytes = min(segment_bytes, max(self._limits.most_bytes // 8, 1))
        self._append_lock = threading.Lock()
        self._file_lock = threading.Lock()  # held while the open file changes or is synced
        self._broken = False
        self._closed = False
        self._waiting = 0  # bytes that the reader has not acknowledged, as far as we know
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalWriteError(f"journal: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            raise JournalBusy("another process writes this journal") from error
        try:
            number = max([*segments(folder), acknowledged.load(folder).segment], default=0) + 1
            self._descriptor = self._create(number)
        except OSError as error:
            os.close(self._lock)
            raise JournalWriteError(f"journal: {error.strerror}") from error
        except JournalError:
            os.close(self._lock)
            raise
        self._position = Position(number, len(HEADER))
        self._waiting = self._waiting_bytes()

    @property
    def position(self) -> Position:
        """The place behind the newest record."""
        return self._position

    def append(self, record: JournalRecord) -> Position:
        """Write one record and return the place behind it. Raises JournalWriteError; then nothing can be appended.

        Raises JournalClosed after `close`.
        """
        data = pack(to_payload(record))
        with self._append_lock:
            if self._closed:
                raise JournalClosed("the journal was closed")
            if self._broken:
                raise JournalWriteError("the journal failed before")
            try:
                if self._position.offset >= self._segment_bytes:
                    self._rotate()
                self._write(data)
            except OSError as error:
                # What is in the file now may be half a record: anything behind it would never be read.
                self._broken = True
                raise JournalWriteError(f"journal: {error.strerror}") from error
            self._position = Position(self._position.segment, self._position.offset + len(data))
            self._waiting += len(data)
            return self._position

    def room(self) -> Room:
        """Whether more may come. Takes some microseconds; the folder is looked at only when the limit seems reached."""
        if self._waiting > self._limits.most_bytes:
            self._waiting = self._waiting_bytes()  # the reader does not tell us what it has done meanwhile
        try:
            free = free_bytes(self._folder)
        except OSError:
            free = self._limits.least_free_bytes
        return room(self._waiting, free, self._limits, starting=False)

    def _waiting_bytes(self) -> int:
        try:
            return unacknowledged_bytes(self._folder)
        except (OSError, JournalError):
            return self._waiting

    def sync(self) -> Position:
        """Wait until everything appended before the call survives a power cut; return the place behind it."""
        with self._file_lock:
            position = self._position
            if self._closed:
                return position
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self._broken = True
                raise JournalWriteError(f"journal: {error.strerror}") from error
            return position

    def close(self) -> None:
        """Sync, close the files and give the lock back. From here on `append` refuses and `sync` has nothing to do.

        Both locks: a descriptor that is closed under an append may be another journal's by the time of the write.
        """
        with self._append_lock:
            self.sync()
            with self._file_lock:
                if self._closed:
                    return
                self._closed = True
                os.close(self._descriptor)
                os.close(self._lock)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def _rotate(self) -> None:
        with self._file_lock:
            number = self._position.segment + 1
            os.fdatasync(self._descriptor)  # its records are reported as synced by position alone from now on
            fresh = self._create(number)
            os.close(self._descriptor)
            self._descriptor = fresh
            self._position = Position(number, len(HEADER))

    def _create(self, number: int) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(segment_path(self._folder, number), flags, 0o600)
        try:
            os.write(descriptor, HEADER)
            os.fsync(descriptor)
            acknowledged.sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
