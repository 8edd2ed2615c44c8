"""Messages in, for each engine and plain neonize: how many in a second, and how many get lost around a kill.

Three things are told apart. `lost_after_journal`: messages that the engine had journalled and PostgreSQL has not.
`lost_of_200`: of 200 messages around a `kill -9` of the engine, those that WhatsApp's server has got acknowledged and
that nobody ever sees: neonize stores the ratchet before it hands the message on. `duplicates`: rows too many.
The baseline is measured once; the engines take turns with it.
"""

import asyncio
import secrets
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import asyncpg
import psutil

from bench.bare import BareGateway, bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engines, holder_of, named
from bench.workers import OpenFolder, Worker
from whatsam_connector.journal import InboundMessage, Reader
from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member
from whatsam_simulator.client import SimulatorClient

BURST = 2000
"""Messages of the measurement of speed."""
FLOOD = 10_000
"""Messages while the connector is killed again and again."""
SPEED_ROUNDS = 3
KILLS = 5
AROUND = 200
"""Messages around one kill of an engine."""
ROUNDS = 5
CHUNK = 50
WITHIN = 180.0
"""Seconds until everything that will ever come has come."""


LOST_GOAL = {Engine.NEONIZE: 5, Engine.WHATSMEOW: 0}


def measure(cluster: RunningCluster) -> list[Figure]:
    """One session each; bursts, rounds with a kill of the engine, a flood with five kills of the connector."""
    with ExitStack() as stack:
        bare = _Bare(stack.enter_context(bare_gateway(1)))
        ours: dict[Engine, _Ours] = {}
        for engine in engines():
            fleet = stack.enter_context(bench_fleet(cluster, 1, 1, engine=engine.value))
            fleet.pair(120, 60)
            fleet.exchange(1, "before")
            ours[engine] = _Ours(cluster, fleet, _Rows(cluster, fleet))
        contestants = (*ours.values(), bare)
        speeds: dict[_Contestant, list[float]] = {one: [] for one in contestants}
        lost: dict[_Contestant, list[float]] = {one: [] for one in contestants}
        for _ in range(SPEED_ROUNDS):
            for one in contestants:
                speeds[one].append(_speed(one))
        for _ in range(ROUNDS):
            for one in contestants:
                lost[one].append(_around_kill(one, statistics.median(speeds[one])))
        figures: list[Figure] = []
        for engine, one in ours.items():
            speed, bare_speed = speeds[one], speeds[bare]
            measured = [
                figure("per_second", "1/s", speed, digits=0),
                figure("ratio_to_bare_neonize", "", [a / b for a, b in zip(speed, bare_speed, strict=True)]),
                figure("lost_of_200", "count", lost[one], goal=LOST_GOAL[engine], digits=0),
                figure("duplicates_around_kills", "count", [one.twice], goal=0, digits=0),
                *_flood(one),
            ]
            figures += named(engine, measured)
    return [
        *figures,
        figure("bare_per_second", "1/s", speeds[bare], digits=0),
        figure("bare_lost_of_200", "count", lost[bare], digits=0),
    ]


class _Rows:
    """The rows of one session's inbound messages, read from PostgreSQL itself."""

    def __init__(self, cluster: RunningCluster, fleet: Fleet) -> None:
        self._url = cluster.environment["WHATSAM_DATABASE_URL"]
        session = fleet.state(fleet.names[0])
        self._session = f"{session.metadata.namespace}/{session.metadata.name}"

    def texts(self, label: str) -> Counter[str]:
        """How often each text with this label is there."""
        return Counter(row["text"] for row in asyncio.run(self._fetch(label)))

    def count(self, label: str) -> int:
        """How many rows have a text with this label."""
        return len(asyncio.run(self._fetch(label)))

    async def _fetch(self, label: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._url)
        try:
            return await connection.fetch(
                "select body ->> 'text' as text from messages"
                " where session = $1 and direction = 'in' and starts_with(body ->> 'text', $2)",
                self._session,
                label,
            )
        finally:
            await connection.close()


class _Contestant(Protocol):
    """Somebody who receives: an engine of ours, or the baseline."""

    simulator: SimulatorClient
    member: Member

    def arrived(self, label: str) -> set[str]:
        """Texts with this label that are where they belong."""
        ...

    def count(self, label: str) -> int:
        """How many, without looking at each."""
        ...

    def engines(self) -> list[psutil.Process]:
        """What is killed; found before, because looking takes longer than the messages."""
        ...

    def kill(self, engines: list[psutil.Process]) -> None:
        """End them as a crash would."""
        ...

    def back(self) -> None:
        """Wait until it receives again."""
        ...


