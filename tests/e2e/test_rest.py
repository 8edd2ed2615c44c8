"""A tenant without kubectl: registers, creates a session, pairs by code, writes, stops, goes on, deletes."""

import secrets
from collections.abc import Iterator

import pytest

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.errors import CallRefused
from whatsam_local.driver.eventually import eventually
from whatsam_local.driver.rest import WhatsamClient
from whatsam_local.driver.watch import SessionWatch
from whatsam_simulator.client import SimulatorClient

pytestmark = pytest.mark.e2e

PHONE = str(491_530_000_000 + secrets.randbelow(10_000_000) * 10)
CONTACT = str(int(PHONE) + 1)


@pytest.fixture(scope="module")
def customer(running: RunningCluster) -> Iterator[WhatsamClient]:
    """A user of the tier BASIC: one running session."""
    with running.user("customer") as user:
        yield user


@pytest.fixture(scope="module")
def session_id(customer: WhatsamClient, simulator: SimulatorClient, watch: SessionWatch) -> str:
    """A session made over REST and paired with an eight-character code."""
    simulator.contact(CONTACT)
    created = customer.call("POST", "/sessions", {"name": "Support", "sessionId": f"rest-{secrets.token_hex(4)}"})
    name = created["sessionId"]
    watch.wait_phase([name], Phase.PAIRING, 30)
    code = customer.call("POST", f"/sessions/{name}/pairing-code", {"phoneNumber": PHONE})["pairingCode"]
    simulator.enter_pairing_code(PHONE, code)
    watch.wait_phase([name], Phase.CONNECTED, 30)
    customer.wait_connected([name])
    return name


def test_status_tells_phone_and_worker(customer: WhatsamClient, session_id: str) -> None:
    status = customer.call("GET", f"/sessions/{session_id}/status")
    assert status["status"] == "connected"
    assert status["phoneNumber"] == PHONE
    assert status["workerId"]


def test_the_tier_allows_one_running_session(customer: WhatsamClient, session_id: str) -> None:
    with pytest.raises(CallRefused, match="SESSION_LIMIT_REACHED"):
        customer.call("POST", "/sessions", {"name": f"besides {session_id}"})


def test_the_same_idempotency_key_sends_once(
    customer: WhatsamClient, session_id: str, simulator: SimulatorClient
) -> None:
    first = customer.send(session_id, CONTACT, "once only", key="order-1")
    again = customer.send(session_id, CONTACT, "once only", key="order-1")
    assert first["messageId"] == again["messageId"]
    assert first["status"] in {"sent", "delivered", "read"}
    eventually(lambda: "once only" in simulator.texts(CONTACT), 10, "the message is there")
    assert simulator.texts(CONTACT).count("once only") == 1


def test_a_delivery_receipt_shows(customer: WhatsamClient, session_id: str) -> None:
    sent = customer.send(session_id, CONTACT, "with receipt")

    def delivered() -> bool:
        return customer.message(session_id, sent["messageId"])["status"] in {"delivered", "read"}

    eventually(delivered, 15, "the delivery receipt is in the message's row")


def test_a_message_comes_in(customer: WhatsamClient, session_id: str, simulator: SimulatorClient) -> None:
    simulator.say(CONTACT, PHONE, "hello there")
    eventually(lambda: customer.received(session_id).count("hello there") == 1, 15, "the message is in REST")


def test_another_tenant_sees_nothing(running: RunningCluster, session_id: str) -> None:
    with running.user("stranger") as stranger:
        assert stranger.sessions() == []
        with pytest.raises(CallRefused, match="SESSION_NOT_FOUND"):
            stranger.send(session_id, CONTACT, "not mine")


def test_disconnect_keeps_the_device_and_connect_goes_on(
    customer: WhatsamClient, session_id: str, simulator: SimulatorClient, watch: SessionWatch
) -> None:
    customer.call("POST", f"/sessions/{session_id}/disconnect")

    def stopped() -> bool:
        session = watch.now(session_id)
        return session is not None and session.status.assignment is None and session.status.phase is Phase.DISCONNECTED

    watch.wait("the session is stopped and held by nobody", stopped, 30)
    with pytest.raises(CallRefused, match="SESSION_NOT_READY"):
        customer.send(session_id, CONTACT, "while stopped")

    customer.call("POST", f"/sessions/{session_id}/connect")

    watch.wait_phase([session_id], Phase.CONNECTED, 30)
    customer.send(session_id, CONTACT, "back again")
    eventually(lambda: "back again" in simulator.texts(CONTACT), 15, "the message is there")


def test_delete_ends_it(customer: WhatsamClient, session_id: str, watch: SessionWatch) -> None:
    customer.call("DELETE", f"/sessions/{session_id}")
    watch.wait_gone(session_id, 60)
    eventually(
        lambda: session_id not in {session["sessionId"] for session in customer.sessions()}, 15, "it is gone in REST"
    )
