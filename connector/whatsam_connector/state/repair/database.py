"""Repair of a restored session database before its engine starts. Called by the preparation, never on a live file.

A sending chain that went back in time uses message keys twice: receivers drop such a message and still acknowledge it.
So all 1:1 sending chains move forward by a guaranteed number of steps, and the account's own sender keys of groups
are deleted (whatsmeow makes new ones and distributes them with each group message).

Everything happens in one transaction. A repair is named by epoch, boot and the state it started from; the name is
written in the same transaction, so a repetition changes nothing.
"""

import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, cast

from pydantic import TypeAdapter

from whatsam_connector.state.errors import FormatError
from whatsam_connector.state.records import RepairMode, RepairReport
from whatsam_connector.state.repair import sender_key_record, session_record
from whatsam_connector.state.repair.session_record import ChainPosition

MAX_JUMP: Final = 1600
"""Receivers keep 2,000 skipped keys and refuse to look further ahead; the rest is for messages that were lost."""

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS whatsam_repair (name TEXT PRIMARY KEY, at TEXT NOT NULL, report TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS whatsam_chain_jump (our_jid TEXT, their_id TEXT, ratchet TEXT NOT NULL, "
    "position INTEGER NOT NULL, jumped INTEGER NOT NULL, PRIMARY KEY (our_jid, their_id))",
)
_REPORT: Final = TypeAdapter(RepairReport)


@dataclass(frozen=True, slots=True)
class RepairOrder:
    """What to do. `source` names the state that is repaired; the same order on the same state is done once."""

    epoch: int
    boot: str
    source: str
    mode: RepairMode
    steps: int

    @property
    def name(self) -> str:
        """Identity of this repair inside the database."""
        return f"{self.epoch}/{self.boot}/{self.source}"


def repair(path: Path, order: RepairOrder, *, at: datetime, max_jump: int = MAX_JUMP) -> RepairReport:
    """Carry out the order on a database that nobody has open.

    A record whose format is unknown is deleted: a session that is built anew costs a round trip, a used counter costs
    the message. Raises `FormatError` when the tables themselves are not as expected; the file is unchanged then.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        try:
            for statement in _TABLES:
                database.execute(statement)
            done = database.execute("SELECT report FROM whatsam_repair WHERE name=?", (order.name,)).fetchone()
            if done:
                database.execute("ROLLBACK")
                return replace(_REPORT.validate_json(done[0]), repeated=True)
            report = _apply(database, order, max_jump)
            database.execute(
                "INSERT INTO whatsam_repair VALUES (?,?,?)",
                (order.name, at.isoformat(), _REPORT.dump_json(report).decode()),
            )
            database.execute("COMMIT")
            return report
        except sqlite3.Error as error:
            raise FormatError(f"the tables are not whatsmeow's: {error}") from None


@dataclass(slots=True)
class _Count:
    sessions: int = 0
    chains: int = 0
    sessions_deleted: int = 0
    sender_keys_deleted: int = 0
    unreadable: int = 0


def _apply(database: sqlite3.Connection, order: RepairOrder, max_jump: int) -> RepairReport:
    count = _Count()
    for our_jid, their_id, raw in database.execute(
        "SELECT our_jid, their_id, session FROM whatsmeow_sessions"
    ).fetchall():
        _repair_session(database, (str(our_jid), str(their_id)), _bytes(raw), order, max_jump=max_jump, count=count)
    rows = database.execute("SELECT our_jid, chat_id, sender_id, sender_key FROM whatsmeow_sender_keys").fetchall()
    for our_jid, chat_id, sender_id, raw in rows:
        try:
            ours = sender_key_record.is_own(_bytes(raw))
        except FormatError:
            ours = True
            count.unreadable += 1
        if ours:
            database.execute(
                "DELETE FROM whatsmeow_sender_keys WHERE our_jid=? AND chat_id=? AND sender_id=?",
                (our_jid, chat_id, sender_id),
            )
            count.sender_keys_deleted += 1
    return RepairReport(mode=order.mode, steps=order.steps, **asdict(count))


def _repair_session(
    database: sqlite3.Connection, row: tuple[str, str], raw: bytes, order: RepairOrder, *, max_jump: int, count: _Count
) -> None:
    if order.mode is RepairMode.DROP_SESSIONS:
        _delete_session(database, row, count)
        return
    try:
        jumped = order.steps + _still_open_jump(database, row, session_record.position(raw))
        if jumped > max_jump:
            _delete_session(database, row, count)
            return
        advanced = session_record.advance(raw, order.steps)
    except FormatError:
        count.unreadable += 1
        _delete_session(database, row, count)
        return
    database.execute("UPDATE whatsmeow_sessions SET session=? WHERE our_jid=? AND their_id=?", (advanced.raw, *row))
    if advanced.position is not None:
        database.execute(
            "INSERT OR REPLACE INTO whatsam_chain_jump VALUES (?,?,?,?,?)",
            (*row, advanced.position.ratchet, advanced.position.index, jumped),
        )
    count.sessions += 1
    count.chains += advanced.chains


def _still_open_jump(database: sqlite3.Connection, row: tuple[str, str], now: ChainPosition | None) -> int:
    """How far the chain is ahead of its last message already: nothing was sent since the last repair, jumps add up."""
    last = database.execute(
        "SELECT ratchet, position, jumped FROM whatsam_chain_jump WHERE our_jid=? AND their_id=?", row
    ).fetchone()
    if last is None or now is None or (str(last[0]), int(last[1])) != (now.ratchet, now.index):
        return 0
    return int(last[2])


def _delete_session(database: sqlite3.Connection, row: tuple[str, str], count: _Count) -> None:
    database.execute("DELETE FROM whatsmeow_sessions WHERE our_jid=? AND their_id=?", row)
    database.execute("DELETE FROM whatsam_chain_jump WHERE our_jid=? AND their_id=?", row)
    count.sessions_deleted += 1


def _bytes(raw: object) -> bytes:
    # whatsmeow binds bytes; a text value would be a format that we do not know, and fails to parse as such.
    return bytes(cast("bytes", raw)) if isinstance(raw, bytes | bytearray | memoryview) else b""
