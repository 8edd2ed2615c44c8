"""What the operator's plan costs for a large fleet: CPU time and memory, without a cluster.

10,000 sessions on 200 workers: at rest, from cold, and after the loss of a worker. CPU time of one thread, not wall
time: the plan waits for nothing.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.harness import Figure, figure
from whatsam_core import names
from whatsam_core.lease import LeaseRecord, LeaseState, Load, lease_name
from whatsam_core.resources import WhatsAppSession, WorkerPool
from whatsam_operator.planning.boots import gather
from whatsam_operator.planning.decisions import Assign, SetStatus
from whatsam_operator.planning.deployment import Rendering
from whatsam_operator.planning.explaining import explain
from whatsam_operator.planning.placement import Floor
from whatsam_operator.planning.planner import plan, sightings
from whatsam_operator.planning.rebalancing import moves
from whatsam_operator.planning.snapshot import BootKey, Moment, ObservedLease, Snapshot
from whatsam_operator.planning.starts import observe
from whatsam_operator.planning.views import ContainerView, NodeView, PodView

SESSIONS = 10_000
WORKERS = 200
PER_WORKER = 60
TENANTS = 400
WORKERS_ON_A_NODE = 5
ROUNDS = 7

NAMESPACE, POOL, EGRESS = "whatsam", "default", "example.com/egress"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = Moment(steady=10_000.0, wall=START + timedelta(hours=1))
RENDERING = Rendering(connector_image="whatsam/connector:bench")


def measure() -> list[Figure]:
    """The figures. One plan stands for everything that the reconciler computes at one turn of its loop."""
    tracemalloc.start()
    at_rest = fleet(assigned=True)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    turn(at_rest)
    peak = tracemalloc.get_traced_memory()[1] - held
    tracemalloc.stop()

    cold = fleet(assigned=False)
    lost, idle = without_a_worker(at_rest), waiting(cold)
    rounds, all_placed = place_all(cold)
    return [
        figure("plan_s", "s CPU", cpu(lambda: turn(at_rest)), goal=0.2, digits=3),
        figure("plan from cold, its first 500 assignments", "s CPU", cpu(lambda: turn(cold)), goal=0.2, digits=3),
        figure("plan after the loss of a worker", "s CPU", cpu(lambda: turn(lost)), goal=0.2, digits=3),
        figure("plan while all wait for a worker", "s CPU", cpu(lambda: turn(idle)), digits=3),
        figure(f"all {SESSIONS} placed, in {rounds} plans", "s CPU", [all_placed], digits=2),
        figure("one round of balance", "s CPU", cpu(lambda: balance(at_rest)), digits=3),
        figure("plan with its reasons, from cold", "s CPU", cpu(lambda: explain(cold, RENDERING, NOW), 2), digits=2),
        figure("memory of everything known", "MiB", [held / 2**20], digits=0),
        figure("memory that a plan needs at most", "MiB", [peak / 2**20], digits=1),
    ]


def turn(snapshot: Snapshot) -> list[Any]:
    """What the reconciler computes at one turn."""
    boots = gather(snapshot)
    storms = observe(snapshot.storms, snapshot, boots, NOW)
    seen = replace(snapshot, storms=storms, sightings=sightings(snapshot, NOW))
    return plan(seen, RENDERING, NOW, boots=boots)


def balance(snapshot: Snapshot) -> list[Any]:
    """One round of rebalancing."""
    boots = gather(snapshot)
    return moves(snapshot, boots, Floor(snapshot, boots, NOW.wall), snapshot.pools[(NAMESPACE, POOL)], NOW)


def cpu(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """CPU seconds of each of some rounds; the fleet is hidden from the garbage collector, as the operator does it."""
    found: list[float] = []
    gc.collect()
    gc.freeze()
    for _ in range(rounds):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return found


def place_all(cold: Snapshot) -> tuple[int, float]:
    """Plan after plan until every session has a worker; no worker may be overfilled."""
    pending: dict[str, BootKey] = {}
    began, rounds = time.process_time(), 0
    while len(pending) < SESSIONS:
        given = [one for one in turn(replace(cold, pending=dict(pending))) if isinstance(one, Assign)]
        if not given:
            raise RuntimeError(f"{SESSIONS - len(pending)} sessions found no place")
        pending |= {one.target.uid: (NAMESPACE, one.assignment.boot_id) for one in given}
        rounds += 1
    seconds = time.process_time() - began
    counts = [list(pending.values()).count((NAMESPACE, boot_of(number))) for number in range(WORKERS)]
    if max(counts) > PER_WORKER:
        raise RuntimeError(f"a worker got {max(counts)} sessions")
    return rounds, seconds


def without_a_worker(snapshot: Snapshot) -> Snapshot:
    """The same after the operator has revoked the Lease of one worker."""
    key = (NAMESPACE, boot_of(0))
    old = snapshot.leases[key]
    dead = ObservedLease(replace(old.record, state=LeaseState.REVOKED), 0.0, "its container ended")
    return replace(snapshot, leases={**snapshot.leases, key: dead})


def waiting(cold: Snapshot) -> Snapshot:
    """No worker is there, and every session says so already."""
    empty = replace(cold, leases={}, pods={})
    said = next(one for one in turn(empty) if isinstance(one, SetStatus))
    changes = {"phase": said.phase, "conditions": list(said.conditions)}
    sessions = {
        key: one.model_copy(update={"status": one.status.model_copy(update=changes)})
        for key, one in empty.sessions.items()
    }
    return replace(empty, sessions=sessions)


def fleet(*, assigned: bool) -> Snapshot:
    """A pool with its workers, and paired sessions: all connected, or all still to be given away."""
    sessions = [session(number, assigned=assigned) for number in range(SESSIONS)]
    pods = [pod(number) for number in range(WORKERS)]
    leases = {(NAMESPACE, boot_of(number)): lease(number) for number in range(WORKERS)}
    nodes = {node_of(number): NodeView(node_of(number), {EGRESS: f"e{number % 4}"}) for number in range(WORKERS)}
    return Snapshot(
        sessions={one.metadata.key: one for one in sessions},
        pools={(NAMESPACE, POOL): pool()},
        pods={one.uid: one for one in pods},
        nodes=nodes,
        leases=leases,
    )


def boot_of(worker: int) -> str:
    """Boot id of a worker."""
    return f"boot{worker:06d}"


def node_of(worker: int) -> str:
    """Name of a worker's node."""
    return f"node-{worker // WORKERS_ON_A_NODE:03d}"


