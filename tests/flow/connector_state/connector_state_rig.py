"""Databases like whatsmeow's, a process that writes to one, and keepers for the state's flow tests."""

import asyncio
import base64
import hashlib
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from whatsam_connector.state import KeyRing, Replicated, ReplicationTrouble, SessionIdentity, StateKeeper, StateSettings

JID = "491511234567:7@s.whatsapp.net"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RING = KeyRing("k1", {"k1": b"1" * 32})
SCHEMA = """
CREATE TABLE whatsmeow_version (version INTEGER, compat INTEGER);
INSERT INTO whatsmeow_version VALUES (15, 8);
CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, lid TEXT);
CREATE TABLE whatsmeow_sessions (our_jid TEXT, their_id TEXT, session bytea, PRIMARY KEY (our_jid, their_id));
CREATE TABLE whatsmeow_sender_keys (our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key bytea NOT NULL,
  PRIMARY KEY (our_jid, chat_id, sender_id));
CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
INSERT INTO counters VALUES ('first', 0), ('last', 0);
CREATE TABLE filler (n INTEGER PRIMARY KEY, data BLOB);
"""


def b64(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def session_record(name: str, index: int = 5) -> bytes:
    """A session record as whatsmeow stores it, sending chain at `index`."""
    chain = {
        "SenderRatchetKeyPublic": b64(name + "public"),
        "SenderRatchetKeyPrivate": b64(name + "private"),
        "ChainKey": {"Key": b64(name + "chain"), "Index": index},
        "MessageKeys": [],
    }
    state = {"RootKey": b64(name), "ReceiverChains": [], "SenderChain": chain, "SessionVersion": 3}
    return json.dumps({"SessionState": state, "PreviousStates": []}, separators=(",", ":")).encode()


def create(path: Path, *, jid: str | None = JID, contacts: int = 3, filler: int = 20) -> None:
    """What an engine would make: empty without `jid`, paired with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        if jid is not None:
            database.execute("INSERT INTO whatsmeow_device VALUES (?, 'lid')", (jid,))
            for n in range(contacts):
                database.execute(
                    "INSERT INTO whatsmeow_sessions VALUES (?,?,?)", (jid, f"{n}_1:0", session_record(f"c{n}"))
                )
        database.executemany("INSERT INTO filler (data) VALUES (randomblob(3000))", [()] * filler)
        database.commit()


def execute(path: Path, statement: str, *arguments: object) -> None:
    """One transaction of the engine. From this process: only while no keeper's own process has the file open."""
    with closing(sqlite3.connect(path, timeout=5)) as database, database:
        database.execute(statement, arguments)


def change(path: Path) -> None:
    """The engine writes something."""
    execute(path, "UPDATE counters SET n = n + 1")


def counter(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (first,), (last,) = database.execute("SELECT n FROM counters ORDER BY name").fetchall()
    assert first == last
    return int(first)


def indexes(path: Path) -> dict[str, int]:
    """Counter of the sending chain by contact."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT their_id, session FROM whatsmeow_sessions").fetchall()
    return {their: json.loads(raw)["SessionState"]["SenderChain"]["ChainKey"]["Index"] for their, raw in rows}


_WRITER = """
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
database.execute("PRAGMA synchronous=OFF")
database.execute("PRAGMA journal_mode=" + sys.argv[2])
database.execute("PRAGMA cache_size=5")  # spills dirty pages into the file in the middle of a transaction
n = 0
while True:
    database.execute("BEGIN IMMEDIATE")
    n += 1
    database.execute("UPDATE counters SET n=? WHERE name='first'", (n,))
    database.execute("UPDATE filler SET data=randomblob(3000)")
    database.execute("UPDATE counters SET n=? WHERE name='last'", (n,))
    database.execute("COMMIT")
    print(n, flush=True)
    time.sleep(0.003)  # the gap between two transactions of a busy engine
    if len(sys.argv) > 3 and n >= int(sys.argv[3]):
        break
"""


class Writer:
    """Another process that writes one transaction after the other, like an engine under load.

    `mode`: SQLite's journal mode; neonize uses DELETE, the engine in Go WAL.
    """

    def __init__(self, path: Path, count: int | None = None, *, mode: str = "DELETE") -> None:
        arguments = [sys.executable, "-c", _WRITER, str(path), mode, *([str(count)] if count else [])]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def wait(self) -> None:
        self.process.communicate(timeout=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Heard:
    """What a keeper told."""

    replicated: list[tuple[str, Replicated]] = field(default_factory=list)
    trouble: list[tuple[str, ReplicationTrouble | None]] = field(default_factory=list)


def settings(folder: Path, url: str, access: str, secret: str, **more: object) -> StateSettings:
    values: dict[str, object] = {
        "state_dir": folder,
        "installation_id": "tests",
        "key_ring": RING,
        "s3_url": url,
        "s3_access_key": access,
        "s3_secret_key": secret,
        "s3_bucket": "whatsam-state",
        "s3_region": "us-east-1",
        "engine_version": "neonize-0.5.2",
        "store_timeout": 10.0,  # only bounds a store that hangs: a killed one refuses at once
        "poll_period": 0.05,
    }
    return StateSettings(**(values | more))  # pyright: ignore[reportArgumentType]  # names and types are those above


def keeper(configured: StateSettings, heard: Heard) -> StateKeeper:
    return StateKeeper(
        configured,
        on_replicated=lambda uid, how_far: heard.replicated.append((uid, how_far)),
        on_trouble=lambda uid, what: heard.trouble.append((uid, what)),
    )


def identity(name: str, tenant: str = "t-one") -> SessionIdentity:
    return SessionIdentity(uid=f"uid-{name}", namespace="tests", name=name, tenant=tenant)


async def eventually(condition: Callable[[], object], what: str, limit: float = 20.0) -> None:
    """Wait until the condition holds; the limit only bounds a failing test."""
    give_up = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < give_up, f"not in {limit} s: {what}"
        await asyncio.sleep(0.02)
