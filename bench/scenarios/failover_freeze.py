"""Workers that hang or are cut off while everything else goes on: how long their sessions are away, and who speaks.

A fault is one of
- `freeze`: every process of the pod is stopped (SIGSTOP);
- `cut`: the pod reaches everything but the API server; `alone`: it reaches nothing but WhatsApp and the probes;
- the same with the operator's leader killed at that moment (two operators run);
- `early`: a freeze or cut that ends at a random moment before or around the end of the Lease, when the worker may still
  be allowed to go on. What counts there is only that nobody speaks beside it.
Each fault ends at a random moment, and what was frozen thaws. The simulator's journal is the witness: a session is back
with its first login after the fault.
BENCH_FREEZE_SESSIONS (9) and BENCH_FREEZE_ROUNDS (4, faults of each kind) bound it.
"""

import os
import random
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from bench.harness import Figure, figure
from bench.scenarios.support import bench_fleet, engines, named, pair_in_groups
from bench.scenarios.witness import Witness
from bench.workers import Worker
from whatsam_core import names
from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import DriverError
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.fleet import Fleet

ROUNDS = int(os.environ.get("BENCH_FREEZE_ROUNDS", "4"))
SESSIONS = int(os.environ.get("BENCH_FREEZE_SESSIONS", "9"))
WORKERS = 3
BACK = 180.0
"""Seconds after which a loss counts as not survived."""
OPERATOR = "deployment/whatsam-operator"
OPERATOR_LEASE = "whatsam-operator"


@dataclass(frozen=True)
class Kind:
    """A fault, and from when to when it may end, in seconds."""

    name: str
    cut: bool = False
    alone: bool = False
    leader: bool = False
    ends: tuple[float, float] = (25.0, 50.0)

    @property
    def early(self) -> bool:
        """It may end before the worker's Lease has been revoked: then the worker may go on in place."""
        return self.ends == EARLY


EARLY = (3.0, 25.0)
KINDS = (
    Kind("freeze"),
    Kind("cut", cut=True),
    Kind("alone", cut=True, alone=True),
    Kind("freeze_with_leader", leader=True),
    Kind("alone_with_leader", cut=True, alone=True, leader=True),
    Kind("early_freeze", ends=EARLY),
    Kind("early_cut", cut=True, ends=EARLY),
)


def measure(cluster: RunningCluster) -> list[Figure]:
    """Each engine in a pool of its own."""
    figures: list[Figure] = []
    with _two_operators(cluster):
        for engine in engines():
            with bench_fleet(cluster, SESSIONS, WORKERS, engine=engine.value) as fleet:
                pair_in_groups(fleet)
                fleet.exchange(1, "before")
                figures += named(engine, _frozen(cluster, fleet))
    return figures


def _frozen(cluster: RunningCluster, fleet: Fleet) -> list[Figure]:
    witness, chance = Witness(fleet), random.Random(7)  # noqa: S311 - moments, no secrets
    times: dict[str, list[float]] = {kind.name: [] for kind in KINDS}
    for kind in KINDS:
        for _ in range(ROUNDS):
            times[kind.name].append(_one(cluster, fleet, kind, chance.uniform(*kind.ends)))
        fleet.exchange(1, kind.name)
    alone = [slowest for kind in KINDS if not kind.leader and not kind.early for slowest in times[kind.name]]
    with_leader = [slowest for kind in KINDS if kind.leader for slowest in times[kind.name]]
    return [
        figure("max_s", "s", alone, goal=20),
        figure("max_with_leader_s", "s", with_leader, goal=30),
        *(figure(f"{kind.name}_s", "s", times[kind.name]) for kind in KINDS),
        figure("faults", "count", [ROUNDS * len(KINDS)], goal=20, digits=0),
        *witness.figures(),
    ]


def _one(cluster: RunningCluster, fleet: Fleet, kind: Kind, ends: float) -> float:
    """One fault: seconds until the last session of the worker was back, wherever it is."""
    worker, _ = fleet.workers().most_common(1)[0]
    lost = fleet.on_worker(worker)
    fault = _Cut(cluster, worker, alone=kind.alone) if kind.cut else _Freeze(cluster, worker)
    leader = _leader(cluster) if kind.leader else None
    began = fleet.watch.clock()
    fault.begin()
    if leader is not None:
        cluster.signal(leader, "KILL")
    thaw = threading.Timer(ends, fault.end)
    thaw.start()
    try:
        if kind.early:
            thaw.join()
            eventually(lambda: _held_since(fleet, lost, fleet.watch.clock() - 5.0), BACK, "all sessions have a holder")
            slowest = fleet.watch.clock() - began
        else:
            eventually(lambda: _logged_in_after(fleet, lost, began) is not None, BACK, f"{kind.name}: all back")
            slowest = (_logged_in_after(fleet, lost, began) or began) - began
    finally:
        thaw.join()
    fleet.kubectl.run("delete", "pod", worker, "--ignore-not-found", "--wait=false")
    eventually(lambda: worker not in _pods(fleet) and _all_ready(fleet), BACK, "three workers")
    fleet.watch.wait_phase(fleet.names, Phase.CONNECTED, BACK)
    print(f"  {kind.name}: {slowest:.1f} s, ended after {ends:.1f} s", flush=True)  # it takes minutes
    return slowest


