"""Which worker gets a session? The one with the lowest cost that no filter refuses. Called when one may be given away.

A `Floor` is one plan's view of all workers; it counts what the plan itself has given out, so that one plan never
fills a worker beyond its capacity. The cost of a choice is bounded: workers wait in the order of the cost that does
not depend on the session, and only the first `EXAMINED` of them are weighed for each session.
"""

import heapq
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from whatsam_core.resources import WorkerPool
from whatsam_operator.planning.boots import Boot, Boots
from whatsam_operator.planning.candidates import Candidate, Details, candidates, details, mean
from whatsam_operator.planning.filters import Ask, Filter, refusal
from whatsam_operator.planning.liveness import Verdict
from whatsam_operator.planning.releases import is_older
from whatsam_operator.planning.rollouts import outdated
from whatsam_operator.planning.scoring import Averages, base, own
from whatsam_operator.planning.snapshot import BootKey, Key, Snapshot

EXAMINED = 8
"""Workers that are weighed for one session: enough to spread a tenant, few enough for thousands of sessions."""


class Refusal(StrEnum):
    """Why a session cannot be placed; the reason of `Scheduled=False`."""

    POOL_NOT_FOUND = "PoolNotFound"
    """The pool it refers to does not exist: somebody must create it or change the session."""
    NO_WORKERS = "NoWorkers"
    """The pool has no ready worker: wait for one (or raise `spec.replicas`)."""
    NO_CAPACITY = "NoCapacity"
    """Every ready worker is full, cordoned or too old: wait for a place."""
    NO_PAIRING_SLOT = "NoPairingSlot"
    """Places are free, but not for sessions without a device: wait until others are paired."""
    TOO_MANY_LOGINS = "TooManyLogins"
    """Wait some seconds until others behind the same outgoing address have logged in; nothing is written."""
    ON_TRIAL = "OnTrial"
    """Wait some seconds until another session whose starts have failed is up or lost; nothing is written."""

    @property
    def brief(self) -> bool:
        """It is over in seconds: not worth a write for each session."""
        return self is Refusal.TOO_MANY_LOGINS or self is Refusal.ON_TRIAL


@dataclass(frozen=True, slots=True)
class NoPlace:
    """No worker can take the session: why, with numbers."""

    refusal: Refusal
    message: str


class Floor:
    """The workers of all pools while one plan is made."""

    def __init__(self, snapshot: Snapshot, boots: Boots, now: datetime) -> None:
        self._snapshot = snapshot
        self.boots = boots
        self._now = now
        self._outdated = outdated(snapshot)
        self._details: Details | None = None
        self._halls: dict[Key, Hall] = {}

    def place(
        self,
        pool_key: Key,
        *,
        prefer_pod: str | None,
        engine: str,
        avoid_pod: str | None = None,
        tenant: str = "",
        paired: bool = True,
        egress: str | None = None,
        suspect: bool = False,
        who: Key | None = None,
        only_pod: str | None = None,
        stay: bool = False,
    ) -> Boot | NoPlace:
        """Choose a boot and count the session there. See `Ask` for what the arguments mean.

        `who` is the session, for those who listen (`weighed`).
        The preferred pod is taken when a boot lives in it, ready or not.
        """
        hall = self.hall(pool_key)
        if hall is None:
            return NoPlace(
                Refusal.POOL_NOT_FOUND,
                f"WorkerPool {pool_key[1]!r} does not exist in namespace {pool_key[0]!r}: "
                "create it, or name another one in spec.poolRef",
            )
        ask = Ask(
            tenant=tenant,
            paired=paired,
            engine=engine,
            prefer_pod=prefer_pod,
            avoid_pod=avoid_pod,
            egress=egress,
            suspect=suspect,
            only_pod=only_pod,
            stay=stay,
        )
        if who is not None:
            self.weighed(who, hall, ask)
        chosen = hall.choose(ask)
        if isinstance(chosen, NoPlace):
            return chosen
        chosen.take(tenant, paired=paired, suspect=suspect)
        return chosen.boot

    def weighed(self, who: Key, hall: "Hall", ask: Ask) -> None:
        """A session asks for a place; nothing is chosen or counted yet. `plan --explain` listens here."""

    def reserved(self, boot_key: BootKey, engine: str) -> Boot | None:
        """The boot, if it can take a session for which it was named: its place is counted already."""
        boot = self.boots.by_key.get(boot_key)
        if boot is None or boot.judgement.verdict is not Verdict.ALIVE or boot.pod is None or boot.pod.deleting:
            return None
        return None if engine and is_older(boot.lease.record, engine) else boot

    def is_outdated(self, boot: Boot) -> bool:
        """Whether a rollout will replace the boot's pod."""
        return boot.lease.record.pod_uid in self._outdated

    def hall(self, pool_key: Key) -> "Hall | None":
        """The workers of one pool; None when there is no such pool."""
        pool = self._snapshot.pools.get(pool_key)
        if pool is None:
            return None
        if pool_key not in self._halls:
            self._halls[pool_key] = self.untouched(pool)
        return self._halls[pool_key]

    def untouched(self, pool: WorkerPool) -> "Hall":
        """The workers of a pool as they were before the plan: what is counted there is counted nowhere else."""
        if self._details is None:
            self._details = details(self._snapshot, self.boots, self._now)
        return Hall(pool, candidates(pool, self.boots, self._snapshot.nodes, self._details, self._outdated))


