"""Messages in: how many in a second reach PostgreSQL, and how many get lost around a kill; plain neonize beside it.

Three things are told apart. `lost_after_journal`: messages that the engine had journalled and PostgreSQL has not.
`lost_of_200`: of 200 messages around a `kill -9` of the engine, those that WhatsApp's server has got acknowledged and
that nobody ever sees: neonize stores the ratchet before it hands the message on. `duplicates`: rows too many.
"""

import asyncio
import secrets
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from bench.bare import BareGateway, bare_gateway
from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, holder_of
from bench.workers import OpenFolder, Worker
from whatsam_connector.journal import InboundMessage, Reader
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member
from whatsam_simulator.client import SimulatorClient

BURST = 2000
"""Messages of the measurement of speed."""
FLOOD = 10_000
"""Messages while the connector is killed again and again."""
KILLS = 5
AROUND = 200
"""Messages around one kill of an engine."""
ROUNDS = 5
CHUNK = 50
WITHIN = 180.0
"""Seconds until everything that will ever come has come."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """One session; bursts, a flood with five kills of the connector, rounds with a kill of the engine."""
    figures: list[Figure] = []
    with bench_fleet(cluster, 1, 1) as fleet, bare_gateway(1) as gateway:
        fleet.pair(120, 60)
        fleet.exchange(1, "before")
        rows = _Rows(cluster, fleet)
        speed, bare_speed = _speed(fleet, rows, gateway)
        figures += [
            figure("per_second", "1/s", speed, digits=0),
            figure("bare_per_second", "1/s", bare_speed, digits=0),
            figure("ratio_to_bare_neonize", "", [a / b for a, b in zip(speed, bare_speed, strict=True)]),
        ]
        figures += _around_kills(
            cluster, fleet, rows, gateway, (statistics.median(speed), statistics.median(bare_speed))
        )
        figures += _flood(cluster, fleet, rows)
    return figures


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


def _speed(fleet: Fleet, rows: _Rows, gateway: BareGateway) -> tuple[list[float], list[float]]:
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(3):
        label = secrets.token_hex(3)
        began = time.monotonic()
        _say(fleet.simulator, fleet.members[0], label, range(BURST))
        eventually(lambda label=label: rows.count(label) >= BURST, WITHIN, f"{BURST} messages in PostgreSQL")
        ours.append(BURST / (time.monotonic() - began))
        before = len(gateway.received(0))
        began = time.monotonic()
        _say(gateway.simulator, _bare_member(gateway), label, range(BURST))
        eventually(lambda before=before: len(gateway.received(0)) >= before + BURST, WITHIN, "all at the baseline")
        bare.append(BURST / (time.monotonic() - began))
    return ours, bare


def _around_kills(
    cluster: RunningCluster, fleet: Fleet, rows: _Rows, gateway: BareGateway, speeds: tuple[float, float]
) -> list[Figure]:
    """200 messages in one go, and in the middle of them the end of the process that runs neonize."""
    member, worker = fleet.members[0], Worker(cluster, holder_of(fleet, fleet.names))
    speed, bare_speed = speeds
    ours: list[float] = []
    bare: list[float] = []
    twice = 0
    for _ in range(ROUNDS):
        label = secrets.token_hex(3)
        engines = worker.engines()
        with _saying(fleet.simulator, member, label, AROUND / 2 / speed):
            worker.kill_engines(engines)
        fleet.watch.wait_phase([member.name], Phase.CONNECTED, 90)
        _end_marker(fleet.simulator, member, label, lambda label=label: rows.count(f"{label} end") > 0)
        found = rows.texts(label)
        ours.append(AROUND - sum(1 for text in found if " end" not in text))
        twice += sum(times - 1 for times in found.values())

        with _saying(gateway.simulator, _bare_member(gateway), label, AROUND / 2 / bare_speed):
            gateway.kill()
        gateway.start()
        _end_marker(
            gateway.simulator,
            _bare_member(gateway),
            label,
            lambda label=label: any(text.startswith(f"{label} end") for text in gateway.received(0)),
        )
        got = {text for text in gateway.received(0) if text.startswith(label) and " end" not in text}
        bare.append(AROUND - len(got))
    return [
        figure("lost_of_200", "count", ours, goal=5, digits=0),
        figure("bare_lost_of_200", "count", bare, digits=0),
        figure("duplicates_around_kills", "count", [twice], goal=0, digits=0),
    ]


def _flood(cluster: RunningCluster, fleet: Fleet, rows: _Rows) -> list[Figure]:
    """10,000 messages at full speed while the connector is killed five times."""
    member, label = fleet.members[0], secrets.token_hex(3)
    uid = fleet.state(member.name).metadata.uid
    journalled: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="whatsam-bench-") as folder:
        for part in range(KILLS + 1):
            share = range(part * FLOOD // (KILLS + 1), (part + 1) * FLOOD // (KILLS + 1))
            _say(fleet.simulator, member, label, share)
            if part == KILLS:
                break
            epochs = fleet.epochs()
            worker = Worker(cluster, holder_of(fleet, fleet.names))
            journal = worker.journal(uid)
            worker.main().kill()
            journalled |= _journalled(journal, Path(folder) / str(part), label)
            fleet.watch.wait_phase_after([member.name], Phase.CONNECTED, epochs, 120)
        _end_marker(fleet.simulator, member, label, lambda: rows.count(f"{label} end") > 0)
    found = rows.texts(label)
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


def _end_marker(simulator: SimulatorClient, member: Member, label: str, seen: Callable[[], bool]) -> None:
    """What was sent before the marker has come, or never comes: WhatsApp delivers a chat in order."""
    numbers = iter(range(1000))

    def arrived() -> bool:
        simulator.say(member.contact, member.phone, f"{label} end {next(numbers)}")
        time.sleep(1.0)
        return seen()

    eventually(arrived, WITHIN, "the last message")
    time.sleep(2.0)  # what was held up in retries


def _bare_member(gateway: BareGateway) -> Member:
    return Member("bare", gateway.phones[0], gateway.contacts[0])
