"""Traces cross processes by their traceparent, and cost nothing when they are off."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from whatsam_core import tracing


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    spans = InMemorySpanExporter()
    tracing.configure("test", None, exporter=spans)
    yield spans
    tracing.shut_down()


def test_off_means_no_trace():
    tracing.configure("test", None)
    with tracing.span("send"):
        assert tracing.traceparent() is None


def test_a_span_continues_in_another_process(exporter: InMemorySpanExporter):
    with tracing.span("accept"):
        carried = tracing.traceparent()
    with tracing.span("send", parent=carried):
        pass
    accept, send = exporter.get_finished_spans()
    assert accept.context is not None
    assert send.parent is not None
    assert send.parent.span_id == accept.context.span_id
    assert send.context is not None
    assert send.context.trace_id == accept.context.trace_id


def test_spans_nest(exporter: InMemorySpanExporter):
    with tracing.span("outer"), tracing.span("inner", attributes={"message.type": "text"}):
        pass
    inner, outer = exporter.get_finished_spans()
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes is not None
    assert inner.attributes["message.type"] == "text"


def test_a_failure_marks_the_span_without_its_text(exporter: InMemorySpanExporter):
    with pytest.raises(ValueError, match="private"), tracing.span("send"):
        raise ValueError("private")
    (send,) = exporter.get_finished_spans()
    assert not send.status.is_ok
    assert "private" not in send.to_json()


@pytest.mark.parametrize("garbage", ["", "00-zz-zz-01", "x" * 500, "00-0-0-0"])
def test_a_garbled_parent_begins_a_new_trace(exporter: InMemorySpanExporter, garbage: str):
    with tracing.span("send", parent=garbage):
        pass
    (send,) = exporter.get_finished_spans()
    assert send.parent is None
