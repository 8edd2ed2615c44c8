"""Consistent copies of a live SQLite database, and what a copy says about itself. Used by shipper and restore.

The engine's file is only ever touched through SQLite: in one process, opening it plainly and closing it again would
drop the POSIX locks of that process's other connections. While an engine lives, the shipper's connection is read-only
in SQLite's strictest sense: whatever goes wrong with locks, it cannot roll back a transaction that is under way.
"""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from whatsam_connector.state.errors import BaseDamaged, SnapshotBusy

_RETRY_LOCKED: Final = 0.01
"""Seconds between two tries of a backup while the engine commits."""
LOCKED_LIMIT: Final = 2.0
"""Seconds a snapshot waits for the engine's lock; a commit takes milliseconds."""


_FORMAT: Final = slice(18, 20)
"""Versions of the format for writing and reading, in the header of a SQLite file."""
_WITH_LOG: Final = b"\x02\x02"
_WITHOUT_LOG: Final = b"\x01\x01"


def open_reader(path: Path, *, engine_gone: bool) -> sqlite3.Connection:
    """A connection to an existing database that never waits. Raises `sqlite3.OperationalError`.

    `engine_gone`: a transaction that a killed engine left half done may be rolled back; without it such a file cannot
    be read until its engine is back.
    """
    mode = "rw" if engine_gone else "ro"
    # No word about the size of its cache: that would make it read the schema and keep it. Copies are its only work, and
    # whoever makes one lets go of the pages afterwards (`shrink`).
    return sqlite3.connect(
        f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=0, isolation_level=None, check_same_thread=False
    )


def data_version(connection: sqlite3.Connection) -> int:
    """A number that differs from the last call's when another connection committed in between."""
    version = int(connection.execute("PRAGMA data_version").fetchone()[0])
    shrink(connection)  # the question alone makes SQLite keep 80 KiB for pages that it will not read
    return version


def shrink(connection: sqlite3.Connection) -> None:
    """Let go of all pages: those of an idle session will hardly be read again before they have changed. 4 us."""
    connection.execute("PRAGMA shrink_memory")


def take(connection: sqlite3.Connection, limit: float = LOCKED_LIMIT) -> bytes:
    """The whole database at one moment after the call began. Raises `SnapshotBusy` after `limit` seconds of locks."""
    give_up = time.monotonic() + limit

    def still_in_time(_status: int, _remaining: int, _total: int) -> None:
        if time.monotonic() > give_up:
            raise SnapshotBusy(f"the database was locked for {limit:g} s")

    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        copy.execute(f"PRAGMA page_size={page_size}")
        # One step: a copy in several steps would start again with every commit in between.
        connection.backup(copy, pages=-1, progress=still_in_time, sleep=_RETRY_LOCKED)
        return _complete(copy.serialize())


def _complete(image: bytes) -> bytes:
    """Take out of the header that a write-ahead log belongs to it: a copy has none, and SQLite would look for it.

    Bases are the same whichever engine wrote the file; the next engine chooses its own way of writing.
    """
    if image[_FORMAT] != _WITH_LOG:
        return image
    return image[: _FORMAT.start] + _WITHOUT_LOG + image[_FORMAT.stop :]


@dataclass(frozen=True, slots=True)
class Contents:
    """What matters about a database. `jid`: the linked device, None when it has none (never paired, or logged out)."""

    jid: str | None
    schema_version: int
    schema_compat: int


def contents(image: bytes, *, thorough: bool) -> Contents:
    """Check a copy and say what is in it. Raises `BaseDamaged`.

    `thorough` checks indexes against their tables as well (before a restore); without it only the pages' structure.
    """
    if not image:
        return Contents(None, 0, 0)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        try:
            database.deserialize(image)
            return _contents(database, thorough)
        except (sqlite3.Error, OverflowError) as error:
            raise BaseDamaged(f"not a sound SQLite database: {error}") from None


def contents_of_file(path: Path) -> Contents:
    """Like `contents` for a file that no engine has open; rolls back what a killed engine left half done."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True, isolation_level=None)) as database:
            return _contents(database, thorough=True)
    except sqlite3.Error as error:
        raise BaseDamaged(f"the local database is not sound: {error}") from None


def _contents(database: sqlite3.Connection, thorough: bool) -> Contents:
    check = "integrity_check" if thorough else "quick_check"
    verdict = database.execute(f"PRAGMA {check}(1)").fetchone()
    if verdict != ("ok",):
        raise BaseDamaged(f"SQLite's {check} says: {verdict[0] if verdict else 'nothing'}")
    tables = {str(row[0]) for row in database.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    version: tuple[int, int] | None = None
    if "whatsmeow_version" in tables:
        version = database.execute("SELECT version, compat FROM whatsmeow_version").fetchone()
    device: tuple[str] | None = None
    if "whatsmeow_device" in tables:
        device = database.execute("SELECT jid FROM whatsmeow_device ORDER BY rowid DESC LIMIT 1").fetchone()
    return Contents(
        jid=str(device[0]) if device else None,
        schema_version=int(version[0]) if version else 0,
        schema_compat=int(version[1] or version[0]) if version else 0,
    )
