"""QR codes in three forms and pairing codes, and API keys from birth to end."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from io import BytesIO
from xml.etree import ElementTree

import pytest
from api_rig import Instance, Rig, eventually
from PIL import Image

from whatsam_api.services import sessions as sessions_service
from whatsam_api.services.pictures import png

QR = "2@abcdefghijklmnopqrstuvwxyz0123456789,ABCDEFGH,IJKLMNOP,QRSTUVWX"


def _in(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def _pairing(api: Instance, rig: Rig, name: str, **pairing: str) -> None:
    rig.cluster.set_status(name, phase="Pairing", pairing=pairing)
    wanted = pairing["expiresAt"]

    def shown() -> bool:
        session = api.context.session_store.cached(name)
        known = session.status.pairing if session else None
        return known is not None and known.expires_at == datetime.fromisoformat(wanted)

    await eventually(shown, "the code is known")


async def test_the_qr_code_as_json_png_and_svg(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    path = f"/api/v1/sessions/{name}/qr"
    none = (await tenant.client.get(path)).json()["data"]
    assert (none["qrCode"], none["qrString"]) == (None, None)
    assert none["message"]
    assert (await tenant.client.get(path, headers={"accept": "image/png"})).status_code == 409

    await _pairing(api, rig, name, code=QR, expiresAt=_in(20))
    answer = await tenant.client.get(path)
    shown = answer.json()["data"]
    assert (shown["qrString"], shown["status"]) == (QR, "qr_required")
    assert base64.b64decode(shown["qrCode"].removeprefix("data:image/png;base64,")) == png(QR)
    assert answer.headers["cache-control"] == "no-store"
    picture = await tenant.client.get(path, headers={"accept": "image/png"})
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).format == "PNG"
    drawing = await tenant.client.get(path, headers={"accept": "image/svg+xml"})
    assert drawing.headers["content-type"] == "image/svg+xml"
    assert ElementTree.fromstring(drawing.content).tag.endswith("svg")  # noqa: S314 - drawn here
    browser = "text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8"
    assert (await tenant.client.get(path, headers={"accept": browser})).json()["data"]["qrString"] == QR

    await _pairing(api, rig, name, code=QR, expiresAt=_in(-1))
    assert (await tenant.client.get(path)).json()["data"]["qrCode"] is None, "an expired code is no code"


async def test_creating_with_connect_waits_for_the_first_qr_code(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    asked = asyncio.create_task(tenant.client.post("/api/v1/sessions", json={"name": "x", "sessionId": "quick"}))
    await eventually(lambda: "quick" in rig.cluster.objects, "it is created")
    rig.cluster.set_status("quick", phase="Pairing", pairing={"code": QR, "expiresAt": _in(20)})
    data = (await asked).json()["data"]
    assert data["status"] == "qr_required"
    assert data["qrCode"].startswith("data:image/png;base64,")


async def test_a_pairing_code_is_waited_for(api: Instance, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    path, body = f"/api/v1/sessions/{name}/pairing-code", {"phoneNumber": "+491511000001"}
    assert (await tenant.client.post(path, json={"phoneNumber": "01511"})).status_code == 422
    stopped = await tenant.client.post(path, json=body)
    assert (stopped.status_code, stopped.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
    await tenant.client.post(f"/api/v1/sessions/{name}/connect")
    await _pairing(api, rig, name, code=QR, expiresAt=_in(20))

    asked = asyncio.create_task(tenant.client.post(path, json=body))
    await eventually(lambda: "pairing" in rig.cluster.objects[name]["spec"], "the wish is written")
    assert rig.cluster.objects[name]["spec"]["pairing"] == {"method": "Code", "phoneNumber": "491511000001"}
    rig.cluster.set_status(name, pairing={"code": None, "pairingCode": "ABCD1234", "expiresAt": _in(60)})
    assert (await asked).json()["data"]["pairingCode"] == "ABCD1234"
    again = await tenant.client.post(path, json=body)
    assert again.json()["data"]["pairingCode"] == "ABCD1234", "the same phone gets the code that works"

    monkeypatch.setattr(sessions_service, "CODE_WAIT", 0.2)
    other = await tenant.client.post(path, json={"phoneNumber": "491511000009"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
    rig.hold(name)
    await eventually(lambda: bool((s := api.context.session_store.cached(name)) and s.status.jid), "it is paired")
    assert (await tenant.client.post(path, json=body)).status_code == 409


async def test_a_key_is_shown_once_kept_as_a_hash_and_ends_at_once(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    path = f"/api/v1/sessions/{name}/api-keys"
    wish = {"name": "till", "scopes": ["read", "read"], "expiresAt": _in(3600)}
    made = (await tenant.client.post(path, json=wish)).json()["data"]
    secret = made["apiKey"]
    assert secret.startswith(made["prefix"])
    assert made["scopes"] == ["read"]
    listed = await tenant.client.get(path)
    assert secret not in listed.text
    assert [one["name"] for one in listed.json()["data"]] == ["first key", "till"]
    for row in await rig.rows("select * from api_keys where session = $1", f"test/{name}"):
        assert secret not in repr(row)

    by_key = api.client(authorization=f"Bearer {secret}")
    assert (await by_key.get(f"/api/v1/sessions/{name}")).status_code == 200
    assert (await tenant.client.get(path)).json()["data"][1]["lastUsedAt"] is not None
    assert (await tenant.client.delete(f"{path}/{made['keyId']}")).status_code == 200
    assert (await by_key.get(f"/api/v1/sessions/{name}")).status_code == 401
    gone = await tenant.client.delete(f"{path}/{made['keyId']}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "KEY_NOT_FOUND")


async def test_an_expired_key_is_none_and_none_is_made_expired(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, key = await rig.session(tenant)
    late = {"name": "late", "scopes": ["read"], "expiresAt": _in(-5)}
    answer = await tenant.client.post(f"/api/v1/sessions/{name}/api-keys", json=late)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, "expiresAt")
    by_key = api.client(**{"x-api-key": key})
    assert (await by_key.get("/api/v1/sessions")).status_code == 200
    await rig.rows("update api_keys set expires_at = now() where session = $1", f"test/{name}")
    assert (await by_key.get("/api/v1/sessions")).status_code == 401
