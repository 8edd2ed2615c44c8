"""Exports, erasures and the upkeep: in steps, resumed after a death, and never more than was asked for."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from api_history import ANN, BOB, GROUP, HASH, NOW, Recorder, came, person, picture, recorder
from api_objects import Kept, MemoryObjects
from api_rig import LIMIT, Instance, Rig, Tenant, eventually

from whatsam_api.services import erasing, exporting, jobs, upkeep
from whatsam_api.storage import erasure
from whatsam_api.storage.erasure import ErasureStore
from whatsam_api.storage.upkeep import UpkeepStore
from whatsam_connector.messages.batch import ChatChange, ReactionChange, ReceiptFor
from whatsam_core.media import media_key

DAY = timedelta(days=1)
STORE = {"s3_url": "http://store:8333", "s3_access_key": "a", "s3_secret_key": "b"}


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MESSAGES_AT_ONCE", 4)
    monkeypatch.setattr(exporting, "_SIGN_OF_LIFE", 2)
    for module in (erasure, erasing, upkeep):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    monkeypatch.setattr(jobs, "PAUSE", timedelta(milliseconds=50))
    monkeypatch.setattr(jobs, "LOOK", 0.05)
    monkeypatch.setattr(upkeep, "PAUSE", 0.0)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> MemoryObjects:
    made = MemoryObjects()

    def store(*_: Any, **__: Any) -> MemoryObjects:
        return made

    monkeypatch.setattr("whatsam_api.context.ObjectStore", store)
    return made


class Story:
    """A session with its owner and a recorder."""

    def __init__(self, api: Instance, owner: Tenant, name: str, record: Recorder) -> None:
        self.api, self.owner, self.name, self.record = api, owner, name, record
        self.path = f"/api/v1/sessions/{name}"

    async def until_done(self, kind: str, job: str) -> dict[str, Any]:
        async with asyncio.timeout(LIMIT):
            while True:
                answer = await self.owner.client.get(f"{self.path}/{kind}/{job}")
                assert answer.status_code == 200, answer.text
                if answer.json()["data"]["state"] in {"done", "failed"}:
                    return answer.json()["data"]
                await asyncio.sleep(0.02)

    async def begin(self, kind: str, **body: Any) -> dict[str, Any]:
        answer = await self.owner.client.post(f"{self.path}/{kind}", json=body or {})
        assert answer.status_code == 202, answer.text
        return answer.json()["data"]


@pytest.fixture
async def story(rig: Rig, objects: MemoryObjects) -> AsyncIterator[Story]:
    api = await rig.replica(**STORE)
    owner = await api.register()
    name, _ = await rig.session(owner)
    async with recorder(rig.url, name, owner.tenant) as record:
        yield Story(api, owner, name, record)


async def fill(story: Story, count: int = 10) -> None:
    await story.record(
        *(came(str(n), f"text {n}", ago=n * DAY) for n in range(count)),
        picture("p"),
        contacts=(person(ANN, "55@lid", "Ann"),),
        chats=(ChatChange(ANN, ANN, "person", name="Ann"),),
        reactions=(ReactionChange(ANN, "WA-1", BOB, "👍", NOW, None),),
    )


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(data).decode().splitlines()]


async def test_an_export_holds_everything_and_only_that(story: Story, rig: Rig, objects: MemoryObjects) -> None:
    await fill(story)
    stranger = await story.api.register()
    foreign, _ = await rig.session(stranger)
    async with recorder(rig.url, foreign, stranger.tenant) as record:
        await record(came("x", "not yours"))
    begun = await story.begin("exports")
    assert (await story.begin("exports"))["jobId"] == begun["jobId"]
    done = await story.until_done("exports", begun["jobId"])
    assert (done["state"], done["progress"], done["total"]) == ("done", 11, 11)
    answer = await story.owner.client.get(done["url"])
    assert answer.status_code == 200
    found = lines(answer.content)
    assert found[0]["kind"] == "export"
    texts = [line["text"] for line in found if line["kind"] == "message"]
    assert texts == [*(f"text {n}" for n in reversed(range(10))), "look"]
    assert {line["kind"] for line in found} == {"export", "chat", "contact", "message", "reaction"}
    assert "not yours" not in str(found)
    assert [key for key in objects.kept if "part-" in key] == [], "parts are tidied away"
    assert (await stranger.client.get(done["url"])).status_code == 404
    assert (await story.owner.client.get(f"{story.path}/exports")).json()["data"][0]["jobId"] == begun["jobId"]


async def test_an_export_goes_on_where_it_was_interrupted(
    story: Story, rig: Rig, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(story, 30)
    objects.dies_after = 1
    begun = await story.begin("exports")
    for writes in range(3):  # the store dies again and again: some steps succeed in between
        objects.dies_after = writes + 1
        await eventually(lambda: objects.dies_after == 0, "the store died")
    objects.dies_after = None
    done = await story.until_done("exports", begun["jobId"])
    texts = [
        line["text"] for line in lines((await story.owner.client.get(done["url"])).content) if line["kind"] == "message"
    ]
    assert texts == [*(f"text {n}" for n in reversed(range(30))), "look"], "each message once"


async def test_another_replica_takes_over_from_one_that_was_killed(
    story: Story, rig: Rig, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(story, 20)
    job = await story.begin("exports")
    await story.until_done("exports", job["jobId"])
    # As a worker leaves it that was killed in the middle: held, with a cursor, its parts in the store.
    await rig.rows(
        "update jobs set state = 'running', object = null, progress = 4, cursor = $2,"
        " claimed_until = now() - interval '1 second' where id = $1::text::uuid",
        job["jobId"],
        json.dumps({"phase": "messages", "after": [(NOW - 17 * DAY).isoformat(), 10**12], "part": 4}),
    )
    key = f"whatsam/exports/{story.owner.tenant}/{job['jobId']}"
    for number, text in enumerate(["head", "chats", "contacts", "first messages"]):
        objects.kept[f"{key}/part-{number:06d}"] = Kept(gzip.compress(json.dumps({"kind": text}).encode() + b"\n"), NOW)
    del objects.kept[f"{key}/export.jsonl.gz"]
    done = await story.until_done("exports", job["jobId"])
    found = lines((await story.owner.client.get(done["url"])).content)
    assert [line["kind"] for line in found[:4]] == ["head", "chats", "contacts", "first messages"]
    assert next(line["text"] for line in found if line["kind"] == "message") == "text 16"
    assert done["progress"] == 4 + 18


async def test_all_of_a_session_is_erased_and_what_waits_stays(story: Story, rig: Rig) -> None:
    await fill(story)
    key = story.record.session
    await rig.rows(
        "insert into messages (id, session, tenant, direction, chat, contact, body, status)"
        " values (gen_random_uuid(), $1, $2, 'out', $3, $3, '{\"text\": \"soon\"}', 'pending')",
        key, story.owner.tenant, ANN,
    )  # fmt: skip
    job = await story.begin("erasure")
    done = await story.until_done("erasure", job["jobId"])
    assert (done["state"], done["progress"]) == ("done", 11)
    left = await rig.rows("select status from messages where session = $1", key)
    assert [row["status"] for row in left] == ["pending"]
    for table in ("message_keys", "reactions", "chats", "contacts", "events", "media"):
        assert await rig.rows(f"select 1 from {table} where session = $1", key) == [], table  # noqa: S608 - constants
    suspects = await rig.rows("select sha256 from media_unreferenced where tenant = $1", story.owner.tenant)
    assert suspects == [{"sha256": HASH}]


async def test_one_person_is_erased_and_the_others_stay(story: Story, rig: Rig) -> None:
    lid = "55@lid"
    await story.record(
        came("0", "by his other name", ago=100 * DAY, chat=lid, contact=lid, sender=lid, sender_phone=None)
    )
    await fill(story)
    await story.record(
        came("b", "from bob", chat=BOB, contact=BOB, sender=BOB, sender_phone="491511000002"),
        came("g1", "ann in the group", chat=GROUP, contact=GROUP, sender=lid),
        came("g2", "bob in the group", chat=GROUP, contact=GROUP, sender=BOB, sender_phone="491511000002"),
        reactions=(
            ReactionChange(GROUP, "WA-g2", ANN, "👍", NOW, None),
            ReactionChange(GROUP, "WA-g2", BOB, "😮", NOW, None),
        ),
    )
    job = await story.begin("erasure", contact="+49 151 1000001")
    await story.until_done("erasure", job["jobId"])
    key = story.record.session
    rows = await rig.rows("select body ->> 'text' as text from messages where session = $1 order by seq", key)
    assert [row["text"] for row in rows] == ["from bob", "bob in the group"]
    assert [row["sender"] for row in await rig.rows("select sender from reactions where session = $1", key)] == [BOB]
    assert [row["jid"] for row in await rig.rows("select jid from contacts where session = $1", key)] == []
    chats = await rig.rows("select chat from chats where session = $1 order by chat", key)
    assert [row["chat"] for row in chats] == [GROUP, BOB]


async def test_retention_ends_what_is_older_and_nothing_else(story: Story, rig: Rig) -> None:
    await story.record(
        *(came(f"old {n}", ago=40 * DAY) for n in range(7)),
        came("ancient", ago=2000 * DAY),
        came("young", ago=29 * DAY),
        reactions=(ReactionChange(ANN, "WA-nowhere", BOB, "👍", NOW - 50 * DAY, None),),
    )
    other, _ = await rig.session(await story.api.register())
    keeps = await story.api.register()
    async with recorder(rig.url, other, keeps.tenant) as record:
        await record(came("kept", ago=2000 * DAY))
    await rig.rows(
        "insert into messages (id, at, session, tenant, direction, chat, body, status)"
        " values (gen_random_uuid(), now() - interval '50 days', $1, $2, 'out', '1', '{}', 'pending')",
        story.record.session, story.owner.tenant,
    )  # fmt: skip
    session = story.api.context.session_store.cached(story.name)
    assert session is not None
    await story.api.context.session_store.patch(session, {"spec": {"history": {"retentionDays": 30}}})
    await story.api.context.upkeep.round()
    await story.api.context.upkeep.round()
    rows = await rig.rows("select wa_id, status from messages where session = $1 order by wa_id", story.record.session)
    assert [(row["wa_id"], row["status"]) for row in rows] == [("WA-young", "received"), (None, "pending")]
    for table in ("message_keys", "events"):
        left = await rig.rows(f"select 1 from {table} where session = $1", story.record.session)  # noqa: S608 - constants
        assert len(left) == 1, table
    assert await rig.rows("select 1 from reactions where session = $1", story.record.session) == []
    assert len(await rig.rows("select 1 from messages where session = $1", f"test/{other}")) == 1


async def test_empty_months_are_dropped_and_months_ahead_are_made(story: Story, rig: Rig) -> None:
    await story.record(came("1", ago=3650 * DAY))
    month = (
        await rig.rows("select tableoid::regclass::text as part from messages where session = $1", story.record.session)
    )[0]
    await story.api.context.upkeep.round()
    assert await rig.rows("select to_regclass($1) is not null as there", month["part"]) == [{"there": True}]
    await rig.rows("delete from messages where session = $1", story.record.session)
    await story.api.context.upkeep.round()
    assert await rig.rows("select to_regclass($1) is not null as there", month["part"]) == [{"there": False}]
    ahead = f"messages_{(datetime.now(UTC) + 85 * DAY):%Y_%m}"
    assert await rig.rows("select to_regclass($1) is not null as there", ahead) == [{"there": True}]


async def test_a_file_goes_when_nobody_refers_to_it_and_it_is_old(
    story: Story, rig: Rig, objects: MemoryObjects
) -> None:
    tenant = story.owner.tenant
    used, loose, young = (f"{number}" * 64 for number in (1, 2, 3))
    keys = {name: media_key("whatsam", tenant, name) for name in (used, loose, young)}
    for name, key in keys.items():
        objects.kept[key] = Kept(b"x", NOW - (timedelta(hours=2) if name == young else DAY))
    await story.record(picture("1", sha256=used), picture("2", sha256=loose, ago=DAY))
    await rig.rows("delete from messages where session = $1 and wa_id = 'WA-2'", story.record.session)
    for name in (used, loose, young):
        await rig.rows("insert into media_unreferenced (tenant, sha256) values ($1, $2)", tenant, name)
    await story.api.context.upkeep.round()
    assert set(objects.kept) == {keys[used], keys[young]}
    left = await rig.rows("select sha256, since from media_unreferenced where tenant = $1", tenant)
    assert [(row["sha256"], row["since"] > datetime.now(UTC)) for row in left] == [(young, True)]


async def test_a_file_that_never_had_a_message_is_found(
    story: Story, rig: Rig, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "FOLDERS_A_ROUND", 256)
    orphan = media_key("whatsam", story.owner.tenant, "ab" * 32)
    objects.kept[orphan] = Kept(b"x", NOW - DAY)
    await story.record(picture("1"))
    kept = media_key("whatsam", story.owner.tenant, HASH)
    objects.kept[kept] = Kept(b"x", NOW - DAY)
    await story.api.context.upkeep.round()
    assert set(objects.kept) == {kept}


async def test_rows_of_a_retained_session_go_when_nobody_came_for_them(story: Story, rig: Rig) -> None:
    await fill(story)
    await rig.cluster.delete(None, "test", story.name)  # pyright: ignore[reportArgumentType] - the fake has one kind
    rig.cluster.operator_lets_go(story.name)
    await eventually(lambda: story.name not in rig.cluster.objects, "the object is gone")
    await story.api.context.upkeep.round()
    assert len(await rig.rows("select 1 from messages where session = $1", story.record.session)) == 11, "too early"
    await rig.rows(
        "update departed_sessions set at = now() - interval '73 hours' where session = $1", story.record.session
    )
    await story.api.context.upkeep.round()
    job = (await rig.rows("select id from jobs where session = $1", story.record.session))[0]["id"]
    context, tenant = story.api.context, story.owner.tenant
    async with asyncio.timeout(LIMIT):
        while True:
            if (await context.jobs.get(tenant, story.record.session, "erase", job)).state == "done":
                break
            await asyncio.sleep(0.02)
    assert await rig.rows("select 1 from messages where session = $1", story.record.session) == []
    assert await rig.rows("select 1 from api_keys where session = $1", story.record.session) == []


async def test_rows_of_a_retained_session_stay_when_it_came_back(story: Story, rig: Rig) -> None:
    await fill(story)
    await rig.rows(
        "insert into departed_sessions (session, tenant, at) values ($1, $2, now() - interval '80 hours')",
        story.record.session, story.owner.tenant,
    )  # fmt: skip
    await story.api.context.upkeep.round()
    assert await rig.rows("select 1 from departed_sessions where session = $1", story.record.session) == []
    assert await rig.rows("select 1 from jobs where session = $1", story.record.session) == []


async def test_one_replica_at_a_time_begins_a_round(story: Story, rig: Rig) -> None:
    await rig.rows("delete from upkeep")
    store = UpkeepStore(story.api.context.database)
    turns = await asyncio.gather(*(store.take_turn(timedelta(hours=1)) for _ in range(6)))
    assert turns.count(True) == 1


async def test_a_name_that_no_file_can_have_does_not_end_the_upkeep(story: Story, rig: Rig) -> None:
    tenant = story.owner.tenant
    await rig.rows("insert into media_unreferenced (tenant, sha256) values ($1, 'ab')", tenant)
    await story.api.context.upkeep.round()
    assert await rig.rows("select 1 from media_unreferenced where tenant = $1 and sha256 = 'ab'", tenant) == []


async def test_receipts_and_old_exports_go_with_their_messages(
    story: Story, rig: Rig, objects: MemoryObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    await story.record(came("1", direction="out", status="sent", chat=GROUP, contact=GROUP))
    await story.record(receipts=(ReceiptFor("WA-1", "read", ANN, group=True, at=NOW),))
    job = await story.begin("exports")
    done = await story.until_done("exports", job["jobId"])
    assert "receipt" in {line["kind"] for line in lines((await story.owner.client.get(done["url"])).content)}
    await rig.rows("update jobs set updated_at = now() - interval '8 days' where session = $1", story.record.session)
    await story.api.context.upkeep.round()
    assert [key for key in objects.kept if "/exports/" in key] == []
    answer = await story.owner.client.get(f"{story.path}/exports/{job['jobId']}/file")
    assert answer.status_code == 404
    removed = await ErasureStore(story.api.context.database).messages(
        story.owner.tenant, story.record.session, open_too=True
    )
    assert removed == 1
    assert await rig.rows("select 1 from message_receipts where session = $1", story.record.session) == []
