"""The operator's metrics, all of them."""

from prometheus_client import REGISTRY, CollectorRegistry

from whatsam_core.metrics import Metrics


class OperatorMetrics:
    """Declared once per process (tests give a registry of their own)."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        metrics = Metrics("operator", registry)
        self.expose = metrics.expose
        self.leader = metrics.gauge("leader", "1 while this process leads.")
        self.plan_seconds = metrics.histogram("plan_seconds", "How long one plan took.")
        self.decisions = metrics.counter(
            "decisions", "Decisions carried out, by kind and outcome.", ("decision", "outcome")
        )
        self.assignments = metrics.counter(
            "assignments", "Sessions given to a worker, by how they came free.", ("taken_from",)
        )
        self.workers_lost = metrics.counter("workers_lost", "Leases revoked, by proof.", ("proof",))
        self.sessions = metrics.gauge("sessions", "Sessions by phase.", ("phase",))
        self.lease_read_age = metrics.gauge("lease_read_age_seconds", "Since the last fresh read of the Leases.")
