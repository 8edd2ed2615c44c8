"""A tenant links an account that asks for its passkey, over REST alone; and is told where that cannot be."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_support import apply_pool

from whatsam_core.resources import Engine, Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import CallRefused
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.authenticator import SoftwareAuthenticator
from whatsam_simulator.client import SimulatorClient

pytestmark = pytest.mark.e2e

PHONE = str(491_540_000_000 + secrets.randbelow(10_000_000) * 10)


@pytest.fixture
def pool(running: RunningCluster) -> Iterator[str]:
    """One worker with the engine that can pass a passkey on."""
    name = f"e2e-passkey-{secrets.token_hex(2)}"
    apply_pool(running, name, 1, engine=Engine.WHATSMEOW.value)
    yield name
    selector = f"--field-selector=spec.poolRef.name={name}"
    running.kubectl.run("delete", "was", selector, "--timeout=120s", timeout=150)
    running.kubectl.run("delete", "wp", name, "--timeout=60s", timeout=90)


def test_an_account_with_a_passkey_is_linked_over_rest(
    running: RunningCluster, simulator: SimulatorClient, watch: SessionWatch, pool: str
) -> None:
    owner = SoftwareAuthenticator()
    # The phone goes on with the second answer only: the scan is not proven any more then, and a code is compared.
    simulator.demand_passkey(PHONE, owner, continues_with=2)
    with running.user("passkey") as tenant:
        name = tenant.call("POST", "/sessions", {"name": "passkey", "pool": pool})["sessionId"]
        path = f"/sessions/{name}/passkey"
        watch.wait_phase([name], Phase.PAIRING, 30)
        simulator.scan(PHONE, tenant.call("GET", f"/sessions/{name}/qr")["qrString"])

        eventually(lambda: tenant.call("GET", path)["request"] is not None, 30, "WhatsApp asks for the passkey")
        request = tenant.call("GET", path)["request"]
        assert tenant.call("GET", f"/sessions/{name}")["reason"] == "AwaitingPasskey"
        with pytest.raises(CallRefused, match="WHATSAPP_NOT_ACCEPTED"):
            tenant.call("POST", path, SoftwareAuthenticator().answer(request))
        answer(tenant, path, owner.answer(request))
        code = answer(tenant, path, owner.answer(request))["confirmationCode"]
        assert code == simulator.passkey(PHONE).code
        tenant.call("POST", f"{path}/confirm")
        watch.wait_phase([name], Phase.CONNECTED, 60)
        assert tenant.call("GET", path)["request"] is None
        tenant.call("DELETE", f"/sessions/{name}")


def answer(tenant: WhatsamClient, path: str, credential: dict[str, Any]) -> dict[str, Any]:
    """Hand in an authenticator's answer."""
    return tenant.call("POST", path, credential)
