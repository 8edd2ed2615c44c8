"""Metrics have one style."""

from prometheus_client import CollectorRegistry

from whatsam_core.metrics import Metrics


def test_names_carry_the_part_and_the_unit() -> None:
    metrics = Metrics("connector", CollectorRegistry())
    metrics.counter("sends", "Messages sent.", ("result",)).labels("ok").inc()
    metrics.gauge("sessions", "Sessions held.").set(3)
    metrics.histogram("flush_seconds", "Time of a flush.").observe(0.2)
    text = metrics.expose().decode()
    assert 'whatsam_connector_sends_total{result="ok"} 1.0' in text
    assert "whatsam_connector_sessions 3.0" in text
    assert 'whatsam_connector_flush_seconds_bucket{le="0.25"} 1.0' in text
    assert 'whatsam_build_info{part="connector"' in text


def test_two_parts_share_one_registry() -> None:
    registry = CollectorRegistry()
    Metrics("operator", registry)
    text = Metrics("api", registry).expose().decode()
    assert 'part="operator"' in text
    assert 'part="api"' in text
