"""Sessions behind proxies of their own: HTTP and SOCKS5 with passwords, dead ones, and ones that come back."""

import base64
import json
import secrets
from collections.abc import Iterator

import pytest
from e2e_support import assert_clean_journal, make_fleet

from whatsam_core.resources import ConditionType, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet
from whatsam_local.driver.kubectl import session_manifest
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(240)]

SECRET = "whatsam-proxies"
"""The one Secret that workers may read."""


@pytest.fixture
def key(running: RunningCluster) -> Iterator[str]:
    """A key in the Secret that no other test uses; it is removed at the end."""
    key = f"k{secrets.token_hex(4)}"
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": "whatsam"},
        "type": "whatsam.io/proxy",
        "stringData": {"unused": "http://127.0.0.1:9"},
    }
    if not running.kubectl.run("get", "secret", SECRET, "--ignore-not-found", "-o", "name"):
        running.kubectl.apply(manifest)
    yield key
    _patch(running, {key: None})


def _patch(running: RunningCluster, data: dict[str, str | None]) -> None:
    encoded = {name: None if url is None else base64.b64encode(url.encode()).decode() for name, url in data.items()}
    running.kubectl.run("patch", "secret", SECRET, "--type=merge", "-p", json.dumps({"data": encoded}))


def _wait_reason(watch: SessionWatch, name: str, reason: str) -> None:
    def there() -> bool:
        session = watch.now(name)
        condition = session.status.condition(ConditionType.CONNECTED) if session else None
        return condition is not None and condition.reason == reason

    watch.wait(f"{name}: Connected has the reason {reason}", there, 60)


@pytest.mark.parametrize("kind", ["http", "socks5"])
def test_a_session_goes_through_its_proxy_and_waits_for_one_that_dies(
    kind: str,
    key: str,
    running: RunningCluster,
    tenant: WhatsamClient,
    simulator: SimulatorClient,
    watch: SessionWatch,
    pool: str,
) -> None:
    proxy = simulator.add_proxy(kind, user="me", password="p@ss word")
    _patch(running, {key: proxy.url})
    fleet = make_fleet(running, tenant, simulator, watch, count=1, pool=pool)
    (member,) = fleet.members
    simulator.contact(member.contact)
    reference = {"name": SECRET, "key": key}
    running.kubectl.apply(
        session_manifest(member.name, tenant.tenant, poolRef={"name": pool}, proxySecretRef=reference)
    )
    watch.wait_phase([member.name], Phase.PAIRING, 60)
    fleet.scan()
    watch.wait_phase([member.name], Phase.CONNECTED, 60)
    fleet.exchange(2, "through the proxy")
    assert simulator.proxy(proxy.port).tunnels > 0
    assert simulator.proxy(proxy.port).refused == 0

    simulator.remove_proxy(proxy.port)
    simulator.cut(member.phone)
    _wait_reason(watch, member.name, "ProxyUnreachable")
    fleet.say(1, "while the proxy is dead")
    simulator.add_proxy(kind, user="me", password="p@ss word", port=proxy.port)
    watch.wait_phase([member.name], Phase.CONNECTED, 120)
    fleet.exchange(1, "after the proxy's return")
    simulator.remove_proxy(proxy.port)
    assert_clean_journal(simulator)


def test_a_wrong_password_is_a_condition_and_a_right_one_heals(
    key: str,
    running: RunningCluster,
    tenant: WhatsamClient,
    simulator: SimulatorClient,
    watch: SessionWatch,
    pool: str,
) -> None:
    proxy = simulator.add_proxy("http", user="me", password="right")
    _patch(running, {key: proxy.url.replace("right", "wrong")})
    fleet: Fleet = make_fleet(running, tenant, simulator, watch, count=1, pool=pool)
    (name,) = fleet.names
    reference = {"name": SECRET, "key": key}
    running.kubectl.apply(session_manifest(name, tenant.tenant, poolRef={"name": pool}, proxySecretRef=reference))
    _wait_reason(watch, name, "ProxyRefused")
    _patch(running, {key: proxy.url})
    watch.wait_phase([name], Phase.PAIRING, 90)
    simulator.remove_proxy(proxy.port)
