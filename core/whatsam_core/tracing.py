"""Traces (OpenTelemetry) from a tenant's call to WhatsApp's acknowledgement. Off unless a collector's address is set.

`configure` is called once by each `main`. A send crosses processes by its row: the API stores `traceparent()` with it,
and the connector continues there (W3C Trace Context). Nothing private becomes an attribute: no texts, no numbers.
OpenTelemetry is loaded only when it is wanted: it costs memory that every worker would pay for.
"""

import contextlib
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

from whatsam_core.logging import get_logger

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_log = get_logger(__name__)

_FLUSH_MILLISECONDS = 2000
"""How long the last spans may take at the end of a process."""

Attributes = Mapping[str, str | int | float | bool]


class _State:
    provider: "TracerProvider | None" = None


_state = _State()


def configure(service: str, url: str | None, *, sample: float = 1.0, exporter: "SpanExporter | None" = None) -> None:
    """Send the spans of this process to the collector at `url` (OTLP over HTTP, http://collector:4318); None: off.

    `sample` is the share of traces that begin here and are kept; what a caller has decided is followed.
    `exporter` takes the place of the collector, in tests.
    """
    shut_down()
    if url is None and exporter is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.namespace": "whatsam"}),
        sampler=ParentBased(TraceIdRatioBased(sample)),
    )
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
    elif url is not None:
        # Its queue is bounded and drops: a collector that is away costs spans, never messages.
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces")))
    _state.provider = provider
    _log.info("tracing.on", service=service)


def shut_down() -> None:
    """Hand over what is left and stop. Blocks for a moment when tracing is on."""
    provider, _state.provider = _state.provider, None
    if provider is not None:
        provider.force_flush(_FLUSH_MILLISECONDS)
        provider.shutdown()


@contextlib.contextmanager
def span(name: str, parent: str | None = None, attributes: Attributes | None = None) -> Generator[None]:
    """A span around what happens inside; an exception marks it as failed and passes on. Nothing when tracing is off.

    `parent` is a `traceparent` of another process; without it the span is a child of the one around it.
    """
    provider = _state.provider
    if provider is None:
        yield
        return
    from opentelemetry import propagate
    from opentelemetry.trace import Status, StatusCode

    context = propagate.extract({"traceparent": parent}) if parent else None
    with provider.get_tracer("whatsam").start_as_current_span(
        name,
        context=context,
        attributes=dict(attributes or {}),
        # An exception's text may hold what must not leave the process: its kind has to do.
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def annotate(attributes: Attributes) -> None:
    """Say more about the current span."""
    if _state.provider is not None:
        from opentelemetry import trace

        trace.get_current_span().set_attributes(dict(attributes))


def traceparent() -> str | None:
    """The current span as W3C `traceparent`, for another process; None when nothing is traced."""
    if _state.provider is None:
        return None
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")
