"""A worker dies (`kill -9` of its container) in the middle of traffic, again and again: what is lost, what comes twice.

Each session sends one text a second, to a person and to a group in turn, and gets as many from both. What the API has
accepted must be readable at the contact. A text may be there twice only if its row was sent twice, because the row was
`uncertain` when its holder died: a row has as many attempts as it was given to an engine. `repeated_under_one_id` are
those whose second copy has the id of the first, so that a recipient can tell; they are not in `duplicates`.
Inbound, neonize has a window (docs/neonize.md, Inbound); the engine in Go has none.
BENCH_LOSS_SESSIONS (9) and BENCH_LOSS_ROUNDS (20, kills) bound it.
"""

import asyncio
import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engines, named, pair_in_groups
from bench.scenarios.witness import Witness
from whatsam_core import names
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError, WaitedTooLong
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member

ROUNDS = int(os.environ.get("BENCH_LOSS_ROUNDS", "20"))
SESSIONS = int(os.environ.get("BENCH_LOSS_SESSIONS", "9"))
WORKERS = 3
PERIOD = 1.0
BACK = 180.0
"""Seconds after which a loss counts as not survived."""
ARRIVAL = 90.0
"""Seconds after the last message after which what is missing is lost."""


@dataclass
class _Said:
    """What one session sent and was sent."""

    accepted: dict[str, str] = field(default_factory=dict[str, str])
    """Text by the id of its row."""
    unsure: int = 0
    """Calls that broke before their answer: both outcomes are right."""
    inbound: list[str] = field(default_factory=list[str])


