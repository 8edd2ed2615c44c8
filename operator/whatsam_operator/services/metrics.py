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
        self.queue_depth = metrics.gauge("queue_depth", "Decisions in the work queue, by state.", ("state",))
        self.queue_oldest = metrics.gauge("queue_oldest_seconds", "Age of the oldest decision in the queue.")
        self.queue_wait = metrics.histogram("queue_wait_seconds", "From a plan to the start of its decision.")
        self.decision_seconds = metrics.histogram(
            "decision_seconds", "How long decisions took to be carried out, by kind.", ("decision",)
        )
        self.watch_breaks = metrics.counter("watch_breaks", "Watches that broke or fell silent, by kind.", ("kind",))
        self.stories_dropped = metrics.counter("stories_dropped", "Events that were not posted: the queue was full.")
