"""Group commit of the journals of one process, and the news about it.

An event handler appends to its journal and returns. Within COMMIT_SECONDS this thread syncs what was appended and tells
the supervisor (`JournalAdvanced`); a burst of messages shares one sync. Receipts wait longer for company: there is one
for every message that is sent, and a sync costs more than it does. The policy is the journal's own: see `writer`.
"""

import threading
import time
from collections.abc import Callable

from whatsam_connector.engine.ending import end
from whatsam_connector.engine.events import JournalAdvanced
from whatsam_connector.engine.protocol import ExitCode
from whatsam_connector.journal import JournalWriteError, Room, Writer

COMMIT_SECONDS = 0.01
"""Longest time between an append and its sync, apart from the sync itself."""
RECEIPT_SECONDS = 0.25
"""The same while nothing but receipts was appended: nobody waits for them, and the next ones tell more."""


class Committer:
    """Syncs the journals that have changed. `touch` may be called from any thread."""

    def __init__(self, emit: Callable[[JournalAdvanced], None], on_full: Callable[[str, Room], None]) -> None:
        """`on_full` is called once for a session whose journal must not grow any more; it must return at once."""
        self._emit = emit
        self._on_full = on_full
        self._full: set[str] = set()
        self._changed: dict[str, Writer] = {}
        self._last_message: dict[str, float] = {}
        self._wake = threading.Condition()
        self._urgent = False
        self._commit_lock = threading.Lock()
        threading.Thread(target=self._run, name="committer", daemon=True).start()

    def touch(self, uid: str, writer: Writer, *, is_message: bool, can_wait: bool = False) -> None:
        """An inbound event of session `uid` was handled just now (and appended, if there was something to keep).

        `is_message`: decrypting it has changed the session's file. `can_wait`: for RECEIPT_SECONDS.
        """
        now = time.monotonic()
        with self._wake:
            if is_message:
                self._last_message[uid] = now
            news = not self._changed or not (can_wait or self._urgent)
            self._changed[uid] = writer
            self._urgent = self._urgent or not can_wait
            if news:
                self._wake.notify()

    def commit(self) -> None:
        """Sync everything that has changed and report it; ends the process when a disk refuses."""
        with self._commit_lock:
            with self._wake:
                changed, self._changed, self._urgent = self._changed, {}, False
                last_message = dict(self._last_message)
            for uid, writer in changed.items():
                try:
                    position = writer.sync()
                except JournalWriteError as error:
                    end(ExitCode.JOURNAL_FAILED, str(error))
                self._emit(JournalAdvanced(uid, position, last_message.get(uid, 0.0)))
                if uid not in self._full and (room := writer.room()) is not Room.TAKE:
                    self._full.add(uid)
                    self._on_full(uid, room)

    def leave(self, uid: str, writer: Writer) -> None:
        """Session `uid` leaves this process: sync and report its last records, then give its journal back."""
        self.commit()
        with self._commit_lock:
            with self._wake:
                self._changed.pop(uid, None)
                self._last_message.pop(uid, None)
            try:
                writer.close()
            except JournalWriteError as error:
                end(ExitCode.JOURNAL_FAILED, str(error))

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._changed:
                    self._wake.wait()
                self._wake.wait_for(lambda: self._urgent, RECEIPT_SECONDS)
            time.sleep(COMMIT_SECONDS)  # gathers what else arrives in this time
            self.commit()
