"""Nothing private reaches a log line, whatever goes wrong."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from api_rig import PASSWORD, TOKEN, Instance, Rig, eventually

from whatsam_core import logging

QR = "2@Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4,c2VjcmV0,c2VjcmV0Mg==,Zm91cnRo"
TEXT = "the treasure lies below the oak"
PHONE = "491511000042"


async def test_no_secret_is_logged(
    api: Instance, rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.configure("api", "DEBUG", json=True)
    tenant = await api.register("private.person@tenants.org")
    name, key = await rig.paired(tenant, api)
    path = f"/api/v1/sessions/{name}"
    until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    rig.cluster.set_status(name, pairing={"code": QR, "pairingCode": "ABCD1234", "expiresAt": until})
    await eventually(
        lambda: bool((s := api.context.session_store.cached(name)) and s.status.pairing), "the code is known"
    )
    assert (await tenant.client.get(f"{path}/qr")).json()["data"]["qrString"] == QR
    await rig.connector.stop()
    body = {"to": PHONE, "text": TEXT}
    assert (await tenant.client.post(f"{path}/send", json=body)).status_code == 202
    assert (await api.client(**{"x-api-key": key}).get(f"{path}/messages")).status_code == 200
    assert (await api.client(**{"x-api-key": key + "x"}).get(path)).status_code == 401
    await api.http.post("/api/v1/auth/login", json={"email": tenant.email, "password": PASSWORD})
    await api.http.post("/api/v1/auth/register", json={"name": "x", "email": tenant.email, "password": PASSWORD})

    # A row that does not fit its model: the worst traceback there is, with the row in its hands.
    await rig.rows("update messages set body = to_jsonb($1::text) where session = $2", TEXT, f"test/{name}")
    crashed = await tenant.client.get(f"{path}/messages")
    assert (crashed.status_code, crashed.json()["error"]["code"]) == (500, "INTERNAL")
    assert TEXT not in crashed.text
    rig.cluster.go_away()
    assert (await tenant.client.delete(path)).status_code == 503

    written = capsys.readouterr()
    lines = [json.loads(line) for line in written.out.splitlines()]
    assert {"connector.unreachable", "request.crashed", "request.unavailable"} <= {line["event"] for line in lines}
    token = tenant.client.headers["authorization"].removeprefix("Bearer ")
    for secret in (token, tenant.refresh, key, PASSWORD, TOKEN, TEXT, PHONE, "491511000001", QR, "ABCD1234", "s" * 40):
        assert secret not in written.out + written.err
