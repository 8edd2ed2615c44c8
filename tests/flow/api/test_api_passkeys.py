"""An account that asks for a passkey: what a tenant sees of it, and what he may answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from api_connector import Seen
from api_rig import Instance, Rig, Tenant, eventually

from whatsam_simulator.authenticator import SoftwareAuthenticator

KEY = SoftwareAuthenticator()
REQUEST = {"challenge": "c29tZXRoaW5n", "rpId": "whatsapp.com", "timeout": 60000, "allowCredentials": []}


async def _asking(api: Instance, rig: Rig, **more: Any) -> tuple[Tenant, str]:
    """A session whose account asks for its passkey, and the address of that."""
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    rig.hold(name)
    expires = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    passkey = {"request": json.dumps(REQUEST), "expiresAt": expires, **more}
    rig.cluster.set_status(
        name, jid=None, phase="Pairing", conditions=[], pairing={"expiresAt": expires, "passkey": passkey}
    )

    def known() -> bool:
        session = api.context.session_store.cached(name)
        return session is not None and session.status.pairing is not None and session.status.jid is None

    await eventually(known, "the request is known")
    return tenant, f"/api/v1/sessions/{name}/passkey"


async def test_the_request_is_shown_answered_and_the_code_confirmed(api: Instance, rig: Rig) -> None:
    tenant, path = await _asking(api, rig)
    shown = (await tenant.client.get(path)).json()["data"]
    assert (shown["request"], shown["confirmationCode"]) == (REQUEST, None)
    early = await tenant.client.post(f"{path}/confirm")
    assert (early.status_code, early.json()["error"]["code"]) == (409, "SESSION_NOT_READY")

    async def taken(call: Seen) -> tuple[int, dict[str, Any]]:
        if call.method == "answer_passkey":
            name = path.split("/")[4]
            rig.cluster.set_status(name, pairing={"passkey": {"confirmationCode": "ABCD-EFGH"}})
        return 200, {"value": None}

    rig.connector.answer = taken
    credential = KEY.answer(REQUEST)
    answered = await tenant.client.post(path, json=credential)
    assert answered.json()["data"]["confirmationCode"] == "ABCD-EFGH"
    confirmed = await tenant.client.post(f"{path}/confirm")
    assert confirmed.json()["data"] == {"confirmed": True}
    first, second = rig.connector.calls
    assert (first.method, second.method) == ("answer_passkey", "confirm_passkey")
    parts = ("clientDataJSON", "authenticatorData", "signature", "userHandle")
    assert first.arguments["response"]["rawId"] == credential["rawId"]
    assert first.arguments["response"]["response"] == {part: credential["response"][part] for part in parts}


async def test_what_is_no_answer_of_an_authenticator_is_told_by_its_field(api: Instance, rig: Rig) -> None:
    tenant, path = await _asking(api, rig)
    good = KEY.answer(REQUEST)
    for field, body in {
        "rawId": {**good, "rawId": "!"},
        "id": {name: value for name, value in good.items() if name != "id"},
        "type": {**good, "type": "password"},
        "response.signature": {**good, "response": {**good["response"], "signature": ""}},
        "response.clientDataJSON": KEY.answer({**REQUEST, "challenge": "YW5vdGhlcg"}),
        "response.authenticatorData": {**good, "response": {**good["response"], "authenticatorData": 5}},
    }.items():
        answer = await tenant.client.post(path, json=body)
        assert answer.status_code == 422, field
        assert answer.json()["error"]["details"][0]["field"] == field
    other = await tenant.client.post(path, json={**good, "rawId": "b3RoZXI"})
    assert (other.status_code, other.json()["error"]["details"][0]["field"]) == (422, "rawId")
    assert rig.connector.calls == []


async def test_what_the_engine_refuses_reaches_the_tenant(api: Instance, rig: Rig) -> None:
    tenant, path = await _asking(api, rig)
    for code, status in {"Rejected": 422, "Unsupported": 501, "Conflict": 409}.items():

        async def refuse(_: Seen, code: str = code) -> tuple[int, dict[str, Any]]:
            return 422, {"code": code, "message": "no"}

        rig.connector.answer = refuse
        assert (await tenant.client.post(path, json=KEY.answer(REQUEST))).status_code == status


async def test_nobody_answers_what_nobody_asked_and_no_other_tenant_sees_it(api: Instance, rig: Rig) -> None:
    tenant, path = await _asking(api, rig)
    stranger = await api.register()
    assert (await stranger.client.get(path)).status_code == 404
    assert (await stranger.client.post(path, json=KEY.answer(REQUEST))).status_code == 404
    name = path.split("/")[4]
    rig.cluster.set_status(name, pairing=None)
    answer = await tenant.client.post(path, json=KEY.answer(REQUEST))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
    shown = (await tenant.client.get(path)).json()["data"]
    assert shown["request"] is None
