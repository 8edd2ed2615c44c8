"""How this worker is: for probes, for people, for Prometheus. Read by the routes."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from whatsam_connector.assignments.worker import Worker
from whatsam_connector.clock import Clock
from whatsam_connector.lease.engines import LivingEngines
from whatsam_connector.lease.tenure import Tenure
from whatsam_connector.metrics import ConnectorMetrics
from whatsam_connector.state import StateKeeper
from whatsam_connector.storage.database import Database
from whatsam_core.lease import LeaseTimings

_HOUR = 3600.0


class Throughput:
    """What was sent in the last hour, for the JSON form of `/metrics`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._outcomes: deque[tuple[float, str]] = deque()

    def count(self, outcome: str) -> None:
        """One outgoing message was settled."""
        self._outcomes.append((self._monotonic(), outcome))
        self._forget_old()

    def figures(self) -> dict[str, Any]:
        """Of the last hour: messages sent and failed, per minute, and the share of failures."""
        self._forget_old()
        sent = sum(1 for _, outcome in self._outcomes if outcome == "sent")
        failed = sum(1 for _, outcome in self._outcomes if outcome == "failed")
        settled = sent + failed
        return {
            "sentLastHour": sent,
            "failedLastHour": failed,
            "sentPerMinute": round(sent / 60, 3),
            "errorRate": round(failed / settled, 4) if settled else 0.0,
        }

    def _forget_old(self) -> None:
        since = self._monotonic() - _HOUR
        while self._outcomes and self._outcomes[0][0] < since:
            self._outcomes.popleft()


class Health:
    """Looks at the parts of a running connector."""

    def __init__(
        self,
        *,
        worker_name: str,
        boot: str,
        capacity: int,
        worker: Worker,
        tenure: Tenure,
        engines: LivingEngines,
        state: StateKeeper,
        database: Database,
        clock: Clock,
        metrics: ConnectorMetrics,
        throughput: Throughput,
        last_turn: Callable[[], float],
    ) -> None:
        self._worker_name = worker_name
        self._boot = boot
        self._capacity = capacity
        self._worker = worker
        self._tenure = tenure
        self._engines = engines
        self._state = state
        self._database = database
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
        return None

    async def details(self) -> dict[str, Any]:
        """For people."""
        return {
            "worker": self._worker_name,
            "bootId": self._boot,
            "uptimeSeconds": round(self._clock.monotonic() - self._started, 1),
            "alive": self.not_alive() is None,
            "ready": self.not_ready() is None,
            "problem": self.not_alive() or self.not_ready(),
            "lease": {
                "held": self._tenure.holds(self._clock.boottime()),
                "ageSeconds": self._lease_age(),
                "draining": self._tenure.draining,
                "fenced": self._tenure.fenced,
            },
            "sessions": {
                "capacity": self._capacity,
                "byPhase": self._metrics.count_sessions(self._worker.states().values()),
            },
            "engines": len(self._engines),
            "shipper": {"up": self._state.shipper_pid is not None, "restarts": self._state.shipper_restarts},
            "database": {"reachable": await self._database.alive()},
            "assignmentsWatched": self._worker.watching,
        }

    def figures(self) -> dict[str, Any]:
        """The metrics as JSON."""
        return {
            "worker": self._worker_name,
            "sessions": self._metrics.count_sessions(self._worker.states().values()),
            "engines": len(self._engines),
            "leaseAgeSeconds": self._lease_age(),
            "replicationLagSeconds": self._replication_lag(),
            **self._throughput.figures(),
        }

    def exposition(self) -> bytes:
        """The metrics for Prometheus."""
        self._metrics.count_sessions(self._worker.states().values())
        self._metrics.engines.set(len(self._engines))
        self._metrics.lease_age.set(self._lease_age() or 0.0)
        self._metrics.replication_lag.set(self._replication_lag())
        self._metrics.inboxes_behind.set(sum(1 for runner in self._worker.running() if runner.inbox_behind))
        self._metrics.shipper_restarts.set(self._state.shipper_restarts)
        return self._metrics.expose()

    def _lease_age(self) -> float | None:
        renewed = self._tenure.renewed_at
        return None if renewed is None else round(self._clock.boottime() - renewed, 3)

    def _replication_lag(self) -> float:
        now = self._clock.monotonic()
        stored = (self._state.replicated(uid) for uid in self._worker.states())
        return round(max((now - base.covered for base in stored if base is not None), default=0.0), 3)


def stuck_after(timings: LeaseTimings) -> float:
    """Seconds without a turn of the renew loop after which it hangs: two requests, a pause, and patience."""
    return 2 * timings.request_timeout + timings.renew_period + timings.lease_duration
