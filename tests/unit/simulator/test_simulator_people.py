"""The control API for message kinds, groups, profiles, journal settings, newsletters and proxies, without a client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from whatsam_simulator.control.application import build
from whatsam_simulator.control.service import ControlService, Listening
from whatsam_simulator.simulation import Options, Simulation

ADA, BOB, EVE = "4915190000011", "4915190000012", "4915190000013"


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    simulation = Simulation(Options(state=tmp_path / "state"))
    application = build(ControlService(simulation, Listening("127.0.0.1", 1, 2, 3)))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
        for number in (ADA, BOB, EVE):
            await client.post(f"/contacts/{number}")
        yield client
    await simulation.forward_proxies.stop()


async def send(http: httpx.AsyncClient, sender: str, to: str, **body: Any) -> str:
    answer = await http.post(f"/contacts/{sender}/messages", json={"to": to, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


async def newest(http: httpx.AsyncClient, number: str) -> dict[str, Any]:
    return (await http.get(f"/contacts/{number}/inbox")).json()["messages"][-1]


async def test_votes_edits_and_reactions_between_contacts(http: httpx.AsyncClient) -> None:
    poll = await send(http, ADA, BOB, poll={"question": "q", "options": ["a", "b"]})
    await send(http, BOB, ADA, vote={"id": poll, "options": ["b"]})
    vote = await newest(http, ADA)
    assert (vote["kind"], vote["type"], vote["options"], vote["target"]["id"]) == ("vote", "poll", ["b"], poll)
    text = await send(http, ADA, BOB, text="first")
    await send(http, BOB, ADA, reaction={"id": text, "emoji": "+"})
    assert (await newest(http, ADA))["target"]["from_me"] is False
    await send(http, ADA, BOB, edit={"id": text, "text": "second"})
    edited = await newest(http, BOB)
    assert (edited["kind"], edited["text"], edited["edit"]) == ("edit", "second", "1")
    await send(http, ADA, BOB, revoke=text)
    assert (await newest(http, BOB))["edit"] == "7"


async def test_quotes_mentions_and_raw_bytes(http: httpx.AsyncClient) -> None:
    first = await send(http, ADA, BOB, text="first")
    await send(http, BOB, ADA, text="second", quote=first, mentions=[EVE], expiration=60)
    message = await newest(http, ADA)
    lid = (await http.get(f"/contacts/{EVE}")).json()["lid"]
    assert (message["quoted_id"], message["quoted_text"], message["mentions"]) == (first, "first", [lid])
    raw = base64.b64decode(message["raw"])
    await send(http, ADA, EVE, raw=base64.b64encode(raw).decode(), id="3AOWN")
    assert base64.b64decode((await newest(http, EVE))["raw"]) == raw
    assert (await newest(http, EVE))["id"] == "3AOWN"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"text": "a", "timer": 1}, "exactly one"),
        ({"raw": "?"}, "base64"),
        ({"raw": base64.b64encode(b"\x0f").decode()}, "protobuf"),
        ({"reaction": {"id": "none", "emoji": "x"}}, "none"),
        ({"vote": {"id": "none", "options": []}}, "none"),
        ({"poll": {"question": "q", "options": ["a"], "selectable": 2}}, "more options"),
        ({"text": "x", "mentions": ["4900000001"]}, "4900000001"),
    ],
)
async def test_messages_that_make_no_sense_are_refused(
    http: httpx.AsyncClient, body: dict[str, Any], word: str
) -> None:
    answer = await http.post(f"/contacts/{ADA}/messages", json={"to": BOB, **body})
    assert answer.status_code in (404, 409)
    assert word in answer.text


async def test_group_settings_requests_and_events(http: httpx.AsyncClient) -> None:
    group = (await http.post("/groups", json={"subject": "s", "creator": ADA, "members": [BOB]})).json()["id"]
    changes = {"actor": ADA, "subject": "new", "description": "d", "announce": True, "approval": True, "ephemeral": 60}
    changed = (await http.patch(f"/groups/{group}", json=changes)).json()
    assert (changed["subject"], changed["description"], changed["announce"]) == ("new", "d", True)
    refused = await http.post(f"/groups/{group}/messages", json={"from": BOB, "text": "x"})
    assert refused.status_code == 409
    assert (await http.post(f"/groups/{group}/join", json={"number": EVE})).json() == {"joined": False}
    assert (await http.get(f"/groups/{group}")).json()["requests"] == [EVE]
    await http.post(f"/groups/{group}/requests", json={"actor": ADA, "approve": [EVE]})
    await http.post(f"/groups/{group}/members", json={"actor": ADA, "promote": [EVE]})
    assert (await http.get(f"/groups/{group}")).json()["members"][EVE] == "admin"
    await http.post(f"/groups/{group}/leave", json={"number": EVE})
    events = (await http.get(f"/contacts/{BOB}/events")).json()["events"]
    seen = [event["change"] for event in events]
    assert seen[:3] == ["create", "subject", "description"]
    assert seen[-3:] == ["add", "promote", "remove"]


async def test_the_journal_keeps_counts_only_when_told(http: httpx.AsyncClient) -> None:
    await http.put("/journal", json={"keep": "counts", "inbox": 10})
    for n in range(30):
        await send(http, ADA, BOB, text=f"{n}")
    summary = (await http.get("/journal")).json()
    assert (summary["steps"]["contact-read"], summary["counters"]) == (30, 30)
    assert (await http.get("/journal/messages")).json() == {"events": []}
    assert len((await http.get(f"/contacts/{BOB}/inbox")).json()["messages"]) <= 11
    assert (await http.delete("/journal")).json()["steps"] == {}
    assert (await http.put("/journal", json={"keep": "nothing"})).status_code == 422


async def test_uploads_and_their_behaviour(http: httpx.AsyncClient) -> None:
    uploaded = (await http.post("/media", json={"kind": "image", "data": base64.b64encode(b"x").decode()})).json()
    behaviour = {"direct_path": uploaded["direct_path"], "status": 410}
    assert (await http.put("/media/behaviour", json=behaviour)).status_code == 204
    assert (await http.put("/media/behaviour", json={"direct_path": "/none"})).status_code == 404


async def test_newsletters(http: httpx.AsyncClient) -> None:
    made = (await http.post("/newsletters", json={"owner": ADA, "name": "n"})).json()
    followed = (await http.post(f"/newsletters/{made['id']}/followers", json={"number": BOB})).json()
    assert followed["followers"] == [ADA, BOB]
    posted = (await http.post(f"/newsletters/{made['jid']}/messages", json={"text": "news"})).json()["id"]
    assert (await http.get("/newsletters")).json()[0]["posts"] == [posted]


@pytest.mark.parametrize(
    ("kind", "first", "answer"),
    [
        ("http", b"CONNECT web.whatsapp.com:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 407"),
        ("http", b"GET http://example.org/ HTTP/1.1\r\nProxy-Authorization: Basic dTpw\r\n\r\n", b"HTTP/1.1 405"),
        ("socks5", b"\x05\x01\x00", b"\x05\xff"),
        ("socks5", b"\x05\x01\x02\x01\x01u\x01x", b"\x05\x02\x01\x01"),
    ],
)
async def test_proxies_refuse(http: httpx.AsyncClient, kind: str, first: bytes, answer: bytes) -> None:
    made = (await http.post("/proxies", json={"kind": kind, "user": "u", "password": "p"})).json()
    reader, writer = await asyncio.open_connection("127.0.0.1", made["port"])
    writer.write(first)
    assert (await reader.readexactly(len(answer))) == answer
    await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    seen = (await http.get(f"/proxies/{made['port']}")).json()
    assert (seen["connections"], seen["refused"], seen["tunnels"]) == (1, 1, 0)
    assert (await http.delete(f"/proxies/{made['port']}")).status_code == 204
    assert (await http.get(f"/proxies/{made['port']}")).status_code == 404
