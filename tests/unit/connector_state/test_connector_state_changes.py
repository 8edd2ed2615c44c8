"""The kernel's word about sessions' folders: what is told, what is not, and what happens when the kernel refuses."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from whatsam_connector.shipper.changes import Changes


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    return [tmp_path / "one", tmp_path / "two"]


def watching(folders: list[Path]) -> Changes:
    changes = Changes()
    for folder in folders:
        changes.watch(folder.name, folder)
    return changes


def test_a_write_is_told_once_and_of_its_session_alone(folders: list[Path]) -> None:
    changes = watching(folders)
    assert changes.read() == set()
    (folders[0] / "session.db").write_bytes(b"x")
    assert changes.read() == {"one"}
    assert changes.read() == set()
    changes.close()


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_each_commit_of_sqlite_is_told(folders: list[Path], mode: str) -> None:
    with closing(sqlite3.connect(folders[0] / "session.db", isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode={mode}")
        database.execute("CREATE TABLE counters (n INTEGER)")
        changes = watching(folders)
        for number in range(3):
            database.execute("INSERT INTO counters VALUES (?)", (number,))
            assert changes.read() == {"one"}
        database.execute("SELECT * FROM counters").fetchall()
        assert changes.read() == set()
    changes.close()


def test_a_session_that_is_forgotten_is_not_told_any_more(folders: list[Path]) -> None:
    changes = watching(folders)
    (folders[0] / "session.db").write_bytes(b"x")
    changes.forget("one")
    (folders[0] / "session.db").write_bytes(b"y")
    assert changes.read() == set()
    assert (changes.watches("one"), changes.watches("two")) == (False, True)
    changes.close()


def test_a_folder_that_is_gone_is_not_watched_any_more(folders: list[Path]) -> None:
    changes = watching(folders)
    folders[0].rmdir()
    assert changes.read() == {"one"}
    assert not changes.watches("one")
    changes.forget("one")
    changes.close()


def test_what_cannot_be_watched_is_said(folders: list[Path], tmp_path: Path) -> None:
    changes = watching(folders)
    changes.watch("three", tmp_path / "three")
    assert not changes.watches("three")
    changes.close()


def test_without_the_kernel_nothing_is_watched_and_nothing_fails(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = Changes()
    changes.close()
    for folder in folders:
        changes.watch(folder.name, folder)
    (folders[0] / "session.db").write_bytes(b"x")
    assert changes.read() == set()
    assert not changes.watches("one")
    changes.forget("one")


def test_more_changes_than_the_kernel_keeps_mean_that_any_session_may_have_changed(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = watching(folders)
    overflow = (-1).to_bytes(4, "little", signed=True) + (0x4000).to_bytes(4, "little") + bytes(8)
    pieces = [overflow, b""]
    monkeypatch.setattr(os, "read", lambda *_: pieces.pop(0))
    assert changes.read() is None
    changes.close()
