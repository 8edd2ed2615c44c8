"""The connector's metrics, and the same figures as JSON for people who ask `/metrics` for it."""

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from whatsam_connector.lease.verdict import Answer
from whatsam_connector.sessions.report import report
from whatsam_connector.sessions.state import SessionState
from whatsam_connector.state import Prepared, Replicated
from whatsam_connector.supervision import EngineExit, MoveReason
from whatsam_core.metrics import Metrics
from whatsam_core.resources.session import Phase

SessionFigures = tuple[str, SessionState, bool, Replicated | None]
"""Namespace and name, state, whether its journal waits for the database, what the object store has."""


class ConnectorMetrics:
    """Everything a connector counts. No label names a session, except those of `tell_of_sessions`."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._metrics = Metrics("connector", registry)
        metrics = self._metrics
        self.sessions = metrics.gauge("sessions", "Sessions this worker has in hand, by phase.", ["phase"])
        self.engines = metrics.gauge("engines", "Engine processes that live.")
        self.engine_exits = metrics.counter(
            "engine_exits",
            "Engine processes that ended, by reason and exit code (minus the signal).",
            ["reason", "code"],
        )
        self.engine_ends = metrics.counter(
            "engine_session_ends", "Sessions whose engine ended, or that left it, by reason.", ["reason"]
        )
        self.engine_replacements = metrics.counter(
            "engine_replacements", "Engine processes that were replaced in a planned way, by reason.", ["reason"]
        )
        self.renewals = metrics.histogram(
            "lease_renewal_seconds", "Time of one renewal of the Lease, by how it was answered.", ["answer"]
        )
        self.lease_age = metrics.gauge("lease_age_seconds", "Since the start of the last good renewal.")
        self.replication_lag = metrics.gauge(
            "replication_lag_seconds", "Greatest age of what the object store has of any session here."
        )
        self.sessions_behind = metrics.gauge(
            "sessions_behind", "Sessions whose newest state does not reach the object store at present."
        )
        self.preparations = metrics.counter(
            "state_preparations",
            "Auth states that were looked for, by what was found; older: it had to do for a newer one that is lost.",
            ["outcome"],
        )
        self.outgoing = metrics.counter(
            "outgoing_messages",
            "Outgoing messages by what became of them; uncertain, settled_by_receipt, sent_again and given_up tell "
            "how messages ended that were in flight when their engine died.",
            ["outcome"],
        )
        self.inbound = metrics.counter("inbound_records", "Journal records taken over into the database.", ["kind"])
        self.media = metrics.counter(
            "media_downloads",
            "Files of received messages, by what became of them; again: an attempt failed.",
            ["state"],
        )
        self.inboxes_behind = metrics.gauge("inboxes_behind", "Sessions whose journal waits for the database.")
        self.shipper_restarts = metrics.gauge("shipper_restarts", "Shipper processes that ended unexpectedly.")

        self.store_answers = metrics.gauge("store_answers", "1 while a store answers.", ["store"])
        self.http_seconds = metrics.histogram("http_request_seconds", "Time to answer a call.", ["route", "status"])
        self._session_up: Gauge | None = None

    def tell_of_sessions(self, sessions: "Iterable[SessionFigures]") -> None:
        """Series of their own for the sessions that are here now: as many as sessions, so only where it is wished."""
        if self._session_up is None:
            metrics, labels = self._metrics, ["namespace", "session"]
            self._session_up = metrics.gauge("session_up", "1 while the session is logged in.", labels)
            self._session_behind = metrics.gauge("session_inbox_behind", "1 while its journal waits.", labels)
            self._session_seq = metrics.gauge("session_replication_seq", "Number of its newest stored state.", labels)
        for gauge in (self._session_up, self._session_behind, self._session_seq):
            gauge.clear()
        for key, state, behind, stored in sessions:
            namespace, _, name = key.partition("/")
            self._session_up.labels(namespace, name).set(state.logged_in)
            self._session_behind.labels(namespace, name).set(behind)
            self._session_seq.labels(namespace, name).set(stored.seq if stored is not None else 0)

    def ended(self, ended: EngineExit) -> None:
        """An engine process has ended."""
        self.engine_exits.labels(ended.reason.value, str(ended.code)).inc()

    def prepared(self, prepared: Prepared) -> None:
        """A session's auth state was looked for."""
        outcome = "older" if prepared.fell_back else prepared.outcome.name.lower()
        self.preparations.labels(outcome).inc()

    def replaced(self, reason: MoveReason) -> None:
        """An engine process is being replaced in a planned way."""
        self.engine_replacements.labels(reason.value).inc()

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
