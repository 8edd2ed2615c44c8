"""Planned moves under traffic: how long a session is away, and whether anybody notices.

Four ways to ask for one: a pod is deleted (SIGTERM), a pod is evicted as by `kubectl drain`, the pool's Deployment is
rolled out, a session is sent to a named worker. Each session sends a message and gets one every second meanwhile. What
counts is the simulator's journal: from the end of a device's connection to its next login.
"""

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import pairwise

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engines, named, pair_in_groups
from whatsam_core import names
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet, Member
from whatsam_simulator.client import SimulatorClient

SESSIONS = int(os.environ.get("BENCH_MOVE_SESSIONS", "9"))
WORKERS = 3
ROUNDS = int(os.environ.get("BENCH_MOVE_ROUNDS", "5"))
"""Faults of each kind; a pod that ends moves its share of the sessions, a rollout all of them."""
MIGRATIONS = 4 * ROUNDS
PERIOD = 1.0
"""Seconds from one message of a session to its next."""
SETTLED = 90.0
GOAL = 1.5

Trouble = Callable[[RunningCluster, Fleet], list[str]]
"""Asks for moves, and returns the names of the sessions that shall move."""


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a pool of its own."""
    figures: list[Figure] = []
    for engine in engines():
        with bench_fleet(cluster, SESSIONS, WORKERS, engine=engine.value) as fleet:
            pair_in_groups(fleet)
            fleet.exchange(1, "before")
            figures += named(engine, _moved(cluster, fleet))
    return figures


def _moved(cluster: RunningCluster, fleet: Fleet) -> list[Figure]:
    away: dict[str, list[float]] = {}
    failed = 0
    too_often = 0
    for kind, trouble, rounds in (
        ("migrate", migrate, MIGRATIONS),
        ("sigterm", delete_pod, ROUNDS),
        ("drain", evict, ROUNDS),
        ("rollout", roll_out, max(1, ROUNDS // 2)),
    ):
        away[kind] = []
        for number in range(rounds):
            epochs = fleet.epochs()
            with traffic(fleet, f"{kind} {number}") as talk:
                began = time.monotonic()
                moving = trouble(cluster, fleet)
                fleet.watch.wait_phase_after(moving, Phase.CONNECTED, epochs, SETTLED)
                fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, SETTLED)
                _at_rest(cluster, fleet)
            failed += talk.failed
            fleet.check_arrived(60)
            moved = {name: fleet.state(name).status.epoch - epochs[name] for name in fleet.names}
            too_often += sum(max(0, times - 1) for times in moved.values())
            phones = {fleet.member(name).phone for name, times in moved.items() if times}
            away[kind] += gaps(fleet.simulator, phones, began)
    every = [gap for kind in away.values() for gap in kind]
    return [
        figure("max_unavailable_s", "s", [max(every)], goal=GOAL),
        *(figure(f"{kind}_unavailable_s", "s", samples, goal=GOAL) for kind, samples in away.items()),
        figure("failed_sends", "count", [failed], goal=0, digits=0),
        figure("moved_more_than_once", "count", [too_often], goal=0, digits=0),
        figure("overlapping_holders", "count", [overlaps(fleet)], goal=0, digits=0),
        figure("violations in the simulator's journal", "count", [len(fleet.simulator.violations())], goal=0, digits=0),
    ]


# --- what is asked for ------------------------------------------------------------------------------------------------


def migrate(_cluster: RunningCluster, fleet: Fleet) -> list[str]:
    """Send one session of the fullest worker to the emptiest one."""
    held = _held(fleet)
    fullest = max(held, key=lambda pod: held[pod])
    emptiest = min((pod for pod in held if pod != fullest), key=lambda pod: held[pod])
    name = fleet.on_worker(fullest)[0]
    fleet.kubectl.run("annotate", "was", name, f"{names.ANNOTATION_MIGRATE_TO}={emptiest}", "--overwrite")
    return [name]


def delete_pod(_cluster: RunningCluster, fleet: Fleet) -> list[str]:
    """`kubectl delete pod` of the fullest worker."""
    worker, _ = fleet.workers().most_common(1)[0]
    moving = fleet.on_worker(worker)
    fleet.kubectl.run("delete", "pod", worker, "--wait=false")
    return moving


def evict(_cluster: RunningCluster, fleet: Fleet) -> list[str]:
    """What `kubectl drain` does with each pod of a node."""
    worker, _ = fleet.workers().most_common(1)[0]
    moving = fleet.on_worker(worker)
    metadata = fleet.kubectl.json("get", "pod", worker)["metadata"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": worker, "namespace": metadata["namespace"]},
    }
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{worker}/eviction"
    fleet.kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    return moving


def roll_out(_cluster: RunningCluster, fleet: Fleet) -> list[str]:
    """`kubectl rollout restart` of the pool's Deployment."""
    fleet.kubectl.run("rollout", "restart", f"deployment/{fleet.pool}")
    fleet.kubectl.run("rollout", "status", f"deployment/{fleet.pool}", "--timeout=180s", timeout=200)
    return fleet.names


