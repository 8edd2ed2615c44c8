"""Settings and health of the process."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from whatsam_core.settings import SettingsError, load
from whatsam_operator.handlers.health import HealthServer
from whatsam_operator.handlers.watch import settings
from whatsam_operator.planning.election import ElectionTimingError
from whatsam_operator.services.metrics import OperatorMetrics
from whatsam_operator.settings import OperatorSettings

REQUIRED = {
    "WHATSAM_NAMESPACE": "whatsam",
    "WHATSAM_POD_NAME": "operator-0",
    "WHATSAM_S3_URL": "http://store:8333",
    "WHATSAM_S3_ACCESS_KEY": "a",
    "WHATSAM_S3_SECRET_KEY": "s",
}


@pytest.fixture
def environment(monkeypatch):
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_environment_of_the_deployment_is_enough(environment):
    assert load(OperatorSettings).election_timings().lease_duration == 8.0


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_what_is_missing_is_named(environment, name):
    environment.delenv(name)
    with pytest.raises(SettingsError, match=name):
        load(OperatorSettings)


def test_clocks_that_could_make_two_leaders_are_refused_at_the_start(environment):
    environment.setenv("WHATSAM_LEADER_DEADLINE", "7.5")
    with pytest.raises(ElectionTimingError):
        load(OperatorSettings).election_timings()


def test_health_says_what_the_probes_say():
    state = {"live": True}
    metrics = OperatorMetrics(CollectorRegistry())
    metrics.leader.set(1)
    server = HealthServer(
        0,
        live=lambda: (state["live"], {}),
        ready=lambda: (False, {"leads": False}),
        metrics=metrics.expose,
        host="127.0.0.1",
    )
    server.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            assert client.get("/live").status_code == 200
            state["live"] = False
            assert client.get("/live").status_code == 503
            refused = client.get("/ready")
            assert (refused.status_code, refused.json()) == (503, {"leads": False})
            assert "whatsam_operator_leader 1.0" in client.get("/metrics").text
            assert client.get("/other").status_code == 404
    finally:
        server.stop()


def test_kopf_asks_for_whole_seconds_and_notices_silence():
    watching = settings().watching
    assert isinstance(watching.server_timeout, int), "the API server refuses timeoutSeconds=20.0"
    assert watching.inactivity_timeout > watching.server_timeout
