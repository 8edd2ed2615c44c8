"""What it takes to replicate auth state: 50 sessions that send 100 messages a minute each, for half a minute.

A keeper with its shipper process and the cluster's object store are real; the sessions' databases have the tables and
sizes of whatsmeow's, and this process writes to them as an engine does for each message: one transaction that changes a
Signal session and a few rows beside it. No message is sent: `bench sends` measures that.

`lag_s` is the time from a commit until the keeper says that the store has it, for each of them. Requests and bytes are
counted between the shipper and the store. `restore_s` is a whole preparation on another worker after the first one was
lost: listings, reading, checks, repair and the start base.
"""

import asyncio
import os
import re
import secrets
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from bench.harness import Figure, figure
from whatsam_connector.state import STARTABLE, KeyRing, Replicated, SessionIdentity, StateKeeper, StateSettings
from whatsam_core.errors import WhatsamError
from whatsam_local.driver.cluster import RunningCluster

SESSIONS = int(os.environ.get("BENCH_REPLICATION_SESSIONS", "50"))
SECONDS = float(os.environ.get("BENCH_REPLICATION_SECONDS", "30"))
MESSAGES_A_MINUTE = 100
CONTACTS = 40
_REQUEST = re.compile(rb"(GET|PUT|POST|DELETE|HEAD) [^\r\n]+ HTTP/1\.1\r\n")
_TABLES = """
CREATE TABLE whatsmeow_version (version INTEGER, compat INTEGER);
INSERT INTO whatsmeow_version VALUES (15, 8);
CREATE TABLE whatsmeow_device (jid TEXT PRIMARY KEY, lid TEXT);
CREATE TABLE whatsmeow_sessions (our_jid TEXT, their_id TEXT, session bytea, PRIMARY KEY (our_jid, their_id));
CREATE TABLE whatsmeow_sender_keys (our_jid TEXT, chat_id TEXT, sender_id TEXT, sender_key bytea NOT NULL,
  PRIMARY KEY (our_jid, chat_id, sender_id));
CREATE TABLE whatsmeow_pre_keys (jid TEXT, key_id INTEGER, key bytea, uploaded BOOLEAN, PRIMARY KEY (jid, key_id));
CREATE TABLE whatsmeow_message_secrets (our_jid TEXT, chat_jid TEXT, sender_jid TEXT, message_id TEXT, key bytea,
  PRIMARY KEY (our_jid, chat_jid, sender_jid, message_id));
"""


@dataclass
class _Wire:
    """What went from the shipper to the store."""

    requests: Counter[str] = field(default_factory=Counter[str])
    bytes: int = 0


@dataclass
class _Session:
    """One session's database, and its commits that the store does not have yet."""

    identity: SessionIdentity
    database: sqlite3.Connection
    pending: list[float] = field(default_factory=list[float])
    messages: int = 0