# --- the faults -------------------------------------------------------------------------------------------------------


class _Freeze:
    """Every process of a pod, stopped."""

    def __init__(self, cluster: RunningCluster, pod: str) -> None:
        self._cluster, self._pod = cluster, pod

    def begin(self) -> None:
        self._cluster.signal(self._pod, "STOP", everything=True)

    def end(self) -> None:
        with suppress(DriverError):  # the kubelet may have ended it meanwhile
            self._cluster.signal(self._pod, "CONT", everything=True)


class _Cut:
    """Packets of a pod to the API server, or to everything but WhatsApp, vanish. Nothing is reset."""

    def __init__(self, cluster: RunningCluster, pod: str, *, alone: bool) -> None:
        main = Worker(cluster, pod).main()
        environment = main.environ()
        self._rules = [["to", environment["KUBERNETES_SERVICE_HOST"]]]
        if alone:
            for port in _ports(environment):
                self._rules.append(["ipproto", "tcp", "dport", port])
        self._main = main

    def begin(self) -> None:
        for rule in self._rules:
            self._ip("add", rule)

    def end(self) -> None:
        for rule in self._rules:
            with suppress(DriverError, psutil.NoSuchProcess):  # the pod may be gone, and its network with it
                self._ip("del", rule)

    def _ip(self, verb: str, rule: list[str]) -> None:
        command = ["nsenter", "-t", str(self._main.pid), "-n", "ip", "rule", verb, "pref", "5", *rule, "blackhole"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise DriverError(f"ip rule {verb}: {done.stderr}")


def _ports(environment: dict[str, str]) -> list[str]:
    """Ports of PostgreSQL, object store and Valkey."""
    found: list[str] = []
    for name in ("WHATSAM_DATABASE_URL", "WHATSAM_S3_URL", "WHATSAM_REDIS_URL"):
        host = environment[name].partition("://")[2].rpartition("@")[2].partition("/")[0]
        found.append(host.rpartition(":")[2])
    return found


def _leader(cluster: RunningCluster) -> str:
    """The pod of the operator that leads."""
    holder = cluster.kubectl.json("get", "lease", OPERATOR_LEASE)["spec"]["holderIdentity"]
    return str(holder).partition("_")[0]


@contextmanager
def _two_operators(cluster: RunningCluster) -> Generator[None]:
    """As in production: one leads, one waits."""
    before = cluster.kubectl.json("get", OPERATOR)["spec"]["replicas"]

    def scale(replicas: int) -> None:
        cluster.kubectl.run("scale", OPERATOR, f"--replicas={replicas}")
        cluster.kubectl.run("rollout", "status", OPERATOR, "--timeout=120s", timeout=150)

    scale(max(2, before))
    try:
        yield
    finally:
        scale(before)


# --- what is there ----------------------------------------------------------------------------------------------------


def _logged_in_after(fleet: Fleet, wanted: list[str], moment: float) -> float | None:
    """When the last of these logged in for the first time after `moment` (CLOCK_MONOTONIC); None: not all have."""
    first: dict[str, float] = {}
    for holder in fleet.simulator.holders():
        if holder.since_monotonic > moment:
            first.setdefault(holder.device.partition(":")[0], holder.since_monotonic)
    phones = [fleet.member(name).phone for name in wanted]
    return max(first[phone] for phone in phones) if all(phone in first for phone in phones) else None


def _held_since(fleet: Fleet, wanted: list[str], moment: float) -> bool:
    """Whether each of these has had one connection, and nothing else, since `moment` (CLOCK_MONOTONIC)."""
    phones = {fleet.member(name).phone for name in wanted}
    live = [holder for holder in fleet.simulator.holders() if holder.until_monotonic is None]
    settled = [holder.device.partition(":")[0] for holder in live if holder.since_monotonic < moment]
    connected = all(fleet.state(name).status.phase is Phase.CONNECTED for name in wanted)
    return connected and phones <= set(settled)


def _pods(fleet: Fleet) -> list[str]:
    pods = fleet.kubectl.json("get", "pods", "-l", f"{names.LABEL_POOL}={fleet.pool}")["items"]
    return [pod["metadata"]["name"] for pod in pods]


def _all_ready(fleet: Fleet) -> bool:
    return fleet.kubectl.json("get", "wp", fleet.pool).get("status", {}).get("readyReplicas", 0) == WORKERS
