"""The look into a session's file before an engine gets it, whatever a killed engine has left beside it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from whatsam_connector.journal import Limits
from whatsam_connector.supervision.errors import EngineStartFailed
from whatsam_connector.supervision.sessions import EngineSession, check_devices

JID = "491511000001:1@s.whatsapp.net"


def left_behind(folder: Path, journal_mode: str) -> EngineSession:
    """A file as an engine leaves it that dies when the device is in: its log still holds the row."""
    live = folder / "live.db"
    database = folder / "session.db"
    with closing(sqlite3.connect(live, isolation_level=None)) as engine:
        engine.execute(f"pragma journal_mode = {journal_mode}")
        engine.execute("create table whatsmeow_device (jid text)")
        engine.execute("insert into whatsmeow_device values (?)", (JID,))
        for beside in folder.glob("live.db*"):
            if not beside.name.endswith("-shm"):
                shutil.copy(beside, folder / beside.name.replace("live", "session"))
    return EngineSession("uid", database, folder / "journal", JID, None, limits=Limits(1 << 20, 0))


@pytest.mark.parametrize("journal_mode", ["wal", "delete"])
def test_a_device_is_found_wherever_it_lies(tmp_path: Path, journal_mode: str) -> None:
    session = left_behind(tmp_path, journal_mode)
    log = tmp_path / "session.db-wal"
    before = log.read_bytes() if log.exists() else None
    check_devices([session])
    assert (log.read_bytes() if log.exists() else None) == before, "working the log in is the engine's business"


def test_another_device_is_not_enough(tmp_path: Path) -> None:
    session = left_behind(tmp_path, "wal")
    with closing(sqlite3.connect(session.database, isolation_level=None)) as engine:
        engine.execute("update whatsmeow_device set jid = 'other'")
    with pytest.raises(EngineStartFailed, match="does not hold its device"):
        check_devices([session])
