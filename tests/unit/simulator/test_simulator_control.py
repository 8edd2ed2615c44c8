"""The control API: typed answers, 404 for what is unknown, 422 that names the field; contacts among themselves."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from whatsam_simulator.control.application import build
from whatsam_simulator.control.service import ControlService, Listening
from whatsam_simulator.simulation import Options, Simulation

ADA, BOB, EVE = "4915190000001", "4915190000002", "4915190000003"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    simulation = Simulation(Options(state=tmp_path / "state"))
    application = build(ControlService(simulation, Listening("127.0.0.1", 1, 2, 3)))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
        for number in (ADA, BOB):
            assert (await client.post(f"/contacts/{number}")).status_code == 201
        yield client


async def inbox(http: httpx.AsyncClient, number: str) -> list[dict[str, Any]]:
    return (await http.get(f"/contacts/{number}/inbox")).json()["messages"]


async def test_contacts_write_to_each_other_and_read(http: httpx.AsyncClient) -> None:
    sent = (await http.post(f"/contacts/{ADA}/messages", json={"to": BOB, "text": "hello"})).json()["id"]
    (message,) = await inbox(http, BOB)
    assert (message["id"], message["text"], message["sender"], message["own"]) == (sent, "hello", ADA, False)
    assert (await http.post(f"/contacts/{BOB}/read", json={"id": sent})).status_code == 204
    receipts = (await http.get(f"/contacts/{ADA}/receipts")).json()["receipts"]
    assert [(receipt["type"], receipt["message_id"]) for receipt in receipts] == [("delivered", sent), ("read", sent)]
    assert (await http.get(f"/contacts/{BOB}/inbox", params={"after": message["sequence"]})).json()["messages"] == []
    assert (await http.get("/journal/violations")).json() == {"violations": []}


async def test_a_batch_is_sent_in_order_or_not_at_all(http: httpx.AsyncClient) -> None:
    texts = [{"from": ADA, "to": BOB, "text": f"{n}"} for n in range(50)]
    ids = (await http.post("/contacts/messages/batch", json={"messages": texts})).json()["ids"]
    assert [(m["id"], m["text"]) for m in await inbox(http, BOB)] == [(id, f"{n}") for n, id in enumerate(ids)]
    refused = await http.post("/contacts/messages/batch", json={"messages": [*texts, {**texts[0], "to": EVE}]})
    assert refused.status_code == 404
    assert len(await inbox(http, BOB)) == 50


async def test_contacts_in_groups(http: httpx.AsyncClient) -> None:
    await http.post(f"/contacts/{EVE}", json={"name": "Eve"})
    group = (await http.post("/groups", json={"subject": "s", "creator": ADA, "members": [BOB, EVE]})).json()
    assert group["members"] == {ADA: "superadmin", BOB: "", EVE: ""}
    for sender in (ADA, BOB, ADA):
        answer = await http.post(f"/groups/{group['id']}/messages", json={"from": sender, "text": f"from {sender}"})
        assert answer.status_code == 200
    assert [m["text"] for m in await inbox(http, EVE)] == [f"from {ADA}", f"from {BOB}", f"from {ADA}"]
    assert {m["chat"] for m in await inbox(http, EVE)} == {group["jid"]}
    changed = await http.post(f"/groups/{group['jid']}/members", json={"actor": ADA, "remove": [EVE]})
    assert set(changed.json()["members"]) == {ADA, BOB}
    await http.post(f"/groups/{group['id']}/messages", json={"from": ADA, "text": "without Eve"})
    assert len(await inbox(http, EVE)) == 3
    refused = await http.post(f"/groups/{group['id']}/messages", json={"from": EVE, "text": "let me in"})
    assert (refused.status_code, refused.json()["detail"]) == (409, "only members send to a group")


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
async def test_files(http: httpx.AsyncClient, kind: str) -> None:
    data = os.urandom(1000)
    media = {"kind": kind, "mimetype": "x/y", "data": base64.b64encode(data).decode(), "file_name": "a.bin"}
    sent = (await http.post(f"/contacts/{ADA}/messages", json={"to": BOB, "media": media})).json()["id"]
    (message,) = await inbox(http, BOB)
    assert (message["kind"], message["media"]["size"], message["media"]["mimetype"]) == (kind, 1000, "x/y")
    answer = await http.get(f"/contacts/{BOB}/media/{sent}")
    assert (answer.content, answer.headers["content-type"]) == (data, "x/y")


async def test_a_message_that_cannot_be_read_is_asked_for_again(http: httpx.AsyncClient) -> None:
    await http.post(f"/contacts/{ADA}/messages", json={"to": BOB, "text": "warm"})
    await http.put("/faults", json={"unreadable_at_contacts": 2})
    await http.post(f"/contacts/{ADA}/messages", json={"to": BOB, "text": "lost twice"})
    assert [(m["readable"], m["text"]) for m in await inbox(http, BOB)] == [
        (True, "warm"),
        (False, None),
        (True, "lost twice"),
    ]
    assert (await http.get("/faults")).json()["unreadable_at_contacts"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("GET", f"/contacts/{EVE}", None, 404, EVE),
        ("GET", f"/contacts/{EVE}/inbox", None, 404, EVE),
        ("POST", f"/contacts/{EVE}/messages", {"to": ADA, "text": "x"}, 404, EVE),
        ("POST", f"/contacts/{ADA}/messages", {"to": EVE, "text": "x"}, 404, EVE),
        ("POST", f"/contacts/{ADA}/messages", {"to": "abc", "text": "x"}, 422, "to"),
        ("POST", f"/contacts/{ADA}/messages", {"to": BOB, "txet": "x"}, 422, "txet"),
        ("POST", f"/contacts/{ADA}/messages", {"to": BOB}, 409, "text or media"),
        ("POST", f"/contacts/{ADA}/messages", {"to": BOB, "media": {"data": "?"}}, 409, "base64"),
        ("POST", "/contacts/12x", None, 422, "number"),
        ("POST", f"/contacts/{ADA}/read", {"id": "none"}, 404, "none"),
        ("GET", f"/contacts/{ADA}/media/none", None, 404, "none"),
        ("POST", f"/phones/{ADA}/scan", {"qr": "no code"}, 409, "QR"),
        ("POST", f"/phones/{ADA}/scan", {}, 422, "qr"),
        ("POST", f"/phones/{ADA}/pairing-code", {"code": "short"}, 422, "code"),
        ("POST", f"/phones/{ADA}/pairing-code", {"code": "ABCD-EFGH"}, 404, "pairing code"),
        ("POST", f"/phones/{EVE}/unlink", None, 404, EVE),
        ("POST", f"/phones/{EVE}/connections/cut", None, 404, EVE),
        ("POST", f"/phones/{ADA}/history", {"chat": BOB}, 422, "chat"),
        ("GET", "/groups/none", None, 404, "none"),
        ("POST", "/groups", {"creator": EVE}, 404, EVE),
        ("PUT", "/faults", {"damage_messages": -1}, 422, "damage_messages"),
        ("PUT", "/faults", {"damage": 1}, 422, "damage"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name(
    http: httpx.AsyncClient, method: str, path: str, body: object, status: int, word: str
) -> None:
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status
    assert word in answer.text


async def test_info_health_and_openapi(http: httpx.AsyncClient) -> None:
    info = (await http.get("/info")).json()
    assert info["proxy_url"] == "http://127.0.0.1:2"
    assert len(bytes.fromhex(info["root_key"])) == 32
    assert info["ca_pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert (await http.get("/health")).json() == {"status": "ok"}
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {"/phones/{number}/scan", "/contacts/{number}/messages", "/journal/holders", "/faults"} <= set(paths)
    stream = paths["/phones/{number}/connections/stream-error"]["post"]
    assert stream["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("Count")
