"""The connector's metrics, and the same figures as JSON for people who ask `/metrics` for it."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry

from whatsam_connector.lease.verdict import Answer
from whatsam_connector.sessions.report import report
from whatsam_connector.sessions.state import SessionState
from whatsam_core.metrics import Metrics
from whatsam_core.resources.session import Phase


class ConnectorMetrics:
    """Everything a connector counts. No label names a session."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._metrics = Metrics("connector", registry)
        metrics = self._metrics
        self.sessions = metrics.gauge("sessions", "Sessions this worker has in hand, by phase.", ["phase"])
        self.engines = metrics.gauge("engines", "Engine processes that live.")
        self.engine_exits = metrics.counter("engine_exits", "Engine processes that ended, by reason.", ["reason"])
        self.renewals = metrics.histogram(
            "lease_renewal_seconds", "Time of one renewal of the Lease, by how it was answered.", ["answer"]
        )
        self.lease_age = metrics.gauge("lease_age_seconds", "Since the start of the last good renewal.")
        self.replication_lag = metrics.gauge(
            "replication_lag_seconds", "Greatest age of what the object store has of any session here."
        )
        self.outgoing = metrics.counter(
            "outgoing_messages",
            "Outgoing messages by what became of them; uncertain, settled_by_receipt, sent_again and given_up tell "
            "how messages ended that were in flight when their engine died.",
            ["outcome"],
        )
        self.inbound = metrics.counter("inbound_records", "Journal records taken over into the database.", ["kind"])
        self.inboxes_behind = metrics.gauge("inboxes_behind", "Sessions whose journal waits for the database.")
        self.shipper_restarts = metrics.gauge("shipper_restarts", "Shipper processes that ended unexpectedly.")

    def renewal(self, answer: Answer, seconds: float) -> None:
        """One renewal request has ended."""
        self.renewals.labels(answer.value).observe(seconds)

    def count_sessions(self, states: Iterable[SessionState]) -> dict[str, int]:
        """Set the gauge from where the sessions stand; returns the same by phase."""
        tally = Tally(report(state).phase.value for state in states)
        for phase in Phase:
            self.sessions.labels(phase.value).set(tally.get(phase.value, 0))
        return dict(tally)

    def expose(self) -> bytes:
        """Prometheus' text format."""
        return self._metrics.expose()