class _Ours:
    """One session of a cluster."""

    def __init__(self, cluster: RunningCluster, fleet: Fleet, rows: _Rows) -> None:
        self.cluster, self.fleet, self.rows = cluster, fleet, rows
        self.simulator, self.member = fleet.simulator, fleet.members[0]
        self.twice = 0
        """Rows too many, of all that were looked at."""

    def arrived(self, label: str) -> set[str]:
        found = self.rows.texts(label)
        self.twice += sum(times - 1 for times in found.values())
        return set(found)

    def count(self, label: str) -> int:
        return self.rows.count(label)

    def worker(self) -> Worker:
        """The worker that holds the session now."""
        return Worker(self.cluster, holder_of(self.fleet, self.fleet.names))

    def engines(self) -> list[psutil.Process]:
        return self.worker().engines()

    def kill(self, engines: list[psutil.Process]) -> None:
        for engine in engines:
            engine.kill()

    def back(self) -> None:
        self.fleet.watch.wait_phase([self.member.name], Phase.CONNECTED, 90)


class _Bare:
    """The one session of the baseline."""

    def __init__(self, gateway: BareGateway) -> None:
        self._gateway = gateway
        self.simulator = gateway.simulator
        self.member = Member("bare", gateway.phones[0], gateway.contacts[0])

    def arrived(self, label: str) -> set[str]:
        return {text for text in self._gateway.received(0) if text.startswith(label)}

    def count(self, label: str) -> int:
        return len(self.arrived(label))

    def engines(self) -> list[psutil.Process]:
        return []

    def kill(self, engines: list[psutil.Process]) -> None:
        self._gateway.kill()

    def back(self) -> None:
        self._gateway.start()


def _speed(one: _Contestant) -> float:
    label = secrets.token_hex(3)
    began = time.monotonic()
    _say(one.simulator, one.member, label, range(BURST))
    eventually(lambda: one.count(label) >= BURST, WITHIN, f"{BURST} messages have arrived")
    return BURST / (time.monotonic() - began)


def _around_kill(one: _Contestant, speed: float) -> float:
    """200 messages, and amid them the end of the process that speaks to WhatsApp: how many miss."""
    label, doomed = secrets.token_hex(3), one.engines()
    with _saying(one.simulator, one.member, label, AROUND / 2 / speed):
        one.kill(doomed)
    one.back()
    _end_marker(one, label)
    return AROUND - sum(" end" not in text for text in one.arrived(label))


def _flood(one: _Ours) -> list[Figure]:
    """10,000 messages at full speed while the connector is killed five times."""
    fleet, member, label = one.fleet, one.member, secrets.token_hex(3)
    uid = fleet.state(member.name).metadata.uid
    journalled: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="whatsam-bench-") as folder:
        for part in range(KILLS + 1):
            share = range(part * FLOOD // (KILLS + 1), (part + 1) * FLOOD // (KILLS + 1))
            _say(fleet.simulator, member, label, share)
            if part == KILLS:
                break
            epochs = fleet.epochs()
            worker = one.worker()
            journal = worker.journal(uid)
            worker.main().kill()
            journalled |= _journalled(journal, Path(folder) / str(part), label)
            fleet.watch.wait_phase_after([member.name], Phase.CONNECTED, epochs, 120)
        _end_marker(one, label)
    found = one.rows.texts(label)
    texts = {text for text in found if " end" not in text}
    return [
        figure("flood_messages", "count", [FLOOD], digits=0),
        figure("lost_after_journal", "count", [len(journalled - texts)], goal=0, digits=0),
        figure("journalled_and_checked", "count", [len(journalled)], digits=0),
        figure("duplicates", "count", [sum(times - 1 for times in found.values())], goal=0, digits=0),
        figure("lost_in_five_kills", "count", [FLOOD - len(texts)], digits=0),
    ]


def _journalled(journal: OpenFolder, folder: Path, label: str) -> set[str]:
    """Texts that the dead engine had in its journal: all that is still there, done or not."""
    try:
        journal.copy_to(folder)
    finally:
        journal.close()
    records = (entry.record for entry in Reader(folder).entries())
    return {
        record.text
        for record in records
        if isinstance(record, InboundMessage) and record.text is not None and record.text.startswith(label)
    }


def _say(simulator: SimulatorClient, member: Member, label: str, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, CHUNK):
        chunk = range(first, min(first + CHUNK, numbers.stop))
        simulator.say_all([(member.contact, member.phone, f"{label} {number}") for number in chunk])


@contextmanager
def _saying(simulator: SimulatorClient, member: Member, label: str, seconds: float) -> Generator[None]:
    """200 messages are being sent; the block runs after `seconds`, in the midst of them."""
    texts = [(member.contact, member.phone, f"{label} {number}") for number in range(AROUND)]
    saying = threading.Thread(target=simulator.say_all, args=(texts,))
    saying.start()
    time.sleep(seconds)
    yield
    saying.join()


def _end_marker(one: _Contestant, label: str) -> None:
    """What was sent before the marker has come, or never comes: WhatsApp delivers a chat in order."""
    numbers = iter(range(1000))

    def arrived() -> bool:
        one.simulator.say(one.member.contact, one.member.phone, f"{label} end {next(numbers)}")
        time.sleep(1.0)
        return one.count(f"{label} end") > 0

    eventually(arrived, WITHIN, "the last message")
    time.sleep(2.0)  # what was held up in retries
