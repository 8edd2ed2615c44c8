"""Whoever waits for a base does not wait for the routine of others, even when the first look meets a commit."""

import asyncio
import sqlite3
from pathlib import Path
from typing import cast

import connector_state_rig as rig
import pytest

from whatsam_connector.shipper import session as shipping
from whatsam_connector.shipper.pace import Gate
from whatsam_connector.shipper.protocol import Report, Stored, Track
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
    track = Track(
        uid="u", database=str(database), tenant="t", session="ns/s", prefix="sessions/t/u/", epoch=1, boot="bootaaaaaa",
        engine="neonize", data_key=b"k" * 32, key_record=b"{}", next_seq=1, stored=None, uncertain=False, jid=rig.JID,
    )  # fmt: skip
    gate = Gate()
    shipper = shipping.SessionShipper(track, cast("ObjectStore", Store()), say, gate)
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