class Hall:
    """The workers of one pool while one plan is made, in the order of their cost."""

    def __init__(self, pool: WorkerPool, found: list[Candidate]) -> None:
        self.pool = pool
        self.candidates = found
        self.logins = pool.spec.failover.max_concurrent_logins
        loads = [candidate.boot.lease.record.load for candidate in found]
        self.averages = Averages(mean(load.cpu for load in loads), mean(load.memory for load in loads))
        self._by_pod = {
            one.boot.lease.record.pod_uid: one for one in found if one.boot.judgement.verdict is Verdict.ALIVE
        }
        self._by_egress: dict[str, list[Candidate]] = {}
        for candidate in found:
            if candidate.egress is not None:
                self._by_egress.setdefault(candidate.egress, []).append(candidate)
        # A cost in the heap is never above the true one, which only grows: what comes up too early is put back.
        self._heap = [(base(one, self.averages), number) for number, one in enumerate(found)]
        self._number = {id(one): number for number, one in enumerate(found)}
        heapq.heapify(self._heap)
        self._hopeless: dict[tuple[object, ...], NoPlace] = {}

    def choose(self, ask: Ask) -> Candidate | NoPlace:
        """The best worker for the session, or why there is none. Counts nothing."""
        preferred = self._by_pod.get(ask.prefer_pod or "")
        if preferred is not None and self.refusal(preferred, ask) is None:
            return preferred
        kind = (ask.engine, ask.paired, ask.suspect, ask.avoid_pod, ask.only_pod, ask.stay)
        if kind in self._hopeless:  # places only become fewer while a plan is made
            return self._hopeless[kind]
        good = self._cheapest(ask)
        if ask.egress is not None:
            good += [one for one in self._by_egress.get(ask.egress, ()) if self.refusal(one, ask) is None]
        if not good:
            self._hopeless[kind] = _explain(self.pool, self.candidates, ask, self.logins)
            return self._hopeless[kind]
        return min(good, key=lambda one: (base(one, self.averages) + own(one, ask), self._number[id(one)]))

    def refusal(self, candidate: Candidate, ask: Ask) -> Filter | None:
        """The filter that keeps the session from the worker."""
        return refusal(candidate, ask, logins=self.logins)

    def _cheapest(self, ask: Ask) -> list[Candidate]:
        good: list[Candidate] = []
        seen: list[tuple[float, int]] = []
        while self._heap and len(good) < EXAMINED:
            cost, number = heapq.heappop(self._heap)
            candidate = self.candidates[number]
            now = base(candidate, self.averages)
            if now > cost:
                heapq.heappush(self._heap, (now, number))
                continue
            why = self.refusal(candidate, ask)
            if why is None:
                good.append(candidate)
            if why is not Filter.FULL:  # one that is full stays full until the next plan
                seen.append((cost, number))
        for entry in seen:
            heapq.heappush(self._heap, entry)
        return good


def _explain(pool: WorkerPool, found: list[Candidate], ask: Ask, logins: int) -> NoPlace:
    name = pool.metadata.name
    why = Counter(refusal(candidate, ask, logins=logins) for candidate in found)
    absent = why[Filter.NOT_ALIVE] + why[Filter.GOING]
    working = len(found) - absent
    if not working:
        wanted = pool.spec.replicas
        message = (
            f"pool {name!r} has no workers: its spec.replicas is 0"
            if wanted == 0
            else f"0 of {wanted} workers of pool {name!r} are ready"
        )
        return NoPlace(Refusal.NO_WORKERS, message)
    if why[Filter.NOT_READY] == working:
        return NoPlace(Refusal.NO_WORKERS, f"0 of {working} workers of pool {name!r} are ready")
    if why[Filter.TRIAL]:
        return NoPlace(Refusal.ON_TRIAL, "on each worker another session whose starts have failed is starting: waiting")
    if why[Filter.LOGINS]:
        message = f"{logins} sessions log in behind each outgoing address of pool {name!r}: waiting for them"
        return NoPlace(Refusal.TOO_MANY_LOGINS, message)
    if why[Filter.NO_PAIRING_SLOT]:
        message = (
            f"0 of {working} workers of pool {name!r} have a free place for a session without a device: "
            "it comes when others have been paired or stopped; or raise spec.replicas"
        )
        return NoPlace(Refusal.NO_PAIRING_SLOT, message)
    closed = f", {why[Filter.CORDONED]} cordoned" if why[Filter.CORDONED] else ""
    return NoPlace(
        Refusal.NO_CAPACITY,
        f"0 of {working} workers of pool {name!r} have free capacity "
        f"({pool.spec.sessions_per_worker} sessions each{closed}): raise spec.replicas or spec.sessionsPerWorker",
    )
