"""Engine processes and the accounts that they run, without a cluster: started, killed, and robbed of power.

For `bench.losses` and for the flow tests of engines.
"""

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from whatsam_connector.engine.events import Connected, EngineEvent, OfflineDrained, Paired, QrShown
from whatsam_connector.fence import boottime
from whatsam_connector.journal import InboundMessage, InboundUndecryptable, Limits, Reader
from whatsam_connector.journal.layout import segment_path, segments
from whatsam_connector.supervision import EngineExit, EngineProcess, EngineSession, PairingRequest
from whatsam_simulator.client import SimulatorClient
from whatsam_simulator.journal.records import MessageStep

LIMIT = 90.0
"""Seconds for what takes a second on an idle machine."""
_FENCE = 3600.0
_LOOK = 0.1
_GRACE = 30.0


@dataclass(frozen=True)
class Disk:
    """What is wrong with the journals' disk; see `simulator/whatsam_simulator/hook/journal_files.go`."""

    write_milliseconds: int = 0
    sync_milliseconds: int = 0
    slow_from: int = 0
    room: int | None = None
    fail_syncs: int = 0
    failed_syncs: int = 0
    panic_at_write: int = 0
    tell_synced: bool = True

    def environment(self) -> dict[str, str]:
        """What tells the engine with faulty files; any other one does not know of it."""
        told = {name.replace("_", ""): value for name, value in asdict(self).items()}
        return {"WHATSAM_FAULTY_FILES": json.dumps(told)}


@dataclass
class Account:
    """A session and the phone behind it."""

    number: str
    folder: Path
    uid: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    jid: str | None = None
    limits: Limits = field(default_factory=lambda: Limits(least_free_bytes=0))

    @property
    def database(self) -> Path:
        return self.folder / "session.db"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def session(self, pairing: PairingRequest | None = None) -> EngineSession:
        return EngineSession(self.uid, self.database, self.journal, self.jid, pairing, limits=self.limits)

    def messages(self) -> list[InboundMessage]:
        """Every message in the journal, done with or not, in order and as often as it is there."""
        return [entry.record for entry in Reader(self.journal) if isinstance(entry.record, InboundMessage)]

    def unreadable(self) -> list[InboundUndecryptable]:
        """Every message in the journal that could not be decrypted."""
        return [entry.record for entry in Reader(self.journal) if isinstance(entry.record, InboundUndecryptable)]