class Traffic:
    """One text each way for each session and second, to and from persons and groups, until it is stopped."""

    def __init__(self, fleet: Fleet, groups: dict[str, str]) -> None:
        self.said = {name: _Said() for name in fleet.names}
        self._fleet, self._groups = fleet, groups
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=work, args=(member,), daemon=True)
            for member in fleet.members
            for work in (self._send, self._say)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self, member: Member) -> None:
        said, number = self.said[member.name], 0
        while not self._over.wait(PERIOD):
            number += 1
            to = self._groups[member.name] if number % 2 else member.contact
            text = f"traffic out {number} of {member.name}"
            try:
                said.accepted[self._fleet.rest.send(member.name, to, text)["messageId"]] = text
            except DriverError:
                said.unsure += 1

    def _say(self, member: Member) -> None:
        said, number = self.said[member.name], 0
        while not self._over.wait(PERIOD):
            number += 1
            to = self._groups[member.name] if number % 2 else member.phone
            text = f"traffic in {number} for {member.name}"
            self._fleet.simulator.say(member.contact, to, text)
            said.inbound.append(text)


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a pool of its own."""
    figures: list[Figure] = []
    for engine in engines():
        with bench_fleet(cluster, SESSIONS, WORKERS, engine=engine.value) as fleet:
            pair_in_groups(fleet)
            fleet.exchange(1, "before")
            figures += named(engine, _lossy(cluster, fleet))
    return figures


def _lossy(cluster: RunningCluster, fleet: Fleet) -> list[Figure]:
    groups = {
        member.name: f"{fleet.simulator.create_group(member.contact, [member.phone]).id}@g.us"
        for member in fleet.members
    }
    witness = Witness(fleet)
    traffic = Traffic(fleet, groups)
    try:
        for _ in range(ROUNDS):
            _kill(cluster, fleet)
    finally:
        traffic.stop()
    with suppress(WaitedTooLong):  # what is missing is counted below
        eventually(lambda: _arrived(fleet, traffic), ARRIVAL, "everything has arrived")
    twice, repeated = _twice(fleet, traffic)
    attempts = asyncio.run(_attempts(cluster, list(twice)))
    said = traffic.said.values()
    if not all(one.accepted and one.inbound for one in said):
        raise DriverError("a session's traffic stood still")
    return [
        figure("kills", "count", [ROUNDS], goal=20, digits=0),
        figure("accepted", "count", [sum(len(one.accepted) for one in said)], digits=0),
        figure("accepted_lost", "count", [_lost_outbound(fleet, traffic)], goal=0, digits=0),
        figure("duplicates", "count", [len(twice)], digits=0),
        figure("duplicates_not_uncertain", "count", [sum(attempts[row] < 2 for row in twice)], goal=0, digits=0),
        figure("repeated_under_one_id", "count", [repeated], digits=0),
        figure("calls_without_answer", "count", [sum(one.unsure for one in said)], digits=0),
        figure("inbound", "count", [sum(len(one.inbound) for one in said)], digits=0),
        figure("inbound_lost", "count", [_lost_inbound(fleet, traffic)], digits=0),
        figure("inbound_twice", "count", [_inbound_twice(fleet)], goal=0, digits=0),
        *witness.figures(),
    ]


def _kill(cluster: RunningCluster, fleet: Fleet) -> None:
    """Lose the fullest worker, and wait until everybody is back and there are all workers."""
    worker, _ = fleet.workers().most_common(1)[0]
    lost, epochs = fleet.on_worker(worker), fleet.epochs()
    cluster.signal(worker, "KILL")
    fleet.watch.wait_phase_after(lost, Phase.CONNECTED, epochs, BACK)
    fleet.kubectl.run("delete", "pod", worker, "--wait=false")
    eventually(lambda: worker not in _pods(fleet) and _ready(fleet) == WORKERS, BACK, "three workers")
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, BACK)


def _arrived(fleet: Fleet, traffic: Traffic) -> bool:
    return _lost_outbound(fleet, traffic) + _lost_inbound(fleet, traffic) == 0


def _lost_outbound(fleet: Fleet, traffic: Traffic) -> int:
    return sum(
        len(set(said.accepted.values()) - set(fleet.simulator.texts(fleet.member(name).contact)))
        for name, said in traffic.said.items()
    )


def _lost_inbound(fleet: Fleet, traffic: Traffic) -> int:
    return sum(len(set(said.inbound) - set(fleet.rest.received(name))) for name, said in traffic.said.items())


def _inbound_twice(fleet: Fleet) -> int:
    received = [fleet.rest.received(name) for name in fleet.names]
    return sum(len(texts) - len(set(texts)) for texts in received)


def _twice(fleet: Fleet, traffic: Traffic) -> tuple[list[str], int]:
    """Rows whose text a contact has under more than one id, and how many copies came under the id of the first."""
    rows: list[str] = []
    repeated = 0
    for name, said in traffic.said.items():
        ids: dict[str, list[str]] = defaultdict(list)
        for message in fleet.simulator.inbox(fleet.member(name).contact):
            if message.readable and not message.own and message.text is not None:
                ids[message.text].append(message.id)
        repeated += sum(len(found) - len(set(found)) for found in ids.values())
        rows += [row for row, text in said.accepted.items() if len(set(ids[text])) > 1]
    return rows, repeated


async def _attempts(cluster: RunningCluster, rows: Sequence[str]) -> dict[str, int]:
    """How often each row was given to an engine."""
    connection = await asyncpg.connect(cluster.environment["WHATSAM_DATABASE_URL"])
    try:
        found = await connection.fetch("select id::text, attempts from messages where id = any($1::uuid[])", rows)
    finally:
        await connection.close()
    return {record["id"]: record["attempts"] for record in found}


def _pods(fleet: Fleet) -> list[str]:
    pods = fleet.kubectl.json("get", "pods", "-l", f"{names.LABEL_POOL}={fleet.pool}")["items"]
    return [pod["metadata"]["name"] for pod in pods]


def _ready(fleet: Fleet) -> int:
    return fleet.kubectl.json("get", "wp", fleet.pool).get("status", {}).get("readyReplicas", 0)
