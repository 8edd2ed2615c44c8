"""How this worker is: for probes, for people, for Prometheus. Read by the routes."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from whatsam_connector.assignments.worker import Worker
from whatsam_connector.clock import Clock
from whatsam_connector.http.resources import Resources
from whatsam_connector.http.stores import Stores
from whatsam_connector.http.throughput import Throughput
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.metrics import ConnectorMetrics
from whatsam_connector.state import StateKeeper
from whatsam_core.lease import LeaseTimings
from whatsam_core.resources.session import Phase


class Health:
    """Looks at the parts of a running connector."""

    def __init__(
        self,
        *,
        worker_name: str,
        endpoint: str,
        engine: str,
        session_metrics: bool,
        boot: str,
        capacity: int,
        worker: Worker,
        tenure: Tenure,
        engines: LivingEngines,
        state: StateKeeper,
        stores: Stores,
        clock: Clock,
        metrics: ConnectorMetrics,
        throughput: Throughput,
        last_turn: Callable[[], float],
    ) -> None:
        self._worker_name = worker_name
        self._endpoint = endpoint
        self._engine = engine
        self._session_metrics = session_metrics
        self._resources = Resources()
        self._started_at = clock.now()
        self._boot = boot
        self._capacity = capacity
        self._worker = worker
        self._tenure = tenure
        self._engines = engines
        self._state = state
        self._stores = stores
        self._clock = clock
        self._metrics = metrics
        self._throughput = throughput
        self._last_turn = last_turn
        self._started = clock.monotonic()

    def not_alive(self) -> str | None:
        """Why the process should be restarted: only when its Lease keeper hangs. That this runs proves the loop."""
        limit = stuck_after(self._tenure.timings)
        age = self._clock.boottime() - self._last_turn()
        return f"the Lease keeper has not moved for {age:.0f} s" if age > limit else None

    def not_ready(self) -> str | None:
        """Why no sessions should be given to this worker."""
        if self._tenure.draining:
            return "draining"
        if not self._tenure.holds(self._clock.boottime()):
            return "the Lease is not held"
        if self._state.shipper_pid is None:
            return "the shipper is not up"
        if not self._stores.started:
            return "the object store has not answered yet"
        return None

    async def details(self) -> dict[str, Any]:
        """For people, and for whoever polled a worker's health before there were Leases."""
        usage = await asyncio.to_thread(self._resources.usage)
        by_phase = self._metrics.count_sessions(self._worker.states().values())
        total, connected = sum(by_phase.values()), by_phase.get(Phase.CONNECTED.value, 0)
        problem = self.not_alive() or self.not_ready()
        stores_answer = self._stores.database is not False and self._stores.objects is not False
        return {
            "status": "unhealthy" if problem else "healthy" if stores_answer else "degraded",
            "workerId": self._worker_name,
            "bootId": self._boot,
            "uptime": round(self._clock.monotonic() - self._started, 1),
            "problem": problem,
            "lastHeartbeat": _text(self._renewed_at()),
            "lease": {
                "held": self._tenure.holds(self._clock.boottime()),
                "ageSeconds": self._lease_age(),
                "draining": self._tenure.draining,
                "fenced": self._tenure.fenced,
            },
            "sessions": {
                "total": total,
                "connected": connected,
                "disconnected": total - connected,
                "capacity": self._capacity,
                "byPhase": by_phase,
            },
            "resources": {
                "cpuUsage": usage.cpu_percent,
                "memoryUsage": usage.memory_mib,
                "memoryTotal": usage.memory_limit_mib,
                "processes": usage.processes,
                "fileDescriptors": usage.file_descriptors,
                "threads": usage.threads,
            },
            "storage": {"dbConnected": self._stores.database, "objectStoreConnected": self._stores.objects},
            "engines": len(self._engines),
            "shipper": {"up": self._state.shipper_pid is not None, "restarts": self._state.shipper_restarts},
            "assignmentsWatched": self._worker.watching,
        }

    def figures(self) -> dict[str, Any]:
        """The metrics as JSON."""
        by_phase = self._metrics.count_sessions(self._worker.states().values())
        return {
            "worker": {
                "id": self._worker_name,
                "endpoint": self._endpoint,
                "startTime": _text(self._started_at),
                "version": version("whatsam"),
                "engine": self._engine,
            },
            "sessions": {"total": sum(by_phase.values()), "byStatus": by_phase},
            "messages": self._throughput.messages(),
            "performance": self._throughput.performance(),
            "engines": len(self._engines),
            "leaseAgeSeconds": self._lease_age(),
            "replicationLagSeconds": self._replication_lag(),
            "sessionsBehind": self._sessions_behind(),
        }

    def exposition(self) -> bytes:
        """The metrics for Prometheus."""
        self._metrics.count_sessions(self._worker.states().values())
        self._metrics.engines.set(len(self._engines))
        self._metrics.lease_age.set(self._lease_age() or 0.0)
        self._metrics.replication_lag.set(self._replication_lag())
        self._metrics.sessions_behind.set(self._sessions_behind())
        self._metrics.inboxes_behind.set(sum(1 for runner in self._worker.running() if runner.inbox_behind))
        self._metrics.shipper_restarts.set(self._state.shipper_restarts)
        self._metrics.store_answers.labels("database").set(self._stores.database or False)
        self._metrics.store_answers.labels("objects").set(self._stores.objects or False)
        if self._session_metrics:
            self._metrics.tell_of_sessions(
                (runner.key, runner.state, runner.inbox_behind, self._state.replicated(runner.uid))
                for runner in self._worker.running()
            )
        return self._metrics.expose()

    def _lease_age(self) -> float | None:
        renewed = self._tenure.renewed_at
        return None if renewed is None else round(self._clock.boottime() - renewed, 3)

    def _renewed_at(self) -> datetime | None:
        age = self._lease_age()
        return None if age is None else self._clock.now() - timedelta(seconds=age)

    def _sessions_behind(self) -> int:
        now = self._clock.monotonic()
        return sum(self._state.trouble(uid, now) is not None for uid in self._worker.states())

    def _replication_lag(self) -> float:
        now = self._clock.monotonic()
        stored = (self._state.replicated(uid) for uid in self._worker.states())
        return round(max((now - base.covered for base in stored if base is not None), default=0.0), 3)


def stuck_after(timings: LeaseTimings) -> float:
    """Seconds without a turn of the renew loop after which it hangs: two requests, a pause, and patience."""
    return 2 * timings.request_timeout + timings.renew_period + timings.lease_duration


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
