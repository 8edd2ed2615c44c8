"""Changes of chats: they hold here whatever the engine can, and the answer says whether the phone knows."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_connector import Seen
from api_rig import Instance, Rig, Tenant, eventually

ADA = "491511000002@s.whatsapp.net"
LID = "70000000000001@lid"
GROUP = "120363012345678901@g.us"
UNSUPPORTED = (422, {"code": "Unsupported", "message": "this engine cannot do it"})


class World:
    """A connected session with chats, and an engine without app state."""

    def __init__(self, rig: Rig, tenant: Tenant, name: str, _key: str) -> None:
        self.rig, self.tenant, self.name = rig, tenant, name
        self.session = f"test/{name}"
        self.answers: dict[str, Any] = dict.fromkeys(
            ("archive", "pin", "mute", "mark_unread", "delete_chat"), UNSUPPORTED
        )

    async def __call__(self, verb: str, chat: str, **options: Any) -> httpx.Response:
        return await self.tenant.client.request(verb, f"/api/v1/sessions/{self.name}/chats/{chat}", **options)

    async def data(self, verb: str, chat: str, **options: Any) -> Any:
        answer = await self(verb, chat, **options)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def listed(self) -> list[dict[str, Any]]:
        answer = await self.tenant.client.get(f"/api/v1/sessions/{self.name}/chats")
        return answer.json()["data"]["items"]

    async def answer(self, call: Seen) -> tuple[int, dict[str, Any]]:
        found = self.answers.get(call.method)
        return found if isinstance(found, tuple) else (200, {"value": found})

    @property
    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        return [(call.method, call.arguments) for call in self.rig.connector.calls if "/calls/" in call.path]

    async def message(self, contact: str, *, status: str = "received", session: str | None = None) -> uuid.UUID:
        message, wa_id = uuid.uuid4(), uuid.uuid4().hex
        direction = "in" if status == "received" else "out"
        await self.rig.rows(
            "insert into messages (id, session, tenant, direction, chat, contact, wa_id, body, status)"
            " values ($1, $2, $3, $4, $5, $5, $6, '{\"text\": \"secret\", \"media\": {\"sha256\": \"ab\"}}', $7)",
            message, session or self.session, self.tenant.tenant, direction, contact, wa_id, status,
        )  # fmt: skip
        await self.rig.rows(
            "insert into reactions (session, tenant, chat, wa_id, sender, emoji, at)"
            " values ($1, $2, $3, $4, 'x', 'y', now())",
            session or self.session, self.tenant.tenant, contact, wa_id,
        )  # fmt: skip
        return message

    async def reactions(self) -> int:
        return len(await self.rig.rows("select 1 from reactions where session = $1", self.session))


@pytest.fixture
async def world(api: Instance, rig: Rig) -> World:
    tenant = await api.register()
    world = World(rig, tenant, *await rig.paired(tenant, api))
    rig.connector.answer = world.answer
    await rig.rows(
        "insert into chats (session, tenant, chat, contact, unread, last_at) values ($1, $2, $3, $3, 4, now())",
        world.session, tenant.tenant, ADA,
    )  # fmt: skip
    await rig.rows(
        "insert into contacts (session, tenant, jid, phone, lid) values ($1, $2, $3, '491511000002', $4)",
        world.session, tenant.tenant, ADA, LID,
    )  # fmt: skip
    return world


async def test_flags_hold_here_and_the_answer_says_that_the_phone_does_not_know(world: World) -> None:
    changed = await world.data("PATCH", ADA, json={"archived": True, "muted": True, "unread": False})
    assert (changed["archived"], changed["muted"], changed["mutedUntil"], changed["unread"]) == (True, True, None, 0)
    assert changed["synchronized"] is False
    assert "cannot do it" in changed["detail"]
    (listed,) = await world.listed()
    assert (listed["chat"], listed["archived"], listed["unread"]) == (ADA, True, 0)
    until = datetime.now(UTC) + timedelta(hours=8)
    changed = await world.data("PATCH", "+49 1511 000002", json={"mutedUntil": until.isoformat(), "pinned": True})
    assert (datetime.fromisoformat(changed["mutedUntil"]), changed["pinned"]) == (until, True)
    changed = await world.data("PATCH", LID, json={"muted": False, "archived": True, "unread": True})
    assert (changed["chat"], changed["muted"], changed["pinned"], changed["markedUnread"]) == (ADA, False, False, True)
    assert len(await world.listed()) == 1


async def test_an_engine_that_can_tells_the_phone(world: World) -> None:
    world.answers = {}
    until = datetime(2030, 1, 1, tzinfo=UTC)
    body = {"archived": False, "pinned": True, "mutedUntil": until.isoformat(), "unread": True}
    changed = await world.data("PATCH", ADA, json=body)
    assert (changed["synchronized"], changed["detail"]) == (True, None)
    assert world.asked == [
        ("archive", {"chat": ADA, "archived": False}),
        ("pin", {"chat": ADA, "pinned": True}),
        ("mute", {"chat": ADA, "muted": True, "until": int(until.timestamp())}),
        ("mark_unread", {"chat": ADA, "unread": True}),
    ]


async def test_a_chat_without_a_row_gets_one(world: World) -> None:
    changed = await world.data("PATCH", GROUP, json={"archived": True})
    assert (changed["chat"], changed["archived"]) == (GROUP, True)
    assert {(one["chat"], one["kind"]) for one in await world.listed()} == {(ADA, "person"), (GROUP, "group")}


async def test_the_timer_is_whatsapps_and_nothing_changes_without_it(world: World) -> None:
    changed = await world.data("PATCH", ADA, json={"disappearingTimer": 86400})
    assert (changed["disappearingSeconds"], changed["synchronized"]) == (86400, True)
    world.answers["set_disappearing"] = (503, {"code": "NOT_CONNECTED"})
    answer = await world("PATCH", ADA, json={"disappearingTimer": 0, "archived": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")
    (listed,) = await world.listed()
    assert (listed["disappearingSeconds"], listed["archived"]) == (86400, False)


async def test_flags_can_be_changed_while_the_session_is_away(world: World) -> None:
    world.rig.cluster.set_status(world.name, assignment=None, phase="Reconnecting")
    changed = await world.data("PATCH", ADA, json={"pinned": True})
    assert (changed["pinned"], changed["synchronized"]) == (True, False)


async def test_the_list_takes_over_what_the_phone_shows(world: World) -> None:
    await world.data("PATCH", ADA, json={"archived": True})
    await world.data("PATCH", GROUP, json={"muted": True})
    until = datetime(2030, 1, 1, tzinfo=UTC)
    world.answers["chat_settings"] = [
        {"chat": ADA, "archived": False, "pinned": True, "muted": True, "muted_until": int(until.timestamp())},
        {"chat": GROUP, "archived": False, "pinned": False, "muted": True, "muted_until": None},
        {"chat": "unknown@lid", "archived": True, "pinned": True, "muted": False, "muted_until": None},
    ]
    assert await world.data("POST", "sync") == {"chats": 3, "changed": 1}
    assert set(world.asked[-1][1]["chats"]) == {ADA, GROUP}
    listed = {one["chat"]: one for one in await world.listed()}
    assert (listed[ADA]["archived"], bool(listed[ADA]["pinnedAt"])) == (False, True)
    assert datetime.fromisoformat(listed[ADA]["mutedUntil"]) == until
    assert await world.data("POST", "sync") == {"chats": 3, "changed": 0}


async def test_deleting_takes_the_messages_of_that_chat_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatsam_api.storage.chat_changes.BATCH", 2)
    monkeypatch.setattr("whatsam_api.services.chats.BATCH", 2)
    for _ in range(3):
        await world.message(ADA)
    await world.message(LID, status="delivered")
    waiting, other = await world.message(ADA, status="pending"), await world.message(GROUP)
    foreign = await world.message(ADA, session="test/another")
    gone = await world.data("DELETE", ADA, params={"clear": "true"})
    assert (gone["messages"], gone["complete"], gone["synchronized"]) == (4, True, False)
    left = await world.rig.rows("select id from messages where tenant = $1", world.tenant.tenant)
    assert {row["id"] for row in left} == {waiting, other, foreign}
    assert await world.reactions() == 2
    assert await world.rig.rows("select sha256 from media_unreferenced where tenant = $1", world.tenant.tenant) == [
        {"sha256": "ab"}
    ]
    (listed,) = await world.listed()
    assert (listed["unread"], listed["lastMessage"]) == (0, None)
    assert (await world.data("DELETE", LID))["messages"] == 0
    assert await world.listed() == []


async def test_a_long_chat_is_deleted_in_several_calls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whatsam_api.storage.chat_changes.BATCH", 2)
    monkeypatch.setattr("whatsam_api.services.chats.BATCH", 2)
    monkeypatch.setattr("whatsam_api.services.chats.DELETE_SECONDS", -1)
    for _ in range(5):
        await world.message(ADA)
    answers = [await world("DELETE", ADA) for _ in range(3)]
    assert [(answer.status_code, answer.json()["data"]["messages"]) for answer in answers] == [
        (202, 2), (202, 2), (200, 1),
    ]  # fmt: skip
    assert await world.listed() == []


def _stores_history(api: Instance, name: str) -> bool:
    session = api.context.session_store.cached(name)
    return session is not None and session.spec.history.enabled and session.status.jid is not None


async def test_older_messages_are_asked_of_the_phone_by_the_oldest_one_here(api: Instance, world: World) -> None:
    spec = {**world.rig.cluster.objects[world.name]["spec"], "history": {"enabled": True}}
    world.rig.cluster.apply(world.name, spec)
    world.rig.hold(world.name)
    await eventually(lambda: _stores_history(api, world.name), "the API knows that history is stored")
    oldest = await world.message(LID, status="read")
    await world.message(ADA)
    await world.message(GROUP)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    await world.rig.rows("update messages set at = $2 where id = $1", oldest, moment)
    (row,) = await world.rig.rows("select wa_id from messages where id = $1", oldest)
    answer = await world("POST", f"{ADA}/history", json={"count": 20})
    assert (answer.status_code, answer.json()["data"]["chat"]) == (202, ADA)
    assert datetime.fromisoformat(answer.json()["data"]["olderThan"]) == moment
    assert world.asked == [
        (
            "request_history",
            {
                "chat": LID,
                "message_id": row["wa_id"],
                "from_me": True,
                "timestamp": int(moment.timestamp()),
                "count": 20,
            },
        )
    ]
    world.answers["request_history"] = UNSUPPORTED
    assert (await world("POST", f"{ADA}/history", json={})).status_code == 501
    assert (await world("POST", f"{ADA}/history", json={"count": 501})).status_code == 422
    nothing = await world("POST", "491511000077/history", json={})
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (404, "MESSAGE_NOT_FOUND")


async def test_history_that_would_not_be_stored_is_not_asked_for(world: World) -> None:
    await world.message(ADA)
    answer = await world("POST", f"{ADA}/history", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SESSION_NOT_READY")
    assert world.asked == []


@pytest.mark.parametrize(
    ("chat", "body", "field"),
    [
        ("nobody", {"archived": True}, "jid"),
        (ADA, {}, "archived"),
        (ADA, {"disappearingTimer": 7}, "disappearingTimer"),
        (ADA, {"muted": False, "mutedUntil": "2030-01-01T00:00:00Z"}, "mutedUntil"),
        (ADA, {"mutedUntil": "2030-01-01T00:00:00"}, "mutedUntil"),
        (ADA, {"achived": True}, "achived"),
    ],
)
async def test_wrong_wishes_are_refused_with_their_field(
    world: World, chat: str, body: dict[str, Any], field: str
) -> None:
    answer = await world("PATCH", chat, json=body)
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (422, field)


async def test_another_tenants_chats_stay_as_they_are(api: Instance, rig: Rig, world: World) -> None:
    """The same session name in another tenant's hands: the tenant is part of every statement."""
    await rig.rows("update chats set tenant = 'somebody-else' where session = $1", world.session)
    await world.data("PATCH", ADA, json={"archived": True})
    await world.data("DELETE", ADA)
    (row,) = await rig.rows("select tenant, archived from chats where session = $1", world.session)
    assert row == {"tenant": "somebody-else", "archived": False}