def pool() -> WorkerPool:
    """A pool for all of them, with everything that costs something switched on."""
    spec = {
        "replicas": WORKERS,
        "sessionsPerWorker": PER_WORKER,
        "egressTopologyKey": EGRESS,
        "failover": {"maxConcurrentLogins": SESSIONS},
        "rebalance": {"enabled": True},
    }
    metadata = {"name": POOL, "namespace": NAMESPACE, "uid": "pool", "resourceVersion": "1", "generation": 1}
    return WorkerPool.from_wire({"metadata": {**metadata, "finalizers": [names.FINALIZER_OPERATOR]}, "spec": spec})


def session(number: int, *, assigned: bool) -> WhatsAppSession:
    """A session as its status looks after some time."""
    worker = number % WORKERS
    kinds = ("Scheduled", "Paired", "Connected", "Replicated", "Ready", "Reconciling", "Stalled")
    at = START.isoformat()
    conditions = [
        {
            "type": kind,
            "status": "False" if kind in ("Reconciling", "Stalled") or not assigned else "True",
            "reason": "Connected",
            "message": "connected to WhatsApp",
            "lastTransitionTime": at,
            "observedGeneration": 1,
        }
        for kind in kinds
    ]
    assignment = {
        "worker": f"worker-{worker:03d}",
        "podUID": f"pod-{worker:03d}",
        "bootId": boot_of(worker),
        "endpoint": "http://10.0.0.1:8080",
        "since": at,
    }
    status = {
        "observedGeneration": 1,
        "phase": "Connected" if assigned else "Pending",
        "epoch": 3,
        "jid": f"49151{number:07d}:1@s.whatsapp.net",
        "phoneNumber": f"49151{number:07d}",
        "lastConnectedAt": at,
        "replication": {"seq": 7, "at": at, "epoch": 3},
        "conditions": conditions,
        **({"assignment": assignment} if assigned else {}),
    }
    metadata = {
        "name": f"session-{number:05d}",
        "namespace": NAMESPACE,
        "uid": f"uid-{number:05d}",
        "resourceVersion": str(number + 1),
        "generation": 1,
        "creationTimestamp": (START - timedelta(seconds=number)).isoformat(),
        "finalizers": [names.FINALIZER_OPERATOR],
    }
    spec = {"tenant": f"t-{number % TENANTS}"}
    return WhatsAppSession.from_wire({"metadata": metadata, "spec": spec, "status": status})


def pod(number: int) -> PodView:
    """A ready connector pod."""
    return PodView(
        namespace=NAMESPACE,
        name=f"worker-{number:03d}",
        uid=f"pod-{number:03d}",
        pool=POOL,
        ready=True,
        deleting=False,
        cordoned=False,
        container=ContainerView(running_since=START),
        deletion_cost=None,
        node=node_of(number),
    )


def lease(number: int) -> ObservedLease:
    """A Lease that is renewed, with a load; every tenth worker is too busy, so that balance has work."""
    record = LeaseRecord(
        name=lease_name(POOL, boot_of(number)),
        namespace=NAMESPACE,
        pool=POOL,
        pod_name=f"worker-{number:03d}",
        pod_uid=f"pod-{number:03d}",
        boot_id=boot_of(number),
        endpoint="http://10.0.0.1:8080",
        state=LeaseState.ACTIVE,
        acquired_at=START,
        renewed_at=NOW.wall,
        duration_seconds=15,
        engine_version="whatsmeow-1.0.0",
        sessions=SESSIONS // WORKERS,
        load=Load(cpu=85 if number % 10 == 0 else 20 + number % 30, memory=30 + number % 20),
        resource_version="7",
    )
    return ObservedLease(record, 1.0)
