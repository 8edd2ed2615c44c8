"""Prometheus metrics in one style: prefix, base units, shared buckets, one way to expose them.

Each part declares its metrics in one module of its own through these helpers. No label ever carries a session, a
tenant or a phone number: their number has no bound.
"""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

PREFIX: Final = "whatsam"
QUICK_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds, for calls: database, object store, Kubernetes, one message."""
SLOW_BUCKETS: Final = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 15.0, 20.0, 30.0, 60.0, 120.0)
"""Seconds, for what a person waits for: failover, start of a session, restore, hand-over."""
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Metrics:
    """Declares the metrics of one part, as `whatsam_<part>_<name>`.

    Tests give a registry of their own; processes use Prometheus' default one, which has the process's CPU and memory.
    """

    def __init__(self, part: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._part = part
        self.registry = registry
        _build_info(registry).labels(part, version("whatsam"), platform.python_version()).set(1)

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Something that only grows. `name` ends in what is counted; Prometheus adds `_total`."""
        return Counter(name, documentation, labels, namespace=PREFIX, subsystem=self._part, registry=self.registry)

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Something that is."""
        return Gauge(name, documentation, labels, namespace=PREFIX, subsystem=self._part, registry=self.registry)

    def histogram(
        self, name: str, documentation: str, labels: Sequence[str] = (), *, buckets: Sequence[float] = QUICK_BUCKETS
    ) -> Histogram:
        """How long something took. `name` ends in `_seconds`."""
        return Histogram(
            name,
            documentation,
            labels,
            namespace=PREFIX,
            subsystem=self._part,
            registry=self.registry,
            buckets=tuple(buckets),
        )

    def expose(self) -> bytes:
        """The body of `/metrics`; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)


_BUILD_INFO: Final[WeakKeyDictionary[CollectorRegistry, Gauge]] = WeakKeyDictionary()


def _build_info(registry: CollectorRegistry) -> Gauge:
    # One for all parts of a process: tests load several parts into one interpreter.
    if registry not in _BUILD_INFO:
        _BUILD_INFO[registry] = Gauge(
            f"{PREFIX}_build_info",
            "Constant 1; the labels say what runs.",
            ("part", "version", "python"),
            registry=registry,
        )
    return _BUILD_INFO[registry]
