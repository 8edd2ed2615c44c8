"""Tells in which sessions' folders something was written, by the kernel's word (inotify(7)). Called by `service`.

Without it the shipper would have to look at every file four times a second. The kernel may refuse (its limits hold for
all processes of a user together): then `watches` says so, and that session's file is looked at as often as that.
"""

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

_IN_MODIFY: Final = 0x2
_IN_MOVED_TO: Final = 0x80
_IN_CREATE: Final = 0x100
_IN_DELETE: Final = 0x200
_IN_Q_OVERFLOW: Final = 0x4000
_IN_IGNORED: Final = 0x8000
_EVENT: Final = struct.Struct("iIII")
"""struct inotify_event without its name: watch, mask, cookie, length of the name."""
_PIECE: Final = 64 * 1024


class Changes:
    """The folders of all sessions. It says nothing of what is written through a memory map: no SQLite file is."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError:  # a C library without it
            self._descriptor = -1
        self._uids: dict[int, str] = {}
        self._watches: dict[str, int] = {}

    def watch(self, uid: str, folder: Path) -> None:
        """Begin with a session. A folder that the kernel will not watch is not in `watches`."""
        if self._descriptor < 0:
            return
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)
        if watch >= 0:
            self._uids[watch], self._watches[uid] = uid, watch

    def forget(self, uid: str) -> None:
        """End with a session."""
        watch = self._watches.pop(uid, None)
        if watch is not None:
            del self._uids[watch]
            self._libc.inotify_rm_watch(self._descriptor, watch)

    def watches(self, uid: str) -> bool:
        """Whether changes of this session will be told."""
        return uid in self._watches

    def read(self) -> set[str] | None:
        """Sessions whose folders have changed since the last call; None: too many changes, any of them may have."""
        changed: set[str] = set()
        lost = False
        while piece := self._piece():
            at = 0
            while at < len(piece):
                watch, mask, _cookie, length = _EVENT.unpack_from(piece, at)
                at += _EVENT.size + length
                lost = lost or bool(mask & _IN_Q_OVERFLOW)
                uid = self._uids.get(watch)
                if uid is None:
                    continue
                changed.add(uid)
                if mask & _IN_IGNORED:  # the folder is gone, and the kernel's watch with it
                    del self._uids[watch], self._watches[uid]
        return None if lost else changed

    def close(self) -> None:
        """End with all."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._watches.clear()

    def _piece(self) -> bytes:
        if self._descriptor >= 0:
            with suppress(BlockingIOError):
                return os.read(self._descriptor, _PIECE)
        return b""
