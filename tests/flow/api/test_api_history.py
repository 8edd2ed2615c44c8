"""Reading the history: every filter, text search, one message with all that came of it, chats, files."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from api_history import ANN, BOB, GROUP, HASH, NOW, Recorder, came, person, picture, recorder
from api_objects import Kept, MemoryObjects
from api_rig import Instance, Rig, Tenant

from whatsam_api.models.history import MessageFilter
from whatsam_connector.messages.batch import ChatChange, ReactionChange, ReceiptFor, TargetKey, Vote
from whatsam_core.media import media_key

DAY = timedelta(days=1)


class Story:
    """A session with its owner and a recorder."""

    def __init__(self, api: Instance, owner: Tenant, name: str, record: Recorder) -> None:
        self.api, self.owner, self.name, self.record = api, owner, name, record
        self.path = f"/api/v1/sessions/{name}"

    async def get(self, path: str, **params: Any) -> Any:
        answer = await self.owner.client.get(f"{self.path}/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def texts(self, **params: Any) -> list[str]:
        return [one["text"] for one in (await self.get("messages", **params))["items"]]


@pytest.fixture
async def story(api: Instance, rig: Rig) -> AsyncIterator[Story]:
    owner = await api.register()
    name, _ = await rig.session(owner)
    async with recorder(rig.url, name, owner.tenant) as record:
        yield Story(api, owner, name, record)


async def test_every_filter_of_the_contract(story: Story) -> None:
    await story.record(
        came("1", "from ann", ago=3 * DAY),
        came("2", "from bob", ago=2 * DAY, chat=BOB, contact=BOB, sender=BOB),
        came("3", "by phone", ago=1 * DAY, direction="out", status="sent"),
        picture("4"),
        came("5", "unreadable", status="undecryptable", type="unknown", body={}),
    )
    assert await story.texts() == [None, "look", "by phone", "from bob", "from ann"]
    assert await story.texts(contact="+49 151 1000002") == ["from bob"]
    assert await story.texts(contact=BOB) == ["from bob"]
    assert await story.texts(direction="out") == ["by phone"]
    assert await story.texts(type="image") == ["look"]
    assert await story.texts(status="undecryptable") == [None]
    assert await story.texts(status="sent") == ["by phone"]
    assert await story.texts(status="pending") == []
    since, until = (NOW - 2 * DAY).isoformat(), (NOW - DAY).isoformat()
    assert await story.texts(since=since, until=until) == ["from bob"]
    assert await story.texts(direction="in", type="text", contact=ANN) == ["from ann"]
    assert await story.texts(contact=GROUP) == []
    for wrong in (
        {"status": "lost"},
        {"type": "song"},
        {"contact": "nobody"},
        {"cursor": "x"},
        {"q": "?!"},
        {"q": "a\0"},
    ):
        answer = await story.owner.client.get(f"{story.path}/messages", params=wrong)
        assert answer.status_code == 422, wrong


async def test_a_chat_is_found_by_all_names_of_its_person(story: Story) -> None:
    lid = "55@lid"
    await story.record(came("1", "before the number was known", ago=DAY, chat=lid, contact=lid, sender=lid))
    await story.record(came("2", "after it"), contacts=(person(ANN, lid),))
    for name in (ANN, lid, "491511000001"):
        page = await story.get("messages", contact=name, limit=1)
        assert [one["text"] for one in page["items"]] == ["after it"], name
        assert page["total"] == 2
        rest = await story.get("messages", contact=name, limit=5, cursor=page["nextCursor"])
        assert [one["text"] for one in rest["items"]] == ["before the number was known"], name
        assert await story.texts(contact=name, offset=1) == ["before the number was known"], name


async def test_pages_and_cursors_show_each_message_once(story: Story) -> None:
    ages = [0, 0, 0, 1, 40, 40, 400, 4000]
    await story.record(*(came(str(n), f"text {n}", ago=days * DAY) for n, days in enumerate(ages)))
    everything = await story.texts(limit=50)
    assert everything == ["text 2", "text 1", "text 0", "text 3", "text 5", "text 4", "text 6", "text 7"]
    for more in ({}, {"q": "text"}):
        seen: list[str] = []
        params: dict[str, Any] = {"limit": 3, **more}
        while True:
            page = await story.get("messages", **params)
            assert (page["total"], page["totalExact"]) == (8, True)
            seen += [one["text"] for one in page["items"]]
            if page["nextCursor"] is None:
                break
            params["cursor"] = page["nextCursor"]
        assert seen == everything
        by_offset = [text for offset in range(0, 9, 3) for text in await story.texts(limit=3, offset=offset, **more)]
        assert by_offset == everything


async def test_a_search_counts_so_many_and_says_that_there_are_more(story: Story) -> None:
    await story.record(*(came(str(n), f"often {n}", ago=n * timedelta(hours=6)) for n in range(102)))
    for limit in (1, 100, 101, 102):
        page = await story.get("messages", q="often", limit=limit)
        counted = max(limit, 100)
        assert [one["text"] for one in page["items"]] == [f"often {n}" for n in range(limit)]
        assert (page["total"], page["totalExact"]) == (counted, counted == 102)
    first = await story.get("messages", q="often", limit=1)
    second = await story.get("messages", q="often", limit=1, cursor=first["nextCursor"])
    assert [one["text"] for one in second["items"]] == ["often 1"]


async def test_a_reply_in_the_same_second_stands_behind_what_it_answers(story: Story, rig: Rig) -> None:
    await story.record(came("1", "question"))
    await story.record(came("2", "answer", direction="out", status="sent"))
    await story.record(came("3", "thanks"))
    assert await story.texts() == ["thanks", "answer", "question"]


async def test_words_are_found_in_this_session_only(story: Story, api: Instance, rig: Rig) -> None:
    other = await api.register()
    name, _ = await rig.session(other)
    async with recorder(rig.url, name, other.tenant) as record:
        await record(came("1", "the invoice of somebody else"))
    await story.record(
        came("1", "Your INVOICE 4711 is ready", ago=500 * DAY),
        came("2", "no bill today", ago=3 * DAY),
        picture("3", fileName="invoice.pdf"),
        came("4", type="poll", body={"poll": {"question": "Pay the invoice?", "options": ["yes"], "secret": "x"}}),
        came("5", f"session test/{name} invoice-like", ago=DAY),
    )
    found = await story.get("messages", q="invoice")
    assert [one["waId"] for one in found["items"]] == ["WA-4", "WA-5", "WA-1"]
    assert [one["waId"] for one in (await story.get("messages", q="invoice.pdf"))["items"]] == ["WA-3"]
    assert [one["waId"] for one in (await story.get("messages", q="invoice -ready", direction="in"))["items"]] == [
        "WA-4",
        "WA-5",
    ]
    assert await story.texts(q='"no bill"') == ["no bill today"]
    assert await story.texts(q="today or 4711") == ["no bill today", "Your INVOICE 4711 is ready"]
    assert await story.texts(q="invoice", contact=BOB) == []


async def test_one_message_with_all_that_came_of_it(story: Story) -> None:
    poll = {"question": "When?", "options": ["now", "later"], "selectable": 1, "secret": "c2VjcmV0"}
    await story.record(
        came("1", type="poll", direction="out", status="sent", chat=GROUP, contact=GROUP,
             body={"poll": poll, "fingerprint": "ours"}),
        came("2", "other", ago=DAY),
    )  # fmt: skip
    row = (await story.record.table.context(story.record.session, [TargetKey("WA-1", (GROUP,))], [])).targets[0]
    await story.record(
        receipts=(ReceiptFor("WA-1", "read", ANN, group=True, at=NOW),),
        reactions=(
            ReactionChange(GROUP, "WA-1", BOB, "👍", NOW, None),
            ReactionChange(GROUP, "WA-1", ANN, "", NOW, None),
            ReactionChange(BOB, "WA-1", BOB, "😮", NOW, None),
        ),
        votes=(
            Vote(row, BOB, ("now",), NOW, None),
            Vote(row, ANN, ("now",), NOW, None),
            Vote(row, GROUP, (), NOW, None),
        ),
    )
    one = await story.get(f"messages/{row.id}")
    assert "secret" not in str(one) + str(await story.get("messages"))
    assert "fingerprint" not in str(one)
    assert one["content"]["poll"] == {"question": "When?", "options": ["now", "later"], "selectable": 1}
    assert [(each["sender"], each["emoji"]) for each in one["reactions"]] == [(BOB, "👍")]
    assert one["pollResult"] == {
        "options": [{"option": "now", "votes": 2}, {"option": "later", "votes": 0}],
        "voters": 2,
    }
    assert [(each["recipient"], each["status"]) for each in one["receipts"]] == [(ANN, "read")]
    assert one["status"] == "read"
    votes = await story.get(f"messages/{row.id}/votes")
    assert {(each["voter"], tuple(each["options"])) for each in votes["votes"]} == {(BOB, ("now",)), (ANN, ("now",))}
    other = (await story.get("messages", contact=ANN))["items"][0]["messageId"]
    answer = await story.owner.client.get(f"{story.path}/messages/{other}/votes")
    assert answer.status_code == 404


async def test_the_list_of_chats(story: Story) -> None:
    await story.record(
        came("1", "old", ago=5 * DAY),
        came("2", "hi all", ago=DAY, chat=GROUP, contact=GROUP),
        came("3", "from bob", chat=BOB, contact=BOB, sender=BOB),
        came("4", "and again", chat=BOB, contact=BOB, sender=BOB),
        chats=(
            ChatChange(ANN, ANN, "person", pinned_at=NOW),
            ChatChange(GROUP, GROUP, "group", name="Team", archived=True, ephemeral_seconds=86400),
        ),
        contacts=(person(BOB, name="Bob"), person(ANN, name="Ann")),
    )
    page = await story.get("chats")
    assert page["total"] == 3
    assert [(one["chat"], one["name"], one["kind"], one["unread"]) for one in page["items"]] == [
        (ANN, "Ann", "person", 1), (BOB, "Bob", "person", 2), (GROUP, "Team", "group", 1),
    ]  # fmt: skip
    assert [one["lastMessage"]["text"] for one in page["items"]] == ["old", "and again", "hi all"]
    assert [one["chat"] for one in (await story.get("chats", archived=True))["items"]] == [GROUP]
    assert [one["chat"] for one in (await story.get("chats", archived=False, limit=1, offset=1))["items"]] == [BOB]
    assert [one["chat"] for one in (await story.get("chats", q="bo"))["items"]] == [BOB]
    assert (await story.get("chats", q="100%"))["items"] == []


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> MemoryObjects:
    made = MemoryObjects()

    def store(*_: Any, **__: Any) -> MemoryObjects:
        return made

    monkeypatch.setattr("whatsam_api.context.ObjectStore", store)
    return made


STORE = {"s3_url": "http://store:8333", "s3_access_key": "a", "s3_secret_key": "b"}


async def test_files_are_handed_out_through_the_api(rig: Rig, objects: MemoryObjects) -> None:
    api = await rig.replica(**STORE)
    owner = await api.register()
    name, _ = await rig.session(owner)
    data = bytes(range(256)) * 8192 + b"end"
    objects.kept[media_key("whatsam", owner.tenant, HASH)] = Kept(data, NOW)
    async with recorder(rig.url, name, owner.tenant) as record:
        html = picture("2", ago=DAY, mimetype="text/html", fileName='a"b\r\n.html', sha256=HASH)
        later, lost = picture("3", state="pending"), picture("4", state="expired")
        await record(picture("1"), html, later, lost, came("5"))
        rows = (await owner.client.get(f"/api/v1/sessions/{name}/messages")).json()["data"]["items"]
    by_id = {row["waId"]: row for row in rows}
    url = by_id["WA-1"]["media"]["url"]
    whole = await owner.client.get(url)
    assert (whole.status_code, whole.content == data) == (200, True)
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["content-disposition"].startswith("inline")
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = await owner.client.get(url, headers={"range": "bytes=-3"})
    assert (part.status_code, part.content) == (206, b"end")
    assert part.headers["content-range"] == f"bytes {len(data) - 3}-{len(data) - 1}/{len(data)}"
    assert (await owner.client.get(url, headers={"range": f"bytes={len(data)}-"})).status_code == 416
    page = await owner.client.get(by_id["WA-2"]["media"]["url"])
    assert page.headers["content-disposition"].startswith("attachment")
    assert "\n" not in page.headers["content-disposition"]
    waiting = await owner.client.get(f"/api/v1/sessions/{name}/messages/{by_id['WA-3']['messageId']}/media")
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (409, "FILE_NOT_READY")
    for gone in ("WA-4", "WA-5"):
        answer = await owner.client.get(f"/api/v1/sessions/{name}/messages/{by_id[gone]['messageId']}/media")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "FILE_NOT_FOUND")
        assert by_id[gone]["media"] is None or by_id[gone]["media"]["url"] is None
    objects.away = True
    assert (await owner.client.get(url)).status_code == 503
    objects.away = False
    objects.kept.clear()
    assert (await owner.client.get(url)).status_code == 404


async def test_files_are_handed_out_by_link_where_callers_reach_the_store(rig: Rig, objects: MemoryObjects) -> None:
    api = await rig.replica(**STORE, s3_public_url="http://store.public")
    owner = await api.register()
    name, _ = await rig.session(owner)
    key = media_key("whatsam", owner.tenant, HASH)
    objects.kept[key] = Kept(b"picture", NOW)
    async with recorder(rig.url, name, owner.tenant) as record:
        made = picture("1")
        await record(made)
    answer = await owner.client.get(f"/api/v1/sessions/{name}/messages/{made.id}/media")
    assert answer.status_code == 307
    assert answer.headers["location"].startswith(f"http://store.public/{key}?seconds=300&type=image/jpeg")


async def test_no_tenant_reads_anothers_history(story: Story, api: Instance, rig: Rig) -> None:
    """Also when the session's name was another tenant's before: rows belong to a tenant, not to a name."""
    await story.record(came("1", "private"), contacts=(person(ANN, name="Ann"),))
    heir = await api.register()
    async with recorder(rig.url, story.name, heir.tenant) as record:
        await record(came("9", "mine", chat=BOB, contact=BOB))
    context = story.api.context
    for wanted in (MessageFilter(), MessageFilter(contacts=(ANN,)), MessageFilter(words="private")):
        found = await context.history.page(heir.tenant, story.record.session, wanted, limit=10)
        assert "private" not in str(found), wanted
    chats, _ = await context.history.chats(
        heir.tenant, story.record.session, limit=9, offset=0, archived=None, words=None
    )
    assert [chat.chat for chat, _ in chats] == [BOB]
    people, _ = await context.history.contacts(heir.tenant, story.record.session, limit=9, offset=0, words=None)
    assert people == []
    assert await story.texts() == ["private"]
    stranger = await heir.client.get(f"{story.path}/messages/{uuid4()}")
    assert stranger.status_code == 404
