"""Sending: the row comes first, the connector may do what it likes, what is accepted stays."""

import asyncio
from uuid import UUID

import pytest
from api_connector import Seen
from api_rig import LIMIT, TOKEN, Instance, Rig

BODY = {"to": "+49 151 1000002", "text": "hello there"}
CHAT = "491511000002@s.whatsapp.net"


async def test_the_row_is_there_before_the_connector_is_called(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, key = await rig.paired(tenant, api)
    found: list[dict[str, object]] = []

    async def answer(call: Seen) -> int:
        found.extend(await rig.rows("select * from messages where id = $1", UUID(call.message_id)))
        done = "update messages set status = 'sent', wa_id = 'WA1', \"timestamp\" = now() where id = $1"
        await rig.rows(done, UUID(call.message_id))
        return 200

    rig.connector.answer = answer
    sent = await api.client(authorization=f"Bearer {key}").post("/api/v1/send", json=BODY)
    assert sent.status_code == 200, sent.text
    assert sent.json()["data"]["status"] == "sent"
    assert [(row["status"], row["chat"], row["session"], row["tenant"]) for row in found] == [
        ("pending", CHAT, f"test/{name}", tenant.tenant)
    ]
    call = rig.connector.calls[0]
    assert call.headers["authorization"] == f"bearer {TOKEN}"
    assert (call.headers["x-whatsam-epoch"], call.headers["x-whatsam-boot"]) == ("7", "boot-1")
    message = sent.json()["data"]["messageId"]
    one = (await tenant.client.get(f"/api/v1/sessions/{name}/messages/{message}")).json()["data"]
    assert (one["text"], one["waId"], one["contact"]) == ("hello there", "WA1", CHAT)


@pytest.mark.parametrize("trouble", ["dead", "slow", "409", "503", "202", "401", "garbled endpoint", "no token"])
async def test_whatever_the_connector_does_the_message_is_accepted(api: Instance, rig: Rig, trouble: str) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    over = asyncio.Event()

    async def answer(_: Seen) -> int:
        if trouble == "slow":
            await asyncio.wait_for(over.wait(), LIMIT)
        return int(trouble) if trouble.isdigit() else 200

    rig.connector.answer = answer
    if trouble == "dead":
        await rig.connector.stop()
    if trouble == "no token":
        rig.token_file.unlink()
    if trouble == "garbled endpoint":
        assignment = rig.cluster.objects[name]["status"]["assignment"] | {"endpoint": "http://[nowhere:x"}
        rig.cluster.set_status(name, assignment=assignment)
        await asyncio.sleep(0)
    answered = await tenant.client.post(f"/api/v1/sessions/{name}/send", json=BODY)
    over.set()
    assert answered.status_code == 202, answered.text
    assert answered.json()["data"]["status"] == "pending"
    rows = await rig.rows("select status from messages where session = $1", f"test/{name}")
    assert rows == [{"status": "pending"}]


async def test_a_session_without_holder_accepts_in_order(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.set_status(name, assignment=None, phase="Reconnecting")
    for number in range(3):
        body = {"to": "491511000002", "message": f"number {number}"}
        assert (await tenant.client.post(f"/api/v1/sessions/{name}/send", json=body)).status_code == 202
    rows = await rig.rows("select body from messages where session = $1 order by seq", f"test/{name}")
    assert [row["body"] for row in rows] == ['{"text": "number 0"}', '{"text": "number 1"}', '{"text": "number 2"}']


async def test_what_could_never_be_sent_is_refused_with_what_to_do(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.session(tenant)
    path = f"/api/v1/sessions/{name}"
    for advice, then in (("connect it", "connect"), ("scan the QR code", None)):
        answer = await tenant.client.post(f"{path}/send", json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
        assert advice in answer.json()["error"]["message"]
        if then:
            await tenant.client.post(f"{path}/{then}")
    for wrong in ({"to": "12", "text": "x"}, {"to": "491511000002", "text": "a\x00b"}, {"to": "491511000002"}):
        assert (await tenant.client.post(f"{path}/send", json=wrong)).status_code == 422
    assert await rig.rows("select 1 from messages where session = $1", f"test/{name}") == []


async def test_one_key_is_one_message_also_at_once_and_from_two_replicas(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    other = await rig.replica()
    clients = [tenant.client, other.client(authorization=tenant.client.headers["authorization"])]
    path, headers = f"/api/v1/sessions/{name}/send", {"idempotency-key": "order 17"}
    answers = await asyncio.gather(*(clients[n % 2].post(path, json=BODY, headers=headers) for n in range(8)))
    assert len({answer.json()["data"]["messageId"] for answer in answers}) == 1
    assert len(await rig.rows("select 1 from messages where session = $1", f"test/{name}")) == 1

    different = await tenant.client.post(path, json={**BODY, "text": "another"}, headers=headers)
    assert (different.status_code, different.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    await rig.rows("update messages set status = 'sent' where session = $1", f"test/{name}")
    await tenant.client.post(f"/api/v1/sessions/{name}/disconnect")
    repeated = await tenant.client.post(path, json=BODY, headers=headers)
    assert (repeated.status_code, repeated.json()["data"]["status"]) == (200, "sent"), "accepted stays accepted"


async def test_messages_are_listed_newest_first_by_page_and_cursor(api: Instance, rig: Rig) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.set_status(name, assignment=None)
    path = f"/api/v1/sessions/{name}"
    for number in range(5):
        await tenant.client.post(f"{path}/send", json={**BODY, "text": str(number)})
    seen, cursor = [], {}
    while True:
        page = (await tenant.client.get(f"{path}/messages", params={"limit": 2, **cursor})).json()["data"]
        assert page["total"] == 5
        seen += [one["text"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert seen == ["4", "3", "2", "1", "0"]
    filtered = await tenant.client.get(f"{path}/messages", params={"direction": "in"})
    assert filtered.json()["data"]["items"] == []
    contact = await tenant.client.get(f"{path}/messages", params={"contact": "49 1511000002", "status": "pending"})
    assert contact.json()["data"]["total"] == 5
    assert (await tenant.client.get(f"{path}/status")).json()["data"]["messageCount"] == 5