def _held(fleet: Fleet) -> Counter[str]:
    """Sessions of each worker that takes some, also of those that have none."""
    pool = fleet.kubectl.json("get", "wp", fleet.pool)["status"]
    held = fleet.workers()
    return Counter({worker["name"]: held[worker["name"]] for worker in pool["workers"] if worker["state"] == "Online"})


def _at_rest(_cluster: RunningCluster, fleet: Fleet) -> None:
    """All workers are there, and nobody is on the move."""

    def quiet() -> bool:
        status = fleet.kubectl.json("get", "wp", fleet.pool)["status"]
        pods = fleet.kubectl.json("get", "pods", "-l", f"{names.LABEL_POOL}={fleet.pool}")["items"]
        ends = any("deletionTimestamp" in pod["metadata"] for pod in pods)
        moves = any(fleet.state(name).status.next is not None for name in fleet.names)
        return status.get("readyReplicas", 0) == WORKERS and not ends and not moves

    eventually(quiet, 180, "all workers are ready and no session moves")


# --- traffic, and what it met -----------------------------------------------------------------------------------------


class Talk:
    """Each session sends, and is written to, once a second until it is stopped."""

    def __init__(self, fleet: Fleet, label: str) -> None:
        self.failed = 0
        self.problems: list[str] = []
        self._fleet = fleet
        self._label = label
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._one, args=(member,)) for member in fleet.members]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and wait for the last answers."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _one(self, member: Member) -> None:
        number = 0
        while not self._over.is_set():
            began = time.monotonic()
            number += 1
            try:
                self._fleet.send(1, f"{self._label} {number}", [member])
                self._fleet.say(1, f"{self._label} {number}", [member])
            except DriverError as error:
                self.failed += 1
                self.problems.append(str(error))
            self._over.wait(max(0.0, PERIOD - (time.monotonic() - began)))


@contextmanager
def traffic(fleet: Fleet, label: str) -> Generator[Talk]:
    """Messages in both directions while the body runs."""
    talk = Talk(fleet, label)
    talk.start()
    try:
        yield talk
    finally:
        talk.stop()


def gaps(simulator: SimulatorClient, phones: set[str], since: float) -> list[float]:
    """How long each device was without a connection, each time after `since` (CLOCK_MONOTONIC)."""
    found: list[float] = []
    for phone, spells in _spells(simulator).items():
        if phone in phones:
            ended = [(end, start) for (_, end), (start, _) in pairwise(spells) if end is not None and end > since]
            found += [start - end for end, start in ended]
    if len(found) < len(phones):
        raise DriverError(f"{len(phones)} sessions moved, and {len(found)} interruptions were seen")
    return [max(0.0, gap) for gap in found]


def overlaps(fleet: Fleet) -> int:
    """How often a device had two connections at once."""
    phones = {member.phone for member in fleet.members}
    return sum(
        start < end
        for phone, spells in _spells(fleet.simulator).items()
        if phone in phones
        for (_, end), (start, _) in pairwise(spells)
        if end is not None
    )


def _spells(simulator: SimulatorClient) -> dict[str, Sequence[tuple[float, float | None]]]:
    """From when to when each phone's linked device was connected, oldest first."""
    spells: dict[str, list[tuple[float, float | None]]] = {}
    for holder in simulator.holders():
        spells.setdefault(holder.device.partition(":")[0], []).append((holder.since_monotonic, holder.until_monotonic))
    return {phone: sorted(known, key=lambda one: one[0]) for phone, known in spells.items()}
