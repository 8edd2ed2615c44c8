"""Read receipts, typing and presence: asked of the session's holder at once, or refused with what to do."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from api_connector import Seen
from api_rig import Instance, Rig

from whatsam_core.message_ids import at_of, new_message_id

CHAT, SENDER = "120363021234567890@g.us", "101276775976418@lid"


async def received(rig: Rig, session: str, tenant: str, kind: str, direction: str = "in") -> UUID:
    message = new_message_id(datetime.now(UTC))
    await rig.rows(
        "insert into messages (id, at, session, tenant, direction, chat, contact, sender, type, body, status, wa_id)"
        " values ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9, $10, $11)",
        message, at_of(message), f"test/{session}", tenant, direction, CHAT, SENDER, kind, json.dumps({"text": "hi"}),
        "received" if direction == "in" else "sent", f"WA-{message}",
    )  # fmt: skip
    await rig.rows(
        "insert into message_keys (session, direction, wa_id, chat, id, at) values ($1, $2, $3, $4, $5, $6)",
        f"test/{session}", direction, f"WA-{message}", CHAT, message, at_of(message),
    )  # fmt: skip
    return message


async def test_gestures_reach_the_engine(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, key = await rig.paired(tenant, api)

    async def done(_: Seen) -> tuple[int, dict[str, Any]]:
        return 200, {"value": None}

    rig.connector.answer = done
    program = api.client(authorization=f"Bearer {key}")
    path = f"/api/v1/sessions/{name}"
    text = await received(rig, name, tenant.tenant, "text")
    voice = await received(rig, name, tenant.tenant, "voice")
    for answer in (
        await program.post(f"{path}/messages/{text}/read"),
        await program.post(f"{path}/messages/WA-{voice}/read"),
        await program.post(f"{path}/typing", json={"to": "491511000002"}),
        await program.post(f"{path}/typing", json={"to": CHAT, "state": "recording"}),
        await program.put(f"{path}/presence", json={"available": False}),
    ):
        assert (answer.status_code, answer.json()) == (200, {"success": True, "data": {"done": True}}), answer.text
    read: dict[str, Any] = {"chat": CHAT, "sender": SENDER}
    assert [(call.method, call.arguments) for call in rig.connector.calls] == [
        ("mark_read", {**read, "message_ids": [f"WA-{text}"], "played": False}),
        ("mark_read", {**read, "message_ids": [f"WA-{voice}"], "played": True}),
        ("chat_presence", {"chat": "491511000002@s.whatsapp.net", "state": "composing"}),
        ("chat_presence", {"chat": CHAT, "state": "recording"}),
        ("presence", {"available": False}),
    ]
    assert await rig.rows("select 1 from messages where direction = 'out' and session = $1", f"test/{name}") == []


async def test_reading_lowers_the_count_of_the_chat(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)

    async def done(_: Seen) -> tuple[int, dict[str, Any]]:
        return 200, {"value": None}

    rig.connector.answer = done
    messages = [await received(rig, name, tenant.tenant, "text") for _ in range(3)]
    await rig.rows(
        "insert into chats (session, tenant, chat, contact, kind, unread) values ($1, $2, $3, $3, 'group', 3)",
        f"test/{name}", tenant.tenant, CHAT,
    )  # fmt: skip
    for message, left in ((messages[1], 1), (messages[0], 1), (messages[2], 0)):
        answer = await tenant.client.post(f"/api/v1/sessions/{name}/messages/{message}/read")
        assert answer.status_code == 200
        rows = await rig.rows("select unread from chats where session = $1", f"test/{name}")
        assert rows == [{"unread": left}]


@pytest.mark.parametrize(("status", "expected"), [(503, 503), (504, 504), (429, 429)])
async def test_nothing_is_kept_for_later(api: Instance, rig: Rig, status: int, expected: int) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)

    async def told(_: Seen) -> int:
        return status

    rig.connector.answer = told
    answer = await tenant.client.post(f"/api/v1/sessions/{name}/typing", json={"to": CHAT})
    assert answer.status_code == expected


async def test_what_cannot_be_done_is_refused(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    path = f"/api/v1/sessions/{name}"
    own = await received(rig, name, tenant.tenant, "text", "out")
    for answer, status in (
        (await tenant.client.post(f"{path}/messages/{own}/read"), 409),
        (await tenant.client.post(f"{path}/messages/{UUID(int=7)}/read"), 404),
        (await tenant.client.post(f"{path}/messages/WA-none/read"), 404),
        (await tenant.client.post(f"{path}/typing", json={"to": "nobody"}), 422),
        (await tenant.client.post(f"{path}/typing", json={"to": CHAT, "state": "dancing"}), 422),
        (await tenant.client.put(f"{path}/presence", json={}), 422),
    ):
        assert answer.status_code == status, answer.text
    assert rig.connector.calls == []


async def test_another_tenants_message_is_not_found(api: Instance, rig: Rig) -> None:
    mine, theirs = await api.register(), await api.register()
    name, _ = await rig.paired(mine, api)
    other, _ = await rig.paired(theirs, api)
    message = await received(rig, other, theirs.tenant, "text")
    client, path = mine.client, f"/api/v1/sessions/{name}/messages"
    answers = [
        await client.post(f"{path}/{message}/read"),
        await client.patch(f"{path}/{message}", json={"text": "x"}),
        await client.delete(f"{path}/{message}"),
        await client.post(f"{path}/{message}/forward", json={"to": "491511000002"}),
        await client.delete(f"/api/v1/sessions/{other}/messages/{message}"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