def measure(cluster: RunningCluster) -> list[Figure]:
    """On the cluster's object store, below a prefix of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-replication-") as folder:
        return asyncio.run(_measure(cluster.environment, Path(folder)))


async def _measure(environment: dict[str, str], folder: Path) -> list[Figure]:
    lags: list[float] = []
    sessions: dict[str, _Session] = {}

    def replicated(uid: str, how_far: Replicated) -> None:
        session, now = sessions[uid], time.monotonic()
        lags.extend(now - at for at in session.pending if at < how_far.covered)
        session.pending = [at for at in session.pending if at >= how_far.covered]

    wire, installation = _Wire(), f"bench-{secrets.token_hex(4)}"
    async with _counted(environment["WHATSAM_S3_URL"], wire) as url:
        settings = _settings(environment, folder / "one", installation, url)
        keeper = StateKeeper(settings, on_replicated=replicated)
        await keeper.start()
        try:
            for number in range(SESSIONS):
                session = await _paired(keeper, number)
                sessions[session.identity.uid] = session
                await keeper.flush(session.identity.uid, 30)
            pid = keeper.shipper_pid
            if pid is None:
                raise WhatsamError("the shipper does not run")
            shipper = psutil.Process(pid)
            lags.clear()
            wire.requests.clear()
            wire.bytes = 0
            spent, began = _processor(shipper), time.monotonic()
            await asyncio.gather(*(_send(session, began + SECONDS) for session in sessions.values()))
            spent, took = _processor(shipper) - spent, time.monotonic() - began
            requests, sent = Counter(wire.requests), wire.bytes
            await asyncio.gather(*(keeper.flush(uid, 30) for uid in sessions))
        finally:
            await keeper.stop()
        restores = await _restored(environment, folder, installation, sessions)
    lags.sort()
    messages = sum(session.messages for session in sessions.values())
    return [
        figure("lag_p99_s", "s", [lags[int(len(lags) * 0.99)]], 0.5),
        figure("lag_p50_s", "s", [lags[len(lags) // 2]]),
        figure("messages_per_s", "1/s", [messages / took], SESSIONS * MESSAGES_A_MINUTE / 60, 1),
        figure("requests_per_s", "per second", [sum(requests.values()) / took]),
        figure("requests_per_session_s", "per second", [sum(requests.values()) / took / SESSIONS], digits=3),
        figure("puts_per_s", "per second", [requests["PUT"] / took]),
        figure("bytes_per_message", "bytes", [sent / max(1, messages)], digits=0),
        figure("shipper_cpu", "cores", [spent / took], digits=3),
        figure("restore_p50_s", "s", sorted(restores), 0.3, 3),
    ]


async def _paired(keeper: StateKeeper, number: int) -> _Session:
    identity = SessionIdentity(f"bench-{number}", "bench", f"s{number}", "t")
    prepared = await keeper.prepare(identity, epoch=1, boot="benchone", jid=None, handover=None)
    if prepared.database is None:
        raise WhatsamError(prepared.message)
    jid = f"4915700{number:05d}:1@s.whatsapp.net"
    database = sqlite3.connect(prepared.database, timeout=5, isolation_level=None, check_same_thread=False)
    database.executescript(_TABLES)
    database.execute("BEGIN")
    database.execute("INSERT INTO whatsmeow_device VALUES (?, 'lid')", (jid,))
    database.executemany(
        "INSERT INTO whatsmeow_pre_keys VALUES (?,?,?,?)", [(jid, n, os.urandom(32), True) for n in range(812)]
    )
    database.executemany(
        "INSERT INTO whatsmeow_sessions VALUES (?,?,?)",
        [(jid, f"{n}_1:0", os.urandom(1100).hex().encode()) for n in range(CONTACTS)],
    )
    database.execute("COMMIT")
    await keeper.track(identity.uid)
    return _Session(identity, database)


async def _send(session: _Session, until: float) -> None:
    """One message after the other at an even pace, beginning somewhere in the first interval."""
    period = 60 / MESSAGES_A_MINUTE
    due = time.monotonic() + period * secrets.randbelow(1000) / 1000
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        contact, record = f"{secrets.randbelow(CONTACTS)}_1:0", os.urandom(1100).hex().encode()
        await asyncio.to_thread(_commit, session.database, contact, record)
        session.pending.append(time.monotonic())
        session.messages += 1
        due += period


def _commit(database: sqlite3.Connection, contact: str, record: bytes) -> None:
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE whatsmeow_sessions SET session=? WHERE their_id=?", (record, contact))
    database.execute(
        "INSERT INTO whatsmeow_message_secrets VALUES ('us', ?, 'us', ?, ?)",
        (contact, secrets.token_hex(10), os.urandom(32)),
    )
    database.execute("COMMIT")


async def _restored(
    environment: dict[str, str], folder: Path, installation: str, sessions: dict[str, _Session]
) -> list[float]:
    """Seconds that each session took on another worker, one after the other."""
    for session in sessions.values():
        session.database.close()
    settings = _settings(environment, folder / "two", installation, environment["WHATSAM_S3_URL"])
    keeper = StateKeeper(settings, on_replicated=lambda _uid, _how_far: None)
    seconds: list[float] = []
    await keeper.start()
    try:
        for session in sessions.values():
            began = time.monotonic()
            prepared = await keeper.prepare(session.identity, epoch=2, boot="benchtwo", jid=None, handover=None)
            seconds.append(time.monotonic() - began)
            if prepared.outcome not in STARTABLE or prepared.database is None or prepared.fell_back:
                raise WhatsamError(f"not restored: {prepared.message}")
            with closing(sqlite3.connect(prepared.database)) as found:
                (kept,) = found.execute("SELECT count(*) FROM whatsmeow_message_secrets").fetchone()
            if kept != session.messages:
                raise WhatsamError(f"restored with {kept} messages of {session.messages}")
    finally:
        await keeper.stop()
    return seconds


def _settings(environment: dict[str, str], folder: Path, installation: str, url: str) -> StateSettings:
    return StateSettings(
        state_dir=folder,
        installation_id=installation,
        key_ring=KeyRing("bench", {"bench": installation.encode().ljust(32)}),
        s3_url=url,
        s3_access_key=environment["WHATSAM_S3_ACCESS_KEY"],
        s3_secret_key=environment["WHATSAM_S3_SECRET_KEY"],
        s3_bucket=environment["WHATSAM_S3_BUCKET"],
        s3_region="us-east-1",
        engine_version="bench",
    )


def _processor(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@asynccontextmanager
async def _counted(url: str, wire: _Wire) -> AsyncGenerator[str]:
    """The same store behind a door that counts what passes."""
    address = urlsplit(url)
    doing: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool) -> None:
        try:
            while piece := await reader.read(1 << 16):
                if count:
                    wire.bytes += len(piece)
                    wire.requests.update(found.decode() for found in _REQUEST.findall(piece))
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(address.hostname, address.port)
        for task in (
            asyncio.create_task(pass_on(reader, inner_writer, count=True)),
            asyncio.create_task(pass_on(inner_reader, writer, count=False)),
        ):
            doing.add(task)
            task.add_done_callback(doing.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(doing):
            task.cancel()