class Engine:
    """A process and everything that it has said."""

    def __init__(self) -> None:
        self.events: list[EngineEvent] = []
        self.process: EngineProcess
        self._changed = asyncio.Event()

    def heard(self, event: EngineEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def of(self, kind: type[EngineEvent]) -> set[str]:
        """Sessions that have said this."""
        return {event.uid for event in self.events if isinstance(event, kind)}

    async def until(self, holds: Callable[[], bool], limit: float = LIMIT) -> None:
        """Wait for something that the events tell. Raises TimeoutError."""
        async with asyncio.timeout(limit):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def said(self, kind: type[EngineEvent], accounts: Sequence[Account]) -> None:
        """Wait until all of them have said it."""
        await self.until(lambda: self.of(kind) >= {account.uid for account in accounts})

    async def exited(self) -> EngineExit:
        return await asyncio.wait_for(self.process.exited, LIMIT)

    async def kill(self) -> None:
        """As a crash would end it; returns when it is dead."""
        self.process.kill()
        await self.exited()


class Engines:
    """Starts processes; all of them end with it."""

    def __init__(self, simulator: SimulatorClient, environment: Mapping[str, str], run_dir: Path) -> None:
        self.simulator = simulator
        self._environment = environment
        self._run_dir = run_dir
        self._started: list[Engine] = []
        self._seen = 0
        """Steps of messages in the simulator's journal that were looked at, and what they say of each device."""
        self._sent: dict[str, set[str]] = defaultdict(set)
        self._done: dict[str, set[str]] = defaultdict(set)

    async def start(self, accounts: Sequence[Account], program: Sequence[str], disk: Disk | None = None) -> Engine:
        """Start them in one process; does not wait for their connections."""
        engine = Engine()
        engine.process = await EngineProcess.spawn(
            [account.session(None if account.jid else PairingRequest("QR")) for account in accounts],
            environment={**self._environment, **(disk or Disk()).environment()},
            run_dir=self._run_dir,
            deadline=boottime() + _FENCE,
            on_event=engine.heard,
            program=program,
        )
        self._started.append(engine)
        return engine

    async def connected(self, accounts: Sequence[Account], program: Sequence[str], disk: Disk | None = None) -> Engine:
        """Start them and wait until they are connected."""
        engine = await self.start(accounts, program, disk)
        await engine.said(Connected, accounts)
        return engine

    async def pair(self, accounts: Sequence[Account], program: Sequence[str], together: int = 10) -> None:
        """Pair accounts by QR code, some at a time; none of them runs afterwards."""
        await asyncio.to_thread(self._settled, ())  # what was before is nothing to look at again
        for first in range(0, len(accounts), together):
            group = accounts[first : first + together]
            engine = await self.start(group, program)
            for account in group:
                await engine.said(QrShown, [account])
                code = next(e.code for e in reversed(engine.events) if isinstance(e, QrShown) and e.uid == account.uid)
                await asyncio.to_thread(self.simulator.scan, account.number, code)
            await engine.said(Paired, group)
            await engine.said(OfflineDrained, group)
            jids = {event.uid: event.jid for event in engine.events if isinstance(event, Paired)}
            for account in group:
                account.jid = jids[account.uid]
            async with asyncio.timeout(LIMIT):
                while not await asyncio.to_thread(self._settled, jids.values()):  # noqa: ASYNC110 - no push
                    await asyncio.sleep(_LOOK)
            await engine.process.stop(_GRACE)

    def _settled(self, jids: Iterable[str]) -> bool:
        """Whether the devices have taken what their phones send after a pairing."""
        while events := self.simulator.message_events(after=self._seen):
            self._seen = events[-1].sequence
            for event in events:
                if event.receiver is not None and event.step in {MessageStep.SENT, MessageStep.QUEUED}:
                    self._sent[event.receiver].add(event.message_id)
                elif event.receiver is not None and event.step is MessageStep.ACKNOWLEDGED:
                    self._done[event.receiver].add(event.message_id)
        devices = [jid.partition("@")[0] for jid in jids]
        return all(self._sent[device] and self._sent[device] <= self._done[device] for device in devices)

    async def close(self) -> None:
        """End what still runs."""
        for engine in self._started:
            engine.process.kill()
        for engine in self._started:
            await engine.process.exited


@asynccontextmanager
async def running_engines(
    simulator: SimulatorClient, environment: Mapping[str, str], run_dir: Path
) -> AsyncGenerator[Engines]:
    """Engines that all end with the block."""
    engines = Engines(simulator, environment, run_dir)
    try:
        yield engines
    finally:
        await engines.close()


# --- a power cut ------------------------------------------------------------------------------------------------------


def copy_of_database(account: Account, number: int) -> Path:
    """A consistent copy of a session's file, made while it may be written: what a power cut may lead back to."""
    copy = account.folder / f"copy-{number}.db"
    copy.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(f"{account.database.absolute().as_uri()}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return copy


def cut_power(account: Account, copy: Path | None, chance: random.Random) -> int:
    """Do to a dead engine's files what a power cut might have done: what nobody synced is gone, or a part of it is.

    `copy`: the session's file goes back to that. Returns how many bytes of the journal are gone.
    """
    gone = 0
    for number in segments(account.journal):
        path = segment_path(account.journal, number)
        size, told = path.stat().st_size, path.with_name(f"{path.name}.synced")
        synced = int(told.read_text() or 0) if told.exists() else 0
        # The kernel may have written some of the rest on its own, up to any byte.
        kept = chance.choice([synced, synced, chance.randint(synced, size)])
        gone += size - kept
        if synced == 0:
            path.unlink()  # its name was never synced
        else:
            os.truncate(path, kept)
    if copy is not None:
        for beside in ("-wal", "-shm", "-journal"):
            account.database.with_name(account.database.name + beside).unlink(missing_ok=True)
        copy.replace(account.database)
    return gone
