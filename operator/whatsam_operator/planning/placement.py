"""Which worker gets a session? The least loaded ready one with free capacity. Called when a session may be given away.

A `Floor` is one plan's view of all workers; it counts what the plan itself has given out, so that one plan never
fills a worker beyond its capacity.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from whatsam_core.lease import LeaseRecord
from whatsam_core.resources import WorkerPool
from whatsam_operator.planning.boots import Boot, Boots
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.snapshot import BootKey, Key


class Refusal(StrEnum):
    """Why a session cannot be placed; the reason of `Scheduled=False`."""

    POOL_NOT_FOUND = "PoolNotFound"
    """The pool it refers to does not exist: somebody must create it or change the session."""
    NO_WORKERS = "NoWorkers"
    """The pool has no ready worker: wait for one (or raise `spec.replicas`)."""
    NO_CAPACITY = "NoCapacity"
    """Every ready worker is full, cordoned or too old: wait for a place."""


@dataclass(frozen=True, slots=True)
class NoPlace:
    """No worker can take the session: why, with numbers."""

    refusal: Refusal
    message: str


class Floor:
    """The workers of all pools while one plan is made."""

    def __init__(self, pools: Mapping[Key, WorkerPool], boots: Boots) -> None:
        self._pools = pools
        self._boots = boots
        self._load: Counter[BootKey] = Counter(boots.sessions)
        self._of_pool: dict[Key, list[Boot]] = {}

    def place(self, pool_key: Key, *, prefer_pod: str | None, engine: str) -> Boot | NoPlace:
        """Choose a boot and count the session there.

        `prefer_pod` is the UID of a pod whose local copy of the state is the newest: it is taken when a boot lives in
        it, ready or not. `engine` is the engine version that last wrote the state: an older one could not read it.
        """
        pool = self._pools.get(pool_key)
        if pool is None:
            return NoPlace(
                Refusal.POOL_NOT_FOUND,
                f"WorkerPool {pool_key[1]!r} does not exist in namespace {pool_key[0]!r}: "
                "create it, or name another one in spec.poolRef",
            )
        limit = pool.spec.sessions_per_worker
        working = self._working(pool_key)
        open_to_all = [boot for boot in working if _takes(boot, engine)]
        with_place = [boot for boot in open_to_all if self._load[boot.key] < limit]
        preferred = [boot for boot in with_place if boot.lease.record.pod_uid == prefer_pod]
        ready = [boot for boot in with_place if boot.pod is not None and boot.pod.ready]
        chosen = min(preferred or ready, key=self._rank, default=None)
        if chosen is None:
            return _explain(pool, working, ready=[boot for boot in open_to_all if boot.pod and boot.pod.ready])
        self._load[chosen.key] += 1
        return chosen

    def _working(self, pool_key: Key) -> list[Boot]:
        if pool_key not in self._of_pool:
            self._of_pool[pool_key] = [boot for boot in self._boots.of_pool(pool_key) if _present(boot)]
        return self._of_pool[pool_key]

    def _rank(self, boot: Boot) -> tuple[int, str, str]:
        return (self._load[boot.key], boot.lease.record.pod_name, boot.lease.record.boot_id)


def _present(boot: Boot) -> bool:
    return boot.judgement.verdict is Verdict.ALIVE and boot.pod is not None and not boot.pod.deleting


def _takes(boot: Boot, engine: str) -> bool:
    return boot.pod is not None and not boot.pod.cordoned and not is_older(boot.lease.record, engine)


def _explain(pool: WorkerPool, working: list[Boot], ready: list[Boot]) -> NoPlace:
    name = pool.metadata.name
    if not working:
        wanted = pool.spec.replicas
        message = (
            f"pool {name!r} has no workers: its spec.replicas is 0"
            if wanted == 0
            else f"0 of {wanted} workers of pool {name!r} are ready"
        )
        return NoPlace(Refusal.NO_WORKERS, message)
    if not ready and all(boot.pod is not None and not boot.pod.ready for boot in working):
        return NoPlace(Refusal.NO_WORKERS, f"0 of {len(working)} workers of pool {name!r} are ready")
    cordoned = sum(1 for boot in working if boot.pod is not None and boot.pod.cordoned)
    closed = f", {cordoned} cordoned" if cordoned else ""
    return NoPlace(
        Refusal.NO_CAPACITY,
        f"0 of {len(working)} workers of pool {name!r} have free capacity "
        f"({pool.spec.sessions_per_worker} sessions each{closed}): raise spec.replicas or spec.sessionsPerWorker",
    )


def is_older(record: LeaseRecord, engine: str) -> bool:
    """Whether the boot runs an older release of the same engine.

    Engines of another name are not compared: they keep one format, and a schema that an engine does not know is
    refused where the state is read.
    """
    if not engine:
        return False
    mine, theirs = _release(record.engine_version), _release(engine)
    return mine is not None and theirs is not None and mine[0] == theirs[0] and mine[1] < theirs[1]


@lru_cache(maxsize=256)
def _release(version: str) -> tuple[str, tuple[int, ...]] | None:
    match = re.fullmatch(r"([a-z][a-z0-9]*)-v?([0-9]+(?:\.[0-9]+)*).*", version)
    return None if match is None else (match[1], tuple(int(part) for part in match[2].split(".")))
