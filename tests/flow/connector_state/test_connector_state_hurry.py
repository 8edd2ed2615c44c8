"""Whoever waits for a base does not wait for the routine of others, even when the first look meets a commit."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import cast

import connector_state_rig as rig
import pytest

from whatsam_connector.shipper import session as shipping
from whatsam_connector.shipper.pace import Gate
from whatsam_connector.shipper.protocol import Quiet, Report, Stored, Track
from whatsam_core.storage.objects import ObjectMissing, ObjectStore


class Store:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key]

    async def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    async def delete_all(self, keys: list[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)


def track_of(database: Path) -> Track:
    return Track(
        uid="u", database=str(database), tenant="t", session="ns/s", prefix="sessions/t/u/", epoch=1, boot="bootaaaaaa",
        engine="neonize", data_key=b"k" * 32, key_record=b"{}", next_seq=1, stored=None, uncertain=False, jid=rig.JID,
    )  # fmt: skip


async def test_a_hurry_outlives_a_look_at_a_locked_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, stored, said = tmp_path / "session.db", list[Stored](), asyncio.Event()
    rig.create(database)
    version, locked = shipping.data_version, 0

    def locked_sometimes(connection: sqlite3.Connection) -> int:
        nonlocal locked
        if locked:
            locked -= 1
            raise sqlite3.OperationalError("database is locked")
        return version(connection)

    async def say(report: Report) -> None:
        if isinstance(report, Stored):
            stored.append(report)
            said.set()

    monkeypatch.setattr(shipping, "data_version", locked_sometimes)
    gate = Gate()
    shipper = shipping.SessionShipper(track_of(database), cast("ObjectStore", Store()), say, gate)
    shipper.begin()
    try:
        await asyncio.wait_for(said.wait(), 20)
        said.clear()
        async with gate.turn(asyncio.Event()):  # the others' routine
            rig.change(database)
            locked = 1
            shipper.hurry()
            await asyncio.wait_for(said.wait(), 20)
    finally:
        await shipper.end()
    assert len(stored) == 2
    assert locked == 0


async def test_a_change_that_only_the_log_shows_is_seen_at_a_glance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "LOOK_ANYWAY", 600.0)  # nothing but a glance makes it look
    database, stored, clean = tmp_path / "session.db", asyncio.Event(), asyncio.Event()
    rig.create(database)

    async def say(report: Report) -> None:
        if isinstance(report, Stored):
            stored.set()
        elif isinstance(report, Quiet):
            clean.set()

    with closing(sqlite3.connect(database, isolation_level=None)) as engine:
        engine.execute("PRAGMA journal_mode=WAL")
        engine.execute("UPDATE counters SET n = n + 1")
        shipper = shipping.SessionShipper(track_of(database), cast("ObjectStore", Store()), say, Gate())
        shipper.begin()
        try:
            await asyncio.wait_for(stored.wait(), 20)
            long_ago = time.time() - 3600
            for file in (database, tmp_path / "session.db-wal"):
                os.utime(file, (long_ago, long_ago))
            shipper.hurry()
            await asyncio.wait_for(clean.wait(), 20)
            while shipper.quiet_since is None:
                await asyncio.sleep(0)
                shipper.glance()  # it has nothing new to tell
            stored.clear()
            shipper.quiet_since = None
            untouched = database.stat()
            engine.execute("UPDATE counters SET n = n + 1")
            assert database.stat().st_mtime_ns == untouched.st_mtime_ns
            shipper.glance()
            assert shipper.quiet_since is None, "it must not call this stored"
            await asyncio.wait_for(stored.wait(), 20)
        finally:
            await shipper.end()
