"""PostgreSQL, the object store and Valkey away in turn, under traffic: what is lost, what it costs, how it ends.

BENCH_OUTAGE_SECONDS (300) is the length of each outage. Every second each session sends one text and its contact writes
one. What the API has accepted must reach the contact once, and what reached the session must be in REST once.
"""

import os
import threading
import time
from collections import Counter

import psutil

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet

SESSIONS = 4
WORKERS = 2
PARTS = ("postgres", "seaweedfs", "valkey")
RECOVERY = 180.0
"""Seconds after which a recovery counts as failed."""


class _Traffic:
    """One text each way for each session and second, until it is stopped."""

    def __init__(self, fleet: Fleet, label: str) -> None:
        self._fleet = fleet
        self._label = label
        self._end = threading.Event()
        self.accepted: dict[str, list[str]] = {name: [] for name in fleet.names}
        self.unsure: dict[str, list[str]] = {name: [] for name in fleet.names}
        """The call broke before its answer: both outcomes are right."""
        self.said: dict[str, list[str]] = {name: [] for name in fleet.names}
        self.refused = 0
        self._threads = [
            threading.Thread(target=work, args=(name,), daemon=True)
            for name in fleet.names
            for work in (self._send, self._say)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _send(self, name: str) -> None:
        member, number = self._fleet.member(name), 0
        while not self._end.wait(1.0):
            text = f"{self._label} out {number} of {name}"
            number += 1
            try:
                self._fleet.rest.send(name, member.contact, text)
                self.accepted[name].append(text)
            except DriverError:
                self.refused += 1
                self.unsure[name].append(text)

    def _say(self, name: str) -> None:
        member, number = self._fleet.member(name), 0
        while not self._end.wait(1.0):
            text = f"{self._label} in {number} for {name}"
            number += 1
            self._fleet.simulator.say(member.contact, member.phone, text)
            self.said[name].append(text)


def measure(cluster: RunningCluster) -> list[Figure]:
    """One outage after the other on one fleet."""
    seconds = float(os.environ.get("BENCH_OUTAGE_SECONDS", "300"))
    figures: list[Figure] = []
    with bench_fleet(cluster, SESSIONS, WORKERS) as fleet:
        fleet.pair()
        fleet.exchange(1, "before")
        boots = _boots(cluster, fleet)
        for part in PARTS:
            figures += _outage(cluster, fleet, part, seconds)
        figures += [
            figure("workers that were restarted", "count", [float(boots != _boots(cluster, fleet))], goal=0, digits=0),
            figure("violations in the simulator's journal", "count", [len(fleet.simulator.violations())], goal=0),
        ]
    return figures


def _outage(cluster: RunningCluster, fleet: Fleet, part: str, seconds: float) -> list[Figure]:
    before, worst = _memory(cluster), 0.0
    cluster.part("stop", part)
    try:
        traffic = _Traffic(fleet, f"{part} away")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(1.0)
            worst = max(worst, _memory(cluster) - before)
    finally:
        cluster.part("start", part)
    returned = time.monotonic()
    traffic.stop()
    lost, doubled = 0, 0
    try:
        eventually(lambda: _missing(fleet, traffic) == 0, RECOVERY, "everything has arrived")
    except DriverError:
        lost = _missing(fleet, traffic)
    recovery = time.monotonic() - returned
    for name in fleet.names:
        member = fleet.member(name)
        for arrived in (fleet.simulator.texts(member.contact), fleet.rest.received(name)):
            doubled += sum(times - 1 for times in Counter(arrived).values())
    return [
        figure(f"{part}: accepted or received, and lost", "count", [lost], goal=0, digits=0),
        figure(f"{part}: arrived twice", "count", [doubled], goal=0, digits=0),
        figure(f"{part}: sends refused meanwhile", "count", [traffic.refused], digits=0),
        figure(f"{part}: growth of the workers' memory", "MiB", [worst], goal=64),
        figure(f"{part}: return to everything arrived", "s", [recovery], goal=30),
    ]


def _missing(fleet: Fleet, traffic: _Traffic) -> int:
    missing = 0
    for name in fleet.names:
        member = fleet.member(name)
        missing += len(set(traffic.accepted[name]) - set(fleet.simulator.texts(member.contact)))
        missing += len(set(traffic.said[name]) - set(fleet.rest.received(name)))
    return missing


def _boots(cluster: RunningCluster, fleet: Fleet) -> set[str]:
    pool = cluster.kubectl.json("get", "wp", fleet.pool)
    return {worker["bootId"] for worker in pool["status"]["workers"]}


def _memory(cluster: RunningCluster) -> float:
    """MiB of all connector processes, resident and not shared with others."""
    total = 0
    for process in psutil.Process(cluster.supervisor_pid).children(recursive=True):
        try:
            if any("whatsam_connector" in word or "whatsam-connector" in word for word in process.cmdline()):
                total += process.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
