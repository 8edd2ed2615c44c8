"""Which sessions an engine process shall run, and the check of their files before it starts.

neonize panics when it is given a JID whose device is not in the file, so that is looked up here, by the supervisor,
while no engine has the file open.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from whatsam_connector.engine.protocol import SessionStart
from whatsam_connector.journal import Limits, Room, room_to_start
from whatsam_connector.supervision.errors import EngineStartFailed

_LOCK_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PairingRequest:
    """Somebody waits to pair: by scanning a QR code, or by typing a code on the phone with `phone_number`."""

    method: Literal["QR", "Code"]
    phone_number: str | None = None
    """With country code; needed for Code."""


@dataclass(frozen=True, slots=True)
class EngineSession:
    """One session of an engine process."""

    uid: str
    """metadata.uid of the WhatsAppSession; names the session in events and commands."""
    database: Path
    """whatsmeow's SQLite file. Its folder exists; the file need not."""
    journal: Path
    """Folder of the session's inbound journal; made when missing."""
    jid: str | None
    """The device to resume. None: the one in the file if there is one, else a pairing."""
    pairing: PairingRequest | None
    """None: a session without a device fails instead of asking for a code that nobody waits for."""
    proxy: str | None = None
    """URL (http, https, socks5) through which the session reaches WhatsApp; it may hold a password."""
    limits: Limits = field(default_factory=Limits)
    """How far the journal may grow before the session leaves WhatsApp."""
    debug: bool = False
    """Log what the engine's library sends and receives, redacted; it needs a process of its own for that."""


def start_request(session: EngineSession) -> SessionStart:
    """The session as the engine is told of it; paths made absolute."""
    return SessionStart(
        uid=session.uid,
        database=str(session.database.absolute()),
        journal=str(session.journal.absolute()),
        jid=session.jid,
        pairing_method=session.pairing.method if session.pairing else None,
        phone_number=session.pairing.phone_number if session.pairing else None,
        proxy=session.proxy,
        debug=session.debug,
        journal_limit=session.limits.most_bytes,
        free_disk=session.limits.least_free_bytes,
    )


def check_devices(sessions: Sequence[EngineSession]) -> None:
    """Raise EngineStartFailed unless each session has room in its journal and, if it has a JID, its device in its file.

    Blocks (SQLite).
    """
    for session in sessions:
        room = room_to_start(session.journal, session.limits)
        if room is not Room.TAKE:
            raise EngineStartFailed("JournalFull", f"{room.value}: what has arrived must be stored first")
        if session.jid is None:
            continue
        if not session.database.exists():
            raise EngineStartFailed("DeviceMissing", "the session's file is missing")
        try:
            uri = f"{session.database.absolute().as_uri()}?mode={_mode(session.database)}"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_WAIT_SECONDS)) as connection:
                found = connection.execute("select 1 from whatsmeow_device where jid = ?", (session.jid,)).fetchone()
        except sqlite3.Error as error:
            raise EngineStartFailed("DatabaseUnreadable", f"the session's file cannot be read: {error}") from error
        if found is None:
            raise EngineStartFailed("DeviceMissing", "the session's file does not hold its device")


def _mode(database: Path) -> str:
    """Without creating: a rollback journal that a killed engine left behind is played back here.

    A write-ahead log is only read: whoever may write would work it into the file at the end, as the engine will in any
    case, and with a hundred sessions that come back together it would take half a second.
    """
    log, journal = (database.with_name(database.name + end) for end in ("-wal", "-journal"))
    return "ro" if log.exists() and not journal.exists() else "rw"
